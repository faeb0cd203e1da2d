"""The table of lesions: move through it to jump to each, give each a verdict by a key or a button."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from LiverTumorSegPanel.resultRecords import LesionRecord
from LiverTumorSegPanel.reviewWords import placeText
from LiverTumorSegPanel.textColors import textColor

VERDICT_KEYS = {"accept": "A", "reject": "R", "unsure": "U"}
_PLACE = 1


class LesionTable:
    """Fills a QTableWidget with lesions.

    Parameters
    ----------
    table : qt.QTableWidget
        The table of the panel.
    onSelected : callable
        Called with the `LesionRecord` whose row the reader came to.
    onVerdict : callable
        Called with (number, verdict) when the reader gave one; the same verdict again takes it back.
    """

    def __init__(self, table, onSelected: Callable[[LesionRecord], None], onVerdict: Callable[[int, str], None]):
        self._table = table
        self._lesions: list[LesionRecord] = []
        self._onSelected = onSelected
        self._onVerdict = onVerdict
        self._filling = False
        columns = [
            ("", _("Number; 1 was the largest when the run ended.")),
            (_("Place"), _("Lobe and height in the liver, as a help to find it; slice counted from the head.")),
            (_("ml"), _("Volume in millilitres.")),
            (_("mm"), _("Longest diameter in an axial slice, and the longest one perpendicular to it there, in mm.")),
            (
                _("HU\nscore"),
                _(
                    "Mean of the CT over the lesion. Network score: mean probability the network gave; unknown after "
                    "an edit by hand."
                ),
            ),
            ("", _("Your verdict: A accepted, R rejected, U unsure. It is saved with the scene and exported.")),
        ]
        table.setColumnCount(len(columns))
        table.setHorizontalHeaderLabels([heading for heading, _tip in columns])
        for column, (_heading, tip) in enumerate(columns):
            table.horizontalHeaderItem(column).setToolTip(tip)
        table.verticalHeader().setVisible(False)
        header = table.horizontalHeader()
        header.setMinimumSectionSize(8)
        for column in range(len(columns)):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_PLACE, qt.QHeaderView.Stretch)
        table.connect("currentCellChanged(int,int,int,int)", self._onCellChanged)
        table.connect("cellClicked(int,int)", self._onCellClicked)
        self._shortcuts = [self._shortcut(verdict, key) for verdict, key in VERDICT_KEYS.items()]

    @property
    def lesions(self) -> list[LesionRecord]:
        """The lesions that are shown."""
        return self._lesions

    @property
    def current(self) -> LesionRecord | None:
        """The lesion whose row is selected."""
        row = self._table.currentRow()
        return self._lesions[row] if 0 <= row < len(self._lesions) else None

    def show(self, lesions: list[LesionRecord]) -> None:
        """Show these lesions; the row of the same number stays selected, without a jump."""
        number = self.current.number if self.current else None
        self._lesions = list(lesions)
        self._filling = True
        try:
            self._table.setRowCount(0)
            self._table.setRowCount(len(lesions))
            for row, lesion in enumerate(lesions):
                for column, text in enumerate(cellTexts(lesion)):
                    self._table.setItem(row, column, _item(text, lesion))
                if lesion.number == number:
                    self._table.setCurrentCell(row, 0)
            self._table.resizeRowsToContents()
        finally:
            self._filling = False

    def select(self, number: int) -> None:
        """Come to the row of a lesion, as by the arrow keys."""
        for row, lesion in enumerate(self._lesions):
            if lesion.number == number:
                self._table.setCurrentCell(row, 0)

    def give(self, verdict: str) -> None:
        """Give the selected lesion a verdict, or take it back when it has this one already."""
        lesion = self.current
        if lesion is not None:
            self._onVerdict(lesion.number, "" if lesion.verdict == verdict else verdict)

    def _shortcut(self, verdict: str, key: str):
        shortcut = qt.QShortcut(qt.QKeySequence(key), self._table)
        shortcut.setContext(qt.Qt.WidgetShortcut)  # elsewhere in Slicer these keys mean other things
        shortcut.connect("activated()", lambda: self.give(verdict))
        return shortcut

    def _onCellChanged(self, row: int, _column: int, oldRow: int, _oldColumn: int) -> None:
        if not self._filling and row != oldRow:
            self._jump(row)

    def _onCellClicked(self, row: int, _column: int) -> None:
        self._jump(row)

    def _jump(self, row: int) -> None:
        if 0 <= row < len(self._lesions):
            self._onSelected(self._lesions[row])


def _item(text: str, lesion: LesionRecord):
    item = qt.QTableWidgetItem(text)
    item.setTextAlignment(qt.Qt.AlignCenter)
    item.setToolTip(describe(lesion))
    if lesion.verdict == "reject":  # it is liver now
        font = item.font()
        font.setStrikeOut(True)
        item.setFont(font)
        item.setForeground(qt.QBrush(qt.QColor(textColor("quiet"))))
    return item


def cellTexts(lesion: LesionRecord) -> tuple[str, ...]:
    """Return the words of one row; place and diameters take two lines, so that a narrow panel shows them whole."""
    figures = lesion.figures
    probability = figures.get("mean_probability")
    volume, score = figures.get("volume_ml", 0), "–" if probability is None else f"{100 * probability:.0f} %"
    return (
        str(lesion.number),
        _placeText(str(figures.get("place") or ""), figures.get("slice")),
        _number(volume, 2 if volume < 10 else 1 if volume < 100 else 0),
        f"{_number(figures.get('diameter_mm'), 1)}\n{_number(figures.get('perpendicular_mm'), 1)}",
        f"{_number(figures.get('mean_hu'), 0)}\n{score}",
        VERDICT_KEYS.get(lesion.verdict, ""),
    )


def _placeText(place: str, number: int | None) -> str:
    """Return a place in two short lines, the slice behind the height; the tooltip has it in full."""
    short = {"between the lobes": _("between"), "mid-height": _("middle")}
    words = [short.get(word) or placeText(word) for word in place.split(", ") if word] or ["–"]
    if number:
        words[-1] += f" {number}"
    return "\n".join(words)


def describe(lesion: LesionRecord) -> str:
    """Return one lesion in a sentence, for its tooltip."""
    figures = lesion.figures
    words = _("Lesion {number}: {place}, slice {slice} from the head; {volume} ml; {mean} ± {sd} HU")
    return words.format(
        number=lesion.number,
        place=placeText(figures.get("place") or "–"),
        slice=figures.get("slice", "–"),
        volume=_number(figures.get("volume_ml"), 2),
        mean=_number(figures.get("mean_hu"), 0),
        sd=_number(figures.get("sd_hu"), 0),
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
