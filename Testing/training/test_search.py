"""Cross-validation and search: resumable, summed up in one table."""

import json

import pytest
from LiverTumorSegLib.errors import UsageError

from LiverTumorSegTraining.recipe.config import load_config
from LiverTumorSegTraining.training.cli import main
from LiverTumorSegTraining.training.cross_validation import TABLE, cross_validate, summarise
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.search import check_space, search

QUICK = {"optimiser__steps": 2, "run__overlays": False, "run__validation_quality": "quick"}


def test_folds_through_the_command_line(pairs, presets, tmp_path, capsys):
    arguments = ["--config", str(presets / "tiny" / "subvolume_64.yaml"), "--data", str(pairs), "--output"]
    arguments += [str(tmp_path / "cv"), "--folds", "3", "--optimiser.steps", "2", "--run.validation_quality", "quick"]
    assert main(arguments) == 0
    assert "liver_dice: " in capsys.readouterr().out
    summary = json.loads((tmp_path / "cv" / "cross_validation.json").read_text())
    assert sorted(summary["cases"]) == ["case0_portal", "case1_portal", "case2_portal"]
    assert sorted(case["fold"] for case in summary["cases"].values()) == [0, 1, 2]
    rows = (tmp_path / "cv" / TABLE).read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["fold", "0", "1", "2", "mean", "sd"]


def test_finished_folds_are_kept(pairs, tiny, tmp_path, monkeypatch):
    config = tiny(**QUICK)
    cross_validate(config, pairs, tmp_path / "cv", 2)

    def never(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(Trainer, "train", never)
    assert cross_validate(config, pairs, tmp_path / "cv", 2, resume=True)["mean"]["liver_dice"] is not None


def test_the_summary(tmp_path):
    folds = [
        {"a": {"tumor_dice": 0.4}, "b": {"tumor_dice": 0.8}},
        {"c": {"tumor_dice": 0.8}, "d": {"tumor_dice": None}},
    ]
    summary = summarise(folds, tmp_path)
    assert summary["mean"]["tumor_dice"] == pytest.approx(0.7)
    assert summary["sd"]["tumor_dice"] == pytest.approx(0.1414, abs=1e-3)


def test_search_is_resumable_and_writes_the_best_recipe(pairs, tiny, tmp_path):
    pytest.importorskip("optuna", reason="the search needs optuna")
    space = {"optimiser.learning_rate": [1e-4, 1e-2, "log"], "sampling.batch_size": [1, 2]}
    config = tiny(search__space=space, data__validation=["case2"], **QUICK)
    run = tmp_path / "search"
    search(config, pairs, run, 1)
    summary = search(config, pairs, run, 2)
    assert [trial["number"] for trial in summary["trials"]] == [0, 1]
    assert search(config, pairs, run, 2)["trials"] == summary["trials"]
    best = load_config(run / "best.yaml")
    assert best.optimiser.learning_rate == pytest.approx(summary["best"]["optimiser.learning_rate"])
    assert (run / "study.db").exists()


def test_hopeless_trials_are_pruned(pairs, tiny, tmp_path, monkeypatch):
    optuna = pytest.importorskip("optuna", reason="the search needs optuna")
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: self.number > 0)
    config = tiny(data__validation=["case2"], run__validation_minutes=1e-6, **QUICK)
    states = [trial["state"] for trial in search(config, pairs, tmp_path / "s", 2)["trials"]]
    assert states == ["COMPLETE", "PRUNED"]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"optimiser.lerning_rate": [1, 2]}, "did you mean optimiser.learning_rate"),
        ({"optimiser.learning_rate": [1, 0.1, "log"]}, "give"),
        ({"optimiser.learning_rate": []}, "give"),
    ],
)
def test_a_wrong_space(tiny, space, words):
    with pytest.raises(UsageError, match=words):
        check_space(tiny(search__space=space))


def test_a_search_needs_held_out_patients(pairs, tiny, tmp_path):
    with pytest.raises(UsageError, match="held-out"):
        search(tiny(data__validation_fraction=0), pairs, tmp_path, 1)
