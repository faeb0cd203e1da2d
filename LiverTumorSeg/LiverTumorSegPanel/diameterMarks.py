"""The two diameters of the lesion that the reader came to, drawn as markups on its slice."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

TAG = "LiverTumorSegDiameter"


def showDiameters(node, ends: list[list[tuple[float, float, float]]]) -> None:
    """Draw a line between each pair of points of a node's own frame, in place of the ones before.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Its parent transform is that of the lines.
    ends : list of lists of 2 points
        RAS mm; an empty list draws no line.
    """
    for index, points in enumerate(ends):
        line = _line(index)
        line.RemoveAllControlPoints()
        line.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        for point in points:
            line.AddControlPoint(*point)
        line.SetLocked(True)
        line.SetDisplayVisibility(len(points) == 2)


def hideDiameters() -> None:
    """Take the lines away: no lesion is shown."""
    for index in range(2):
        line = slicer.mrmlScene.GetSingletonNode(f"{TAG}{index}", "vtkMRMLMarkupsLineNode")
        if line is not None:
            for displayNode in [line.GetNthDisplayNode(n) for n in range(line.GetNumberOfDisplayNodes())]:
                slicer.mrmlScene.RemoveNode(displayNode)
            slicer.mrmlScene.RemoveNode(line)


def _line(index: int):
    tag = f"{TAG}{index}"
    line = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLMarkupsLineNode")
    if line is not None:
        return line
    line = slicer.vtkMRMLMarkupsLineNode()
    line.SetName(_("Longest diameter") if index == 0 else _("Perpendicular diameter"))
    line.SetSingletonTag(tag)
    line.SetHideFromEditors(True)
    line.SetSaveWithScene(False)
    line = slicer.mrmlScene.AddNode(line)
    line.CreateDefaultDisplayNodes()
    display = line.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetPropertiesLabelVisibility(False)  # the table has the figures
    display.SetPointLabelsVisibility(False)
    display.SetGlyphScale(1.0)
    display.SetSelectedColor(1.0, 0.9, 0.2)
    return line
