"""Cross-validation and search: resumable, summed up in one table."""

import json
import re
from functools import partial

import pytest
import torch
import yaml
from LiverTumorSegLib.__main__ import main as segment
from LiverTumorSegLib.errors import InputError, UsageError

from LiverTumorSegTraining.evaluation.cli import main as evaluate
from LiverTumorSegTraining.export.export_model import main as export
from LiverTumorSegTraining.recipe.config import load_config
from LiverTumorSegTraining.training.cli import main
from LiverTumorSegTraining.training.cross_validation import TABLE, cross_validate, summarise
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.search import check_space, search, suggest

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


@pytest.fixture(scope="module")
def two_folds(pairs, tiny, tmp_path_factory):
    """A cross-validation of two folds, each trained by a call of its own, as on two machines."""
    run = tmp_path_factory.mktemp("cv") / "cv"
    config = tiny(**QUICK)
    first = cross_validate(config, pairs, run, 2, only=1)
    second = cross_validate(config, pairs, run, 2, only=0)
    return config, run, first, second


def test_folds_apart_are_summarised_when_all_are_there(two_folds):
    _, run, first, second = two_folds
    assert first is None
    assert sorted(second["cases"]) == ["case0_portal", "case1_portal", "case2_portal"]
    splits = json.loads((run / "splits_final.json").read_text())
    assert sorted(name for split in splits for name in split["val"]) == sorted(second["cases"])
    assert all(not set(split["train"]) & set(split["val"]) for split in splits)


def test_finished_folds_are_kept(two_folds, pairs, monkeypatch):
    config, run, _, second = two_folds

    def never(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(Trainer, "train", never)
    assert cross_validate(config, pairs, run, 2, resume=True) == second
    with pytest.raises(UsageError, match="already holds a run"):
        cross_validate(config, pairs, run, 2)
    with pytest.raises(UsageError, match="from 0 to 1"):
        cross_validate(config, pairs, run, 2, only=2)


def test_out_of_fold_predictions_are_evaluated_without_renaming(two_folds, pairs, tmp_path):
    _, run, _, summary = two_folds
    assert len(list((run / "out_of_fold").glob("*.tumor-probability.nrrd"))) == 3
    arguments = ["--references", str(pairs), "--predictions", str(run / "out_of_fold"), "--output", str(tmp_path)]
    assert evaluate([*arguments, "--pictured-cases", "0", "--pictured-lesions", "0"]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["froc"] is not None
    found = {case["name"]: case["regions"]["liver"]["values"]["dice"] for case in metrics["cases"]}
    # The log is of quick quality here, as are the out-of-fold results.
    for case, figures in summary["cases"].items():
        assert found[case] == pytest.approx(figures["liver_dice"], abs=1e-3)


def test_folds_are_exported_and_segment_as_an_ensemble(two_folds, pairs, tmp_path):
    _, run, _, _ = two_folds
    assert export([str(run), "--output", str(tmp_path / "model"), "--bits", "8"]) == 0
    described = json.loads((tmp_path / "model" / "fold_0" / "model.json").read_text())
    assert described["schema_version"] == 3, "its weights are stored in 8 bits"
    arguments = [str(pairs / "case0_portal.nii.gz"), "--output", str(tmp_path / "results"), "--quality", "quick"]
    assert segment([*arguments, "--model", str(tmp_path / "model"), "--force", "--device", "cpu"]) == 0
    report = json.loads((tmp_path / "results" / "case0_portal.report.json").read_text())
    assert len({model["sha256"] for model in report["models"]}) == 2
    (run / "fold_1" / "finished.json").rename(run / "fold_1" / "finished.txt")
    assert export([str(run), "--output", str(tmp_path / "other")]) == 3
    (run / "fold_1" / "finished.txt").rename(run / "fold_1" / "finished.json")


def test_a_search_by_cross_validation_is_pruned_after_a_fold(pairs, tiny, tmp_path, monkeypatch):
    optuna = pytest.importorskip("optuna", reason="the search needs optuna")
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: self.number > 0)
    config = tiny(search__space={"optimiser.learning_rate": [1e-4, 1e-2, "log"]}, **QUICK)
    states = [trial["state"] for trial in search(config, pairs, tmp_path, 2, folds=2)["trials"]]
    assert states == ["COMPLETE", "PRUNED"]
    assert (tmp_path / "trial_0" / "fold_1").is_dir()
    assert not (tmp_path / "trial_1" / "fold_1").exists()


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
        ({"optimiser.learning_rate": ["1e-3", "5e-5", "log"]}, "the lower first"),
        ({"optimiser.learning_rate": ["low", "high", "log"]}, "two numbers"),
        ({"optimiser.weight_decay": [0, 0.1, "log"]}, "above 0 for log"),
    ],
)
def test_a_wrong_space(tiny, space, words):
    with pytest.raises(UsageError, match=words):
        check_space(tiny(search__space=space))


