"""Which patch comes next: a pure function of seed, step and place in the batch, so that a resumed run repeats exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.preprocess import normalise
from LiverTumorSegTraining.augmentation import change_intensity, random_affine, sample_patch
from LiverTumorSegTraining.config import Config
from LiverTumorSegTraining.preparation import PreparedCase, intensity_of
from LiverTumorSegTraining.synthetic import add_distractors, add_tumors

AIR_BELOW_HU = -200
"""A patch "anywhere" is centred in the body, not in the air around it."""


@dataclass(frozen=True)
class Batch:
    """Network input (N, C, z, y, x) float32, classes (N, z, y, x) uint8, and the cases it came from."""

    image: Tensor
    label: Tensor
    cases: tuple[str, ...]


class PatchSampler:
    """Draws augmented training patches.

    Parameters
    ----------
    cases : list of PreparedCase
        Training cases; patients are drawn equally often (times `data.case_weights`), then one of their scans.
    config : Config
        The recipe.
    """

    def __init__(self, cases: list[PreparedCase], config: Config) -> None:
        self.cases, self.config = cases, config
        self.intensity = intensity_of(config)
        self.spacing_zyx = np.asarray(config.preparation.spacing_mm[::-1])
        scans_of: dict[str, int] = {}
        for prepared in cases:
            scans_of[prepared.case.patient] = scans_of.get(prepared.case.patient, 0) + 1
        weights = np.array([
            config.data.case_weights.get(p.case.patient, 1.0) / scans_of[p.case.patient] for p in cases
        ])  # fmt: skip
        self.weights = weights / weights.sum()
        with_tumor = np.array([bool(p.lesion_centres) for p in cases])
        self.tumor_weights = self.weights * with_tumor
        if with_tumor.any():
            self.tumor_weights = self.tumor_weights / self.tumor_weights.sum()

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        patches = [self.patch(step, place) for place in range(self.config.sampling.batch_size)]
        images = torch.from_numpy(np.stack([image for image, _, _ in patches]))[:, None]
        labels = torch.from_numpy(np.stack([label for _, label, _ in patches]))
        return Batch(images, labels, tuple(name for _, _, name in patches))

    def patch(self, step: int, place: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Return normalised image, label and case name of one patch."""
        rng = np.random.default_rng([self.config.run.seed, step, place])
        prepared, centre, at_tumor = self._centre(rng)
        matrix = random_affine(rng, self.config.augmentation)
        image, label = sample_patch(prepared.image, prepared.label, centre, matrix, self.config.sampling.patch_size)
        synthetic = self.config.synthetic
        if not at_tumor and rng.random() < synthetic.probability and (label == LIVER.value).sum() > 500:
            image, label = add_tumors(image, label, self.spacing_zyx, rng)
            if self.config.task == "localiser":
                label[label == TUMOR.value] = LIVER.value
        if rng.random() < synthetic.distractor_probability:
            image = add_distractors(image, label, self.spacing_zyx, rng)
        image = change_intensity(image, rng, self.config.augmentation)
        return normalise(image, self.intensity), label, prepared.case.name

    def _centre(self, rng: np.random.Generator) -> tuple[PreparedCase, np.ndarray, bool]:
        sampling = self.config.sampling
        kind = rng.random()
        if kind < sampling.tumor_fraction and self.tumor_weights.any():
            prepared = self.cases[rng.choice(len(self.cases), p=self.tumor_weights)]
            lesion = prepared.lesion_centres[rng.integers(len(prepared.lesion_centres))]
            return prepared, self._jitter(lesion[rng.integers(len(lesion))], rng), True
        prepared = self.cases[rng.choice(len(self.cases), p=self.weights)]
        if kind < sampling.tumor_fraction + sampling.liver_fraction and len(prepared.liver_centres):
            return prepared, self._jitter(prepared.liver_centres[rng.integers(len(prepared.liver_centres))], rng), False
        centre = rng.uniform(0, np.asarray(prepared.image.shape) - 1)
        for _ in range(10):
            if prepared.image[tuple(centre.astype(int))] > AIR_BELOW_HU:
                break
            centre = rng.uniform(0, np.asarray(prepared.image.shape) - 1)
        return prepared, centre, False

    def _jitter(self, centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Move the centre by up to a quarter of the patch, so that tumours are not always in the middle."""
        return centre + rng.uniform(-0.25, 0.25, 3) * np.asarray(self.config.sampling.patch_size)
