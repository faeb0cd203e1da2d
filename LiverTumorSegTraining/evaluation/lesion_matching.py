"""Lesions of a reference and a prediction, which of them overlap, and which count as found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from LiverTumorSegLib.pipeline.diameters import axial_diameters
from scipy import ndimage

from .boxes import Box

_FULL_CONNECTIVITY = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Components:
    """The lesions of one mask: its 26-connected components.

    Attributes
    ----------
    labels : ndarray of int32, [z, y, x]
        0 is background; 32 bits, because 8 and 16 overflow on noisy predictions.
    boxes : tuple of slices
        Box of each component 1..n.
    voxels : ndarray of int64, (n,)
        Size of each, ignored voxels left out.
    diameters_mm : ndarray of float64, (n,)
        Longest diameter in an axial slice.
    """

    labels: npt.NDArray[np.int32]
    boxes: tuple[Box, ...]
    voxels: npt.NDArray[np.int64]
    diameters_mm: npt.NDArray[np.float64]

    @property
    def count(self) -> int:
        """Number of lesions."""
        return len(self.voxels)


@dataclass(frozen=True)
class Detection:
    """Which lesions one matching rule counts as found.

    Attributes
    ----------
    reference : ndarray of bool, (n reference lesions,)
        Found by the prediction.
    prediction : ndarray of bool, (n predicted lesions,)
        Part of a found group; the others are false positives.
    """

    reference: npt.NDArray[np.bool_]
    prediction: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Match:
    """All that is known about the lesions of one case.

    Attributes
    ----------
    reference, prediction : Components
    overlap : ndarray of int64, (reference lesions, predicted lesions)
        Shared voxels.
    lits, iou_half, any_overlap : Detection
        The three rules of docs/evaluation.md.
    """

    reference: Components
    prediction: Components
    overlap: npt.NDArray[np.int64]
    lits: Detection
    iou_half: Detection
    any_overlap: Detection

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union of every pair."""
        union = self.reference.voxels[:, None] + self.prediction.voxels[None, :] - self.overlap
        return np.divide(self.overlap, union, out=np.zeros(self.overlap.shape), where=union > 0)


def find_components(
    mask: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    ignored: npt.NDArray[np.bool_] | None = None,
    axial_axis: int = 0,
    measure: bool = True,
) -> Components:
    """Return the lesions of a mask [z, y, x].

    Parameters
    ----------
    mask : ndarray of bool, [z, y, x]
    spacing_mm : tuple of float
        Voxel size [z, y, x].
    ignored : ndarray of bool, [z, y, x], optional
        Voxels of unknown truth; they join a lesion's parts but are not counted in its size.
    axial_axis : int
        Array axis across which the axial slices lie.
    measure : bool
        Whether diameters are wanted; without, they are NaN.
    """
    labels = np.empty(mask.shape, dtype=np.int32)
    count = int(ndimage.label(mask, structure=_FULL_CONNECTIVITY, output=labels))
    boxes = tuple(ndimage.find_objects(labels, max_label=count))
    voxels = np.zeros(count, dtype=np.int64)
    diameters = np.full(count, np.nan)
    for index, box in enumerate(boxes):
        lesion = labels[box] == index + 1
        if measure:
            diameters[index] = axial_diameters(lesion, spacing_mm, axial_axis)[0]
        voxels[index] = np.count_nonzero(lesion if ignored is None else lesion & ~ignored[box])
    return Components(labels, boxes, voxels, diameters)


def match_lesions(
    reference: Components, prediction: Components, ignored: npt.NDArray[np.bool_] | None = None
) -> Match:
    """Match the lesions of two masks on the same grid under all three rules.

    A predicted lesion that overlaps no reference lesion and lies at least half in ignored voxels is left out: whether
    it is false is not known.
    """
    overlap = _overlap(reference, prediction, ignored)
    if ignored is not None and prediction.count:
        prediction, overlap = _drop_unknown(prediction, overlap)
    touches = overlap > 0
    return Match(
        reference,
        prediction,
        overlap,
        lits=detect_lits(overlap, reference.voxels, prediction.voxels),
        iou_half=_detect_one_to_one(overlap, reference.voxels, prediction.voxels),
        any_overlap=Detection(np.any(touches, axis=1), np.any(touches, axis=0)),
    )


