"""Parts of the panel that need no run: words, model folders, checks of the input, dependencies, sample data."""

import gc
import re
import subprocess
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

import vtk
from scene_state import addScan
from slicer_boot import MODULE_FOLDER

HERE = Path(__file__).parent


def test_reload_reads_the_panel_and_the_core_anew(panel, slicer, application, monkeypatch):
    import LiverTumorSegPanel.findingsText as before

    base = application.module.ScriptedLoadableModuleWidget
    seen = []
    monkeypatch.setattr(base, "onReload", lambda self: seen.append(sorted(sys.modules)), raising=False)
    kept = {name: module for name, module in sys.modules.items() if name.startswith("LiverTumorSeg")}
    panel.widget.onReload()
    assert not [name for name in seen[0] if name.startswith(("LiverTumorSegPanel", "LiverTumorSegLib"))]
    import LiverTumorSegPanel.findingsText as after

    assert after is not before
    sys.modules.update(kept)


def test_a_panel_that_is_left_stays_on_no_parameter_node(panel, slicer):
    node = slicer.mrmlScene.GetSingletonNode("LiverTumorSeg", "vtkMRMLScriptedModuleNode")
    for _visit in range(3):
        panel.widget.exit()
        panel.widget.enter()
    assert node.HasObserver(vtk.vtkCommand.ModifiedEvent)
    panel.ui.qualityComboBox.setCurrentIndex(0)
    assert panel.widget._parameterNode.quality.name == "quick"
    panel.widget.setParameterNode(None)
    gc.collect()
    assert not node.HasObserver(vtk.vtkCommand.ModifiedEvent)


def test_the_catalogue_keeps_the_whole_description():
    text = (MODULE_FOLDER.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'set\((EXTENSION_\w+) "(.*)"\)', text))
    assert {"EXTENSION_DESCRIPTION", "EXTENSION_HOMEPAGE", "EXTENSION_DEPENDS"} <= set(values)
    for name, value in values.items():
        _kept, *lost = value.split(";")  # what CMake takes the value for: a list
        assert not lost, f"{name} would lose {lost}"
    assert "for research use only" in values["EXTENSION_DESCRIPTION"].lower()


