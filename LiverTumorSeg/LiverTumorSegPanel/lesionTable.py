"""The table of lesions: click a row to jump there, give each lesion a verdict."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from LiverTumorSegPanel.lesionRecords import VERDICTS, LesionRecord

VERDICT_COLUMN = 5


class LesionTable:
    """Fills a QTableWidget with lesions.

    Parameters
    ----------
    table : qt.QTableWidget
        The table of the panel.
    onSelected : callable
        Called with the `LesionRecord` whose row the reader clicked.
    onVerdict : callable
        Called with (lesion id, verdict) when the reader chose one.
    """

    def __init__(self, table, onSelected: Callable[[LesionRecord], None], onVerdict: Callable[[int, str], None]):
        self._table = table
        self._lesions: list[LesionRecord] = []
        self._onSelected = onSelected
        self._onVerdict = onVerdict
        headings = [_("No."), _("Volume (ml)"), _("Diameters (mm)"), _("HU"), _("Conf."), _("Verdict")]
        table.setColumnCount(len(headings))
        table.setHorizontalHeaderLabels(headings)
        tips = [
            _("1 is the largest lesion."),
            _("Volume of the lesion."),
            _("Longest diameter in an axial slice, and the longest one perpendicular to it there."),
            _("Mean and standard deviation of the CT over the lesion."),
            _("Mean probability the network gave; unknown after a correction by hand."),
            _("Your verdict; it is saved with the scene and exported with the table."),
        ]
        for column, tip in enumerate(tips):
            table.horizontalHeaderItem(column).setToolTip(tip)
        table.verticalHeader().setVisible(False)
        header = table.horizontalHeader()
        for column in range(len(headings)):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(2, qt.QHeaderView.Stretch)
        table.connect("cellClicked(int,int)", self._onCellClicked)

    def show(self, lesions: list[LesionRecord]) -> None:
        """Show these lesions, replacing what was shown."""
        self._lesions = list(lesions)
        self._table.setRowCount(0)
        self._table.setRowCount(len(lesions))
        for row, lesion in enumerate(lesions):
            for column, text in enumerate(cellTexts(lesion)):
                item = qt.QTableWidgetItem(text)
                item.setTextAlignment(qt.Qt.AlignCenter)
                self._table.setItem(row, column, item)
            self._table.setCellWidget(row, VERDICT_COLUMN, self._verdictBox(lesion))
        self._table.resizeRowsToContents()

    def _verdictBox(self, lesion: LesionRecord):
        box = qt.QComboBox()
        for verdict, words in zip(VERDICTS, ("–", _("accept"), _("reject"), _("unsure")), strict=True):
            box.addItem(words, verdict)
        box.setCurrentIndex(VERDICTS.index(lesion.verdict))
        number = lesion.id
        box.connect("currentIndexChanged(int)", lambda index: self._onVerdict(number, VERDICTS[index]))
        return box

    def _onCellClicked(self, row: int, column: int) -> None:
        if column != VERDICT_COLUMN and row < len(self._lesions):
            self._onSelected(self._lesions[row])


def cellTexts(lesion: LesionRecord) -> tuple[str, ...]:
    """Return the words of one row, apart from the verdict."""
    figures = lesion.figures
    probability = figures.get("mean_probability")
    return (
        str(lesion.id),
        _number(figures.get("volume_ml"), 2 if figures.get("volume_ml", 0) < 10 else 1),
        f"{_number(figures.get('diameter_mm'), 1)} × {_number(figures.get('perpendicular_mm'), 1)}",
        f"{_number(figures.get('mean_hu'), 0)} ± {_number(figures.get('sd_hu'), 0)}",
        "–" if probability is None else f"{100 * probability:.0f} %",
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