def detect_lits(
    overlap: npt.NDArray[np.int64],
    reference_voxels: npt.NDArray[np.int64],
    prediction_voxels: npt.NDArray[np.int64],
    minimum_iou: float = 0.5,
) -> Detection:
    """Apply the rule of the LiTS benchmark: merge many-to-many first, then ask for IoU above one half.

    Every reference lesion goes to the prediction that covers most of it, and those that go to the same prediction are
    merged. Every prediction then goes to the one merged reference it shares most voxels with. A group is found when
    its merged reference and merged prediction have an IoU above ``minimum_iou``.

    Source: Bilic et al., "The Liver Tumor Segmentation Benchmark (LiTS)", Med Image Anal 2023.
    """
    found = Detection(np.zeros(len(reference_voxels), dtype=bool), np.zeros(len(prediction_voxels), dtype=bool))
    if not overlap.any():
        return found
    covered = overlap.any(axis=1)
    # Equal overlaps are settled by the tighter, then the busier prediction: never by numbering, which a flip changes.
    preference = np.lexsort((-overlap.sum(axis=0), prediction_voxels))
    group_of_reference = np.where(covered, preference[overlap[:, preference].argmax(axis=1)], -1)
    groups = np.unique(group_of_reference[covered])
    membership = group_of_reference[None, :] == groups[:, None]
    group_overlap = membership.astype(np.int64) @ overlap
    touching = group_overlap.any(axis=0)
    sizes = membership.astype(np.int64) @ reference_voxels
    order = np.lexsort((-group_overlap.sum(axis=1), sizes))
    group_of_prediction = np.where(touching, order[group_overlap[order].argmax(axis=0)], -1)
    for index in range(len(groups)):
        mine = group_of_prediction == index
        shared = int(group_overlap[index, mine].sum())
        union = int(reference_voxels[membership[index]].sum() + prediction_voxels[mine].sum()) - shared
        if union > 0 and shared / union > minimum_iou:
            found.reference[membership[index]] = True
            found.prediction[mine] = True
    return found


def _detect_one_to_one(
    overlap: npt.NDArray[np.int64],
    reference_voxels: npt.NDArray[np.int64],
    prediction_voxels: npt.NDArray[np.int64],
) -> Detection:
    """Found means IoU above one half with a single prediction; such a pair is unique without any assignment."""
    union = reference_voxels[:, None] + prediction_voxels[None, :] - overlap
    matched = 2 * overlap > union
    return Detection(np.any(matched, axis=1), np.any(matched, axis=0))


def uncancelled_volume_error(match: Match) -> int:
    """Return the volume error in voxels with nothing cancelled between lesions.

    Lesions that overlap, directly or through others, form a group; the differences of the groups' volumes are added
    without sign. A missed lesion therefore never makes up for a false one elsewhere.
    """
    linked = match.overlap > 0
    reference_group = np.arange(match.reference.count)
    # Spread the smallest member's number through each group until nothing changes.
    while True:
        through = np.where(linked, reference_group[:, None], np.iinfo(np.int64).max)
        prediction_group = through.min(axis=0, initial=np.iinfo(np.int64).max)
        back = np.where(linked, prediction_group[None, :], np.iinfo(np.int64).max)
        spread = np.minimum(reference_group, back.min(axis=1, initial=np.iinfo(np.int64).max))
        if np.array_equal(spread, reference_group):
            break
        reference_group = spread
    net = np.zeros(match.reference.count, dtype=np.int64)
    np.add.at(net, reference_group, -match.reference.voxels)
    grouped = linked.any(axis=0)
    np.add.at(net, prediction_group[grouped], match.prediction.voxels[grouped])
    return int(np.abs(net).sum() + match.prediction.voxels[~grouped].sum())


def _overlap(
    reference: Components, prediction: Components, ignored: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.int64]:
    """Count the voxels each pair of lesions shares."""
    overlap = np.zeros((reference.count, prediction.count), dtype=np.int64)
    for row, box in enumerate(reference.boxes):
        lesion = reference.labels[box] == row + 1
        if ignored is not None:
            lesion &= ~ignored[box]
        overlap[row] = np.bincount(prediction.labels[box][lesion], minlength=prediction.count + 1)[1:]
    return overlap


def _drop_unknown(prediction: Components, overlap: npt.NDArray[np.int64]) -> tuple[Components, npt.NDArray[np.int64]]:
    whole = np.bincount(prediction.labels.ravel(), minlength=prediction.count + 1)[1:]
    keep = overlap.any(axis=0) | (2 * prediction.voxels > whole)
    if keep.all():
        return prediction, overlap
    renumber = np.zeros(prediction.count + 1, dtype=np.int32)
    renumber[1:][keep] = np.arange(1, np.count_nonzero(keep) + 1, dtype=np.int32)
    kept = Components(
        renumber[prediction.labels],
        tuple(box for box, wanted in zip(prediction.boxes, keep, strict=True) if wanted),
        prediction.voxels[keep],
        prediction.diameters_mm[keep],
    )
    return kept, overlap[:, keep]
