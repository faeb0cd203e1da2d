"""What every section of the panel is: its widgets, the nodes it watches, when it is shown and when it ends."""

from __future__ import annotations

from collections.abc import Callable

from slicer.util import VTKObservationMixin


class Section:
    """One part of the panel.

    The module's widget tells all its sections when the panel is shown or hidden, when there is another parameter
    node, and when the scene or the module closes; each overrides what concerns it.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    buttons : dict of str to callable
        What each button does, by its name in the .ui file.
    """

    def __init__(self, ui, buttons: dict[str, Callable[[], None]]):
        self.ui = ui
        self.parameters = None
        self._observations = VTKObservationMixin()
        for name, function in buttons.items():
            getattr(ui, name).connect("clicked()", function)

    def setParameters(self, parameters) -> None:
        """Use this parameter node; None while there is none."""
        self.parameters = parameters

    def enter(self) -> None:
        """Prepare what is needed while the panel is shown."""

    def exit(self) -> None:
        """Put away what is only for a panel that is shown."""

    def forgetScene(self) -> None:
        """Let go of the scene's nodes: it is being closed."""
        self.watch()

    def close(self) -> None:
        """End everything: the module is being closed or reloaded."""
        self.forgetScene()

    def watch(self, *watched: tuple[object, int, Callable]) -> None:
        """Observe these (object, event, method) instead of the ones before."""
        self._observations.removeObservers()
        for node, event, method in watched:
            self._observations.addObserver(node, event, method)
