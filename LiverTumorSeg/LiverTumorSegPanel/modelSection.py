"""The choices of the panel that depend on the machine: model folders and computing devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.deviceChoice import DeviceAnswer, DeviceQuery, deviceChoices
from LiverTumorSegPanel.modelChoice import ModelChoice, findModels, localiserOf, modelRoots, readChoice, tumorModels

USER_FOLDER_SETTING = "LiverTumorSeg/ModelsFolder"


class ModelSection:
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
        self._ui = ui
        self._moduleFolder = moduleFolder
        self._onChanged = onChanged
        self._parameters = None
        self._choices: list[ModelChoice] = []
        self._query: DeviceQuery | None = None
        self.problems: list[str] = []
        self.torch: DeviceAnswer | None = None
        ui.modelComboBox.connect("currentIndexChanged(int)", self._onModelChosen)
        ui.deviceComboBox.connect("currentIndexChanged(int)", self._onDeviceChosen)
        ui.modelFolderButton.connect("clicked()", self._onBrowse)
        self._fillDevices(deviceChoices([]))

    def setParameters(self, parameters) -> None:
        """Use this parameter node; None while there is none."""
        self._parameters = parameters
        if parameters is not None:
            self.refreshModels()
            self._select(self._ui.deviceComboBox, parameters.device)

    def refreshModels(self) -> None:
        """Look for model folders again and keep the choice if it is still there."""
        userFolder = qt.QSettings().value(USER_FOLDER_SETTING)
        self._choices, self.problems = findModels(
            modelRoots(self._moduleFolder, Path(str(userFolder)) if userFolder else None)
        )
        wanted = self._parameters.model if self._parameters else ""
        offered = tumorModels(self._choices)
        if wanted and wanted not in {str(choice.folder) for choice in offered}:
            custom = readChoice(Path(wanted))
            if isinstance(custom, str):
                self.problems.append(custom)
            else:
                offered.append(custom)
        box = self._ui.modelComboBox
        blocked = box.blockSignals(True)
        box.clear()
        for choice in offered:
            box.addItem(choice.title, str(choice.folder))
            box.setItemData(box.count - 1, str(choice.folder), qt.Qt.ToolTipRole)
        box.blockSignals(blocked)
        self._select(box, wanted)
        self._onModelChosen(box.currentIndex)

    def modelFolder(self) -> Path | None:
        """Return the chosen bundle folder, or None when there is no model."""
        box = self._ui.modelComboBox
        return Path(box.itemData(box.currentIndex)) if box.currentIndex >= 0 else None

    def localiserFolder(self) -> Path | None:
        """Return the localiser's folder; None leaves the choice to the command line."""
        choice = localiserOf(self._choices)
        return choice.folder if choice else None

    def device(self) -> str:
        """Return the value for ``--device``."""
        box = self._ui.deviceComboBox
        return box.itemData(box.currentIndex) if box.currentIndex >= 0 else "auto"

    def queryDevices(self) -> None:
        """Ask for the devices in the background; asked again only after an install."""
        if self._query is None:
            self._query = DeviceQuery(self._moduleFolder, self._onDevices)

    def forgetDevices(self) -> None:
        """Ask for the devices anew: something was installed."""
        self.abandon()
        self.torch = None
        self.queryDevices()

    def abandon(self) -> None:
        """Stop asking: the module is being closed."""
        if self._query is not None:
            self._query.abandon()
            self._query = None

    def addModelFolder(self, folder: Path) -> str:
        """Choose a model folder anywhere on the disk, or a folder of such folders, which is then remembered.

        Returns one sentence if it is neither, otherwise an empty string.
        """
        choice = readChoice(folder)
        if isinstance(choice, str):
            if not tumorModels(findModels([folder])[0]):
                return choice
            qt.QSettings().setValue(USER_FOLDER_SETTING, str(folder))
            self.refreshModels()
            return ""
        if not tumorModels([choice]):
            return _("{folder} holds a localiser: it finds the liver but cannot segment it.").format(folder=folder)
        if self._parameters is not None:
            self._parameters.model = str(folder)
        self.refreshModels()
        return ""

    def _onDevices(self, answer: DeviceAnswer) -> None:
        self.torch = answer
        self._fillDevices(answer.devices)
        if self._parameters is not None:
            self._select(self._ui.deviceComboBox, self._parameters.device)
        self._onChanged()

    def _fillDevices(self, devices: tuple[tuple[str, str], ...]) -> None:
        box = self._ui.deviceComboBox
        blocked = box.blockSignals(True)
        box.clear()
        for value, words in devices:
            box.addItem(words, value)
        box.blockSignals(blocked)

    @staticmethod
    def _select(box, value: str) -> None:
        index = box.findData(value)
        blocked = box.blockSignals(True)
        box.setCurrentIndex(max(index, 0) if box.count else -1)
        box.blockSignals(blocked)

    def _onModelChosen(self, index: int) -> None:
        if self._parameters is not None and index >= 0:
            self._parameters.model = self._ui.modelComboBox.itemData(index)
        self._onChanged()

    def _onDeviceChosen(self, index: int) -> None:
        if self._parameters is not None and index >= 0:
            self._parameters.device = self._ui.deviceComboBox.itemData(index)

    def _onBrowse(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Choose a model folder"))
        if folder:
            problem = self.addModelFolder(Path(folder))
            if problem:
                slicer.util.warningDisplay(problem)
