"""What a researcher may rely on: no run is lost, none fine-tunes nothing, each says where it comes from."""

import errno
import hashlib
import json
from types import SimpleNamespace

import pytest
import torch
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.model.bundle import load_bundle

from LiverTumorSegTraining.export.calibration import held_out_reliability
from LiverTumorSegTraining.export.export_model import export_model
from LiverTumorSegTraining.training import cli
from LiverTumorSegTraining.training.cross_validation import cross_validate
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.run_files import (
    BEST,
    CHECKPOINT,
    METRICS,
    PREVIOUS,
    read_metrics,
    write_checkpoint,
)

QUICK = {"optimiser__steps": 2, "run__overlays": False}


@pytest.fixture(scope="module")
def parent(pairs, tiny, tmp_path_factory):
    """A run with automatic class weights, and its bundle with licence and attribution."""
    folder = tmp_path_factory.mktemp("parent")
    config = tiny(data__validation=["case2"], loss__class_weights="auto", **QUICK)
    trainer = Trainer(config, pairs, folder / "run")
    trainer.train()
    export_model(folder / "run", folder / "model", training={"licence": "CC BY 4.0", "attribution": ["A. Author"]})
    return folder, trainer


@pytest.mark.parametrize("name", [CHECKPOINT, PREVIOUS, BEST])
def test_a_run_is_never_overwritten(parent, pairs, presets, tmp_path, capsys, name):
    run = tmp_path / "run"
    run.mkdir()
    content = (parent[0] / "run" / CHECKPOINT).read_bytes()
    (run / name).write_bytes(content)
    arguments = ["--config", str(presets / "tiny" / "attention_unet_3d.yaml"), "--data", str(pairs)]
    assert cli.main([*arguments, "--output", str(run), "--optimiser.steps", "1"]) == UsageError.exit_code
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "--resume" in words
    assert [path.name for path in run.iterdir()] == [name]
    assert (run / name).read_bytes() == content


def test_no_fold_is_overwritten(parent, pairs, tiny, tmp_path):
    (tmp_path / "fold_1").mkdir()
    (tmp_path / "fold_1" / CHECKPOINT).write_bytes((parent[0] / "run" / CHECKPOINT).read_bytes())
    with pytest.raises(UsageError, match="fold_1 already holds a run"):
        cross_validate(tiny(**QUICK), pairs, tmp_path, 2)
    assert not (tmp_path / "fold_0").exists()


def test_records_of_a_run_without_a_checkpoint_are_not_mixed(pairs, tiny, tmp_path):
    (tmp_path / METRICS).write_text(json.dumps({"step": 400, "loss": 0.1}) + "\n")
    Trainer(tiny(**QUICK), pairs, tmp_path).train()
    assert [entry["step"] for entry in read_metrics(tmp_path) if "loss" in entry] == [1, 2]


@pytest.mark.parametrize("freeze", ["[]", "[stem]"])
def test_fine_tuning_without_a_model_is_refused(pairs, presets, tmp_path, capsys, freeze):
    arguments = [
        "--config",
        str(presets / "tiny" / "fine_tune.yaml"),
        "--data",
        str(pairs),
        "--optimiser.freeze",
        freeze,
    ]
    assert cli.main([*arguments, "--output", str(tmp_path / "run")]) == UsageError.exit_code
    assert "--init-from" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_and_its_bundle_say_where_they_come_from(parent, pairs):
    folder, trainer = parent
    for told in (
        json.loads((folder / "run" / "provenance.json").read_text()),
        load_bundle(folder / "model").training,
    ):
        assert told["data_set"] == pairs.name
        assert str(pairs) not in json.dumps(told)
        assert told["split"] == {"training": ["case0", "case1"], "validation": ["case2"]}
        cases = {case["case"]: case for case in told["cases"]}
        assert cases["case2_portal"]["part"] == "validation"
        expected = hashlib.sha256((pairs / "case1_portal_label.nii.gz").read_bytes()).hexdigest()
        assert cases["case1_portal"]["label"] == expected
        assert len(cases["case1_portal"]["images"]) == 1
        assert told["class_weights"] == pytest.approx(trainer.loss.class_weights.tolist())
        assert (
            told["packages"]["torch"] == torch.__version__.split("+")[0]
            or told["packages"]["torch"] in torch.__version__
        )
        assert told["field_of_view"] == "whole_scan"
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert "2 training, 1 validation" in card
    assert "Held out by patient: case2" in card


def test_a_child_carries_its_parents_licence(parent, pairs, tiny, tmp_path):
    config = tiny(init_from=str(parent[0] / "model"), **QUICK)
    Trainer(config, pairs, tmp_path / "run").train()
    told = export_model(tmp_path / "run", tmp_path / "model").training["parent_model"]
    assert told["sha256"] == load_bundle(parent[0] / "model").sha256
    assert (told["licence"], told["attribution"]) == ("CC BY 4.0", ["A. Author"])
    assert "A. Author" in (tmp_path / "model" / "MODEL_CARD.md").read_text()


def test_nothing_is_calibrated_on_tumours_that_nobody_drew(pairs, tiny, monkeypatch):
    seen = []

    class Inference:
        def __init__(self, *arguments):
            pass

        def result(self, case):
            seen.append(case.name)
            return SimpleNamespace(tumor_probability=None), [], None

    monkeypatch.setattr("LiverTumorSegTraining.export.calibration.ProductInference", Inference)
    config = tiny(data__incomplete=["case2_portal"], data__missing_labels="liver_only")
    list(held_out_reliability(None, config, pairs, ["case1", "case2"]))
    assert seen == ["case1_portal"]
    with pytest.raises(InputError, match="no case of the held-out patients case2 with annotated tumours"):
        list(held_out_reliability(None, config, pairs, ["case2"]))


def test_training_and_validation_loss_from_the_first_step(parent):
    entries = read_metrics(parent[0] / "run")
    assert next(entry for entry in entries if "loss" in entry)["step"] == 1
    (validation,) = [entry for entry in entries if "validation" in entry]
    assert 0 < validation["validation_loss"] < 10


def test_a_full_disk_leaves_the_last_checkpoint_whole(pairs, presets, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    arguments = ["--config", str(presets / "tiny" / "attention_unet_3d.yaml"), "--data", str(pairs)]
    arguments += ["--output", str(run), "--optimiser.steps"]
    assert cli.main([*arguments, "2"]) == 0
    before = (run / CHECKPOINT).read_bytes()

    def full(state, stream):
        stream.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    capsys.readouterr()
    assert cli.main([*arguments, "4", "--resume"]) == UsageError.exit_code
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "make room" in words
    assert "go on from it with --resume" in words
    assert (run / CHECKPOINT).read_bytes() == before
    assert not list(run.glob(".*part*"))


def test_torch_saying_that_writing_failed_means_a_full_disk(tmp_path, monkeypatch):
    def failed(state, stream):
        raise RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", failed)
    with pytest.raises(UsageError, match="is the disk full"):
        write_checkpoint(tmp_path / CHECKPOINT, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["load_training_data", "validate"])
def test_ctrl_c_anywhere_is_one_sentence(pairs, presets, tmp_path, capsys, monkeypatch, where):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"LiverTumorSegTraining.training.loop.{where}", interrupted)
    arguments = ["--config", str(presets / "tiny" / "attention_unet_3d.yaml"), "--data", str(pairs)]
    arguments += ["--output", str(tmp_path / "run"), "--data.validation", "[case2]", "--optimiser.steps", "1"]
    assert cli.main(arguments) == 130
    assert capsys.readouterr().err.count("\n") == 1
