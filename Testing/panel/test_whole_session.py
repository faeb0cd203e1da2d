"""A reader's whole session on a real CT with the shipped models: every step in the panel, every child process real."""

import csv
import json
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")
highdicom = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegTraining.demo.samples import SAMPLES, fetch
from PySide6 import QtCore, QtTest
from scipy import ndimage

from reading_session import clickAt, labelsNow, verdicts

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "results" / ".cache"


@pytest.fixture(scope="module")
def scan():
    """A crop of LiTS 117 with many lesions, downloaded once."""
    (sample,) = [sample for sample in SAMPLES if sample.name == "lits_117"]
    try:
        path, _reference = fetch(sample, CACHE, offline=False, say=print)
    except InputError as error:
        pytest.skip(f"the sample is neither cached nor to be had: {error}")
    return sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkInt16)


@pytest.fixture
def session(panel, slicer, scan, dicom_series, tmp_path, monkeypatch):
    """The panel, open, and the CT as Slicer's DICOM module would have loaded it."""
    from LiverTumorSegLib.scan.imageio import read_case

    monkeypatch.delenv("LIVERTUMORSEG_MODELS", raising=False)
    dicom_series(tmp_path / "dicom", sitk.Clamp(scan, sitk.sitkInt16, -1024, 3000))
    case = read_case(tmp_path / "dicom")
    sitk.WriteImage(case.image, str(tmp_path / "CT.nrrd"))
    panel.open()
    panel.volume = slicer.util.loadVolume(str(tmp_path / "CT.nrrd"))
    files = dict(enumerate(case.dicom_files))
    database = types.SimpleNamespace(fileForInstance=lambda uid: files[int(uid)])
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    panel.volume.SetAttribute("DICOM.instanceUIDs", " ".join(map(str, files)))
    return panel


def press(panel, key):
    QtTest.QTest.keyClick(panel.ui.lesionTable, key)
    panel.app.processEvents()


def regionOf(panel, number):
    return panel.widget.resultSection.session.verdicts.lesion(number).region


def maskOf(panel, region):
    mask = np.zeros(panel.volume.GetImageData().GetDimensions()[::-1], bool)
    region.paint(mask, True)
    return mask


def rowOfLesion(panel, number):
    ui = panel.ui
    return [int(ui.lesionTable.item(row, 0).text()) for row in range(ui.lesionTable.rowCount)].index(number)


def moveSlider(panel, threshold):
    from LiverTumorSegPanel.sensitivitySlider import positionOf

    slider = panel.ui.sensitivitySlider
    slider.sliderPressed.emit()
    slider.value = positionOf(threshold)
    shown = panel.ui.sensitivityLabel.text
    slider.sliderReleased.emit()
    return shown


def test_a_readers_whole_session(session, slicer, application, tmp_path, temporaryFolder):
    panel, ui = session, session.ui
    panel.node = panel.segment()
    assert panel.node is not None, ui.findingsLabel.text
    first, count = labelsNow(panel), ui.lesionTable.rowCount
    assert count >= 10
    assert ui.lesionTable.currentRow() == 0

    slide(panel, first)
    rejected = reject(panel, slicer, number=3)
    acceptTheRest(panel, count)
    erased = correct(panel, slicer, numbers=(8, 5))
    mergeOne(panel, slicer, erased[0])
    findAtAClick(panel, slicer, erased[1])
    ui.lesionTable.setFocus()
    while "" in verdicts(panel):
        ui.lesionTable.setCurrentCell(verdicts(panel).index(""), 0)
        press(panel, QtCore.Qt.Key_A)
    follow(panel, slicer, application, tmp_path / "January")
    export(panel, application, tmp_path / "out", rejected)
    ui.resultSelector.setCurrentNode(None)
    assert not list(temporaryFolder.iterdir())


