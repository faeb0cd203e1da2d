"""Parts of the panel that need no run: words, model folders, checks of the input, dependencies, sample data."""

import gc
import json
import re
import subprocess
import sys
import types
import weakref
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from scene_state import addScan
from slicer_boot import MODULE_FOLDER

HERE = Path(__file__).parent


def test_misspelt_signals_and_properties_are_errors(application):
    button = application.qt.QPushButton("x")
    button.connect("clicked()", lambda: None)
    button.enabled = False
    assert button.enabled is False
    for wrong in (lambda: button.connect("clicket()", print), lambda: setattr(button, "enabeld", True)):
        with pytest.raises((ValueError, AttributeError)):
            wrong()
    label, bar = application.qt.QLabel(), application.qt.QProgressBar()
    label.text, bar.value = 5, 3.7  # converted without a word, as PythonQt does
    assert (label.text, bar.value) == ("5", 3)


def test_a_connected_method_keeps_its_object_alive_until_it_is_disconnected(application):
    class Owner:
        def __init__(self):
            self.timer = application.qt.QTimer()
            self.timer.connect("timeout()", self.called)

        def called(self):
            return None

    owner = Owner()
    watch = weakref.ref(owner)
    timer, slot = owner.timer, owner.called
    del owner, slot
    gc.collect()
    assert watch() is not None
    timer.disconnect("timeout()", watch().called)
    del timer
    gc.collect()
    assert watch() is None


def test_collapsed_is_a_property_only(application):
    import ctk

    button = ctk.ctkCollapsibleButton()
    assert not hasattr(button, "setCollapsed")
    button.collapsed = True
    assert button.collapsed


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
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
    from LiverTumorSegPanel.findingsText import PanelFinding, findingFromEvent, findingsAsHtml, mayForce

    low = PanelFinding("info", "a <b> & c")
    error = findingFromEvent({"grade": "error", "message": "not a CT", "overridable": True})
    html = findingsAsHtml([low, error, low])
    assert html.count("a &lt;b&gt; &amp; c") == 1
    assert html.index("not a CT") < html.index("a &lt;b&gt;")
    assert mayForce([low, error])
    assert not mayForce([low])
    assert not mayForce([error, PanelFinding("error", "2D")])
    assert findingFromEvent({"grade": "strange"}).grade == "warning"


def bundle(folder, **changes):
    folder.mkdir(parents=True)
    content = {"id": "m", "version": "1", "task": "liver-tumor", **changes}
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_models_are_found_and_broken_ones_are_said(application, tmp_path, monkeypatch):
    from LiverTumorSegPanel.modelChoice import findModels, localiserOf, modelRoots, tumorModels

    bundle(tmp_path / "a" / "one", id="one")
    bundle(tmp_path / "a" / "two", id="loc", task="localiser")
    bundle(tmp_path / "b" / "one", id="one")
    (bundle(tmp_path / "b" / "cut") / "model.safetensors").unlink()
    (tmp_path / "b" / "bad").mkdir()
    (tmp_path / "b" / "bad" / "model.json").write_text("{", encoding="utf-8")
    choices, problems = findModels([tmp_path / "a", tmp_path / "b", tmp_path / "none"])
    assert [c.title for c in tumorModels(choices)] == ["one 1"]
    assert tumorModels(choices)[0].folder == tmp_path / "b" / "one"  # the reader's own copy
    assert [c.title for c in findModels([tmp_path / "a" / "one"])[0]] == ["one 1"]
    assert localiserOf(choices).id == "loc"
    assert len(problems) == 2
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(tmp_path))
    assert modelRoots(MODULE_FOLDER, [tmp_path / "mine"]) == [tmp_path, tmp_path / "mine"]


def test_a_folder_of_models_is_remembered(request, application, tmp_path, monkeypatch):
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(tmp_path / "empty"))  # before the panel looks for models
    panel = request.getfixturevalue("panel")
    bundle(tmp_path / "mine" / "first", id="first")
    panel.open()
    assert "No model was found" in panel.ui.inputFindingsLabel.text
    application.qt.QFileDialog.answer = str(tmp_path / "mine")
    panel.ui.modelFolderButton.click()
    assert panel.ui.modelComboBox.currentText == "first 1"
    assert json.loads(application.qt.QSettings.values["LiverTumorSeg/ModelFolders"]) == [str(tmp_path / "mine")]
    assert panel.ui.inputFindingsLabel.text.count("No model") == 0
    localiser = bundle(tmp_path / "other" / "loc", task="localiser")
    assert "cannot segment it" in panel.widget.segmentSection.models.addModelFolder(localiser)
    assert "is not a model folder" in panel.widget.segmentSection.models.addModelFolder(tmp_path)


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


def test_a_scene_names_a_model_by_what_it_is(application, tmp_path):
    from LiverTumorSegPanel.modelChoice import chosenModel, readChoice

    here, there = (readChoice(bundle(tmp_path / name, id="m", sha256="1" * 64)) for name in ("here", "there"))
    other = readChoice(bundle(tmp_path / "other", id="o", version="2"))
    newer = readChoice(bundle(tmp_path / "newer", id="m", sha256="2" * 64))
    assert str(tmp_path) not in here.key
    assert chosenModel(here.key, [other, there]) == (there, "")
    assert chosenModel("", [other, there]) == (other, "")
    choice, sentence = chosenModel(here.key, [other, newer])
    assert choice is newer
    assert "'m 1' with other weights" in sentence
    choice, sentence = chosenModel(here.key, [other])
    assert choice is other
    assert "'m 1' of this scene is not on this computer, so 'o 2'" in sentence
    assert chosenModel(here.key, []) == (None, "")


