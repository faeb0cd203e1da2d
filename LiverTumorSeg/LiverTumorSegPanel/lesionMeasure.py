"""Measure a result again after the reader has corrected it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import SimpleITK as sitk
import slicer
from LiverTumorSegLib.labels import LIVER, TUMOR
from slicer.i18n import tr as _

from LiverTumorSegPanel.lesionRecords import LesionRecord, lesionsOf, storeLesions


def measureAgain(segmentationNode, volumeNode) -> None:
    """Replace the stored figures of a result by those of its segments as they are now; verdicts are carried over.

    Raises
    ------
    RuntimeError
        If the segments "liver" and "tumor" are gone.
    """
    from LiverTumorSegLib.pipeline.lesions import measure_lesions

    labelmap = labelArray(segmentationNode, volumeNode)
    image = _imageOf(slicer.util.arrayFromVolume(volumeNode), volumeNode)
    labels = _imageOf(labelmap, volumeNode)
    measured = [dataclasses.asdict(lesion) for lesion in measure_lesions(labels, image)]
    old = lesionsOf(segmentationNode)
    voxelMl = float(np.prod(volumeNode.GetSpacing())) / 1000
    volumes = {
        "liver": float(np.count_nonzero(labelmap)) * voxelMl,
        "tumor": float(np.count_nonzero(labelmap == TUMOR.value)) * voxelMl,
    }
    storeLesions(
        segmentationNode,
        [LesionRecord(int(figures["id"]), figures, _verdictFor(figures, old)) for figures in measured],
        volumes,
    )


def labelArray(segmentationNode, volumeNode) -> np.ndarray:
    """Return the segments as label values on the grid of the CT: uint8, (k, j, i)."""
    segmentation = segmentationNode.GetSegmentation()
    labelmap = np.zeros(slicer.util.arrayFromVolume(volumeNode).shape, np.uint8)
    for label in (LIVER, TUMOR):  # the tumour last: where segments overlap, it counts
        segmentId = segmentation.GetSegmentIdBySegmentName(label.name)
        if not segmentId:
            message = _("'{name}' has no segment '{segment}' any more, so nothing can be measured.")
            raise RuntimeError(message.format(name=segmentationNode.GetName(), segment=label.name))
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentId, volumeNode)
        if mask is not None and mask.shape == labelmap.shape:  # an empty segment may have no labelmap at all
            labelmap[mask != 0] = label.value
    return labelmap


def _imageOf(array: np.ndarray, volumeNode) -> sitk.Image:
    """Return an array (k, j, i) on the grid of a volume node as a SimpleITK image (LPS, parent transforms aside)."""
    image = sitk.GetImageFromArray(array)
    directions = [[0.0] * 3 for _row in range(3)]
    volumeNode.GetIJKToRASDirections(directions)
    x, y, z = volumeNode.GetOrigin()
    flipped = np.diag([-1.0, -1.0, 1.0]) @ np.array(directions)
    image.SetOrigin((-x, -y, z))
    image.SetSpacing(volumeNode.GetSpacing())
    image.SetDirection(flipped.ravel().tolist())
    return image


def _verdictFor(figures: dict, old: list[LesionRecord]) -> str:
    """Return the verdict of the old lesion this one was, if its centre still lies within that lesion's radius."""
    for lesion in old:
        distance = math.dist(figures["centroid_lps_mm"], lesion.figures["centroid_lps_mm"])
        if distance <= (lesion.figures.get("diameter_mm") or 0.0) / 2:
            return lesion.verdict
    return ""
