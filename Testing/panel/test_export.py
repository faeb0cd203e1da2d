"""What the panel writes for others: page and DICOM objects with the accepted lesions, on real MRML."""

import csv
import types

import numpy as np
import psutil
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

import SimpleITK as sitk

LESIONS = (np.s_[3:8, 6:14, 10:20], np.s_[4:7, 20:25, 24:30])


@pytest.fixture
def judged(panel, slicer, tmp_path, make_ct, dicom_series, monkeypatch):
    """A CT from DICOM with two lesions, the first accepted, the second rejected."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegLib.scan.imageio import read_case
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import gridOf

    dicom_series(tmp_path / "scan", make_ct(size=(40, 32, 12), spacing=(4, 4.5, 3)))
    case = read_case(tmp_path / "scan")
    path = tmp_path / "ct.nrrd"
    sitk.WriteImage(case.image, str(path))
    panel.open()
    panel.volume = slicer.util.loadVolume(str(path))
    panel.files = dict(enumerate(case.dicom_files))
    labels = np.zeros(case.image.GetSize()[::-1], np.uint8)
    labels[2:11, 3:28, 6:36] = 1
    for box in LESIONS:
        labels[box] = 2
    report = {"threshold": 0.5, "model": {"id": "liver-tumor", "version": "1.2.3", "sha256": "ab" * 32}}
    labelmap = Labelmap(labels, LIVER_TUMOR, gridOf(panel.volume))
    panel.node = commitSegmentation(panel.volume, labelmap, "CT liver 1", attributesOfReport(report))
    panel.widget._onResult(panel.node, panel.volume, None)
    panel.told = []
    for name in ("warningDisplay", "infoDisplay"):
        monkeypatch.setattr(slicer.util, name, panel.told.append)
    return panel


def judge(panel):
    for row, button in enumerate((panel.ui.acceptButton, panel.ui.rejectButton)):
        panel.ui.lesionTable.setCurrentCell(row, 0)
        button.click()


def fromDicom(panel, slicer, monkeypatch):
    """Let the CT be one that Slicer's DICOM module loaded."""
    database = types.SimpleNamespace(fileForInstance=lambda uid: panel.files.get(int(uid), ""))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    panel.volume.SetAttribute("DICOM.instanceUIDs", " ".join(map(str, panel.files)))


def test_dicom_objects_of_the_accepted_lesion(judged, slicer, application, tmp_path, monkeypatch):
    highdicom = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    panel = judged
    panel.ui.dicomButton.click()
    assert "was not loaded from DICOM files" in panel.told.pop()
    fromDicom(panel, slicer, monkeypatch)
    panel.ui.dicomButton.click()
    assert "No lesion is accepted" in panel.told.pop()
    judge(panel)
    folder = tmp_path / "out"
    folder.mkdir()
    dialogs = application.qt.QFileDialog
    dialogs.answer = str(folder)
    dialogs.mayClose = lambda: panel.ui.resultSelector.setCurrentNode(None) or True  # another result meanwhile
    told = panel.export(panel.ui.dicomButton)
    assert told == "Written: CT_liver_1.seg.dcm, CT_liver_1.sr.dcm, accepted lesions only."
    segmentation = highdicom.seg.segread(folder / "CT_liver_1.seg.dcm")
    volume = segmentation.get_volume(combine_segments=True)
    assert np.count_nonzero(volume.array == 2) == 5 * 8 * 10
    assert set(np.unique(volume.array)) == {0, 1, 2}
    groups = highdicom.sr.srread(folder / "CT_liver_1.sr.dcm").content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["liver", "lesion 1"]
    panel.ui.resultSelector.setCurrentNode(panel.node)
    panel.files[3] = str(tmp_path / "gone.dcm")
    panel.ui.dicomButton.click()
    assert "have been moved" in panel.told[-1]


