"""What another sensitivity needs of a run, kept in the scene: it works as well after the scene is loaded again.

It is text in a hidden node that Slicer writes into the scene file itself: a volume node would be offered as a CT by
every volume selector, and where the file of a hidden one goes differs between versions of Slicer. Of a whole liver it
is a few hundred kilobytes.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import slicer
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.review.region import Region

from LiverTumorSegPanel.resultRecords import hasLiverAndTumor
from LiverTumorSegPanel.segmentLabels import checksumOf, readLabels, rememberLabels

ROLE = "LiverTumorSeg.Probability"
"""Role of the reference from a result to what was kept of it."""

_NAME = "Tumour probability"
_OURS = "LiverTumorSeg.IsProbability"
_GRID, _VOXELS, _ORGAN = "Grid", "Voxels", "Organ"
_FASTEST = 1


@dataclass(frozen=True, eq=False)
class KeptProbability:
    """What was kept of a run.

    Attributes
    ----------
    image : sitk.Image
        uint8, 255 times the tumour probability, of the liver box.
    organ : Region
        The liver with its tumours as the run found it, on the grid of the CT.
    """

    image: sitk.Image
    organ: Region


def keepProbability(node, volumeNode, image: sitk.Image) -> None:
    """Keep the probability of a new result, if a liver was found.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        The result, not changed yet.
    volumeNode : vtkMRMLScalarVolumeNode
        Its CT.
    image : sitk.Image
        uint8, 255 times the tumour probability, of the liver box.
    """
    if not hasLiverAndTumor(node):
        return
    labels = readLabels(node, volumeNode)
    organ = Region.of(labels > 0)
    if organ is None:
        return
    rememberLabels(node, checksumOf(labels))  # what is drawn before the panel is opened is a correction
    kept = slicer.vtkMRMLScriptedModuleNode()
    kept.SetName(f"{_NAME} {node.GetName()}")
    kept.SetHideFromEditors(True)
    grid = Grid.of(image)
    geometry = {"size": grid.size, "spacing": grid.spacing_mm, "origin": grid.origin_mm, "direction": grid.direction}
    kept.SetParameter(_GRID, json.dumps(geometry))
    voxels = np.ascontiguousarray(sitk.GetArrayViewFromImage(image), np.uint8)
    kept.SetParameter(_VOXELS, base64.b64encode(zlib.compress(voxels.tobytes(), _FASTEST)).decode("ascii"))
    kept.SetParameter(_ORGAN, json.dumps(organ.packed()))
    node.SetNodeReferenceID(ROLE, slicer.mrmlScene.AddNode(kept).GetID())
    kept.SetAttribute(_OURS, "1")  # only now: what is ours and not referred to is removed when a node is added


def probabilityOf(node) -> KeptProbability | None:
    """Return what was kept of a result; None where nothing was, or where it is damaged."""
    kept = node.GetNodeReference(ROLE)
    if kept is None:
        return None
    try:
        stored = json.loads(kept.GetParameter(_GRID))
        grid = Grid(*(tuple(stored[key]) for key in ("size", "spacing", "origin", "direction")))
        voxels = np.frombuffer(zlib.decompress(base64.b64decode(kept.GetParameter(_VOXELS))), np.uint8)
        organ = Region.unpacked(json.loads(kept.GetParameter(_ORGAN)))
        return KeptProbability(grid.image(voxels.reshape(grid.size[::-1])), organ)
    except (InputError, KeyError, TypeError, ValueError, zlib.error):
        return None


def removeForsaken() -> None:
    """Remove what was kept of results that are gone."""
    scene = slicer.mrmlScene
    if scene.IsClosing() or scene.IsBatchProcessing():
        return
    used = {node.GetNodeReferenceID(ROLE) for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        if node.GetAttribute(_OURS) and node.GetID() not in used:
            scene.RemoveNode(node)
