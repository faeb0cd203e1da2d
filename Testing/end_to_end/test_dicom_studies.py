"""The lines of docs/training.md lead from a folder of DICOM studies to an evaluated model."""

import json
import re
import shlex
from pathlib import Path

import pytest
from LiverTumorSegLib.__main__ import main as segment
from study_files import write_study

from LiverTumorSegTraining.data.verify import main as verify
from LiverTumorSegTraining.evaluation.cli import main as evaluate
from LiverTumorSegTraining.export.export_model import main as export
from LiverTumorSegTraining.training.cli import main as train

ROOT = Path(__file__).parents[2]
MAINS = {"verify_dataset": verify, "train": train, "export_model": export, "segment": segment, "evaluate": evaluate}
SMALL = {"train": ["--optimiser.steps", "4"], "segment": ["--device", "cpu", "--quality", "standard"]}


def lines():
    """Return the commands of the section as lists of words."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    block = re.search(r"## From DICOM studies.*?```\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines() if line]


@pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent the intended person name")
def test_the_documented_way(make, presets, tmp_path, monkeypatch):
    pytest.importorskip("highdicom", reason="DICOM SEG is read with highdicom")
    for number, kind in enumerate(("rtstruct", "seg", "rtstruct")):
        write_study(tmp_path / "studies" / f"p{number}", *make["scan"](number), kind, PatientID=f"id{number}")
    monkeypatch.chdir(tmp_path)
    for python, script, *words in lines():
        assert python == "python3"
        name = Path(script).stem
        assert (ROOT / script).is_file()
        small = [word.replace("STUDIES", "studies").replace("0.2", "0.34") for word in words]
        small = [str(presets / "tiny" / Path(word).name) if word.startswith("Resources") else word for word in small]
        assert MAINS[name]([*small, *SMALL.get(name, [])]) == 0, (name, small)
    run = json.loads((tmp_path / "runs" / "mine" / "provenance.json").read_text())
    (held_out,) = [case["case"] for case in run["cases"] if case["part"] == "validation"]
    assert "id0" not in json.dumps(run)
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    (case,) = metrics["cases"]
    assert case["name"] == held_out
    assert case["status"] == "scored"
    assert set(case["regions"]) == {"liver", "tumor"}
    assert case["regions"]["liver"]["values"]["reference_ml"] > 100
