"""The panel on Slicer's own Python: with ``SLICER_PY=<Slicer source>/Base/Python/slicer`` all tests here run on it.

These ask only whether it really is so, and what only Slicer's own code can answer.
"""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

SOURCES = os.environ.get("SLICER_PY")
pytestmark = pytest.mark.skipif(not SOURCES, reason="needs a copy of Slicer's sources: name it in SLICER_PY")


def test_the_panel_stands_on_these_sources(panel, slicer, application):
    folder = Path(SOURCES).resolve()
    for name in ("ScriptedLoadableModule", "parameterNodeWrapper", "i18n"):
        assert folder in Path(sys.modules[f"slicer.{name}"].__file__).resolve().parents
    assert type(panel.widget).__mro__[1].__module__ == "slicer.ScriptedLoadableModule"
    assert panel.widget._parameterNode.quality.name == "standard"
    panel.ui.qualityComboBox.setCurrentIndex(2)
    assert panel.widget._parameterNode.quality.name == "best"
    node = slicer.mrmlScene.GetSingletonNode("LiverTumorSeg", "vtkMRMLScriptedModuleNode")
    assert node.GetParameter("quality") == "best"


def test_its_installer_takes_what_the_panel_asks_for(panel, slicer, monkeypatch):
    if not (Path(SOURCES) / "packaging.py").is_file():
        pytest.skip("this Slicer has no slicer.packaging")
    from LiverTumorSegPanel import dependencies

    installed = []
    monkeypatch.setattr(slicer.packaging, "_isSlicerAppAvailable", lambda: True)
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
    monkeypatch.setattr(slicer.packaging, "pip_install", lambda names, **options: installed.append((names, options)))
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda _text: True)
    dependencies._install(["numpy", "a-package-that-nobody-has>=3"])
    ((names, options),) = installed
    assert names == ["a-package-that-nobody-has>=3"], "what is there is not installed again"
    assert options["requester"] == "LiverTumorSeg"