def slide(panel, first):
    """Move the sensitivity down and back to the default: the result is that of the run again, voxel for voxel."""
    from LiverTumorSegLib.labels import TUMOR

    shown = moveSlider(panel, 0.6)
    assert shown.startswith("Score of 6")
    fewer = labelsNow(panel)
    assert 0.3 < np.count_nonzero(fewer == TUMOR.value) / np.count_nonzero(first == TUMOR.value) < 0.95
    assert np.array_equal(fewer > 0, first > 0)
    panel.ui.defaultSensitivityButton.click()
    assert np.array_equal(labelsNow(panel), first)


def reject(panel, slicer, number):
    panel.ui.lesionTable.setCurrentCell(rowOfLesion(panel, number), 0)
    region = regionOf(panel, number)
    panel.ui.lesionTable.setFocus()
    press(panel, QtCore.Qt.Key_R)
    assert (labelsNow(panel)[region.box][region.mask] == 1).all()
    assert slicer.mrmlScene.GetSingletonNode("LiverTumorSegRejected", "vtkMRMLModelNode") is not None
    return maskOf(panel, region)


def acceptTheRest(panel, count):
    """Accept by one key a lesion: each press goes on to the next."""
    panel.ui.lesionTable.setFocus()
    panel.ui.lesionTable.setCurrentCell(0, 0)
    for _lesion in range(count - 1):
        press(panel, QtCore.Qt.Key_A)
    assert sorted(verdicts(panel)) == ["accept"] * (count - 1) + ["reject"]
    assert f"Accepted {count - 1} of {count}" in panel.ui.lesionHintLabel.text


def correct(panel, slicer, numbers):
    """Erase lesions with the segment editor; each becomes liver."""
    count = panel.ui.lesionTable.rowCount
    panel.ui.correctButton.collapsed = False
    editor = panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    masks = [maskOf(panel, regionOf(panel, number)) for number in numbers]
    for mask in masks:
        editor._stroke("tumor", mask, erase=True)
    panel.wait(lambda: panel.ui.lesionTable.rowCount == count - len(masks))
    assert all((labelsNow(panel)[mask] == 1).all() for mask in masks)
    assert "corrected by hand" in panel.ui.volumesLabel.text
    return masks


def mergeOne(panel, slicer, wanted):
    """Segment again and take over one of the differences: nothing else of the reader's result changes."""
    ui, before = panel.ui, labelsNow(panel)
    assert panel.segment() is panel.node
    assert np.array_equal(labelsNow(panel), before)
    changes = panel.widget.resultSection._candidate._changes
    lines = [ui.candidateList.item(row).text() for row in range(ui.candidateList.count)]
    assert ["you rejected it" in line for line in lines].count(True) == 1
    assert ["undoes your correction" in line for line in lines].count(True) == len(lines) - 1 == 2
    (chosen,) = [n for n, change in enumerate(changes) if maskOf(panel, change.region)[wanted].any()]
    ui.candidateList.setCurrentRow(chosen)
    ui.mergeButton.click()
    now = labelsNow(panel)
    assert np.array_equal(now != before, wanted), "that lesion, and nothing else"
    ui.closeCandidateButton.click()


def findAtAClick(panel, slicer, wanted):
    """Click where the other lesion was erased: that place alone is segmented again."""
    ui, before = panel.ui, labelsNow(panel)
    depth = ndimage.distance_transform_edt(wanted)
    middle = np.array(np.unravel_index(np.argmax(depth), depth.shape))
    clickAt(slicer, panel, middle)
    panel.wait(lambda: " found at a score of " in ui.placeLabel.text)
    now = labelsNow(panel)
    assert now[tuple(middle)] == 2
    assert np.count_nonzero(now[wanted] == 2) > 0.4 * np.count_nonzero(wanted)
    far = np.abs(np.argwhere(now != before) - middle) * panel.volume.GetSpacing()[::-1]
    assert far.max() < 30


