"""The choices of the panel that depend on the machine: model folders and computing devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.model.modelfile import SUFFIX, unpack_model
from slicer.i18n import tr as _

from LiverTumorSegPanel.childQuery import ChildQuery
from LiverTumorSegPanel.deviceChoice import DeviceAnswer, askForDevices, deviceChoices
from LiverTumorSegPanel.modelChoice import (
    ONE_CHANNEL,
    ModelChoice,
    chosenModel,
    findModels,
    localiserOf,
    modelRoots,
    readChoice,
    tumorModels,
)
from LiverTumorSegPanel.section import Section

FOLDERS_SETTING = "LiverTumorSeg/ModelFolders"
"""The reader's model folders on this computer, as a JSON list; a scene names a model by what it is."""


class ModelSection(Section):
    """Fills the model and device boxes and keeps the reader's choice in the parameter node.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    onChanged : callable
        Called after a choice was made, and when torch turned out to be usable or not.
    """

    def __init__(self, ui, moduleFolder: Path, onChanged: Callable[[], None]):
        super().__init__(ui, {"modelFolderButton": self._onBrowse, "modelFileButton": self._onOpenFile})
        self._moduleFolder = moduleFolder
        self._onChanged = onChanged
        self._offered: list[ModelChoice] = []
        self._localiser: ModelChoice | None = None
        self._query: ChildQuery | None = None
        self.problems: list[str] = []
        self.torch: DeviceAnswer | None = None
        ui.modelComboBox.connect("currentIndexChanged(int)", self._onModelChosen)
        ui.deviceComboBox.connect("currentIndexChanged(int)", self._onDeviceChosen)
        self._fillDevices(deviceChoices([]))

    def setParameters(self, parameters) -> None:
        """Use this parameter node; None while there is none."""
        super().setParameters(parameters)
        if parameters is not None:
            self.refreshModels()
            _select(self.ui.deviceComboBox, self.ui.deviceComboBox.findData(parameters.device))

    def refreshModels(self) -> None:
        """Look for model folders again and choose the one that the scene names, if it is there."""
        choices, self.problems = findModels(modelRoots(self._moduleFolder, _userFolders()))
        self._offered, self._localiser = tumorModels(choices), localiserOf(choices)
        titles = [choice.title for choice in self._offered]
        box = self.ui.modelComboBox
        blocked = box.blockSignals(True)
        box.clear()
        for choice in self._offered:
            alike = titles.count(choice.title) > 1
            box.addItem(f"{choice.title} ({choice.folder.name})" if alike else choice.title, str(choice.folder))
            box.setItemData(box.count - 1, str(choice.folder), qt.Qt.ToolTipRole)
        box.blockSignals(blocked)
        choice, problem = chosenModel(self.parameters.model if self.parameters else "", self._offered)
        if problem:
            self.problems.append(problem)
        _select(box, self._offered.index(choice) if choice else -1)
        self._onChanged()

    def model(self) -> ModelChoice | None:
        """Return the chosen model, or None when there is none."""
        index = self.ui.modelComboBox.currentIndex
        return self._offered[index] if 0 <= index < len(self._offered) else None

    def modelFolder(self) -> Path | None:
        """Return the chosen bundle folder, or None when there is no model."""
        model = self.model()
        return model.folder if model else None

    def channels(self) -> tuple[str, ...]:
        """Return the input channels of the chosen model."""
        model = self.model()
        return model.channels if model else ONE_CHANNEL

    def folderOfWeights(self, sha256: str) -> Path | None:
        """Return the bundle folder with these weights; the chosen one when no model here has them."""
        same = [choice.folder for choice in self._offered if sha256 and choice.sha256 == sha256]
        return same[0] if same else self.modelFolder()

    def localiser(self) -> ModelChoice | None:
        """Return the model that finds the liver, or None."""
        return self._localiser

    def localiserFolder(self) -> Path | None:
        """Return the localiser's folder; None leaves the choice to the command line."""
        return self._localiser.folder if self._localiser else None

    def device(self) -> str:
        """Return the value for ``--device``."""
        box = self.ui.deviceComboBox
        return box.itemData(box.currentIndex) if box.currentIndex >= 0 else "auto"

    def deviceKind(self) -> str:
        """Return the kind of the chosen device as in the core's table of costs; empty while it is not known."""
        return self.torch.kinds.get(self.device(), "") if self.torch else ""

    def queryDevices(self) -> None:
        """Ask for the devices in the background; asked again only after an install."""
        if self._query is None:
            self._query = askForDevices(self._moduleFolder, self._onDevices)

    def forgetDevices(self) -> None:
        """Ask for the devices anew: something was installed."""
        self.close()
        self.torch = None
        self.queryDevices()

    def close(self) -> None:
        """Stop asking: the module is being closed."""
        if self._query is not None:
            self._query.abandon()
            self._query = None

    def addModelFolder(self, folder: Path) -> str:
        """Remember a model folder anywhere on the disk, or a folder of such folders; a single model is also chosen.

        Returns one sentence if it is neither, otherwise an empty string.
        """
        choice = readChoice(folder)
        if isinstance(choice, str):
            if not tumorModels(findModels([folder])[0]):
                return choice
        elif not tumorModels([choice]):
            return _("{folder} holds a localiser: it finds the liver but cannot segment it.").format(folder=folder)
        elif self.parameters is not None:
            self.parameters.model = choice.key
        folders = [str(known) for known in _userFolders() if known != folder]
        qt.QSettings().setValue(FOLDERS_SETTING, json.dumps([*folders, str(folder)]))
        self.refreshModels()
        return ""

    def openModelFile(self, path: Path) -> str:
        """Take a model out of its ``.ltsmodel`` file into the reader's models on this computer, and choose it.

        Returns one sentence if that fails, otherwise an empty string.
        """
        try:
            return self.addModelFolder(unpack_model(path, readersModels()))
        except LiverTumorSegError as error:
            return str(error)

    def _onDevices(self, answer: DeviceAnswer) -> None:
        self.torch = answer
        self._fillDevices(answer.devices)
        if self.parameters is not None:
            _select(self.ui.deviceComboBox, self.ui.deviceComboBox.findData(self.parameters.device))
        self._onChanged()

    def _fillDevices(self, devices: tuple[tuple[str, str], ...]) -> None:
        box = self.ui.deviceComboBox
        blocked = box.blockSignals(True)
        box.clear()
        for value, words in devices:
            box.addItem(words, value)
        box.blockSignals(blocked)

    def _onModelChosen(self, index: int) -> None:
        if self.parameters is not None and 0 <= index < len(self._offered):
            self.parameters.model = self._offered[index].key
            self.refreshModels()

    def _onDeviceChosen(self, index: int) -> None:
        if self.parameters is not None and index >= 0:
            self.parameters.device = self.ui.deviceComboBox.itemData(index)

    def _onBrowse(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Choose a model folder"))
        if folder:
            problem = self.addModelFolder(Path(folder))
            if problem:
                slicer.util.warningDisplay(problem)

    def _onOpenFile(self) -> None:
        kinds = _("Model in one file") + f" (*{SUFFIX})"
        chosen = qt.QFileDialog.getOpenFileName(None, _("Open a model file"), "", kinds)
        if chosen:
            problem = self.openModelFile(Path(chosen))
            if problem:
                slicer.util.warningDisplay(problem)


def readersModels() -> Path:
    """Return the folder of this computer in which models that came as one file are kept."""
    return Path(slicer.app.slicerUserSettingsFilePath).parent / "LiverTumorSegModels"


def _select(box, index: int) -> None:
    """Show an entry of a box, the first one when the wanted is not there, without telling anybody."""
    blocked = box.blockSignals(True)
    box.setCurrentIndex(max(index, 0) if box.count else -1)
    box.blockSignals(blocked)


def _userFolders() -> list[Path]:
    """Return the folders that the reader has chosen on this computer, the newest last."""
    return [Path(folder) for folder in json.loads(str(qt.QSettings().value(FOLDERS_SETTING) or "[]"))]
