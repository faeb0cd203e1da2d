"""What the panel needs of the machine: model folders, and packages that Slicer's installers bring."""

import json
import sys
import types

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from slicer_boot import MODULE_FOLDER


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
