"""Bring a result into the scene: checked first, then committed at once as a new segmentation node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer
from LiverTumorSegLib.labelnames import result_name
from LiverTumorSegLib.labels import LIVER, MORPHOLOGY, Label, label_table
from slicer.i18n import tr as _

from LiverTumorSegPanel.resultRecords import PROVENANCE
from LiverTumorSegPanel.segmentLabels import orientedImage
from LiverTumorSegPanel.volumeExport import GridGeometry, gridOf

GEOMETRY_TOLERANCE = 1e-3
"""Largest difference accepted between a result's grid and the CT's: mm for places, cosine for axes."""

LIVER_OPACITY_3D = 0.35
LIVER_FILL_2D = 0.3
"""Of the fill that Slicer draws: what lies in the liver must be seen through it."""
_GENERAL_LIST = "Segmentation category and type - 3D Slicer General Anatomy list"
_DICOM_LIST = "Segmentation category and type - DICOM master list"
_REGION_LIST = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Labelmap:
    """A checked result.

    Attributes
    ----------
    array : ndarray of uint8, (k, j, i)
        Label values; 0 is background.
    labels : tuple of Label
        What the values mean.
    grid : GridGeometry
        The grid of the labelmap.
    """

    array: np.ndarray
    labels: tuple[Label, ...]
    grid: GridGeometry


def readLabelmap(path: Path, grid: GridGeometry) -> Labelmap:
    """Read a ``.seg.nrrd`` of the command line and check it against the grid of the CT.

    Raises
    ------
    RuntimeError
        If the file is not a labelmap on exactly that grid, or names other values than it holds.
    """
    image = sitk.ReadImage(str(path))
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise RuntimeError(_("The result is not a plain label map; nothing was imported."))
    difference = gridDifference(gridOfImage(image), grid)
    if difference:
        raise RuntimeError(_("The result does not fit the CT ({what}); nothing was imported.").format(what=difference))
    array = sitk.GetArrayFromImage(image)
    labels = _labelsOf(image)
    unknown = sorted(_values(array) - {0} - {label.value for label in labels})
    if unknown:
        message = _("The result holds label values without a name ({values}); nothing was imported.")
        raise RuntimeError(message.format(values=", ".join(map(str, unknown))))
    return Labelmap(array.astype(np.uint8, copy=False), labels, grid)


def _values(array: np.ndarray) -> set[int]:
    """Return the values of a labelmap; slice by slice, for sorting or widening a whole scan takes seconds."""
    if array.dtype != np.uint8:
        return set(np.unique(array).tolist())
    counts = np.zeros(256, np.int64)
    for section in array:
        counts += np.bincount(section.ravel(), minlength=256)
    return set(np.flatnonzero(counts).tolist())


def _labelsOf(image: sitk.Image) -> tuple[Label, ...]:
    """Return the labels named in a ``.seg.nrrd`` header, by value."""
    found = {}
    while image.HasMetaDataKey(f"Segment{len(found)}_Name"):
        number = len(found)
        value = int(image.GetMetaData(f"Segment{number}_LabelValue"))
        found[value] = image.GetMetaData(f"Segment{number}_Name")
    if sorted(found) != list(range(1, len(found) + 1)):
        raise RuntimeError(_("The result does not name its labels 1, 2, ...; nothing was imported."))
    return label_table([found[value] for value in sorted(found)])


def gridOfImage(image: sitk.Image) -> GridGeometry:
    """Return the grid of a SimpleITK image (LPS) in Slicer's RAS."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = direction * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix
    return GridGeometry(tuple(image.GetSize()), tuple(map(tuple, matrix.tolist())))


def gridDifference(first: GridGeometry, second: GridGeometry) -> str:
    """Return in words how two grids differ, or an empty string when they are the same."""
    if first.size != second.size:
        return _("{first} voxels instead of {second}").format(first=first.size, second=second.size)
    one, other = np.array(first.ijkToRas), np.array(second.ijkToRas)
    spacings = [np.linalg.norm(matrix[:3, :3], axis=0) for matrix in (one, other)]
    shift = float(np.abs(one[:3, 3] - other[:3, 3]).max())
    stretch = float(np.abs(spacings[0] - spacings[1]).max())
    turn = float(np.abs(one[:3, :3] / spacings[0] - other[:3, :3] / spacings[1]).max())
    if max(shift, stretch, turn) <= GEOMETRY_TOLERANCE:
        return ""
    return _("origin, spacing or axes differ by {amount:.3g}").format(amount=max(shift, stretch, turn))


