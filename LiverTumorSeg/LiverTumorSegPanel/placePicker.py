"""Let the reader point at something in a slice view: one click, or the two corners of a box."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from LiverTumorSegPanel.pollTimer import PollTimer

_IN_PLANE_MM = 0.01

World = tuple[float, float, float]


class PlacePicker:
    """Slicer's own way of placing a markup, for a markup that is gone when it has been placed.

    Parameters
    ----------
    onPicked : callable
        Called with the points in the world, RAS mm: the click, or the four corners of the drawn rectangle.
    onGivenUp : callable
        Called when the reader left Slicer's place mode without placing.
    """

    def __init__(self, onPicked: Callable[[Sequence[World]], None], onGivenUp: Callable[[], None]):
        self._onPicked, self._onGivenUp = onPicked, onGivenUp
        self._observations = VTKObservationMixin()
        self._node = None
        self._wanted = 0
        # Not in the midst of the event: the view still works with the markup then.
        self._settles = PollTimer(0, self._settle, once=True)

    def pick(self, box: bool) -> None:
        """Begin: the next click counts, or with `box` the next two."""
        self.stop()
        self._wanted = 2 if box else 1
        self._node = slicer.mrmlScene.AddNode(_markup(box))
        self._node.CreateDefaultDisplayNodes()
        display = self._node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        application = slicer.app.applicationLogic()
        selection, interaction = application.GetSelectionNode(), application.GetInteractionNode()
        selection.SetReferenceActivePlaceNodeClassName(self._node.GetClassName())
        selection.SetActivePlaceNodeID(self._node.GetID())
        interaction.SwitchToSinglePlaceMode()
        watch = self._observations.addObserver
        watch(self._node, self._node.PointPositionDefinedEvent, self._onEvent)
        watch(interaction, interaction.InteractionModeChangedEvent, self._onEvent)

    def stop(self) -> None:
        """Point at nothing any more; the mouse is as it was."""
        self._settles.stop()
        self._observations.removeObservers()
        node, self._node = self._node, None
        if node is None or not slicer.mrmlScene.IsNodePresent(node):
            return
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SwitchToViewTransformMode()
        for each in (node.GetDisplayNode(), node):
            if each is not None:
                slicer.mrmlScene.RemoveNode(each)

    def _onEvent(self, _caller, _event) -> None:
        self._settles.start()

    def _settle(self) -> None:
        self._settles.stop()
        node = self._node
        if node is None:
            return
        if node.GetNumberOfDefinedControlPoints() >= self._wanted:
            points = [tuple(node.GetNthControlPointPositionWorld(index)) for index in range(self._wanted)]
            self.stop()
            self._onPicked(points if self._wanted == 1 else rectangle(*points))
            return
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() != interaction.Place:
            self.stop()
            self._onGivenUp()


def rectangle(first: World, second: World) -> list[World]:
    """Return the four corners of the rectangle that two opposite ones span in the slice view that holds both.

    The two alone where no slice view does.
    """
    for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())
        (x0, y0, z0), (x1, y1, z1) = ((np.linalg.inv(matrix) @ (*point, 1.0))[:3] for point in (first, second))
        if max(abs(z0), abs(z1)) < _IN_PLANE_MM:
            corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
            return [tuple((matrix @ (x, y, 0.0, 1.0))[:3]) for x, y in corners]
    return [first, second]


def _markup(box: bool):
    node = slicer.vtkMRMLMarkupsLineNode() if box else slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(_("Corners of the box") if box else _("Missed lesion"))
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return node