def test_numbers_without_a_point_are_numbers(tiny):
    optuna = pytest.importorskip("optuna", reason="the search needs optuna")
    space = yaml.safe_load(
        "{optimiser.learning_rate: [5e-5, 1e-3, log], optimiser.weight_decay: [1e-4, 5e-5], "
        "optimiser.kind: [sgd, muon]}"
    )
    config = tiny(search__space=space)
    check_space(config)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(10):
        trial = study.ask()
        chosen = {key: suggest(trial, key, entry) for key, entry in config.search.space.items()}
        assert 5e-5 <= chosen["optimiser.learning_rate"] <= 1e-3
        assert chosen["optimiser.weight_decay"] in (1e-4, 5e-5)
        assert chosen["optimiser.kind"] in ("sgd", "muon")


def test_a_trial_that_diverges_is_given_up_and_the_search_goes_on(pairs, tiny, tmp_path):
    pytest.importorskip("optuna", reason="the search needs optuna")
    # At one of these rates no network stays finite.
    changes = {**QUICK, "optimiser__steps": 6, "optimiser__kind": "sgd", "optimiser__warm_up": 0.0}
    space = {"optimiser.learning_rate": [1e30, 1e-3]}
    config = tiny(search__space=space, data__validation=["case2"], **changes)
    summary = search(config, pairs, tmp_path / "s", 4)
    states = {trial["values"]["optimiser.learning_rate"]: trial["state"] for trial in summary["trials"]}
    assert states == {1e30: "PRUNED", 1e-3: "COMPLETE"}
    assert summary["best"] == {"optimiser.learning_rate": 1e-3}
    told = [trial for trial in summary["trials"] if trial["state"] == "PRUNED"]
    assert all("not finite 3 steps in a row" in trial["given_up"] for trial in told)


def test_a_search_in_which_every_trial_diverges_says_so(pairs, tiny, tmp_path):
    pytest.importorskip("optuna", reason="the search needs optuna")
    changes = {**QUICK, "optimiser__steps": 6, "optimiser__kind": "sgd", "optimiser__warm_up": 0.0}
    config = tiny(search__space={"optimiser.learning_rate": [1e30]}, data__validation=["case2"], **changes)
    with pytest.raises(UsageError, match=r"None of the 2 trials.*narrow search\.space.*lower optimiser\.learning"):
        search(config, pairs, tmp_path / "s", 2)


def test_a_trial_without_enough_memory_is_given_up_and_the_search_goes_on(pairs, tiny, tmp_path, capsys):
    """No machine holds the samples of one of these batches, as numpy says before anything is drawn."""
    pytest.importorskip("optuna", reason="the search needs optuna")
    config = tiny(search__space={"sampling.patch_size": [[32] * 3, [2**20] * 3]}, data__validation=["case2"], **QUICK)
    summary = search(config, pairs, tmp_path / "s", 4)
    states = {trial["values"]["sampling.patch_size"][0]: trial["state"] for trial in summary["trials"]}
    assert states == {2**20: "PRUNED", 32: "COMPLETE"}
    sentence = (
        r"does not fit the memory of this machine: lower .*sampling\.patch_size \(\[1048576, 1048576, 1048576\]\)"
    )
    told = [trial["given_up"] for trial in summary["trials"] if trial["state"] == "PRUNED"]
    assert all(re.search(sentence, words) for words in told)
    assert len(re.findall(r"Trial \d with .* is given up: .*" + sentence, capsys.readouterr().out)) == len(told)