def follow(panel, slicer, application, folder):
    """Compare with an earlier result that was saved with its CT: the patient lay elsewhere and had a lesion less."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegLib.output.segfile import write_segmentation
    from LiverTumorSegPanel.volumeExport import coreGrid

    folder.mkdir()
    ui, grid, labels = panel.ui, coreGrid(panel.volume), labelsNow(panel)
    missing = next(n for n, verdict in enumerate(verdicts(panel), 1) if verdict == "accept")
    region = regionOf(panel, missing)
    gone = float(np.count_nonzero(region.mask)) * np.prod(grid.spacing_mm) / 1000
    region.paint(labels, 1)
    earlier = replace(grid, origin_mm=tuple(np.add(grid.origin_mm, (9.0, -7.0, 6.0)).tolist()))
    write_segmentation(folder / "CT liver 1.seg.nrrd", earlier.image(labels), LIVER_TUMOR)
    sitk.WriteImage(earlier.image(slicer.util.arrayFromVolume(panel.volume) - 30), str(folder / "CT.nrrd"))
    ui.followUpButton.collapsed = False
    application.qt.QFileDialog.answer = str(folder / "CT liver 1.seg.nrrd")
    ui.earlierFileButton.click()
    assert ui.followUpLabel.text == "With its CT, CT.nrrd."
    ui.compareButton.click()
    panel.wait(lambda: panel.widget.followUpSection._process is None)
    rows = [
        [ui.followUpTable.item(row, column).text() for column in range(6)] for row in range(ui.followUpTable.rowCount)
    ]
    assert len(rows) >= 10, ui.followUpLabel.text
    (new,) = [row for row in rows if row[5] == "new"]
    assert float(new[2].split(" → ")[1]) == pytest.approx(gone, abs=0.06)
    assert {(row[4], row[5]) for row in rows if row is not new} == {("+0 %", "both")}
    document = panel.widget.followUpSection._answer.document
    followed = [track["mean_hu"] for track in document["tracks"] if track["event"] == "followed"]
    assert np.allclose([now - before for before, now in followed], 30, atol=0.1), "densities of both CTs"
    assert "a confirmed new one is progression" in ui.responseLabel.text
    assert ui.growthLabel.pixmap.width() > 100
    application.qt.QFileDialog.answer = str(folder / "page.html")
    ui.followUpPageButton.click()
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert page.count('<img alt="Lesion ') == min(len(rows), 30), "as many as a page shows"
    assert "no CT that fits" not in page


def export(panel, application, folder, rejected):
    """Everything that leaves has the accepted lesions; only the table tells of the rejected one too."""
    folder.mkdir()
    ui, dialogs, now = panel.ui, application.qt.QFileDialog, labelsNow(panel)
    accepted = verdicts(panel).count("accept")
    assert verdicts(panel).count("reject") == 1
    dialogs.answer = str(folder / "table.csv")
    assert panel.export(ui.exportButton) == "Written: table.csv."
    with (folder / "table.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == verdicts(panel)
    assert all(float(row["distance_to_liver_surface_mm"]) >= 0 for row in rows)
    dialogs.answer = str(folder / "page.html")
    panel.export(ui.reportButton)
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert f"accepted {accepted} of {accepted + 1}" in page
    dialogs.answer = str(folder)
    panel.export(ui.dicomButton)
    volume = highdicom.seg.segread(folder / "CT_liver_1.seg.dcm").get_volume(combine_segments=True)
    array = volume.array
    assert len(np.unique(array)) == accepted + 2, "background, liver, a segment for each accepted lesion"
    assert np.count_nonzero(array >= 2) == np.count_nonzero(now == 2)
    assert np.count_nonzero(array == 1) == np.count_nonzero(now == 1)
    assert (now[rejected] == 1).all()
    dialogs.answer = str(folder / "pairs")
    panel.export(ui.trainingButton)
    (label,) = (folder / "pairs").glob("*_label.nii.gz")
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(label))), now)
    (log,) = (folder / "pairs").glob("*.json")
    assert len(json.loads(log.read_text(encoding="utf-8"))["lesions"]) == accepted + 1