class Installer:
    """Slicer's installers, the reader's answers to them, and what is installed so far."""

    def __init__(self, slicer, monkeypatch, newSlicer, answers, network=True):
        from LiverTumorSegPanel import dependencies

        self.slicer, self.monkeypatch = slicer, monkeypatch
        self.missing, self.asked = ["torch", "safetensors", "nibabel"], []
        self.answers, self.network = list(answers), network
        self.extensions = slicer.app.extensionsManagerModel()
        monkeypatch.setattr(self.extensions, "installed", set(), raising=False)
        self.extensions.isExtensionInstalled = lambda name: name in self.extensions.installed
        self.extensions.installExtensionFromServer = self.installExtension
        monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: self.extensions)
        monkeypatch.setattr(dependencies, "missingPackages", lambda: list(self.missing))
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", self.confirm)
        packaging = types.SimpleNamespace(pip_ensure=self.pip) if newSlicer else None
        monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
        monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
        monkeypatch.setattr(slicer.util, "pip_install", self.pip)

    def confirm(self, question):
        self.asked.append(question)
        return self.answers.pop(0)

    def installExtension(self, name, restart):
        assert not restart, "unsaved work would be lost"
        assert not self.extensions.interactive, "asked twice"
        if self.network:
            self.extensions.installed.add(name)
        return self.network

    def restartSlicer(self):
        self.monkeypatch.setattr(self.slicer.modules, "pytorchutils", object(), raising=False)
        module = types.SimpleNamespace(PyTorchUtilsLogic=lambda: self)
        self.monkeypatch.setitem(sys.modules, "PyTorchUtils", module)

    def installTorch(self, askConfirmation, torchVersionRequirement):
        assert (askConfirmation, torchVersionRequirement) == (True, ">=2.2,!=2.9.*")
        if not self.confirm("torch?"):
            raise RuntimeError("declined")
        self.missing.remove("torch")

    def pip(self, wanted, prompt_install=False, requester="LiverTumorSeg"):
        assert wanted == ["safetensors>=0.4.3", "nibabel>=5.2"]
        assert (prompt_install, requester) == (False, "LiverTumorSeg")
        self.missing.clear()


@pytest.mark.parametrize("newSlicer", [True, False])
def test_install_brings_the_extension_then_torch_then_safetensors(panel, slicer, monkeypatch, newSlicer):
    installer = Installer(slicer, monkeypatch, newSlicer, answers=[False, True, True, True])
    panel.open()
    assert "neither is the PyTorch extension" in panel.ui.inputFindingsLabel.text
    panel.ui.installButton.click()  # declined
    assert panel.ui.installButton.visible
    panel.ui.installButton.click()
    assert installer.extensions.interactive
    assert "restart Slicer" in panel.ui.inputFindingsLabel.text
    assert not panel.ui.installButton.visible
    installer.restartSlicer()
    panel.widget.enter()
    panel.ui.installButton.click()
    assert installer.missing == []
    assert not panel.ui.installButton.visible
    assert len(installer.asked) == 4


def test_declining_torch_leaves_no_stale_state_and_asks_no_more(panel, slicer, monkeypatch):
    installer = Installer(slicer, monkeypatch, True, answers=[False, True, False])
    installer.restartSlicer()
    panel.open()
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: raised.append(str(error)))
    panel.ui.installButton.click()
    assert raised == ["declined"]
    assert installer.asked == ["torch?"]
    assert "PyTorch, safetensors and nibabel must be installed" in panel.ui.inputFindingsLabel.text
    panel.ui.installButton.click()  # torch, but then not safetensors
    assert installer.missing == ["safetensors", "nibabel"]
    assert "safetensors and nibabel must be installed" in panel.ui.inputFindingsLabel.text
    assert "PyTorch" not in panel.ui.inputFindingsLabel.text


def test_install_without_a_network_says_what_to_do(slicer, monkeypatch):
    from LiverTumorSegPanel.dependencies import installMissing

    installer = Installer(slicer, monkeypatch, True, answers=[True], network=False)
    with pytest.raises(RuntimeError, match=r"no network.*Install from file"):
        installMissing()
    assert installer.extensions.interactive


@pytest.mark.parametrize("window", ["#f0f0f0", "#ffffff", "#323232", "#1e1e1e", "#7a7a7a"])
def test_text_can_be_read_in_light_and_dark_themes(application, monkeypatch, window):
    from LiverTumorSegPanel.findingsText import GRADES, PanelFinding, findingsAsHtml
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
    from LiverTumorSegPanel.lesionRecords import attributesOfReport, lesionsOf, setVerdict, volumesOf

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT liver 1")
    lesion = {"id": 1, "volume_ml": 2.5, "centroid_lps_mm": [1.0, -2.0, 3.5], "mean_probability": None}
    report = {
        "volumes_ml": {"liver": 1400.0, "tumor": 2.5},
        "lesions": [lesion],
        "model": {"id": "a;b:c", "version": "1"},
    }
    for name, value in attributesOfReport(report).items():
        node.SetAttribute(name, value)
    setVerdict(node, 1, "unsure")
    with pytest.raises(ValueError, match="No verdict"):
        setVerdict(node, 2, "accept")
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Connect()
    again = slicer.mrmlScene.GetFirstNodeByName("CT liver 1")
    assert volumesOf(again) == report["volumes_ml"]
    (record,) = lesionsOf(again)
    assert (record.verdict, record.figures) == ("unsure", lesion)
    assert record.centroidRas == (-1.0, 2.0, 3.5)
    assert again.GetAttribute("LiverTumorSeg.Model") == "a;b:c 1"