def test_dicom_files_that_exist_are_replaced_only_when_the_reader_says_so(
    judged, slicer, application, tmp_path, monkeypatch
):
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    panel, asked = judged, []
    judge(panel)
    fromDicom(panel, slicer, monkeypatch)
    application.qt.QFileDialog.answer = str(tmp_path)
    (tmp_path / "CT_liver_1.sr.dcm").write_bytes(b"of another patient")
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or len(asked) > 1)
    panel.export(panel.ui.dicomButton)
    assert asked == [f"CT_liver_1.sr.dcm: in {tmp_path} there is such a file already. Replace it?"]
    assert (tmp_path / "CT_liver_1.sr.dcm").read_bytes() == b"of another patient"
    assert not (tmp_path / "CT_liver_1.seg.dcm").exists()
    assert panel.ui.dicomButton.enabled
    told = panel.export(panel.ui.dicomButton)
    assert told == "Written: CT_liver_1.seg.dcm, CT_liver_1.sr.dcm, accepted lesions only."
    assert (tmp_path / "CT_liver_1.sr.dcm").read_bytes()[128:132] == b"DICM"


def test_a_name_that_gets_its_ending_here_replaces_nothing_without_a_question(
    judged, slicer, application, tmp_path, monkeypatch
):
    """The dialog looked for "report", which is not there; "report.csv" is."""
    panel, asked = judged, []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or len(asked) > 1)
    (tmp_path / "report.csv").write_text("before", encoding="utf-8")
    application.qt.QFileDialog.answer = str(tmp_path / "report")
    panel.export(panel.ui.exportButton)
    assert asked == [f"report.csv: in {tmp_path} there is such a file already. Replace it?"]
    assert (tmp_path / "report.csv").read_text(encoding="utf-8") == "before"
    assert panel.export(panel.ui.exportButton) == "Written: report.csv."
    assert "volume_ml" in (tmp_path / "report.csv").read_text(encoding="utf-8")
    application.qt.QFileDialog.answer = str(tmp_path / "report.csv")
    assert panel.export(panel.ui.exportButton) == "Written: report.csv."
    assert len(asked) == 2, "of a whole name the dialog itself asks"


def test_a_ct_whose_file_is_dicom_needs_no_database(judged, slicer):
    from LiverTumorSegPanel.dicomFiles import dicomFilesOf

    assert dicomFilesOf(judged.volume) == []
    storage = judged.volume.GetStorageNode()
    storage.SetFileName(judged.files[0])
    storage.ResetFileNameList()
    for path in judged.files.values():
        storage.AddFileName(path)
    assert dicomFilesOf(judged.volume) == list(judged.files.values())


def test_a_page_of_the_accepted_lesion(judged, application, tmp_path):
    panel = judged
    judge(panel)
    application.qt.QFileDialog.answer = str(tmp_path / "page")
    assert panel.export(panel.ui.reportButton) == "Written: page.html, accepted lesions only."
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 1
    assert "accepted 1 of 2" in text
    assert "Model liver-tumor 1.2.3" in text


def test_what_writes_the_page_is_installed_when_it_is_asked_for(judged, slicer, monkeypatch, tmp_path, application):
    from LiverTumorSegPanel import dependencies

    panel, asked, installed = judged, [], []
    judge(panel)
    monkeypatch.setattr(dependencies, "_notInstalled", lambda names: [] if installed else list(names))
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or len(asked) > 1)
    monkeypatch.setattr(slicer.util, "pip_install", installed.extend, raising=False)
    if hasattr(slicer, "packaging"):  # on Slicer's own sources from 5.12 on
        monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda names, **_options: installed.extend(names))
    application.qt.QFileDialog.answer = str(tmp_path / "page.html")
    panel.ui.reportButton.click()
    assert "jinja2>=3.1" in asked[0]
    assert not (tmp_path / "page.html").exists()
    panel.export(panel.ui.reportButton)
    assert installed == ["jinja2>=3.1", "matplotlib>=3.8"]
    assert (tmp_path / "page.html").exists()


def test_a_run_that_ends_while_packages_are_installed_is_not_exported(judged, slicer, monkeypatch, application):
    from LiverTumorSegPanel import exportSection

    panel = judged
    judge(panel)
    installing = lambda _packages: panel.ui.resultSelector.setCurrentNode(None) or True  # noqa: E731
    monkeypatch.setattr(exportSection, "ensurePackages", installing)
    panel.ui.reportButton.click()
    assert "nothing was written" in panel.told[-1]
    assert not application.qt.QFileDialog.asked


