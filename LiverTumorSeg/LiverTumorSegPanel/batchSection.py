"""Many scans: a folder is segmented scan by scan, while the reader goes on working."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from LiverTumorSegLib.output.summary import PAGE, TABLE
from slicer.i18n import tr as _

from LiverTumorSegPanel.batchProcess import BatchProcess, BatchRequest, ScanState
from LiverTumorSegPanel.batchResult import loadResult
from LiverTumorSegPanel.childQuery import ChildQuery
from LiverTumorSegPanel.findingsText import findingsAsHtml
from LiverTumorSegPanel.leftOut import askWhatIsLeftOut, leftOutText, leftOutTip
from LiverTumorSegPanel.panelFinding import PanelFinding
from LiverTumorSegPanel.section import Section

STEPS = 1000
SCANS_SETTING, RESULTS_SETTING = "LiverTumorSeg/BatchScans", "LiverTumorSeg/BatchResults"


class BatchSection(Section):
    """Segments a folder of scans.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    moduleFolder : Path
        Folder of the module.
    optionsFor : callable
        Returns the options of the command line for the model, device and quality chosen; None without a model.
    channelsOf : callable
        Returns the channels of that model.
    onLoaded : callable
        Called with the segmentation node, its CT and the tumour probability (None) of a result that was loaded.
    """

    def __init__(
        self,
        ui,
        moduleFolder: Path,
        optionsFor: Callable[[], tuple[str, ...] | None],
        channelsOf: Callable[[], tuple[str, ...]],
        onLoaded: Callable[..., None],
    ):
        buttons = {
            "batchScansButton": self._onScans,
            "batchResultsButton": self._onResults,
            "batchStartButton": self._onStart,
            "batchCancelButton": self._onCancel,
            "batchPageButton": self._onPage,
        }
        super().__init__(ui, buttons)
        self._moduleFolder, self._onLoaded = moduleFolder, onLoaded
        self._optionsFor, self._channelsOf = optionsFor, channelsOf
        self._query: ChildQuery | None = None
        self._asked: tuple | None = None
        self._process: BatchProcess | None = None
        self._request: BatchRequest | None = None
        self._scans: list[ScanState] = []
        settings = qt.QSettings()
        self._folders = {key: str(settings.value(key) or "") for key in (SCANS_SETTING, RESULTS_SETTING)}
        ui.batchProgressBar.maximum = STEPS
        table = ui.batchTable
        headings = (_("Scan"), _("State"), _("Liver ml"), _("Tumour ml"), _("Lesions"))
        table.setColumnCount(len(headings))
        table.setHorizontalHeaderLabels(list(headings))
        table.verticalHeader().setVisible(False)
        for column in range(1, len(headings)):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        table.connect("cellActivated(int,int)", self._onRow)
        ui.batchButton.connect("contentsCollapsed(bool)", self._onCollapsed)
        self._say("")
        self._sayLeftOut([])
        self._show()

    def enter(self) -> None:
        """Look through the folder of scans that was chosen, if it can be seen."""
        self._lookThrough()

    def close(self) -> None:
        """End the child: the module is being closed. Finished scans stay, and another start goes on from there."""
        super().close()
        self._stopLooking()
        if self._process is not None:
            self._process.abandon()
            self._process = None

    def _onScans(self) -> None:
        self._choose(SCANS_SETTING, _("Folder of scans"))

    def _onResults(self) -> None:
        self._choose(RESULTS_SETTING, _("Folder for the results"))

    def _choose(self, setting: str, title: str) -> None:
        chosen = qt.QFileDialog.getExistingDirectory(None, title, self._folders[setting])
        if chosen:
            self._folders[setting] = chosen
            qt.QSettings().setValue(setting, chosen)
            self._lookThrough()
            self._show()

    def _onCollapsed(self, collapsed: bool) -> None:
        self._asked = None  # what lies in the folder may be something else by then
        if not collapsed:
            self._lookThrough()

    def _lookThrough(self) -> None:
        """Ask what a run would leave out, unless that was asked."""
        scans, results = (self._folders[key] for key in (SCANS_SETTING, RESULTS_SETTING))
        wanted = (scans, results, *self._channelsOf())
        if not scans or self.ui.batchButton.collapsed or wanted == self._asked:
            return
        self._stopLooking()
        self._asked = wanted
        self._sayLeftOut([])
        self._query = askWhatIsLeftOut(scans, results, self._channelsOf(), self._moduleFolder, self._onLookedThrough)

    def _stopLooking(self) -> None:
        if self._query is not None:
            self._query.abandon()
            self._query = None

    def _onLookedThrough(self, leftOut: list) -> None:
        self._query = None
        self._sayLeftOut(leftOut)

    def _onStart(self) -> None:
        options = self._optionsFor()
        scans, results = (Path(self._folders[key]) for key in (SCANS_SETTING, RESULTS_SETTING))
        if options is None:
            self._say(_("There is no model to segment with: choose one under Advanced."))
            return
        if scans.resolve() == results.resolve():
            self._say(_("Choose another folder for the results: they would lie among the scans."))
            return
        with slicer.util.tryWithErrorDisplay(_("The scans could not be segmented."), waitCursor=True):
            self._request = BatchRequest(scans, results, options)
            self._lookThrough()
            self._process = BatchProcess(self._request, self._moduleFolder, self._onChanged, self._onEnd)
            self._scans = self._process.scans
            self._say(_("Starting"))
        self._show()

    def _onCancel(self) -> None:
        if self._process is None:
            return
        if self._process.isStopping:
            self._process.stopNow()
            self._say(_("Stopping"))
        else:
            self._process.stopAfterThisScan()
            self._say(_("The scan under way is finished first; press Stop now to end it."))
        self._show()

    def _onChanged(self) -> None:
        process = self._process
        if process is None:
            return
        if not process.isStopping:
            words = _("{number} of {count} scans")
            self._say(words.format(number=len(process.scans), count=process.count))
        done = sum(1.0 if scan.kind != "running" else scan.fraction for scan in process.scans)
        self.ui.batchProgressBar.value = round(STEPS * done / max(process.count, 1))
        self._fillTable()

    def _onEnd(self, sentence: str) -> None:
        self._process = None
        self._say(sentence)
        self._show()

    def _onPage(self) -> None:
        page = self._page()
        if page is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(page)))

    def _onRow(self, row: int, _column: int) -> None:
        scan = self._scans[row] if 0 <= row < len(self._scans) else None
        if scan is not None and scan.reason:
            self._say(_("{name}: {reason}").format(name=scan.name, reason=scan.reason))
        if scan is None or not scan.report or self._request is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The result could not be loaded."), waitCursor=True):
            self._onLoaded(*loadResult(self._request.results, scan.name, scan.report), None)

    def _page(self) -> Path | None:
        """Return the summary of the results: the page, or the table where the page could not be made."""
        folder = self._folders[RESULTS_SETTING]
        found = [Path(folder) / name for name in (PAGE, TABLE)] if folder else []
        return next((path for path in found if path.is_file()), None)

    def _show(self) -> None:
        ui, running = self.ui, self._process is not None
        folders = ((SCANS_SETTING, ui.batchScansLabel), (RESULTS_SETTING, ui.batchResultsLabel))
        for setting, label in folders:
            folder = self._folders[setting]
            label.text = Path(folder).name or folder if folder else _("not chosen")
            label.toolTip = folder
        ui.batchScansButton.enabled = ui.batchResultsButton.enabled = not running
        ui.batchStartButton.visible = not running
        ui.batchStartButton.enabled = all(self._folders.values())
        ui.batchCancelButton.visible = ui.batchProgressBar.visible = running
        stopping = running and self._process.isStopping
        ui.batchCancelButton.text = _("Stop now") if stopping else _("Cancel")
        ui.batchPageButton.visible = not running and self._page() is not None
        self._fillTable()

    def _fillTable(self) -> None:
        table = self.ui.batchTable
        table.visible = bool(self._scans)
        table.setRowCount(len(self._scans))
        for row, scan in enumerate(self._scans):
            for column, text in enumerate(scanRow(scan)):
                item = qt.QTableWidgetItem(text)
                tip = scan.reason or _("Double-click, or press Enter, to load the result.")
                item.setToolTip(tip if scan.kind != "running" else "")
                table.setItem(row, column, item)

    def _say(self, text: str) -> None:
        self.ui.batchLabel.text = text
        self.ui.batchLabel.visible = bool(text)

    def _sayLeftOut(self, leftOut: list) -> None:
        label, text = self.ui.batchLeftOutLabel, leftOutText(leftOut)
        label.text = findingsAsHtml([PanelFinding("warning", text)]) if text else ""
        label.toolTip = leftOutTip(leftOut) if text else ""
        label.visible = bool(text)


def scanRow(scan: ScanState) -> list[str]:
    """Return the cells of one scan: name, state, liver, tumour, lesions."""
    words = {
        "running": _("{percent:.0f} %").format(percent=100 * scan.fraction),
        "done": _("done"),
        "finished before": _("done before"),
        "failed": _("failed"),
        "stopped": _("stopped"),
    }
    volumes = scan.report.get("volumes_ml") or {}
    figures = [f"{volumes[name]:.0f}" if name in volumes else "" for name in ("liver", "tumor")]
    lesions = str(len(scan.report["lesions"])) if "lesions" in scan.report else ""
    return [scan.name, words[scan.kind], *figures, lesions]
