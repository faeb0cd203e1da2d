"""Take a volume node out of the scene and write it for the child process, without leaving a trace in the scene."""

from __future__ import annotations

import re
import sys
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


@dataclass(frozen=True)
class TakenImage:
    """Voxels on a grid, apart from the scene.

    Attributes
    ----------
    voxels : ndarray, (k, j, i)
    grid : Grid
        LPS mm, parent transforms aside.
    """

    voxels: np.ndarray
    grid: Grid

    def write(self, path: Path) -> None:
        """Write it as NRRD, which needs neither Slicer nor the main thread.

        Numpy lets go of Python's lock while it writes; ITK does not, and it cannot open every name on Windows.
        """
        kinds = {"float32": "float", "float64": "double"}
        axes = np.reshape(self.grid.direction, (3, 3)) * np.asarray(self.grid.spacing_mm)
        header = {
            "type": kinds.get(self.voxels.dtype.name, self.voxels.dtype.name),
            "dimension": "3",
            "space": "left-posterior-superior",
            "sizes": " ".join(map(str, self.grid.size)),
            "space directions": " ".join(map(_vector, axes.T)),
            "kinds": "domain domain domain",
            "endian": sys.byteorder,
            "encoding": "raw",
            "space origin": _vector(self.grid.origin_mm),
        }
        with path.open("wb") as stream:
            lines = ["NRRD0004", *(f"{key}: {value}" for key, value in header.items())]
            stream.write(("\n".join(lines) + "\n\n").encode("ascii"))
            stream.flush()
            self.voxels.tofile(stream)


def _vector(numbers) -> str:
    return f"({','.join(repr(float(number)) for number in numbers)})"


def takeVolume(volumeNode) -> TakenImage:
    """Return a copy of a volume node's voxels as they are now: the reader may change or remove the node."""
    return TakenImage(slicer.util.arrayFromVolume(volumeNode).copy(), coreGrid(volumeNode))


def exportVolume(volumeNode, path: Path) -> None:
    """Write the voxels and grid of a volume node as NRRD; parent transforms are not applied.

    The node's attributes (which may carry DICOM identifiers) are not written, and its storage node, file name and
    saved state stay as they are.

    Raises
    ------
    RuntimeError
        If the file cannot be written.
    """
    try:
        TakenImage(slicer.util.arrayFromVolume(volumeNode), coreGrid(volumeNode)).write(path)
    except OSError as error:
        message = _("The CT could not be written to the temporary folder {folder}. Is the disk full?")
        raise RuntimeError(message.format(folder=path.parent)) from error
