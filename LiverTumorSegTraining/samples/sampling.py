"""Which sample comes next: a pure function of seed, step and place, so that a resumed run repeats exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from LiverTumorSegLib.labels import AIR_HU, LIVER
from LiverTumorSegLib.model.normalisation import normalise
from torch import Tensor

from LiverTumorSegTraining.data.organ import without_organs_tumor
from LiverTumorSegTraining.data.preparation import PreparedCase
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.samples.augmentation import change_intensity, random_affine, sample_patch
from LiverTumorSegTraining.samples.distractors import add_distractors
from LiverTumorSegTraining.samples.synthetic import add_tumors

AIR_BELOW_HU = -200
"""A patch "anywhere" is centred in the body, not in the air around it."""
WINDOW_WIDTH_HU = 400.0
"""Augmentation is written in HU; in images without HU the span of the clipped values takes this window's place."""

SOFT_TISSUE_HU = 60.0


@dataclass(frozen=True)
class Batch:
    """Network input (N, C, [z,] y, x) float32, classes (N, [z,] y, x) uint8, and the cases it came from."""

    image: Tensor
    label: Tensor
    cases: tuple[str, ...]


class PatchSampler:
    """Draws augmented training samples.

    Parameters
    ----------
    cases : sequence of PreparedCase
        Training cases; patients are drawn equally often (times `data.case_weights`), then one of their scans.
    config : Config
        The recipe.
    mixed : sequence of PreparedCase
        Cases of `data.mix`; together they are drawn in `data.mix_fraction` of the samples.
    hard : sequence of ndarray
        Places (n, 3), z, y, x, of each case, those of `mixed` last; `sampling.hard_fraction` of the samples is
        centred there.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        config: Config,
        mixed: Sequence[PreparedCase] = (),
        hard: Sequence[np.ndarray] = (),
    ) -> None:
        self.cases, self.config = [*cases, *mixed], config
        share = config.data.mix_fraction if mixed else 0.0
        self.weights = _patient_weights(cases, config) * (1 - share)
        if mixed:
            self.weights = np.concatenate([self.weights, _patient_weights(mixed, config) * share])
        self.hard = hard
        self.tumor_weights = self._weights_of([bool(p.lesion_centres) for p in self.cases])
        self.hard_weights = self._weights_of([len(places) > 0 for places in hard] or [False] * len(self.cases))
        size = config.sampling.patch_size
        deep, high, wide = size if len(size) == 3 else (1, *size)
        self.patch_size = (deep, high, wide)

    def batch(self, step: int, part: int = 0, rank: int = 0, world: int = 1) -> Batch:
        """Return a batch.

        Parameters
        ----------
        step : int
            Optimiser step.
        part : int
            Which of the batches that one step accumulates.
        rank, world : int
            This process and the number of processes: each makes its share of the same batch.
        """
        size = self.config.sampling.batch_size
        patches = [self.patch(step, part * size + place) for place in range(rank, size, world)]
        images = torch.from_numpy(np.stack([image for image, _, _ in patches]))
        labels = torch.from_numpy(np.stack([label for _, label, _ in patches]))
        if self.config.network.dims == 2:
            images, labels = images[:, :, 0], labels[:, 0]
        return Batch(images, labels, tuple(name for _, _, name in patches))

    def patch(self, step: int, place: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Return normalised image (C, z, y, x), label [z, y, x] and case name of one sample."""
        config = self.config
        rng = np.random.default_rng([config.run.seed, step, place])
        prepared, centre, at_tumor = self._centre(rng)
        in_plane = config.sampling.kind == "slices"
        matrix = random_affine(rng, config.augmentation, in_plane, prepared.spacing_mm[::-1])
        outside = [AIR_HU if config.preparation.window_hu else channel.low for channel in prepared.statistics]
        image, label = sample_patch(prepared.image, prepared.label, centre, matrix, self.patch_size, outside)
        image[0], label = self._synthetic(image[0], label, prepared, at_tumor, rng)
        channels = []
        for values, intensity in zip(image, prepared.intensities(config), strict=True):
            unit, middle = self._unit(intensity.window_hu)
            changed = change_intensity(values, rng, config.augmentation, unit, middle)
            channels.append(normalise(changed, intensity))
        return np.stack(channels), label, prepared.case.name

    def _synthetic(
        self, image: np.ndarray, label: np.ndarray, prepared: PreparedCase, at_tumor: bool, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        synthetic, classes = self.config.synthetic, self.config.data.labels
        spacing_zyx = np.asarray(prepared.spacing_mm[::-1])
        if not at_tumor and rng.random() < synthetic.probability and (label == LIVER.value).sum() > 500:
            image, label = add_tumors(image, label, spacing_zyx, rng, prepared.slice_mm, classes=classes)
            label = without_organs_tumor(label, self.config)
        if rng.random() < synthetic.distractor_probability:
            image, label = add_distractors(image, label, spacing_zyx, rng, classes)
        return image, label

    def _unit(self, limits: tuple[float, float] | None) -> tuple[float, float]:
        """Return what one HU is worth in a channel and the value that stays when contrast changes."""
        preparation = self.config.preparation
        if limits is None:
            return 1.0, SOFT_TISSUE_HU
        low, high = limits
        if preparation.window_hu is None:
            return (high - low) / WINDOW_WIDTH_HU, (low + high) / 2
        if preparation.liver_hu is None:
            return 1.0, SOFT_TISSUE_HU
        return 1.0, low - preparation.window_hu[0] + preparation.liver_hu

    def _centre(self, rng: np.random.Generator) -> tuple[PreparedCase, np.ndarray, bool]:
        prepared, wanted, at_tumor = self._wanted_voxel(rng)
        shape = np.asarray(prepared.label.shape)
        kind = self.config.sampling.kind
        if kind == "volumes":
            return prepared, (shape - 1) / 2, at_tumor
        centre = self._anywhere(prepared, rng) if wanted is None else self._jitter(wanted, rng)
        if kind in ("subvolumes", "slices"):
            # The plane is taken whole where it fits; of the slices only their position along z is drawn, and nothing
            # where they are all taken.
            fits = (shape <= np.asarray(self.patch_size)) | (kind == "subvolumes")
            fits[0] = kind == "subvolumes" and shape[0] <= self.patch_size[0]
            centre = np.where(fits, (shape - 1) / 2, centre)
        if kind == "slices":
            centre[0] = np.clip(np.round(centre[0] if wanted is None else wanted[0]), 0, shape[0] - 1)
        return prepared, centre, at_tumor

    def _wanted_voxel(self, rng: np.random.Generator) -> tuple[PreparedCase, np.ndarray | None, bool]:
        """Return a case, one voxel of its tumours or its organ (None: anywhere), and whether it is of a tumour."""
        sampling = self.config.sampling
        kind = rng.random()
        if kind < sampling.tumor_fraction and self.tumor_weights.any():
            prepared = self.cases[rng.choice(len(self.cases), p=self.tumor_weights)]
            lesion = prepared.lesion_centres[rng.integers(len(prepared.lesion_centres))]
            return prepared, lesion[rng.integers(len(lesion))], True
        if kind > 1 - sampling.hard_fraction and self.hard_weights.any():
            number = rng.choice(len(self.cases), p=self.hard_weights)
            return self.cases[number], self.hard[number][rng.integers(len(self.hard[number]))], False
        prepared = self.cases[rng.choice(len(self.cases), p=self.weights)]
        if kind < sampling.tumor_fraction + sampling.liver_fraction and len(prepared.organ_centres):
            return prepared, prepared.organ_centres[rng.integers(len(prepared.organ_centres))], False
        return prepared, None, False

    def _weights_of(self, chosen: Sequence[bool]) -> np.ndarray:
        weights = self.weights * np.asarray(chosen)
        return weights / weights.sum() if weights.any() else weights

    def _anywhere(self, prepared: PreparedCase, rng: np.random.Generator) -> np.ndarray:
        shape = np.asarray(prepared.label.shape)
        air = AIR_BELOW_HU if self.config.preparation.window_hu else prepared.statistics[0].low
        centre = rng.uniform(0, shape - 1)
        for _ in range(10):
            z, y, x = centre.astype(int)
            if prepared.image[0, z, y, x] > air:
                break
            centre = rng.uniform(0, shape - 1)
        return centre

    def _jitter(self, centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Move the centre by up to a quarter of the patch, so that tumours are not always in the middle."""
        return centre + rng.uniform(-0.25, 0.25, 3) * np.asarray(self.patch_size)


def _patient_weights(cases: Sequence[PreparedCase], config: Config) -> np.ndarray:
    scans_of: dict[str, int] = {}
    for prepared in cases:
        scans_of[prepared.case.patient] = scans_of.get(prepared.case.patient, 0) + 1
    weights = np.array([
        config.data.case_weights.get(p.case.patient, 1.0) / scans_of[p.case.patient] for p in cases
    ])  # fmt: skip
    return weights / weights.sum()
