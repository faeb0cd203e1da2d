"""All figures of one case."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from .boxes import bounding_box, grow
from .distances import SurfaceScores, surface_scores
from .lesion_matching import Match, find_components, match_lesions, uncancelled_volume_error
from .metrics import METRICS
from .optional_metrics import boundary_iou, centreline_dice
from .overlap import Counts, joint_histogram, overlap_scores, region_counts
from .regions import Region, Scheme


@dataclass(frozen=True)
class LesionRecord:
    """One lesion of the reference or the prediction.

    Attributes
    ----------
    side : {"reference", "prediction"}
    number : int
        1..n by falling size within its side.
    volume_ml, diameter_mm : float
        Ignored voxels left out of the volume; longest axial diameter.
    found : dict of str to bool
        Rule -> found (reference) or true (prediction).
    best_iou : float
        Greatest IoU with a lesion of the other side.
    box : tuple of (start, stop)
        Its box in the case's array, [z, y, x].
    """

    side: Literal["reference", "prediction"]
    number: int
    volume_ml: float
    diameter_mm: float
    found: dict[str, bool]
    best_iou: float
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class RegionScores:
    """The figures of one region.

    Attributes
    ----------
    counts : Counts
    values : dict of str to (float or None)
        By the keys of ``metrics.METRICS``; None where a figure does not exist.
    penalised : bool
        No voxel in common although a mask is not empty: surface distances are the image's diagonal, NSD 0.
    lesions : tuple of LesionRecord
        Of both sides; empty for a region whose components are not lesions.
    panoptic_iou_sum : float
        IoU added over the pairs above one half.
    judged : bool
        False where the reference does not tell the region (only the liver was annotated): no figure exists, and the
        case is in no mean of the region.
    """

    counts: Counts
    values: dict[str, float | None]
    penalised: bool
    lesions: tuple[LesionRecord, ...] = ()
    panoptic_iou_sum: float = 0.0
    judged: bool = True


@dataclass(frozen=True)
class CaseScores:
    """The figures of one case.

    Attributes
    ----------
    name : str
    status : {"scored", "missing prediction"}
    regions : dict of str to RegionScores
    spacing_mm : tuple of float
        Voxel size [z, y, x].
    voxel_ml : float
    files : dict of str to str
        Role -> path.
    notes : tuple of str
        What a reader should know about this case.
    """

    name: str
    status: Literal["scored", "missing prediction"]
    regions: dict[str, RegionScores]
    spacing_mm: tuple[float, float, float]
    voxel_ml: float
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def score_case(
    name: str,
    reference: npt.NDArray[np.uint8],
    prediction: npt.NDArray[np.uint8] | None,
    spacing_mm: tuple[float, float, float],
    scheme: Scheme,
    tolerance_mm: float = 2.0,
    axial_axis: int = 0,
    files: dict[str, str] | None = None,
    notes: tuple[str, ...] = (),
    also: Collection[str] = (),
    liver_only: bool = False,
) -> CaseScores:
    """Score one case.

    Parameters
    ----------
    name : str
    reference : ndarray of uint8, [z, y, x]
        Labels in the scheme's values.
    prediction : ndarray of uint8, [z, y, x], or None
        None when there is no prediction: scored as an empty one, a total miss.
    spacing_mm : tuple of float
        Voxel size [z, y, x].
    scheme : Scheme
    tolerance_mm : float
        Tolerance of NSD.
    axial_axis : int
        Array axis across which the axial slices lie.
    files, notes
        Kept with the result.
    also : collection of str
        Keys of `metrics.OPTIONAL_METRICS` to compute too.
    liver_only : bool
        The reference holds no tumours although the patient may: regions that need them are not judged.
    """
    status: Literal["scored", "missing prediction"] = "missing prediction" if prediction is None else "scored"
    if prediction is None:
        prediction = np.zeros_like(reference)
    worst_mm = float(np.linalg.norm(np.asarray(reference.shape) * np.asarray(spacing_mm)))
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    box = bounding_box(reference, prediction)
    outside = reference.size
    histogram = np.zeros((256, 256), dtype=np.int64)
    if box is None:
        box = grow((slice(0, 0),) * 3, 1, reference.shape)
    else:
        histogram = joint_histogram(reference[box], prediction[box])
        outside -= int(histogram.sum())
    histogram[0, 0] += outside if histogram.any() else reference.size
    # Lesions end at the box: nothing but background lies beyond it.
    reference, prediction = reference[box], prediction[box]
    offset = tuple(part.start for part in box)
    ignored = reference == scheme.ignore if scheme.ignore is not None else None
    if ignored is not None and not ignored.any():
        ignored = None
    regions = {
        region.name: _score_region(
            region,
            region_counts(histogram, region, scheme.ignore),
            (region.mask(reference), region.mask(prediction)),
            ignored,
            spacing_mm,
            worst_mm,
            tolerance_mm,
            axial_axis,
            offset,
            also,
        )
        if not (liver_only and scheme.needs_tumors(region))
        else _not_judged(also)
        for region in scheme.regions
    }
    return CaseScores(name, status, regions, spacing_mm, voxel_ml, files or {}, notes)


def _not_judged(also: Collection[str]) -> RegionScores:
    keys = [*(metric.key for metric in METRICS), *also]
    return RegionScores(Counts(0, 0, 0, 0), dict.fromkeys(keys), False, judged=False)


def _score_region(
    region: Region,
    counts: Counts,
    masks: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    ignored: npt.NDArray[np.bool_] | None,
    spacing_mm: tuple[float, float, float],
    worst_mm: float,
    tolerance_mm: float,
    axial_axis: int,
    offset: tuple[int, ...],
    also: Collection[str] = (),
) -> RegionScores:
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    values: dict[str, float | None] = {key: float(value) for key, value in overlap_scores(counts.as_array()).items()}
    # Without a common voxel the case is a total miss. The distance between a false and a missed lesion says nothing
    # about either, and were it used, a missed lesion would improve a case that holds only a false one.
    missed = counts.true_positive == 0 and counts.reference + counts.prediction > 0
    if missed:
        surface = SurfaceScores(worst_mm, worst_mm, 0.0)
    else:
        surface = surface_scores(*masks, spacing_mm, worst_mm, ignored, tolerance_mm)
    values |= {"assd_mm": surface.assd_mm, "hd95_mm": surface.hd95_mm, "nsd": surface.nsd}
    if "boundary_iou" in also:
        values["boundary_iou"] = boundary_iou(*masks, spacing_mm, tolerance_mm, ignored)
    if "cldice" in also:
        values["cldice"] = centreline_dice(*masks, ignored)
    difference = counts.prediction - counts.reference
    values |= {
        "absolute_volume_difference_ml": abs(difference) * voxel_ml,
        "volume_difference_ml": difference * voxel_ml,
        "relative_volume_difference": _relative(difference, counts.reference),
        "reference_ml": counts.reference * voxel_ml,
        "prediction_ml": counts.prediction * voxel_ml,
    }
    inside = bounding_box(*masks)
    if inside is None:
        values["volume_error_ml"] = 0.0
        return RegionScores(counts, values, missed)
    unknown = None if ignored is None else ignored[inside]
    ours, theirs = (
        find_components(mask[inside], spacing_mm, unknown, axial_axis, measure=region.lesions) for mask in masks
    )
    match = match_lesions(ours, theirs, unknown)
    values["volume_error_ml"] = uncancelled_volume_error(match) * voxel_ml
    if not region.lesions:
        return RegionScores(counts, values, missed)
    start = tuple(part.start + shift for part, shift in zip(inside, offset, strict=True))
    iou = match.iou
    return RegionScores(counts, values, missed, _records(match, iou, voxel_ml, start), float(iou[2 * iou > 1.0].sum()))


def _relative(difference: int, reference: int) -> float | None:
    """Return the relative volume difference; it does not exist for an empty reference with a prediction."""
    if reference:
        return difference / reference
    return None if difference else 0.0


def _records(
    match: Match, iou: npt.NDArray[np.float64], voxel_ml: float, start: tuple[int, ...]
) -> tuple[LesionRecord, ...]:
    rules = {"lits": match.lits, "iou_half": match.iou_half, "any_overlap": match.any_overlap}
    records: list[LesionRecord] = []
    for side, components, axis in (("reference", match.reference, 1), ("prediction", match.prediction, 0)):
        best = iou.max(axis=axis, initial=0.0)
        found = {rule: getattr(detection, side) for rule, detection in rules.items()}
        for number, index in enumerate(np.argsort(-components.voxels, kind="stable"), start=1):
            z, y, x = (
                (part.start + shift, part.stop + shift)
                for part, shift in zip(components.boxes[index], start, strict=True)
            )
            records.append(
                LesionRecord(
                    side=side,  # type: ignore[arg-type]
                    number=number,
                    volume_ml=float(components.voxels[index]) * voxel_ml,
                    diameter_mm=float(components.diameters_mm[index]),
                    found={rule: bool(flags[index]) for rule, flags in found.items()},
                    best_iou=float(best[index]),
                    box=(z, y, x),
                )
            )
    return tuple(records)
