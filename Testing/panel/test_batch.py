"""A folder of scans is segmented from the panel: real files, Qt and the real child process."""

import psutil
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from PySide6 import QtCore, QtGui, QtTest


@pytest.fixture
def batch(densityModels, application, tmp_path, temporaryFolder, monkeypatch, request):
    """An opened panel, and a function that makes a folder of phantoms."""
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(densityModels.folder))
    panel = request.getfixturevalue("panel")
    panel.open()
    panel.ui.batchButton.collapsed = False
    values, panel.labels = densityModels.phantom(densityModels.phantom_grid())
    image = densityModels.phantom_grid().image(values)

    def prepare(*names):
        scans, results = tmp_path / "šcans", tmp_path / "results"
        scans.mkdir()
        for name in names:
            if name == "broken":
                (scans / "broken.nrrd").write_bytes(b"NRRD0004\nno more")
            else:
                sitk.WriteImage(image, str(scans / f"{name}.nrrd"))
        for button, folder in ((panel.ui.batchScansButton, scans), (panel.ui.batchResultsButton, results)):
            application.qt.QFileDialog.answer = str(folder)
            button.click()
        return scans, results

    panel.prepare = prepare
    return panel


def states(panel):
    table = panel.ui.batchTable
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}


def isOver(panel):
    return panel.widget.batchSection._process is None


