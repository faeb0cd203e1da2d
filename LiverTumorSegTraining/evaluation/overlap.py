"""Voxel counts of a region and the overlap and volume figures that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .regions import Region


@dataclass(frozen=True)
class Counts:
    """Voxels by truth and prediction; ignored voxels are in none of the four."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def reference(self) -> int:
        """Voxels of the reference region."""
        return self.true_positive + self.false_negative

    @property
    def prediction(self) -> int:
        """Voxels of the predicted region."""
        return self.true_positive + self.false_positive

    def as_array(self) -> npt.NDArray[np.float64]:
        """Return (tp, fp, fn, tn) as floats."""
        return np.array(
            [self.true_positive, self.false_positive, self.false_negative, self.true_negative], dtype=np.float64
        )


def joint_histogram(reference: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return how many voxels have each pair of label values, (256, 256) as [reference, prediction]."""
    histogram = np.zeros(256 * 256, dtype=np.int64)
    for ours, theirs in zip(reference, prediction, strict=True):
        # Slice by slice: bincount widens its input to 64 bits.
        pairs = ours.astype(np.uint16) << np.uint16(8)
        pairs |= theirs
        histogram += np.bincount(pairs.ravel(), minlength=256 * 256)
    return histogram.reshape(256, 256)


def region_counts(histogram: npt.NDArray[np.int64], region: Region, ignore: int | None) -> Counts:
    """Return the counts of a region from the joint histogram, leaving out voxels whose reference is ``ignore``."""
    inside = np.zeros(256, dtype=bool)
    inside[list(region.values)] = True
    judged = np.ones(256, dtype=bool)
    if ignore is not None:
        judged[ignore] = False
    ours, background = inside & judged, ~inside & judged
    return Counts(
        true_positive=int(histogram[np.ix_(ours, inside)].sum()),
        false_positive=int(histogram[np.ix_(background, inside)].sum()),
        false_negative=int(histogram[np.ix_(ours, ~inside)].sum()),
        true_negative=int(histogram[np.ix_(background, ~inside)].sum()),
    )


def overlap_scores(counts: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the overlap figures for counts (..., 4) = (tp, fp, fn, tn), each of shape (...).

    Edge policy: when the region is empty in both masks every figure is ideal; when it is empty in only one, Dice, IoU,
    precision and recall are 0 and the volumetric overlap error 1.
    """
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    both_empty = tp + fp + fn == 0
    dice = _ratio(2 * tp, 2 * tp + fp + fn, both_empty)
    iou = _ratio(tp, tp + fp + fn, both_empty)
    return {
        "dice": dice,
        "iou": iou,
        "precision": _ratio(tp, tp + fp, both_empty),
        "recall": _ratio(tp, tp + fn, both_empty),
        "specificity": _ratio(tn, tn + fp, fp + tn == 0),
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn, tp + fp + fn + tn == 0),
        "voe": 1.0 - iou,
    }


def _ratio(
    top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64], ideal: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return top / bottom; 1 where ``ideal``, 0 where the bottom is empty otherwise."""
    quotient = np.divide(top, bottom, out=np.zeros_like(np.asarray(bottom, dtype=np.float64)), where=bottom > 0)
    return np.where(ideal, 1.0, quotient)
