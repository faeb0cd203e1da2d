"""What Slicer does with a model file that is dropped on it, or opened like any other file."""

from __future__ import annotations

from pathlib import Path

import slicer
from LiverTumorSegLib.model.modelfile import SUFFIX
from slicer.i18n import tr as _


class ModelFileReader:
    """Slicer's interface of a scripted file reader; the module names it by the name that Slicer looks for.

    Parameters
    ----------
    parent : qSlicerScriptedFileReader
        Slicer's side of it.
    """

    def __init__(self, parent):
        self.parent = parent

    def description(self) -> str:
        """Return the words of the "Add data" window."""
        return _("Liver tumour model")

    def fileType(self) -> str:
        """Return the name by which Slicer asks for this reader."""
        return "LiverTumorSegModel"

    def extensions(self) -> list[str]:
        """Return the filters of file dialogs."""
        return [_("Liver tumour model") + f" (*{SUFFIX})"]

    def canLoadFile(self, path: str) -> bool:
        """Return whether this is a model file by its name."""
        return path.lower().endswith(SUFFIX)

    def load(self, properties: dict) -> bool:
        """Keep the model, choose it in the panel and show the panel; say why not in one sentence."""
        self.parent.loadedNodes = []
        slicer.util.selectModule("LiverTumorSeg")
        models = slicer.util.getModuleWidget("LiverTumorSeg").segmentSection.models
        problem = models.openModelFile(Path(properties["fileName"]))
        if problem:
            slicer.util.warningDisplay(problem)
        return not problem
