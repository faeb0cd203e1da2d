"""What a model is worth on scans that were kept for choosing: end to end, one row a scan, nothing averaged away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.labels import IGNORE, LIVER, TUMOR
from LiverTumorSegLib.pipeline.inference import Segmenter

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.reading import as_classes, read_channels, read_label
from LiverTumorSegTraining.demo.samples import Sample
from LiverTumorSegTraining.evaluation.lesion_matching import Components, find_components, match_lesions
from LiverTumorSegTraining.recipe.config import DataConfig
from LiverTumorSegTraining.training.validation import dice

SIZES_MM = {"under 10 mm": (0.0, 10.0), "10 to 20 mm": (10.0, 20.0), "over 20 mm": (20.0, np.inf)}
CONTRASTS_HU = {"under 20 HU": (0.0, 20.0), "20 to 40 HU": (20.0, 40.0), "over 40 HU": (40.0, np.inf)}
"""Difference of a lesion's median from that of the liver."""
SMALLEST_LESION_MM = 3.0
"""Smaller specks of a reference are its rim, not lesions."""


@dataclass(frozen=True)
class Labelled:
    """A scan and its reference, values 0 background, 1 liver, 2 tumour, 255 unknown."""

    name: str
    image: sitk.Image
    reference: np.ndarray


@dataclass(frozen=True)
class Row:
    """The figures of one scan.

    Attributes
    ----------
    name : str
        Of the scan; ends with its phase where the data set says so.
    liver_dice : float
        Of the whole organ, tumours included.
    tumor_dice : float or None
        None where the reference holds no tumour.
    found_ml, reference_ml, false_ml : float
        Tumour found, tumour of the reference, and what of the former is no tumour there.
    hits : dict of str to list of int
        Size, then contrast of the lesions: [found at all, in the reference].
    false_lesions : int
        Found lesions that touch none of the reference.
    findings : tuple of str
        Codes.
    network_seconds, seconds : float
        Of the fine network, and of everything but reading.
    """

    name: str
    liver_dice: float
    tumor_dice: float | None
    found_ml: float
    reference_ml: float
    false_ml: float
    hits: dict[str, list[int]]
    false_lesions: int
    findings: tuple[str, ...]
    network_seconds: float
    seconds: float


def labelled_case(case: Case) -> Labelled:
    """Return a case of a data set whose labels are liver and tumour."""
    data = DataConfig()
    image = read_channels(case, data.channels)[0]
    label = sitk.GetArrayFromImage(sitk.Cast(read_label(case, data, image), sitk.sitkUInt8))
    return Labelled(case.name, image, as_classes(label, data))


def labelled_sample(sample: Sample, image: sitk.Image, label: sitk.Image) -> Labelled:
    """Return a public sample with its reference in this project's values."""
    values = sitk.GetArrayFromImage(label)
    reference = np.isin(values, sample.liver_values).astype(np.uint8)
    reference[np.isin(values, sample.tumor_values)] = TUMOR.value
    return Labelled(sample.name, image, reference)


def score(segmenter: Segmenter, scan: Labelled) -> Row:
    """Segment a scan and return its figures; unknown voxels count nowhere."""
    started = time.perf_counter()
    result = segmenter.segment(scan.image, force=True)
    seconds = time.perf_counter() - started
    prediction, reference = sitk.GetArrayFromImage(result.labelmap), scan.reference
    known = reference != IGNORE
    tumor, truth = (prediction == TUMOR.value) & known, reference == TUMOR.value
    spacing_mm = tuple(reversed(scan.image.GetSpacing()))
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    references = find_components(truth, spacing_mm)
    found = find_components(prediction == TUMOR.value, spacing_mm, ~known)
    match = match_lesions(references, found, ~known).any_overlap
    large = references.diameters_mm >= SMALLEST_LESION_MM
    contrasts = _contrasts(references, sitk.GetArrayViewFromImage(scan.image), reference == LIVER.value)
    hits = {
        name: [int(match.reference[inside].sum()), int(inside.sum())]
        for measure, strata in ((references.diameters_mm, SIZES_MM), (contrasts, CONTRASTS_HU))
        for name, (low, high) in strata.items()
        for inside in [large & (measure >= low) & (measure < high)]
    }
    return Row(
        scan.name,
        dice((prediction > 0) & known, (reference > 0) & known),
        dice(tumor, truth) if truth.any() else None,
        float(tumor.sum()) * voxel_ml,
        float(truth.sum()) * voxel_ml,
        float((tumor & ~truth).sum()) * voxel_ml,
        hits,
        int((~match.prediction).sum()),
        tuple(finding.code for finding in result.findings),
        result.seconds.get("network", 0.0),
        seconds,
    )


def _contrasts(lesions: Components, values: np.ndarray, liver: np.ndarray) -> np.ndarray:
    """Return, for each lesion, how far its median HU lies from that of the liver."""
    if not liver.any():
        return np.zeros(lesions.count)
    level = float(np.median(values[liver]))
    medians = [
        float(np.median(values[box][lesions.labels[box] == number])) for number, box in enumerate(lesions.boxes, 1)
    ]
    return np.abs(np.array(medians, float) - level)


def totals(rows: Sequence[Row]) -> str:
    """Return the figures of all rows together in one line of words."""
    hits = {name: np.sum([row.hits[name] for row in rows], axis=0) for name in rows[0].hits}
    found = ", ".join(f"{name} {hit} of {count}" for name, (hit, count) in hits.items())
    tumor = [row.tumor_dice for row in rows if row.tumor_dice is not None]
    return (
        f"{len(rows)} scans: liver {np.mean([row.liver_dice for row in rows]):.3f}"
        + (f", tumour {np.mean(tumor):.3f}" if tumor else "")
        + f"; lesions found {found}; {np.mean([row.false_lesions for row in rows]):.1f} false lesions and "
        f"{np.mean([row.false_ml for row in rows]):.1f} ml of false tumour a scan."
    )


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        f"| scan | liver | tumour | found / reference, ml | false ml | lesions found {', '.join(SIZES_MM)}; "
        f"{', '.join(CONTRASTS_HU)} | false lesions | network s | s | findings |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        tumor = "" if row.tumor_dice is None else f"{row.tumor_dice:.3f}"
        hits = "; ".join(
            ", ".join(f"{found}/{count}" for found, count in (row.hits[name] for name in strata))
            for strata in (SIZES_MM, CONTRASTS_HU)
        )
        lines.append(
            f"| {row.name} | {row.liver_dice:.3f} | {tumor} | {row.found_ml:.1f} / {row.reference_ml:.1f} "
            f"| {row.false_ml:.1f} | {hits} | {row.false_lesions} | {row.network_seconds:.1f} | {row.seconds:.1f} "
            f"| {', '.join(row.findings)} |"
        )
    return "\n".join(lines) + "\n"
