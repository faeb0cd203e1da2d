"""What another sensitivity would give, shown in the slice views while the slider moves; the result is not touched."""

from __future__ import annotations

import numpy as np
from LiverTumorSegLib.labels import TUMOR

from LiverTumorSegPanel.segmentLabels import segmentIdOf
from LiverTumorSegPanel.temporarySegmentation import TemporarySegmentation
from LiverTumorSegPanel.volumeExport import GridGeometry

NAME = "Preview"


class PreviewDisplay:
    """The tumour of the preview, in place of the result's for as long as the slider moves.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        The result.
    grid : GridGeometry
        Of its CT.
    """

    def __init__(self, node, grid: GridGeometry):
        self._node = node
        self._shown = TemporarySegmentation(node, grid, NAME, {NAME: TUMOR.color})
        self._tumor = segmentIdOf(node, TUMOR.name)
        self._wasVisible = node.GetDisplayNode().GetSegmentVisibility(self._tumor)
        node.GetDisplayNode().SetSegmentVisibility(self._tumor, False)

    def show(self, mask: np.ndarray, box: tuple[slice, ...]) -> None:
        """Show these voxels, bool or uint8 (k, j, i), of a box of the grid."""
        self._shown.show(NAME, mask, box)

    def close(self) -> None:
        """Take the preview away and show the result again."""
        self._shown.close()
        if self._node.GetDisplayNode() is not None:
            self._node.GetDisplayNode().SetSegmentVisibility(self._tumor, self._wasVisible)