OUT_OF_MEMORY = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), "memory of cpu"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), "this machine"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "this machine"),
    (MemoryError(), "this machine"),
]


@pytest.mark.parametrize(("error", "place"), OUT_OF_MEMORY)
def test_every_shortage_of_memory_is_one_sentence_with_the_settings(presets, pairs, tmp_path, capsys, monkeypatch,
                                                                    error, place):  # fmt: skip
    def short(*arguments):
        raise error

    monkeypatch.setattr(Trainer, "_one_step", short)
    arguments = ["--config", str(presets / "tiny" / "attention_unet_3d.yaml"), "--data", str(pairs)]
    assert main([*arguments, "--output", str(tmp_path / "run"), "--sampling.batch_size", "3"]) == 5
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert place in words
    assert "lower sampling.batch_size (3), sampling.patch_size ([32, 32, 32])" in words


def test_another_error_of_a_step_stays_what_it_is(pairs, tiny, tmp_path, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(Trainer, "_one_step", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Trainer(tiny(**QUICK), pairs, tmp_path).train()


def test_a_search_in_which_no_trial_has_enough_memory_says_so(pairs, tiny, tmp_path):
    pytest.importorskip("optuna", reason="the search needs optuna")
    config = tiny(search__space={"sampling.patch_size": [[2**20] * 3]}, data__validation=["case2"], **QUICK)
    with pytest.raises(UsageError, match=r"None of the 2 trials.*narrow search\.space.*lower sampling\.batch_size"):
        search(config, pairs, tmp_path / "s", 2)


def splits_file(path, *folds):
    path.write_text(json.dumps([{"train": train, "val": held_out} for train, held_out in folds]))
    return path


def test_a_splits_file_is_looked_at_before_the_first_fold(pairs, tiny, tmp_path):
    first, second, third = (f"case{number}_portal" for number in range(3))
    good = ([first, second], [third]), ([second, third], [first])
    config = tiny(data__splits=splits_file(tmp_path / "two.json", *good), **QUICK)
    for run in (cross_validate, partial(search, trials=1)):
        with pytest.raises(UsageError, match=r"--folds is 3.*two\.json has 2: give --folds 2"):
            run(config, pairs, tmp_path / "cv", folds=3)
    config = tiny(data__splits=splits_file(tmp_path / "wrong.json", *good, ([first], ["nobody"])), **QUICK)
    with pytest.raises(InputError, match="does not hold: nobody"):
        cross_validate(config, pairs, tmp_path / "cv", 3)
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fold", "1"], "--fold 1 needs --folds: give --folds N --fold 1"),
        (["--data.folds", "2", "--fold", "1"], "give --folds 2 --fold 1 .* or --data.fold 1"),
        (["--folds", "1", "--fold", "0"], "--fold 0 needs --folds"),
        (["--folds", "-2"], "it must be 2 or more"),
        (["--folds", "3", "--fold", "1", "--trials", "2"], "--fold does not go with --trials"),
    ],
)
def test_a_fold_that_would_be_passed_over_is_refused(pairs, presets, tmp_path, capsys, options, words):
    arguments = ["--config", str(presets / "tiny" / "subvolume_64.yaml"), "--data", str(pairs), "--output"]
    assert main([*arguments, str(tmp_path / "run"), *options]) == 2
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_a_search_needs_held_out_patients(pairs, tiny, tmp_path):
    with pytest.raises(UsageError, match="held-out"):
        search(tiny(data__validation_fraction=0), pairs, tmp_path, 1)
