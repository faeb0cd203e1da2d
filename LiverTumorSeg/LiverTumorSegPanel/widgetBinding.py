"""The panel's widgets bound to a parameter node, and let go without a trace.

The `disconnectGui` of Slicer 5.10 leaves its observer on the node (5.12 takes it away): with every visit to the panel
there is one more, and a change of the node after Python has collected the wrapper that it belongs to ends Slicer.
"""

from __future__ import annotations

import vtk


class WidgetBinding:
    """Holds the widgets of `ui` and the parameters of a wrapped node to the same values until `release`."""

    def __init__(self, parameters, ui) -> None:
        self._parameters = parameters
        before = self._observerTag()
        self._guiTag = parameters.connectGui(ui)
        # VTK numbers the observers of an object upwards.
        self._observers = range(before + 1, self._observerTag())

    def release(self) -> None:
        """Unbind the widgets and remove every observer that binding them put on the node."""
        self._parameters.disconnectGui(self._guiTag)
        for tag in self._observers:
            self._parameters.RemoveObserver(tag)

    def _observerTag(self) -> int:
        tag = self._parameters.AddObserver(vtk.vtkCommand.NoEvent, lambda *_: None)
        self._parameters.RemoveObserver(tag)
        return tag
