"""A model in one file: opened with the button, dropped on Slicer, refused in one sentence."""

import types

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from LiverTumorSegLib.model.modelfile import pack_model


@pytest.fixture
def modelFile(phantomPanel, densityModels, slicer, tmp_path, monkeypatch):
    """A model of another name in one file, and a place for the reader's models."""
    import json

    folder = tmp_path / "mine"
    folder.mkdir()
    for path in (densityModels.folder / "liver-tumor").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**told, "id": "mine"}), encoding="utf-8")
    pack_model(folder, tmp_path / "mine.ltsmodel")
    (tmp_path / "settings é").mkdir()
    settings = str(tmp_path / "settings é" / "Slicer.ini")
    monkeypatch.setattr(slicer.app, "slicerUserSettingsFilePath", settings, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", lambda _name: phantomPanel.widget.enter())
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _name: phantomPanel.widget)
    phantomPanel.warned = []
    monkeypatch.setattr(slicer.util, "warningDisplay", phantomPanel.warned.append)
    return tmp_path / "mine.ltsmodel"


def test_a_file_opened_with_the_button_is_chosen_and_found_again(phantomPanel, modelFile, application):
    ui = phantomPanel.ui
    application.qt.QFileDialog.answer = str(modelFile)
    ui.modelFileButton.click()
    assert phantomPanel.warned == []
    assert ui.modelComboBox.currentText == "mine 1"
    models = phantomPanel.widget.segmentSection.models
    modelFile.unlink()
    models.refreshModels()
    assert ui.modelComboBox.currentText == "mine 1"
    node = phantomPanel.segment()
    assert node.GetAttribute("LiverTumorSeg.Model") == "mine 1"


def test_a_file_dropped_on_slicer_is_read_by_the_modules_reader(phantomPanel, modelFile, application):
    parent = types.SimpleNamespace(loadedNodes=None)
    reader = application.module.LiverTumorSegFileReader(parent)
    assert reader.extensions() == ["Liver tumour model (*.ltsmodel)"]
    assert isinstance(reader.description(), str)
    assert reader.canLoadFile(str(modelFile)) is True
    assert reader.canLoadFile("a.nrrd") is False
    assert reader.load({"fileName": str(modelFile)}) is True
    assert parent.loadedNodes == []
    assert phantomPanel.ui.modelComboBox.currentText == "mine 1"
    modelFile.write_bytes(modelFile.read_bytes()[:-100])
    before = phantomPanel.ui.modelComboBox.count
    assert reader.load({"fileName": str(modelFile)}) is False
    assert "cannot be opened as a model file" in phantomPanel.warned[0]
    assert phantomPanel.ui.modelComboBox.count == before