def test_the_table_has_the_distance_to_the_surface_also_after_an_edit(judged, slicer, application, tmp_path):
    from LiverTumorSegLib.pipeline.lesions import measure_lesions
    from LiverTumorSegPanel.segmentLabels import readLabels
    from LiverTumorSegPanel.volumeExport import coreGrid

    panel = judged
    panel.ui.correctButton.collapsed = False
    editor = panel.parent.findChild(slicer.qMRMLSegmentEditorWidget)
    mask = np.zeros((12, 32, 40), bool)
    mask[1:3, 3:28, 6:36] = True  # the outline moves: all distances change
    editor._stroke("liver", mask)
    application.qt.QFileDialog.answer = str(tmp_path / "a.csv")
    panel.export(panel.ui.exportButton)
    with (tmp_path / "a.csv").open(encoding="utf-8") as stream:
        told = [float(row["distance_to_liver_surface_mm"]) for row in csv.DictReader(stream)]
    grid = coreGrid(panel.volume)
    labels = readLabels(panel.node, panel.volume)
    assert labels[1, 10, 10] == 1
    expected = measure_lesions(grid.image(labels), grid.image(slicer.util.arrayFromVolume(panel.volume)))
    assert told == pytest.approx([lesion.distance_to_liver_surface_mm for lesion in expected])


def test_the_panel_goes_on_while_a_page_is_written(judged, slicer, application, tmp_path, temporaryFolder):
    panel, ui = judged, judged.ui
    judge(panel)
    application.qt.QFileDialog.answer = str(tmp_path / "page.html")
    ui.reportButton.click()
    assert not (tmp_path / "page.html").exists(), "the click does not wait for it"
    assert ui.exportBar.visible
    assert ui.cancelExportButton.visible
    buttons = (ui.exportButton, ui.reportButton, ui.dicomButton, ui.trainingButton)
    assert not any(button.enabled for button in buttons)
    ui.lesionTable.setCurrentCell(0, 0)
    ui.acceptButton.click()  # takes the verdict back: what is written was taken when the button was pressed
    assert panel.widget.resultSection._export.isWriting
    seen = set()
    while panel.widget.resultSection._export.isWriting:
        panel.wait(lambda: not panel.widget.resultSection._export.isWriting or ui.exportLabel.text not in seen)
        seen.add(ui.exportLabel.text)
    assert ui.exportLabel.text == "Written: page.html, accepted lesions only."
    assert any(" s" in text for text in seen)
    assert "accepted 1 of 2" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(button.enabled for button in buttons)
    assert not ui.exportBar.visible
    assert not list(temporaryFolder.iterdir())


def end_by_cancel(panel, _slicer):
    panel.ui.cancelExportButton.click()
    return "Cancelled. Nothing was written."


def end_by_kill(panel, _slicer):
    psutil.Process(panel.widget.resultSection._export._process._process.pid).kill()
    return "ended by the system"


def end_by_closing(panel, slicer):
    slicer.mrmlScene.Clear(False)
    return ""


@pytest.mark.parametrize("end", [end_by_cancel, end_by_kill, end_by_closing])
def test_an_export_that_is_ended_leaves_nothing(judged, slicer, application, tmp_path, temporaryFolder, end):
    panel = judged
    judge(panel)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "page.html").write_text("before", encoding="utf-8")
    application.qt.QFileDialog.answer = str(folder / "page.html")
    panel.ui.reportButton.click()
    panel.wait(lambda: panel.ui.exportBar.value > 0)
    words = end(panel, slicer)
    panel.wait(lambda: not panel.widget.resultSection._export.isWriting)
    assert words in panel.ui.exportLabel.text
    assert [path.name for path in folder.iterdir()] == ["page.html"]
    assert (folder / "page.html").read_text(encoding="utf-8") == "before"
    assert not list(temporaryFolder.iterdir())


def test_a_folder_that_takes_nothing_is_one_sentence(judged, application, tmp_path):
    panel = judged
    judge(panel)
    (tmp_path / "file").write_text("", encoding="utf-8")
    application.qt.QFileDialog.answer = str(tmp_path / "file" / "page.html")
    told = panel.export(panel.ui.reportButton)
    assert told.startswith(f"The folder {tmp_path / 'file'} cannot be made")
    assert "--output" not in told
    assert panel.ui.reportButton.enabled
