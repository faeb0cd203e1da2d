"""A result beside an earlier one of the same patient: real MRML, Qt and the real child process."""

import json
import time

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from PySide6 import QtGui

SHAPE, SPACING = (40, 60, 70), (2.5, 2.5, 4.0)
A, B, C, D = (75, 60, 60), (75, 95, 100), (100, 60, 120), (60, 80, 85)


def labels(lesions):
    """Draw a liver with balls: (centre [z, y, x] mm, radius mm)."""
    axes = [np.arange(n) * s for n, s in zip(SHAPE, SPACING[::-1], strict=True)]
    where = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    drawn = (((where - (80, 78, 85)) / (62, 62, 74)) ** 2).sum(-1) <= 1
    drawn = drawn.astype(np.uint8)
    for centre, radius in lesions:
        drawn[((where - np.array(centre)) ** 2).sum(-1) <= radius**2] = 2
    return drawn


def addResult(slicer, name, lesions, shift=(0.0, 0.0, 0.0)):
    """Add a CT and its result; the patient lay elsewhere by `shift` (RAS mm)."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import gridOf

    drawn = labels(lesions)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"CT {name}")
    values = np.array([-100, 110, 60], np.int16)[drawn]
    values += np.random.default_rng(0).integers(-10, 11, drawn.shape, dtype=np.int16)
    slicer.util.updateVolumeFromArray(volume, values)
    volume.SetSpacing(*SPACING)
    volume.SetOrigin(*shift)
    node = commitSegmentation(volume, Labelmap(drawn, LIVER_TUMOR, gridOf(volume)), name, attributesOfReport({}))
    return node, volume


@pytest.fixture
def followed(panel, slicer):
    """A result with a grown, a gone and a new lesion, and the earlier one."""
    panel.open()
    panel.earlier, _ = addResult(slicer, "January", [(A, 14), (B, 11), (C, 9)])
    panel.node, volume = addResult(slicer, "March", [(A, 18), (B, 11), (D, 8)], (12.0, -9.0, 5.0))
    panel.widget._onResult(panel.node, volume, None)
    panel.ui.followUpButton.collapsed = False
    return panel


def rows(table):
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def compare(panel):
    panel.ui.compareButton.click()
    assert panel.ui.followUpProgressBar.visible
    assert not panel.ui.earlierSelector.enabled
    panel.wait(lambda: panel.widget.followUpSection._process is None)


def test_lesions_are_paired_and_the_page_is_saved(followed, slicer, application, temporaryFolder, tmp_path):
    panel, ui = followed, followed.ui
    assert not ui.compareButton.enabled
    assert ui.followUpLabel.text.startswith("Choose an earlier result of the same patient")
    assert not ui.followUpTable.visible
    ui.earlierSelector.setCurrentNode(panel.node)
    assert not ui.compareButton.enabled, "not with itself"
    ui.earlierSelector.setCurrentNode(panel.earlier)
    compare(panel)
    assert ui.followUpLabel.text == ""
    found = rows(ui.followUpTable)
    assert [row[0] for row in found] == ["1", "2", "3", "4"]
    assert sorted(row[5] for row in found) == ["both", "both", "gone", "new"]
    grown = found[0]
    assert grown[1] == "1 → 1"
    before, now = (float(value) for value in grown[2].split(" → "))
    ball = 4 / 3 * np.pi / 1000
    assert (before, now) == pytest.approx((ball * 14**3, ball * 18**3), rel=0.08)
    assert float(grown[4].rstrip(" %")) == pytest.approx(100 * ((18 / 14) ** 3 - 1), abs=15)
    assert next(row for row in found if row[5] == "gone")[4] == "−100 %"
    new = next(row for row in found if row[5] == "new")
    assert new[1].startswith("– → ")
    assert new[4] == "–"
    assert ui.followUpTotalsLabel.text.startswith("All lesions ")
    assert "Sum of the target diameters 5" in ui.responseLabel.text
    assert "stable disease" in ui.responseLabel.text or "progressive disease" in ui.responseLabel.text
    assert "Lesions without a partner in the earlier scan: 1" in ui.responseLabel.text
    assert "a physician decides" in ui.responseLabel.text
    picture = ui.growthLabel.pixmap.toImage()
    colors = {
        QtGui.QColor(picture.pixel(x, y)).name() for x in range(0, picture.width(), 2) for y in range(picture.height())
    }
    assert len(colors) > 10, "curves are drawn"
    assert not list(temporaryFolder.iterdir())

    application.qt.QFileDialog.answer = str(tmp_path / "page")
    ui.followUpPageButton.click()
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "January" in page
    assert "an aid for a reader" in page.lower()
    ui.resultSelector.setCurrentNode(None)
    assert not ui.followUpButton.visible


def save(path, image=None):
    """Write the earlier result to a file, and its CT."""
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegLib.output.segfile import write_segmentation

    drawn = labels([(A, 14), (B, 11), (C, 9)])
    for target, array in ((path, drawn), (image, np.array([-100, 110, 45], np.int16)[drawn])):
        if target is not None:
            written = sitk.GetImageFromArray(array)
            written.SetSpacing(SPACING)
            if target is path:
                write_segmentation(path, written, LIVER_TUMOR)
            else:
                sitk.WriteImage(written, str(image))


def densities(panel):
    """Return what the tips of the first lesion tell of its densities."""
    return {panel.ui.followUpTable.item(0, column).toolTip() for column in range(6)}


def test_a_saved_result_is_an_earlier_one_too(followed, application, tmp_path, temporaryFolder):
    panel, ui = followed, followed.ui
    path = tmp_path / "Jänner -x.seg.nrrd"
    save(path)
    ui.earlierSelector.setCurrentNode(panel.earlier)
    application.qt.QFileDialog.answer = str(path)
    ui.earlierFileButton.click()
    assert ui.earlierFileLabel.text == path.name
    assert ui.earlierSelector.currentNode() is None
    assert "Its CT was not found" in ui.followUpLabel.text
    compare(panel)
    assert len(rows(ui.followUpTable)) == 4, ui.followUpLabel.text
    assert "no CT that fits" in ui.followUpWarningsLabel.text
    assert densities(panel) == {"Mean density – → 60 HU."}
    assert not list(temporaryFolder.iterdir())
    ui.earlierSelector.setCurrentNode(panel.earlier)
    assert not ui.earlierFileLabel.visible
    assert not ui.followUpTable.visible, "what was found is of the other one"


@pytest.mark.parametrize("name", ["Jänner.nrrd", "Jänner.nii.gz", "folder"])
def test_the_ct_of_a_saved_result_is_used(followed, application, tmp_path, dicom_series, name):
    panel, ui = followed, followed.ui
    path = tmp_path / "Jänner liver 2.seg.nrrd"
    if name == "folder":
        save(path, tmp_path / "ct.nrrd")
        dicom_series(tmp_path / name, sitk.ReadImage(str(tmp_path / "ct.nrrd")))
        report = {"input": {"path": str(tmp_path / name)}}
        (tmp_path / "Jänner liver 2.report.json").write_text(json.dumps(report), encoding="utf-8")
    else:
        save(path, tmp_path / name)
    application.qt.QFileDialog.answer = str(path)
    ui.earlierFileButton.click()
    assert ui.followUpLabel.text == f"With its CT, {name}."
    compare(panel)
    assert ui.followUpLabel.text == ""
    assert densities(panel) == {"Mean density 45 → 60 HU."}
    assert "no CT" not in ui.followUpWarningsLabel.text


def test_an_earlier_result_without_its_ct_in_the_scene(followed, slicer, tmp_path):
    """One that was loaded from a file stands for the file; of any other the panel says what is missing."""
    panel, ui = followed, followed.ui
    ui.earlierSelector.setCurrentNode(panel.node)
    assert "This is the result that is shown" in ui.followUpLabel.text
    slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetFirstNodeByName("CT January"))
    ui.earlierSelector.setCurrentNode(panel.earlier)
    assert ui.followUpLabel.text.startswith("The CT of 'January' is not in the scene: ")
    assert not ui.compareButton.enabled
    save(tmp_path / "January.seg.nrrd", tmp_path / "January.nrrd")
    loaded = slicer.util.loadSegmentation(str(tmp_path / "January.seg.nrrd"))
    ui.earlierSelector.setCurrentNode(loaded)
    assert ui.followUpLabel.text == ""
    compare(panel)
    assert densities(panel) == {"Mean density 45 → 60 HU."}
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Spleen")
    ui.earlierSelector.setCurrentNode(other)
    assert "has no segments 'liver' and 'tumor'" in ui.followUpLabel.text


def test_what_cannot_be_compared_is_said_in_one_sentence(followed, application, tmp_path):
    panel, ui = followed, followed.ui
    empty = tmp_path / "empty.nii.gz"
    sitk.WriteImage(sitk.Image((20, 20, 20), sitk.sitkUInt8), str(empty))
    application.qt.QFileDialog.answer = str(empty)
    ui.earlierFileButton.click()
    compare(panel)
    assert "neither liver nor tumour" in ui.followUpLabel.text
    assert not ui.followUpTable.visible


@pytest.mark.parametrize("end", ["cancel", "kill", "close the scene"])
def test_a_comparison_that_ends_early_leaves_nothing(followed, slicer, temporaryFolder, end):
    panel, ui = followed, followed.ui
    ui.earlierSelector.setCurrentNode(panel.earlier)
    ui.compareButton.click()
    panel.wait(lambda: panel.widget.followUpSection._process.process.pid is not None)
    child = psutil.Process(panel.widget.followUpSection._process.process.pid)
    if end == "cancel":
        ui.cancelCompareButton.click()
        assert ui.followUpLabel.text == "Cancelled."
    elif end == "kill":
        child.kill()
        panel.wait(lambda: "ended by the system" in ui.followUpLabel.text, 20)
    else:
        slicer.mrmlScene.Clear(False)
        assert not ui.followUpButton.visible
    assert panel.widget.followUpSection._process is None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not list(temporaryFolder.iterdir())
    assert end == "close the scene" or ui.compareButton.visible


def dateStudies(slicer, *dated):
    """Put each CT into a study of its date, as the DICOM module does: (segmentation, YYYYMMDD)."""
    from LiverTumorSegPanel.followUpProcess import studyDay
    from LiverTumorSegPanel.followUpSection import timePointOf

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    points = [timePointOf(node) for node, _date in dated]
    for point, (_node, date) in zip(points, dated, strict=True):
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), date)
        hierarchy.SetItemAttribute(study, constants.GetDICOMStudyDateAttributeName(), date)
        assert studyDay(point.volumeNode) == ""
        hierarchy.CreateItem(study, point.volumeNode)
    return points


def test_what_changed_since_is_said_and_makes_no_page(followed, slicer):
    panel, ui = followed, followed.ui
    ui.earlierSelector.setCurrentNode(panel.earlier)
    compare(panel)
    ui.lesionTable.setCurrentCell(0, 0)
    ui.acceptButton.click()  # a verdict alone changes no voxel
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    for make in (panel.node.RemoveClosedSurfaceRepresentation, panel.node.CreateClosedSurfaceRepresentation):
        make()
    assert panel.node.GetSegmentation().ContainsRepresentation(name)
    settle(panel, 0.5)
    assert ui.followUpLabel.text == ""
    assert ui.followUpPageButton.enabled
    ui.lesionTable.setCurrentCell(0, 0)
    ui.rejectButton.click()
    panel.wait(lambda: not ui.followUpPageButton.enabled, 10)
    assert "press Compare again" in ui.followUpLabel.text
    assert ui.followUpTable.visible, "what was found can still be read"
    before = rows(ui.followUpTable)
    compare(panel)
    assert ui.followUpLabel.text == ""
    assert ui.followUpPageButton.enabled
    assert rows(ui.followUpTable) != before
    volume = slicer.util.getNode("CT January")
    slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume) + np.int16(40))
    panel.wait(lambda: not ui.followUpPageButton.enabled, 10)
    assert "press Compare again" in ui.followUpLabel.text


def settle(panel, seconds):
    """Let Qt work for a while."""
    end = time.monotonic() + seconds
    panel.wait(lambda: time.monotonic() > end)


def test_an_edit_while_it_compares_is_noticed(followed):
    panel, ui = followed, followed.ui
    ui.earlierSelector.setCurrentNode(panel.earlier)
    ui.compareButton.click()
    ui.lesionTable.setCurrentCell(0, 0)
    ui.rejectButton.click()
    panel.wait(lambda: panel.widget.followUpSection._process is None)
    assert "press Compare again" in ui.followUpLabel.text
    assert not ui.followUpPageButton.enabled


def test_dates_the_wrong_way_round_are_said_before_and_after(followed, slicer):
    panel, ui = followed, followed.ui
    dateStudies(slicer, (panel.earlier, "20240302"), (panel.node, "20240110"))
    ui.earlierSelector.setCurrentNode(panel.earlier)
    words = "'January' is of 2024-03-02, after the shown result of 2024-01-10"
    assert words in ui.followUpLabel.text
    compare(panel)
    assert words.replace("'", "&#x27;") in ui.followUpWarningsLabel.text
    ui.resultSelector.setCurrentNode(panel.earlier)
    assert "This is the result that is shown" in ui.followUpLabel.text
    assert not ui.compareButton.enabled
    ui.earlierSelector.setCurrentNode(panel.node)
    assert ui.followUpLabel.text == "", "now they are in order"
    assert ui.compareButton.enabled


def test_dates_of_the_studies_are_told_when_they_are_in_order(followed, slicer):
    from LiverTumorSegPanel.followUpProcess import followUpCommand

    points = dateStudies(slicer, (followed.earlier, "20240110"), (followed.node, "20240302"))
    files = [("a.seg.nrrd", "a.nrrd"), ("b.seg.nrrd", "b.nrrd")]
    command = followUpCommand(*points, files)
    assert command[command.index("--dates") + 1 :] == ["2024-01-10", "2024-03-02"]
    assert "--dates" not in followUpCommand(*reversed(points), files)


def test_words_of_a_curve_do_not_lie_on_each_other(application):
    from LiverTumorSegPanel.growthPicture import heightOf, spread

    assert spread([50, 10, 52, 51], 10, 100) == [50, 10, 70, 60]
    assert spread([50, 10, 52, 51], 10, 65) == [45, 10, 65, 55], "not below the picture's foot"
    assert spread([], 10, 100) == []
    rates = [heightOf(after, 1, 100) - heightOf(before, 1, 100) for before, after in ((1, 2), (20, 40))]
    assert rates[0] == pytest.approx(rates[1]), "equal rates, equal slopes"
