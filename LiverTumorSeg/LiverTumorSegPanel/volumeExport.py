"""Write a volume node to a file for the child process, without leaving a trace in the scene."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk
from LiverTumorSegLib.grid import Grid
from slicer.i18n import tr as _


@dataclass(frozen=True)
class GridGeometry:
    """The voxel grid of a volume node, apart from its parent transform.

    Attributes
    ----------
    size : tuple of int
        Voxels along i, j, k.
    ijkToRas : tuple of tuple of float
        4 x 4, from voxel indices to RAS millimetres in the node's own frame.
    """

    size: tuple[int, int, int]
    ijkToRas: tuple[tuple[float, ...], ...]


def gridOf(volumeNode) -> GridGeometry:
    """Return the grid of a volume node."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    rows = tuple(tuple(matrix.GetElement(row, column) for column in range(4)) for row in range(4))
    return GridGeometry(tuple(volumeNode.GetImageData().GetDimensions()), rows)


def coreGrid(volumeNode) -> Grid:
    """Return the grid of a volume node as the core has it: LPS mm, parent transforms aside."""
    directions = [[0.0] * 3 for _row in range(3)]
    volumeNode.GetIJKToRASDirections(directions)
    x, y, z = volumeNode.GetOrigin()
    flipped = np.diag([-1.0, -1.0, 1.0]) @ np.array(directions)
    size = tuple(volumeNode.GetImageData().GetDimensions())
    return Grid(size, tuple(volumeNode.GetSpacing()), (-x, -y, z), tuple(flipped.ravel().tolist()))


def fileStem(nodeName: str) -> str:
    """Return a file name made from a node name: letters and digits of any script are kept, the rest is not."""
    stem = re.sub(r"[^\w.-]+", "_", nodeName).strip("._")
    return stem[:60] or "scan"


def exportVolume(volumeNode, path: Path) -> None:
    """Write the voxels and grid of a volume node as NRRD; parent transforms are not applied.

    The node's attributes (which may carry DICOM identifiers) are not written.

    Raises
    ------
    RuntimeError
        If the file cannot be written.
    """
    # A bare node sharing the voxels: the reader's own node keeps its storage node, file name and saved state.
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    bare = slicer.vtkMRMLScalarVolumeNode()
    bare.SetAndObserveImageData(volumeNode.GetImageData())
    bare.SetIJKToRASMatrix(matrix)
    writer = slicer.vtkMRMLNRRDStorageNode()
    writer.SetUseCompression(False)
    writer.SetFileName(str(path))
    if not writer.WriteData(bare) or not path.is_file():
        message = _("The CT could not be written to the temporary folder {folder}. Is the disk full?")
        raise RuntimeError(message.format(folder=path.parent))
