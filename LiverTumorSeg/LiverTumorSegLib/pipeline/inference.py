"""From a scan to a labelmap on its own grid: localise the liver, segment its box, bring the result back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError, UsageError
from ..findings import Finding, refuse
from ..grid import Grid, bounding_box, canonical_grid, grid_difference
from ..labels import LIVER, NO_LABEL, TUMOR, value_of
from ..memory import Memory, machine_memory
from ..model.bundle import Bundle
from ..model.cost import NetworkSize
from ..model.devices import Rung, choose_device, climb
from ..model.families import Network, to_device
from ..model.models import require_together
from ..model.normalisation import Intensity, normalise
from ..model.tile_plan import TilePlan, plan_tiles
from ..model.tiles import Cancelled, Progress, kind_of, predict_logits, predict_probabilities
from ..scan.checks import check_image
from ..scan.padding import replace_missing
from .agreement import join
from .enhancement import doubt_enhancement
from .lesion_contrast import give_back
from .lesions import Lesion, measure_lesions
from .localise import Location, body_box, judge
from .maps import attention, uncertainty
from .nnunet_way import nnunet_input, nnunet_plan, nnunet_probabilities
from .plan import Plan, plan_run, tile_limit, with_what_is_held
from .plausibility import judge_liver, outside_skulls
from .postprocess import Postprocessing, liver_and_tumor, most_probable, with_further_classes
from .preprocess import network_grid, resample
from .quality import QUALITIES
from .result import Result
from .run import Run
from .tumor_plausibility import doubt_tumor


class Segmenter:
    """Loads networks once, segments many scans, also in several threads: the networks take one scan at a time.

    Parameters
    ----------
    bundles : Bundle or sequence of Bundle
        The fine network; several are averaged and must have the same labels.
    localiser : Bundle, optional
        Finds the liver first, for bundles whose field of view is the liver's box (`models.localiser_for`); any other
        bundle, and every one without a localiser, runs over the whole scan.
    device : str
        "auto", "cpu", "cuda", "cuda:N", "mps".
    quality : {"quick", "standard", "best"}
        What the fine stage may cost.
    threshold : float, optional
        Tumour probability from which a voxel is tumour, 0..1; the bundle's when None.
    postprocessing : Postprocessing, optional
        Opening, closing, smallest lesion.
    maps : bool
        Also make maps of uncertainty and attention.

    Raises
    ------
    UsageError, ModelError
        For an option out of range; for models that do not go together.
    """

    def __init__(
        self,
        bundles: Bundle | Sequence[Bundle],
        localiser: Bundle | None = None,
        device: str = "auto",
        quality: str = "standard",
        threshold: float | None = None,
        postprocessing: Postprocessing | None = None,
        maps: bool = False,
    ) -> None:
        self.bundles = [bundles] if isinstance(bundles, Bundle) else list(bundles)
        if quality not in QUALITIES:
            raise UsageError(f"--quality is {quality!r}; it must be one of {', '.join(QUALITIES)}.")
        if threshold is not None and not 0 < threshold < 1:
            raise UsageError(f"--threshold is {threshold}; it must lie between 0 and 1.")
        require_together(self.bundles, localiser)
        self.localiser = localiser if self.bundles[0].field_of_view == "liver_box" else None
        self.quality = QUALITIES[quality]
        self.threshold = float(np.mean([b.tumor_threshold for b in self.bundles])) if threshold is None else threshold
        self.postprocessing, self.maps = postprocessing or Postprocessing(), maps
        self.device, self.device_note = choose_device(device)
        self._networks: dict[str, Network] = {}
        self._turn = threading.RLock()

    def segment(
        self,
        image: sitk.Image | Sequence[sitk.Image],
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
        modality: str | None = None,
        force: bool = False,
        liver_hu: float | None = None,
    ) -> Result:
        """Segment one scan.

        Parameters
        ----------
        image : sitk.Image or sequence of sitk.Image
            3D, any orientation, spacing and handedness; one image for each channel of the model, on one grid.
        progress : callable
            Told (fraction 0..1, words).
        cancelled : callable
            Asked often; returning True stops the run.
        modality : str, optional
            DICOM modality when known.
        force : bool
            Pass over findings that may be passed over.
        liver_hu : float, optional
            Density of the liver, for a part of a scan, in which no localiser finds it; else the localiser tells.

        Raises
        ------
        ModelError
            The model goes by the liver's density, and nothing tells it.
        InputError, CancelledError, OutOfMemoryError, NonFiniteOutputError
            The image cannot be used; the user stopped; no device has enough memory; the network failed.
        """
        run = Run(progress or (lambda fraction, words: None), cancelled or (lambda: False))
        started = time.perf_counter()
        channels = self._channels(image)
        with run.stage("check"):
            run.tell(0.0, "Checking the scan")
            channels = [self._checked(channel, modality, force, run) for channel in channels]
        if self.device_note:
            run.findings.append(Finding("device", "warning", self.device_note))
        run.findings.extend(self._doubt_quality())
        native = Grid.of(channels[0])
        location, run.doubts = self._localise(channels[0], run)
        if self.localiser is not None and location is None:
            values, probability = None, None
        else:
            liver_hu = liver_hu if location is None else location.liver_hu
            values, probability = self._fine(channels, native, location, liver_hu, run)
            if location is not None:
                shown, more = judge_liver(*values, channels[0], location, keep=force)
                # What was said of something that is no liver is void.
                run.doubts = [*run.doubts, *more] if shown else more
                if not shown:
                    values, probability, run.maps = None, None, {}
        run.findings.extend(run.doubts)
        run.tell(0.92, "Measuring lesions")
        with run.stage("measure"):
            labelmap = _paste(values, native)
            lesions: tuple[Lesion, ...] = ()
            tumor, liver = (value_of(label.name, self.bundles[0].labels) for label in (TUMOR, LIVER))
            if tumor is not None and values is not None:
                lesions = measure_lesions(labelmap, channels[0], probability, tumor, liver or NO_LABEL)
                if self.bundles[0].task == "liver-tumor":
                    run.findings.extend(doubt_tumor(values[0], native.spacing_mm[::-1]))
                if liver is not None and self.bundles[0].intensity.window_hu is not None:
                    run.findings.extend(doubt_enhancement(*values, channels[0]))
        run.seconds["total"] = time.perf_counter() - started
        run.tell(1.0, "Done")
        return Result(
            labelmap,
            self.bundles[0].labels,
            probability,
            run.maps,
            lesions,
            tuple(run.findings),
            {name: round(value, 3) for name, value in run.seconds.items()},
            run.device,
            self.provenance(),
        )

    def _doubt_quality(self) -> list[Finding]:
        """Say so where a quality stands for looks that no model takes."""
        if not all(self.quality.is_in_vain(bundle.mirroring) for bundle in self.bundles):
            return []
        words = f"Model {self.bundles[0].id!r} gains nothing by several looks: best gives what standard gives."
        return [Finding("quality", "info", words)]

    def plan(self, image: sitk.Image) -> Plan | None:
        """Return what segmenting an image that is in memory will cost; None where that was never measured."""
        grid, voxel_bytes = Grid.of(image), image.GetSizeOfPixelComponent()
        return self.cost(
            grid, voxel_bytes, with_what_is_held(machine_memory(), grid, voxel_bytes, kind_of(self.device))
        )

    def cost(self, grid: Grid, voxel_bytes: int, memory: Memory | None = None) -> Plan | None:
        """Return what segmenting a scan of such a grid will cost; None where that was never measured."""
        fine, localiser = (
            None if one is None else NetworkSize.of(vars(one)) for one in (self.bundles[0], self.localiser)
        )
        device = kind_of(self.device)
        return plan_run(grid, voxel_bytes, fine, localiser, self.quality, device, memory, len(self.bundles))

    def _channels(self, image: sitk.Image | Sequence[sitk.Image]) -> list[sitk.Image]:
        channels = [image] if isinstance(image, sitk.Image) else list(image)
        wanted = self.bundles[0].channels
        if len(channels) != len(wanted):
            raise InputError(
                f"Model {self.bundles[0].id!r} needs {len(wanted)} images ({', '.join(wanted)}), "
                f"but {len(channels)} were given."
            )
        for channel in channels[1:]:
            difference = grid_difference(channels[0], channel)
            if difference:
                raise InputError(
                    f"The channel images do not lie on one grid: resample them to the first one. One has {difference}."
                )
        return channels

    def _checked(self, image: sitk.Image, modality: str | None, force: bool, run: Run) -> sitk.Image:
        is_ct = all(bundle.intensity.window_hu is not None for bundle in self.bundles)
        findings = check_image(image, modality)
        if not is_ct:
            findings = [f for f in findings if not f.overridable and not f.code.startswith("hu_")]
        run.findings.extend(findings)
        refuse(findings, force)
        return replace_missing(image)

    def _localise(self, image: sitk.Image, run: Run) -> tuple[Location | None, list[Finding]]:
        """Return where the liver is, if the localiser sees one, and what is to be said of it."""
        bundle = self.localiser
        if bundle is None:
            return None, []
        run.tell(0.02, "Looking for the liver")
        grid = canonical_grid(Grid.of(image), bundle.spacing_mm)
        with run.stage("localise"):
            values = sitk.GetArrayFromImage(resample(image, grid))
            box = body_box(values)
            values = values[box]
            start = np.array([side.start or 0 for side in reversed(box)])
            grid = grid.crop(start, start + values.shape[::-1])
            array = normalise(values, bundle.intensity)[None]
            plan = self._plan(bundle, array)
            probability = self._predict(bundle, array, plan, run, 0.02, 0.25, "Looking for the liver")[0]
            return judge(outside_skulls(probability, values, grid), values, grid)

    def _fine(
        self,
        channels: list[sitk.Image],
        native: Grid,
        location: Location | None,
        liver_hu: float | None,
        run: Run,
    ) -> tuple[tuple[np.ndarray, np.ndarray], sitk.Image | None]:
        """Return the label values of a native part with its start (x, y, z), and the tumour probability."""
        # Where nothing localises, no voxel of the scan is left out, however the network's grid rounds its size.
        box = location.box() if location is not None else native
        start, stop = bounding_box(box, native) if location is not None else (np.zeros(3, int), np.array(native.size))
        part = native.crop(start, stop)
        total: np.ndarray | None = None
        for number, bundle in enumerate(self.bundles):
            low, high = (0.25 + 0.6 * (number + n) / len(self.bundles) for n in (0, 1))
            intensity = bundle.intensity_at(liver_hu)
            probabilities = self._fine_probabilities(bundle, intensity, channels, box, part, run, low, high)
            total = probabilities if total is None else np.add(total, probabilities, dtype=np.uint16)
        assert total is not None  # there is at least one bundle
        mean = total if len(self.bundles) == 1 else (total // len(self.bundles)).astype(np.uint8)
        if self.maps:
            run.maps["uncertainty"] = part.image(uncertainty(mean))
        run.tell(0.87, "Cleaning up")
        with run.stage("postprocess"):
            if self.bundles[0].task != "liver-tumor":
                return (most_probable(mean), start), None
            liver, tumor = mean[LIVER.value - 1], mean[TUMOR.value - 1]
            if location is not None:
                run.doubts.extend(join(mean, location, part))
                hu = sitk.GetArrayFromImage(sitk.RegionOfInterest(channels[0], part.size, start.tolist()))
                give_back(liver, tumor, hu, part.spacing_mm[::-1], self.threshold)
            values = liver_and_tumor(liver, tumor, part.spacing_mm[::-1], self.threshold, self.postprocessing)
            values = with_further_classes(values, mean, self.postprocessing.organ_threshold)
        return (values, start), part.image(tumor)

    def _fine_probabilities(
        self,
        bundle: Bundle,
        intensity: Intensity,
        channels: list[sitk.Image],
        box: Grid,
        part: Grid,
        run: Run,
        low: float,
        high: float,
    ) -> np.ndarray:
        """Return uint8 (classes - 1, z, y, x) on the native part."""
        if bundle.conventions == "nnunet":
            return self._nnunet_probabilities(bundle, channels, part, run, low, high)
        grid = network_grid(box, self.quality.spacing_mm(bundle.spacing_mm), bundle.resize)
        steps = bundle.channel_intensities or (intensity,) * len(channels)
        with run.stage("resample"):
            array = np.stack(
                [
                    normalise(sitk.GetArrayFromImage(resample(channel, grid)), one)
                    for channel, one in zip(channels, steps, strict=True)
                ]
            )
        plan = self._plan(bundle, array, self.quality.overlap, self.quality.looks(bundle.mirroring))
        with run.stage("network"):
            probabilities = self._predict(bundle, array, plan, run, low, high, "Segmenting liver and tumour")
        if self.maps and "attention" not in run.maps and bundle.network.get("attention", "none") != "none":
            with run.stage("attention"):
                run.maps["attention"] = resample(
                    grid.image(self._attention(bundle, array, plan, run)), part, outside=0
                )
        with run.stage("back to native"):
            return np.stack([sitk.GetArrayFromImage(resample(grid.image(p), part, outside=0)) for p in probabilities])

    def _nnunet_probabilities(
        self, bundle: Bundle, channels: list[sitk.Image], part: Grid, run: Run, low: float, high: float
    ) -> np.ndarray:
        """Return uint8 (classes - 1, z, y, x) on the native part, found as nnU-Net finds it."""
        with run.stage("resample"):
            scan = nnunet_input(channels, bundle)
        with run.stage("network"):
            plan = nnunet_plan(bundle, self.quality)
            logits = self._predict(bundle, scan.array, plan, run, low, high, "Segmenting", predict_logits)
        with run.stage("back to native"):
            return nnunet_probabilities(logits, scan, part)

    def _plan(
        self, bundle: Bundle, array: np.ndarray, overlap: float = 0.25, flips: tuple[tuple[int, ...], ...] = ((),)
    ) -> TilePlan:
        network = self._network(bundle, self.device)
        largest = tile_limit(NetworkSize.of(vars(bundle)), len(flips), kind_of(self.device), machine_memory())
        return plan_tiles(network, bundle.patch_size, array.shape[1:], overlap, flips, largest)

    def _predict(
        self, bundle: Bundle, array: np.ndarray, plan: TilePlan, run: Run, low: float, high: float, words: str,
        predict: Callable[..., np.ndarray] | None = None,
    ) -> np.ndarray:  # fmt: skip
        def work(rung: Rung) -> np.ndarray:
            return (predict or predict_probabilities)(
                [self._network(bundle, rung.network)],
                array,
                plan,
                rung.network,
                rung.accumulator,
                lambda fraction, tile: run.tell(low + fraction * (high - low), f"{words}, {tile}"),
                run.cancelled,
            )

        with self._turn:
            probabilities, rung = climb(self.device, work, run.out_of_memory)
        run.device = rung.name
        return probabilities

    def _attention(self, bundle: Bundle, array: np.ndarray, plan: TilePlan, run: Run) -> np.ndarray:
        def work(rung: Rung) -> np.ndarray:
            return attention(self._network(bundle, rung.network), array, plan, rung.network, run.cancelled)

        with self._turn:
            return climb(self.device, work, run.out_of_memory)[0]

    def _network(self, bundle: Bundle, device: torch.device) -> Network:
        key = f"{bundle.sha256 or id(bundle)} {device}"
        with self._turn:
            if key not in self._networks:
                self._networks[key] = to_device(bundle.build(), device)
            return self._networks[key]

    def provenance(self) -> dict[str, Any]:
        """Return what made a result: models, localiser, threshold, options of the cleaning."""
        models = [{"id": b.id, "version": b.version, "sha256": b.sha256} for b in self.bundles]
        provenance: dict[str, Any] = {
            "model": models[0],
            "threshold": self.threshold,
            "postprocessing": asdict(self.postprocessing),
        }
        if len(models) > 1:
            provenance["models"] = models
        if self.localiser is not None:
            provenance["localiser"] = {
                "id": self.localiser.id,
                "version": self.localiser.version,
                "sha256": self.localiser.sha256,
            }
        return provenance


def _paste(part: tuple[np.ndarray, np.ndarray] | None, native: Grid) -> sitk.Image:
    labelmap = np.zeros(native.size[::-1], np.uint8)
    if part is not None:
        values, start = part
        labelmap[tuple(slice(s, s + n) for s, n in zip(reversed(start), values.shape, strict=True))] = values
    return native.image(labelmap)
