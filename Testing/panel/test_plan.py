"""What the panel says of memory and time before a run; real MRML and Qt, the devices asked of the real child."""

import json
import re
import shutil

import pytest
from LiverTumorSegLib.model.models import FINE, models_folder

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from scene_state import addScan

GIGABYTE = 2**30
SHAPE, SPACING = (150, 256, 256), (1.6, 1.6, 2.0)


@pytest.fixture
def memory(application, monkeypatch):
    """Set how much memory the computer says it has free, of 16 GB."""
    from LiverTumorSegLib.memory import Memory
    from LiverTumorSegPanel import runPlan

    def free(gigabytes):
        found = Memory(16 * GIGABYTE, round(gigabytes * GIGABYTE))
        monkeypatch.setattr(runPlan, "machine_memory", lambda: found)

    return free


def test_one_line_before_the_run_and_a_warning_when_it_does_not_fit(panel, slicer, memory):
    """The shipped models; nothing is run."""
    ui, models = panel.ui, panel.widget.segmentSection.models
    memory(12)
    volume = addScan("CT", SHAPE, SPACING)
    panel.open()
    assert not ui.planLabel.visible, "the device is not known yet"
    panel.wait(lambda: models.torch is not None)
    assert models.deviceKind() == models.torch.kinds["auto"]
    ui.deviceComboBox.setCurrentIndex(ui.deviceComboBox.findData("cpu"))
    assert models.deviceKind().startswith("cpu")
    assert ui.planLabel.visible
    assert re.fullmatch(r"Needs about [01]\.\d of 16 GB of memory\.", ui.planLabel.text), "no time before a run"
    assert "memory" not in ui.inputFindingsLabel.text

    from LiverTumorSegPanel.runPlan import learnPace, planFor

    plan = planFor(volume, models, "standard")
    learnPace(plan, models.deviceKind(), 42.0)
    panel.widget.segmentSection.update()
    assert ui.planLabel.text.startswith("About 40 s, ")
    standard = ui.planLabel.text
    assert "Best" not in ui.inputFindingsLabel.text
    ui.qualityComboBox.setCurrentIndex(2)
    assert ui.planLabel.text != standard
    assert "Best" not in ui.inputFindingsLabel.text
    ui.qualityComboBox.setCurrentIndex(0)
    assert ui.planLabel.text != standard
    assert "Best" not in ui.inputFindingsLabel.text
    learnPace(planFor(volume, models, "quick"), "cuda", 1.0)
    panel.widget.segmentSection.update()
    assert ui.planLabel.text.startswith("About "), "each kind of device has its own pace"

    memory(0.4)
    panel.widget.segmentSection.update()
    assert "only 0.4 GB are free" in ui.inputFindingsLabel.text
    assert "Close other programs" in ui.inputFindingsLabel.text
    assert ui.segmentButton.enabled, "a warning, not a refusal"
    memory(12)
    panel.widget.segmentSection.update()
    assert "GB are free" not in ui.inputFindingsLabel.text
    slicer.mrmlScene.RemoveNode(volume)
    panel.app.processEvents()
    assert not ui.planLabel.visible


def test_smaller_parts_are_said(panel, memory):
    from LiverTumorSegLib.pipeline.plan import Plan
    from LiverTumorSegPanel import runPlan

    memory(1)
    plan = Plan(GIGABYTE // 2, 10.0, runPlan.machine_memory(), tile_voxels=2_000_000)
    (finding,) = runPlan.planFindings(plan)
    assert finding.grade == "info"
    assert "smaller parts" in finding.message
    assert "the result is the same" in finding.message
    assert runPlan.planFindings(Plan(GIGABYTE // 2, 10.0, runPlan.machine_memory())) == []
    assert runPlan.planFindings(None) == []


def test_a_model_that_was_never_measured_has_no_line_and_its_runs_teach_no_pace(phantomPanel, application):
    panel = phantomPanel
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    assert not panel.ui.planLabel.visible
    panel.segment()
    assert "LiverTumorSeg/Pace" not in application.qt.QSettings.values


def test_a_run_teaches_how_fast_this_computer_is(phantomPanel, application, memory, monkeypatch):
    from LiverTumorSegLib.pipeline.plan import Plan
    from LiverTumorSegPanel import runPlan, segmentSection

    panel = phantomPanel
    memory(8)
    plan = Plan(GIGABYTE, 1000.0, runPlan.machine_memory())
    monkeypatch.setattr(segmentSection, "planFor", lambda *_: plan)
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    panel.widget.segmentSection.update()
    assert panel.ui.planLabel.text.startswith("Needs about 1.0 of 16 GB")
    panel.ui.segmentButton.click()
    assert not panel.ui.planLabel.visible, "the run itself says how long it still takes"
    panel.wait(lambda: panel.run is None)
    assert re.match(r"About \d+ (s|min)", panel.ui.planLabel.text)
    application.qt.QSettings.values["LiverTumorSeg/Pace"] = "not JSON"
    panel.widget.segmentSection.update()
    assert panel.ui.planLabel.text.startswith("Needs about")


def test_a_model_that_is_never_mirrored_gains_nothing_at_best(panel, slicer, tmp_path):
    """A copy of the shipped model that says so; nothing is run."""
    ui, models = panel.ui, panel.widget.segmentSection.models
    still = tmp_path / "still"
    shutil.copytree(models_folder() / FINE, still)
    description = json.loads((still / "model.json").read_text(encoding="utf-8")) | {"id": "still", "mirroring": []}
    (still / "model.json").write_text(json.dumps(description), encoding="utf-8")
    volume = addScan("CT", SHAPE, SPACING)
    panel.open()
    panel.wait(lambda: models.torch is not None)
    models.addModelFolder(still)
    assert models.model().id == "still"
    ui.qualityComboBox.setCurrentIndex(2)
    assert "This model gains nothing at Best" in ui.inputFindingsLabel.text
    ui.qualityComboBox.setCurrentIndex(1)
    assert "Best" not in ui.inputFindingsLabel.text
    slicer.mrmlScene.RemoveNode(volume)