def commitSegmentation(volumeNode, labelmap: Labelmap, name: str, attributes: dict[str, str]):
    """Add one new segmentation node for a CT and return it; on any failure the scene is left as it was.

    The node sits under the CT's parent transform and beside it in the subject hierarchy, has SNOMED terms, colours,
    the CT as reference geometry and a closed surface. No existing node is touched.

    Raises
    ------
    RuntimeError
        If the CT changed its grid since the run began.
    """
    difference = gridDifference(labelmap.grid, gridOf(volumeNode))
    if difference:
        message = _("The CT was changed while it was being segmented ({what}); the result was discarded.")
        raise RuntimeError(message.format(what=difference))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    try:
        wasModifying = node.StartModify()
        try:
            # The shared transform first: from here on node coordinates of CT and segmentation are the same.
            node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
            node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
            _addSegments(node, labelmap)
            for key, value in attributes.items():
                node.SetAttribute(key, value)
            tagSegments(node, {key: attributes[key] for key in PROVENANCE if attributes.get(key)})
            _placeBeside(volumeNode, node)
        finally:
            node.EndModify(wasModifying)
        _display(node)
    except Exception:
        removeWithDisplay(node)
        raise
    return node


def tagSegments(node, tags: dict[str, str]) -> None:
    """Write where a result came from into its segments: unlike attributes, tags are saved in a .seg.nrrd file."""
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        for key, value in tags.items():
            segmentation.GetNthSegment(index).SetTag(key, value)


def removeWithDisplay(node) -> None:
    """Remove a node of ours together with its display and storage nodes."""
    owned = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    for other in [*owned, node.GetStorageNode(), node]:
        if other is not None:
            slicer.mrmlScene.RemoveNode(other)


def _addSegments(node, labelmap: Labelmap) -> None:
    """Add one segment for each label; all share one labelmap, and a label without voxels is an empty segment."""
    box = _filledBox(labelmap.array)
    image = orientedImage(labelmap.array[box], labelmap.grid, box)
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = node.GetSegmentation()
    for label in labelmap.labels:
        segment = slicer.vtkSegment()
        segment.SetName(label.name)
        segment.SetNameAutoGenerated(False)
        segment.SetColor(*label.color)
        segment.SetColorAutoGenerated(False)
        segment.SetLabelValue(label.value)
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry(label))
        segment.AddRepresentation(representation, image)
        segmentation.AddSegment(segment, label.name)


def _filledBox(array: np.ndarray) -> tuple[slice, ...]:
    """Return the box of an array that is not background, its first voxel when everything is."""
    filled = [np.flatnonzero(array.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not filled[0].size:
        return tuple(slice(0, 1) for _axis in filled)
    return tuple(slice(int(indices[0]), int(indices[-1]) + 1) for indices in filled)


def terminologyEntry(label: Label) -> str:
    """Return the label's codes as Slicer stores them; what is not anatomy itself is located in the liver."""
    altered = label.category == MORPHOLOGY
    category, kind, region = label.category, label.type, LIVER.type
    return slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
        _DICOM_LIST if altered else _GENERAL_LIST,
        *(category.value, category.scheme, category.meaning),
        *(kind.value, kind.scheme, kind.meaning),
        *("", "", ""),
        _REGION_LIST,
        *((region.value, region.scheme, region.meaning) if altered else ("", "", "")),
        *("", "", ""),
    )


def _placeBeside(volumeNode, node) -> None:
    """Put the segmentation into the CT's study: DICOM export looks for it there."""
    hierarchy = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    if hierarchy is None:
        return
    volumeItem = hierarchy.GetItemByDataNode(volumeNode)
    item = hierarchy.GetItemByDataNode(node)
    if volumeItem and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volumeItem))


def _display(node) -> None:
    node.CreateDefaultDisplayNodes()
    node.CreateClosedSurfaceRepresentation()
    display = node.GetDisplayNode()
    if node.GetSegmentation().GetSegment(LIVER.name):
        display.SetSegmentOpacity3D(LIVER.name, LIVER_OPACITY_3D)  # tumours inside must be seen
        display.SetSegmentOpacity2DFill(LIVER.name, LIVER_FILL_2D)


def resultName(volumeNode) -> str:
    """Return a name after the CT that no node of the scene has: "CT liver 1", "CT liver 2", ..."""
    counter = 1
    while slicer.mrmlScene.GetFirstNodeByName(name := result_name(volumeNode.GetName(), counter)):
        counter += 1
    return name
