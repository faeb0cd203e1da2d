"""The liver and tumour segments of a node as one array of label values on the grid of its CT, read and written."""

from __future__ import annotations

import zlib

import numpy as np
import slicer
import vtk
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.review.region import changed_box
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from LiverTumorSegPanel.resultRecords import PREFIX
from LiverTumorSegPanel.volumeExport import GridGeometry, gridOf

EDIT_EVENTS = ("SourceRepresentationModified", "SegmentRemoved", "SegmentAdded", "SegmentModified")
"""Of a vtkSegmentation that is edited; the last one tells of an undo in the editor."""

_SAME_PLACE = 1e-4


def segmentIdOf(node, name: str) -> str:
    """Return the ID of the segment "liver" or "tumor".

    Raises
    ------
    RuntimeError
        If it is gone.
    """
    segmentId = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    if not segmentId:
        message = _("'{name}' has no segment '{segment}' any more, so nothing can be measured.")
        raise RuntimeError(message.format(name=node.GetName(), segment=name))
    return segmentId


def readLabels(node, volumeNode) -> np.ndarray:
    """Return the segments as label values on the grid of the CT: uint8, (k, j, i); where they overlap, tumour counts.

    Raises
    ------
    RuntimeError
        If a segment is gone.
    """
    i, j, k = volumeNode.GetImageData().GetDimensions()
    labels = np.zeros((k, j, i), np.uint8)
    for label in LIVER_TUMOR:
        segmentId = segmentIdOf(node, label.name)
        image = node.GetBinaryLabelmapInternalRepresentation(segmentId)
        if image is None or image.IsEmpty():
            continue
        value = node.GetSegmentation().GetSegment(segmentId).GetLabelValue()
        if _isOnGrid(image, volumeNode):
            _paste(image, value, labels, label.value)
            continue
        # Someone gave the segmentation another geometry: Slicer resamples it onto the CT.
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentId, volumeNode)
        if mask is not None and mask.shape == labels.shape:
            labels[mask != 0] = label.value
    return labels


def writeLabels(node, volumeNode, before: np.ndarray, after: np.ndarray) -> None:
    """Bring the segments from one labelmap to another; only the box that differs is touched.

    Closed surfaces are left to the caller: they take seconds, and Slicer would renew them at each of these steps.
    """
    box = changed_box(before, after)
    if box is None:
        return
    change, target, grid = before[box] != after[box], after[box], gridOf(volumeNode)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    ids = {label.value: segmentIdOf(node, label.name) for label in LIVER_TUMOR}
    for value, segmentId in ids.items():
        others = [other for other in ids.values() if other != segmentId]
        painted = change & (target == value)
        if painted.any():
            image = orientedImage(painted.astype(np.uint8), grid, box)
            logic.SetBinaryLabelmapToSegment(
                image, node, segmentId, logic.MODE_MERGE_MASK, image.GetExtent(), False, others
            )
        removed = change & (before[box] == value) & (target == 0)
        if removed.any():
            image = orientedImage((~removed).astype(np.uint8), grid, box)
            logic.SetBinaryLabelmapToSegment(image, node, segmentId, logic.MODE_MERGE_MIN, image.GetExtent())


def checksumOf(labels: np.ndarray) -> int:
    """Return what tells one labelmap from another."""
    return zlib.crc32(np.ascontiguousarray(labels))


def rememberLabels(node, checksum: int) -> None:
    """Keep on a result's node, and so with the scene, which labels its figures and verdicts are of."""
    node.SetAttribute(PREFIX + "Labels", str(checksum))


def areRemembered(node, checksum: int) -> bool:
    """Return whether a result still has the labels that were remembered; True where none were."""
    return (node.GetAttribute(PREFIX + "Labels") or str(checksum)) == str(checksum)


def orientedImage(array: np.ndarray, grid: GridGeometry, box: tuple[slice, ...] | None = None):
    """Return an array (k, j, i) as an oriented image on a grid; with a box, it is that part of the grid."""
    first = [s.start for s in box] if box is not None else [0, 0, 0]
    k, j, i = ((start, start + length - 1) for start, length in zip(first, array.shape, strict=True))
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*i, *j, *k)
    voxels = numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True)
    voxels.SetName("labels")
    image.GetPointData().SetScalars(voxels)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([value for row in grid.ijkToRas for value in row])
    image.SetGeometryFromImageToWorldMatrix(matrix)
    return image


def _isOnGrid(image, volumeNode) -> bool:
    own, wanted = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(own)
    volumeNode.GetIJKToRASMatrix(wanted)
    pairs = ((own.GetElement(r, c), wanted.GetElement(r, c)) for r in range(4) for c in range(4))
    return all(abs(a - b) < _SAME_PLACE for a, b in pairs)


def _paste(image, value: int, labels: np.ndarray, becomes: int) -> None:
    """Set the voxels that have a value in an image to another value in an array of the whole grid."""
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    inside, part = [], []
    for low, length in zip((k0, j0, i0), labels.shape, strict=True):
        size = array.shape[len(part)]
        start, stop = max(low, 0), min(low + size, length)
        inside.append(slice(start, stop))
        part.append(slice(start - low, stop - low))
    labels[tuple(inside)][array[tuple(part)] == value] = becomes
