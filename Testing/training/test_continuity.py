"""A run that goes on stays the run that it was: its best model, classes, held-out patients, parent; so do folds."""

import json
import shutil

import pytest
import torch
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.model.tiles import NonFiniteOutputError

from LiverTumorSegTraining.export.export_model import export_model, fold_folders
from LiverTumorSegTraining.training.cross_validation import FINISHED, cross_validate
from LiverTumorSegTraining.training.loop import DivergedError, Trainer
from LiverTumorSegTraining.training.provenance import PROVENANCE
from LiverTumorSegTraining.training.run_files import BEST, CHECKPOINT, PREVIOUS

QUICK = {"optimiser__steps": 1, "run__overlays": False, "run__validation_quality": "quick"}
LONGER = {**QUICK, "optimiser__steps": 2}


def best_of(run):
    state = torch.load(run / BEST, weights_only=True)
    return state["step"], state["best_score"]


def test_a_best_model_that_ended_a_run_is_not_lost_when_the_run_goes_on(pairs, tiny, tmp_path, monkeypatch):
    def train(score, **changes):
        figures = {"case2_portal": {"tumor_dice": score}}
        monkeypatch.setattr("LiverTumorSegTraining.training.loop.validate", lambda *arguments: figures)
        Trainer(tiny(data__validation=["case2"], **changes), pairs, tmp_path, resume=score < 0.9).train()

    train(0.9, **QUICK)
    train(0.5, **LONGER)
    assert best_of(tmp_path) == (1, 0.9)


@pytest.fixture(scope="module")
def begun(pairs, tiny, tmp_path_factory):
    """A run of one step by muon."""
    run = tmp_path_factory.mktemp("run") / "run"
    Trainer(tiny(optimiser__kind="muon", data__validation_fraction=0, **QUICK), pairs, run).train()
    return run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimiser__kind": "adamw"}, r"optimiser\.kind muon, but the recipe says adamw"),
        ({"data__channels": ["MR"]}, r"data\.channels \[CT\], but the recipe says \[MR\]"),
        (
            {"task": "other", "data__labels": ["tumor", "liver"], "synthetic__probability": 0}
            | {"synthetic__distractor_probability": 0},
            r"data\.labels \[liver, tumor\], but the recipe says \[tumor, liver\]",
        ),
    ],
)
def test_a_run_does_not_go_on_as_another(begun, pairs, tiny, changes, words):
    config = tiny(**{"optimiser__kind": "muon", "data__validation_fraction": 0, **LONGER, **changes})
    before = (begun / "config.yaml").read_text()
    with pytest.raises(InputError, match=words + ": resume with config.yaml of that folder"):
        Trainer(config, pairs, begun, resume=True)
    assert (begun / "config.yaml").read_text() == before


def test_a_run_does_not_hold_out_whom_it_was_trained_on(make, tiny, tmp_path):
    data = make["pairs"](tmp_path / "data", 4)
    run = tmp_path / "run"
    Trainer(tiny(data__validation_fraction=0.25, **QUICK), data, run).train()
    (held_out,) = json.loads((run / PROVENANCE).read_text())["split"]["validation"]
    make["pairs"](data, 4, 20)
    with pytest.raises(InputError, match=r"was trained on case\d, case\d, case\d, held out now"):
        Trainer(tiny(data__validation_fraction=0.5, **LONGER), data, run, resume=True)
    # New cases to train on do no harm.
    Trainer(tiny(data__validation=[held_out], **LONGER), data, run, resume=True).train()


def test_a_run_that_goes_on_keeps_its_parent(pairs, tiny, tmp_path):
    common = {"data__validation_fraction": 0}
    Trainer(tiny(**common, **QUICK), pairs, tmp_path / "first").train()
    export_model(tmp_path / "first", tmp_path / "model", training={"licence": "CC BY 4.0"})
    run = tmp_path / "second"
    Trainer(tiny(init_from=str(tmp_path / "model"), **common, **QUICK), pairs, run).train()
    Trainer(tiny(**common, **LONGER), pairs, run, resume=True).train()
    assert json.loads((run / PROVENANCE).read_text())["parent_model"]["licence"] == "CC BY 4.0"


def test_an_output_that_is_not_finite_is_a_run_that_diverged(pairs, tiny, tmp_path, monkeypatch):
    def not_finite(*arguments):
        raise NonFiniteOutputError("no segmentation was made: try another model")

    monkeypatch.setattr("LiverTumorSegTraining.training.loop.validate", not_finite)
    with pytest.raises(DivergedError, match=r"not finite at step 1: lower optimiser\.learning_rate"):
        Trainer(tiny(data__validation=["case2"], **QUICK), pairs, tmp_path).train()


@pytest.fixture(scope="module")
def folds(make, tiny, tmp_path_factory):
    """A cross-validation of two folds over four patients."""
    folder = tmp_path_factory.mktemp("folds")
    data = make["pairs"](folder / "data", 4)
    cross_validate(tiny(**QUICK), data, folder / "cv", 2)
    return folder


def test_a_fold_killed_between_two_checkpoints_goes_on(folds, tiny, tmp_path):
    run = tmp_path / "cv"
    shutil.copytree(folds / "cv", run)
    fold = run / "fold_0"
    (fold / FINISHED).unlink()
    (fold / CHECKPOINT).replace(fold / PREVIOUS)
    assert cross_validate(tiny(**LONGER), folds / "data", run, 2, resume=True) is not None
    assert torch.load(fold / CHECKPOINT, weights_only=True)["step"] == 2


def test_folds_of_different_data_sets_make_no_cross_validation(folds, make, tiny, tmp_path):
    run, data = tmp_path / "cv", tmp_path / "data"
    shutil.copytree(folds / "cv", run)
    shutil.copytree(folds / "data", data)
    make["pairs"](data, 3, 4)
    shutil.rmtree(run / "fold_1")
    words = r"fold_0 and fold_1 are of different data sets or numbers of folds, as .*case4, case5, case6 would be"
    with pytest.raises(InputError, match=words):
        cross_validate(tiny(**QUICK), data, run, 2, resume=True)
    # As when another machine trained it.
    shutil.rmtree(run / "fold_1")
    cross_validate(tiny(**QUICK), data, tmp_path / "other", 2, only=1)
    shutil.copytree(tmp_path / "other" / "fold_1", run / "fold_1")
    with pytest.raises(InputError, match=words):
        cross_validate(tiny(**QUICK), data, run, 2, resume=True)


def test_a_copy_of_a_fold_is_no_fold(folds, tmp_path):
    run = tmp_path / "cv"
    shutil.copytree(folds / "cv", run)
    shutil.copytree(run / "fold_1", run / "fold_1_before")
    assert [fold.name for fold in fold_folders(run)] == ["fold_0", "fold_1"]
