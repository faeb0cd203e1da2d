"""Bring a result of a folder run into the scene, with its CT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import SimpleITK as sitk
import slicer
import vtk
from LiverTumorSegLib.scan.imageio import read_case
from slicer.i18n import tr as _

from LiverTumorSegPanel.resultRecords import attributesOfReport
from LiverTumorSegPanel.segmentationImport import commitSegmentation, gridOfImage, readLabelmap, resultName
from LiverTumorSegPanel.volumeExport import gridOf

SOURCE = "LiverTumorSeg.Source"
"""Attribute of a CT that was loaded here: the path it came from."""


def loadResult(folder: Path, name: str, report: dict[str, Any]):
    """Return the new segmentation node and its CT; a CT that was loaded here before is taken again.

    Parameters
    ----------
    folder : Path
        Of the results.
    name : str
        Of the case.
    report : dict
        Its ``report.json``.

    Raises
    ------
    RuntimeError, LiverTumorSegError
        One sentence: the scan or its result is gone, or they do not fit.
    """
    source = Path(report["input"]["path"])
    segmentation = folder / f"{name}.seg.nrrd"
    for path in (source, segmentation):
        if not path.exists():
            raise RuntimeError(_("{path} is not there any more.").format(path=path))
    volumeNode = _loadedBefore(source)
    isNew = volumeNode is None
    if isNew:
        volumeNode = _addVolume(read_case(source).image, name)
        volumeNode.SetAttribute(SOURCE, str(source))
    try:
        labelmap = readLabelmap(segmentation, gridOf(volumeNode))
        node = commitSegmentation(volumeNode, labelmap, resultName(volumeNode), attributesOfReport(report, volumeNode))
    except Exception:
        if isNew:
            slicer.mrmlScene.RemoveNode(volumeNode)
        raise
    return node, volumeNode


def _loadedBefore(source: Path):
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in nodes if node.GetAttribute(SOURCE) == str(source)), None)


def _addVolume(image: sitk.Image, name: str):
    """Add a volume node with the voxels and the grid that were segmented, whatever kind of file they came from."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([value for row in gridOfImage(image).ijkToRas for value in row])
    node.SetIJKToRASMatrix(matrix)
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayFromImage(image))
    node.CreateDefaultDisplayNodes()
    return node