def test_a_folder_is_segmented_resumed_and_a_result_loaded(batch, slicer, application, monkeypatch):
    panel, ui = batch, batch.ui
    assert not ui.batchStartButton.enabled
    scans, results = panel.prepare("a", "b", "broken")
    assert ui.batchScansLabel.text == "šcans"
    assert not ui.batchPageButton.visible
    ui.batchStartButton.click()
    assert ui.batchCancelButton.visible
    assert not ui.batchScansButton.enabled
    panel.wait(lambda: isOver(panel))
    assert ui.batchLabel.text == "2 of 3 scans are done, 1 could not be segmented: double-click to see why."
    assert states(panel) == {"a": "done", "b": "done", "broken": "failed"}
    assert float(ui.batchTable.item(0, 2).text()) == pytest.approx(749, abs=8)  # by its formula
    assert int(ui.batchTable.item(0, 4).text()) == 2
    row = list(states(panel)).index("broken")
    assert "broken" in ui.batchTable.item(row, 0).toolTip()

    opened = []
    monkeypatch.setattr(application.qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    ui.batchPageButton.click()
    assert opened == [str(results / "summary.html")]

    ui.batchTable.setCurrentCell(row, 0)
    QtTest.QTest.keyClick(ui.batchTable, QtCore.Qt.Key_Return)  # failed: there is nothing to load
    assert panel.widget.resultSection.node is None
    assert ui.batchLabel.text.startswith("broken: ")
    ui.batchTable.setCurrentCell(0, 0)
    QtTest.QTest.keyClick(ui.batchTable, QtCore.Qt.Key_Return)
    node = panel.widget.resultSection.node
    assert node is not None
    volume = slicer.mrmlScene.GetFirstNodeByName("a")
    found = slicer.util.arrayFromSegmentBinaryLabelmap(node, "tumor", volume)
    assert (found != 0).sum() == pytest.approx((panel.labels == 2).sum(), rel=0.15)
    assert ui.lesionTable.rowCount == 2
    ui.batchTable.cellActivated.emit(0, 0)
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 1, "the CT is loaded once"

    (scans / "broken.nrrd").unlink()
    (results / "b.seg.nrrd").unlink()
    ui.batchStartButton.click()
    panel.wait(lambda: isOver(panel))
    assert states(panel) == {"a": "done before", "b": "done"}
    assert ui.batchLabel.text == "All 2 scans are done."
    assert float(ui.batchTable.item(0, 2).text()) == pytest.approx(749, abs=8)  # by its formula


def test_cancel_finishes_the_scans_under_way(batch):
    panel, ui = batch, batch.ui
    names = [f"scan{number}" for number in range(10)]
    _, results = panel.prepare(*names)
    ui.batchStartButton.click()
    panel.wait(lambda: states(panel))
    ui.batchCancelButton.click()
    begun = set(states(panel))
    assert ui.batchCancelButton.text == "Stop now"
    panel.wait(lambda: isOver(panel))
    # A worker holds its next scan in readiness, which it may not have begun.
    shown = states(panel)
    done = {name for name, state in shown.items() if state == "done"}
    assert set(shown) == begun, "nothing else is shown"
    assert done
    assert set(shown.values()) <= {"done", "stopped"}
    assert len(done) < len(names)
    assert ui.batchLabel.text == f"Stopped: {len(done)} of 10 scans are done. Start again to go on."
    written = {path.name.removesuffix(".seg.nrrd") for path in results.glob("*.seg.nrrd")}
    assert done <= written
    assert not (begun - done) & written, "a scan that is said to be stopped left no result"
    assert len(written) < len(names)
    assert ui.batchCancelButton.text == "Cancel"


def test_stop_now_ends_the_scans_under_way_and_leaves_nothing_half(batch):
    panel, ui = batch, batch.ui
    names = [f"scan{number}" for number in range(10)]
    _, results = panel.prepare(*names)
    ui.batchStartButton.click()
    panel.wait(lambda: states(panel))
    child = psutil.Process(panel.widget.batchSection._process.process.pid)
    children = [child, *child.children(recursive=True)]
    ui.batchCancelButton.click()
    ui.batchCancelButton.click()
    panel.wait(lambda: isOver(panel), 30)
    psutil.wait_procs(children, 10)
    assert not [process for process in children if process.is_running()]
    assert not [path for path in results.iterdir() if path.name.startswith(".part-")]
    assert set(states(panel).values()) <= {"stopped", "done"}
    assert len(states(panel)) < len(names)


def test_what_is_wrong_with_the_folders_is_said(batch, application):
    panel, ui = batch, batch.ui
    scans, _ = panel.prepare("a")
    application.qt.QFileDialog.answer = str(scans)
    ui.batchResultsButton.click()
    ui.batchStartButton.click()
    assert "another folder for the results" in ui.batchLabel.text
    assert isOver(panel)
    assert application.qt.QSettings.values["LiverTumorSeg/BatchScans"] == str(scans)


def lookedThrough(panel):
    """Wait until the folder was looked through; return what is said to be left out."""
    section = panel.widget.batchSection
    panel.wait(lambda: section._query is None)
    return QtGui.QTextDocumentFragment.fromHtml(panel.ui.batchLeftOutLabel.text).toPlainText()


def test_what_a_run_would_leave_out_is_said_before_it_starts(batch, application, tmp_path):
    panel, ui = batch, batch.ui
    assert not ui.batchLeftOutLabel.visible
    scans, _results = panel.prepare("a", "b")
    assert lookedThrough(panel) == ""
    assert not ui.batchLeftOutLabel.visible
    labels = [scans / "labels" / f"<b>{number}_mask.nrrd" for number in range(8)]
    labels[0].parent.mkdir()
    for path in (scans / "a_seg.nrrd", *labels):
        path.write_bytes((scans / "a.nrrd").read_bytes())
    ui.batchButton.collapsed = True
    ui.batchButton.collapsed = False
    assert lookedThrough(panel) == (
        "Please check: A run leaves out a_seg.nrrd, <b>0_mask.nrrd, <b>1_mask.nrrd, <b>2_mask.nrrd, <b>3_mask.nrrd "
        "and 4 more as labels, by their names."
    )
    assert ui.batchLeftOutLabel.visible
    assert ui.batchStartButton.enabled
    tip = QtGui.QTextDocumentFragment.fromHtml(ui.batchLeftOutLabel.toolTip).toPlainText()
    assert tip.splitlines()[1:] == ["a_seg.nrrd", *(path.relative_to(scans).as_posix() for path in labels)]
    application.qt.QFileDialog.answer = str(labels[0].parent)  # what lies among the results is no scan, nor left out
    ui.batchResultsButton.click()
    assert lookedThrough(panel) == "Please check: A run leaves out a_seg.nrrd as labels, by their names."
    application.qt.QFileDialog.answer = str(tmp_path / "gone")
    ui.batchScansButton.click()
    assert lookedThrough(panel) == ""
    ui.batchScansButton.click()
    panel.widget.batchSection.close()
    assert panel.widget.batchSection._query is None


def test_what_is_left_out_is_named_with_its_kind():
    from LiverTumorSegLib.scan.collection import LABELS, LOOSE_SLICES
    from LiverTumorSegPanel.leftOut import leftOutText

    assert leftOutText([]) == ""
    assert leftOutText([["one/p1_seg.nii", LABELS], ["two", LOOSE_SLICES], ["p2_seg.nii", LABELS]]) == (
        "A run leaves out p1_seg.nii, p2_seg.nii as labels, by their names; two as DICOM files beside folders of "
        "other studies."
    )


def test_scans_side_by_side_are_told_apart_and_stopped_between():
    """Events as a run over several workers sends them."""
    from pathlib import Path

    from LiverTumorSegPanel.batchProcess import BatchProcess, BatchRequest

    process = BatchProcess.__new__(BatchProcess)
    process._request = BatchRequest(Path("/none"), Path("/none"))
    process.scans, process.count, process._error = [], 0, ""
    process._unwanted, process.isStopping, process._toldAt = set(), False, None
    told = []
    process.stopNow = lambda: told.append(True)
    for case in ("a.nrrd", "b.nrrd"):
        process._take({"event": "start", "case": case, "cases": 4})
    process._take({"event": "progress", "case": "a", "fraction": 0.5})
    process._take({"event": "progress", "case": "b", "fraction": 0.25})
    assert [(scan.name, scan.fraction) for scan in process.scans] == [("a", 0.5), ("b", 0.25)]
    process.stopAfterThisScan()
    process._take({"event": "result", "case": "a"})
    process._take({"event": "start", "case": "c.nrrd", "cases": 4})
    process._take({"event": "progress", "case": "c", "fraction": 0.1})
    assert not told, "b is still under way"
    process._take({"event": "result", "case": "b"})
    assert told
    assert [scan.kind for scan in process.scans] == ["done", "done"]