def test_panel_brings_no_torch_into_slicer():
    """The panel, and what it uses of the core in Slicer's process, load with torch and safetensors blocked."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent / 'mrml')!r}]\n"
        "import slicer_boot; slicer_boot.boot()\n"
        "import qt_stand_in; qt_stand_in.makeQtModule()\n"
        "import LiverTumorSegPanel.segmentSection, LiverTumorSegPanel.resultSection, LiverTumorSegPanel.sampleData\n"
        "import LiverTumorSegLib.pipeline.lesions\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr


def test_every_named_widget_of_the_code_is_in_the_ui_file():
    root = ElementTree.parse(MODULE_FOLDER / "Resources" / "UI" / "LiverTumorSeg.ui").getroot()
    names = {element.get("name") for element in root.iter("widget")}
    used = set()
    for path in [MODULE_FOLDER / "LiverTumorSeg.py", *(MODULE_FOLDER / "LiverTumorSegPanel").glob("*.py")]:
        used |= set(re.findall(r"\bui\.(\w+)|\"(\w+Button)\": self\.", path.read_text(encoding="utf-8")))
    used = {name for names_ in used for name in names_ if name}
    assert used <= names
    interactive = {
        element.get("name")
        for element in root.iter("widget")
        if element.get("class") in ("QPushButton", "QToolButton", "QComboBox", "qMRMLNodeComboBox", "QProgressBar")
    }
    bound = {e.get("name") for e in root.iter("widget") if any(p.get("name") == "SlicerParameterName" for p in e)}
    assert interactive - bound <= used


def test_durations_and_remaining_time(application):
    from LiverTumorSegPanel.progressText import RunClock, durationText

    assert [durationText(s) for s in (0.2, 59.4, 65, 3725)] == ["0 s", "59 s", "1 min 05 s", "1 h 02 min"]
    clock = RunClock(100.0)
    assert clock.text("Reading", 101.0) == "Reading – 1 s elapsed"
    clock.report(0.25, 110.0)
    assert clock.text("Tile 1", 110.0) == "Tile 1 – 10 s elapsed, about 30 s left"
    assert clock.text("Tile 1", 120.0) == "Tile 1 – 20 s elapsed, about 20 s left"
    clock.report(0.1, 121.0)
    assert clock.fraction == 0.25


def test_findings_are_escaped_sorted_and_said_once(application):
    from LiverTumorSegPanel.findingsText import findingsAsHtml
    from LiverTumorSegPanel.panelFinding import PanelFinding, findingFromEvent, mayForce

    low = PanelFinding("info", "a <b> & c")
    error = findingFromEvent({"grade": "error", "message": "not a CT", "overridable": True})
    html = findingsAsHtml([low, error, low])
    assert html.count("a &lt;b&gt; &amp; c") == 1
    assert html.index("not a CT") < html.index("a &lt;b&gt;")
    assert mayForce([low, error])
    assert not mayForce([low])
    assert not mayForce([error, PanelFinding("error", "2D")])
    assert findingFromEvent({"grade": "strange"}).grade == "warning"


def test_input_without_voxels_vectors_and_label_maps(slicer):
    from LiverTumorSegPanel.inputCheck import checkVolumeNode

    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing")
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "Photo")
    import numpy as np

    slicer.util.updateVolumeFromArray(colour, np.zeros((4, 5, 6, 3), np.uint8))
    sentences = [checkVolumeNode(node)[0] for node in (empty, label, colour)]
    assert [s.grade for s in sentences] == ["error"] * 3
    assert "'Nothing' has no image data" in sentences[0].message
    assert "is a label map" in sentences[1].message
    assert "3 values in each voxel" in sentences[2].message
    assert checkVolumeNode(None)[0].message == "Choose the CT to segment."
    assert checkVolumeNode(addScan()) == []


def test_time_point_of_a_sequence_is_said(slicer):
    from LiverTumorSegPanel.inputCheck import checkVolumeNode

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    for time in range(4):
        scan = addScan(f"t{time}", shape=(4, 5, 6))
        sequence.SetDataNodeAtValue(scan, str(time))
        slicer.mrmlScene.RemoveNode(scan)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Perfusion browser")
    browser.AddSynchronizedSequenceNode(sequence)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    browser.SetSelectedItemNumber(2)
    (finding,) = checkVolumeNode(browser.GetProxyNode(sequence))
    assert finding.grade == "warning"
    assert "'Perfusion browser'" in finding.message
    assert "(3 of 4)" in finding.message


def test_modality_comes_from_the_subject_hierarchy(slicer):
    from LiverTumorSegPanel.inputCheck import modalityOf

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    volume = addScan()
    assert modalityOf(volume) is None
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert modalityOf(volume) == "MR"


@pytest.mark.parametrize("window", ["#f0f0f0", "#ffffff", "#323232", "#1e1e1e", "#7a7a7a"])
def test_text_can_be_read_in_light_and_dark_themes(application, monkeypatch, window):
    from LiverTumorSegPanel.findingsText import findingsAsHtml
    from LiverTumorSegPanel.panelFinding import GRADES, PanelFinding
    from LiverTumorSegPanel.textColors import contrast, textColor

    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the example of the WCAG
    palette = application.app.palette()
    palette.setColor(palette.ColorRole.Window, window)
    monkeypatch.setattr(application.slicer.app, "palette", lambda: palette)
    colors = [textColor(kind) for kind in (*GRADES, "quiet")]
    assert min(contrast(color, window) for color in colors) >= 4.5
    assert len(set(colors)) == 4 or window == "#7a7a7a"
    html = findingsAsHtml([PanelFinding(grade, grade) for grade in GRADES])
    assert all(textColor(grade) in html for grade in GRADES)


def test_sample_data_is_registered_after_startup_with_a_checksum(application, slicer, monkeypatch):
    registered = []
    logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **source: registered.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    slicer.app.connections.clear()
    import slicer_stand_in

    parent = slicer_stand_in.ModuleParent(MODULE_FOLDER / "LiverTumorSeg.py")
    application.module.LiverTumorSeg(parent)
    assert "research use only" in parent.helpText
    assert registered == []
    ((signal, function),) = [c for c in slicer.app.connections if "startup" in c[0]]
    assert signal == "startupCompleted()"
    function()
    (source,) = registered
    assert source["checksums"].removeprefix("SHA256:") in source["uris"]
    assert (MODULE_FOLDER / "Resources" / "Icons" / "LiverTumorSeg.png").is_file()
    assert source["thumbnailFileName"].endswith("LiverTumorSegCT.png")


def test_scene_with_a_result_is_saved_and_opened_again(slicer, tmp_path):
    from LiverTumorSegPanel.resultRecords import attributesOfReport, lesionsOf, volumesOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT liver 1")
    lesion = {"id": 1, "volume_ml": 2.5, "centroid_lps_mm": [1.0, -2.0, 3.5], "mean_probability": None}
    report = {
        "volumes_ml": {"liver": 1400.0, "tumor": 2.5},
        "lesions": [lesion],
        "model": {"id": "a;b:c", "version": "1"},
    }
    for name, value in attributesOfReport(report).items():
        node.SetAttribute(name, value)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Connect()
    again = slicer.mrmlScene.GetFirstNodeByName("CT liver 1")
    assert volumesOf(again) == report["volumes_ml"]
    (record,) = lesionsOf(again)
    assert (record.number, record.verdict) == (1, "")
    assert record.figures.items() >= {"volume_ml": 2.5, "mean_probability": None}.items()
    assert record.placeRas == (-1.0, 2.0, 3.5)
    assert again.GetAttribute("LiverTumorSeg.Model") == "a;b:c 1"
