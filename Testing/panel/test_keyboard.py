"""The panel by keyboard: the tab key goes through it from top to bottom and reaches everything."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from PySide6 import QtCore, QtWidgets
from scene_state import addScan

READERS_WAY = (
    *("inputSelector", "segmentButton", "resultSelector", "lesionTable"),
    *("acceptButton", "rejectButton", "unsureButton", "placeButton", "boxButton", "undoButton", "trainingButton"),
    *("exportButton", "reportButton", "dicomButton", "earlierSelector", "earlierFileButton", "compareButton"),
    *("batchScansButton", "batchResultsButton", "batchStartButton"),
    *("modelComboBox", "modelFolderButton", "modelFileButton"),
    *("deviceComboBox", "qualityComboBox", "copyLogButton"),
)


def nameOf(widget):
    return QtCore.QObject.objectName(widget)


def test_tab_goes_from_top_to_bottom_through_everything(panel, slicer):
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import gridOf

    panel.open()
    volume = addScan("CT", (20, 24, 28), (1.0, 1.0, 1.0))
    labels = np.ones((20, 24, 28), np.uint8)
    labels[5:9, 5:9, 5:9] = 2
    node = commitSegmentation(volume, Labelmap(labels, LIVER_TUMOR, gridOf(volume)), "r", attributesOfReport({}))
    panel.widget._onResult(node, volume, None)
    for button in (panel.ui.followUpButton, panel.ui.batchButton, panel.ui.advancedButton):
        button.collapsed = False
    for _settle in range(3):
        panel.parent.resize(470, 1400)
        panel.app.processEvents()
    reached, widget = [], panel.parent
    while True:
        widget = QtWidgets.QWidget.nextInFocusChain(widget)
        if widget is panel.parent:
            break
        takesTab = QtWidgets.QWidget.focusPolicy(widget) & QtCore.Qt.TabFocus
        if takesTab and QtWidgets.QWidget.isVisibleTo(widget, panel.parent) and nameOf(widget) in READERS_WAY:
            reached.append(widget)
    names = [nameOf(widget) for widget in reached]
    assert names == [name for name in READERS_WAY if name in names]
    assert set(names) == set(READERS_WAY), "the tab key reaches everything"
    tops = [QtWidgets.QWidget.mapTo(widget, panel.parent, QtCore.QPoint(0, 0)) for widget in reached]
    for one, other, name in zip(tops, tops[1:], names[1:], strict=False):
        below = other.y() > one.y() + 8
        assert below or (abs(other.y() - one.y()) <= 8 and other.x() > one.x()), name


@pytest.mark.parametrize("words", ["right lobe, superior", "between the lobes, mid-height", "left lobe, inferior", ""])
def test_places_and_totals_are_told_in_the_readers_language(words, monkeypatch):
    from LiverTumorSegLib.review.totals import Total, Totals
    from LiverTumorSegPanel import reviewWords

    shared = [Total(1, 1.0), Total(2, 2.5), Total(3, 3.0), Total(4, 4.0)]
    sums = Totals(dict(zip(("", "accept", "reject", "unsure"), shared, strict=True)), Total(10, 10.5), Total(7, 7.5))
    english = sums.words()
    assert reviewWords.totalsText(sums) == f"{english[0].upper()}{english[1:]}."
    assert reviewWords.placeText(words) == words
    monkeypatch.setattr(reviewWords, "_", lambda text: f"«{text}»")
    assert reviewWords.placeText(words) == ", ".join(f"«{word}»" for word in words.split(", ") if word)
    assert reviewWords.totalsText(sums).count("«") == 4
