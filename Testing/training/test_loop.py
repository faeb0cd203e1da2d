"""The loop: resumes exactly, ends well however it ends, skips and counts bad steps, says what happened."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
import torch
from LiverTumorSegLib.errors import CancelledError, InputError, LiverTumorSegError, UsageError
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.tiles import cpu_has_bfloat16

from LiverTumorSegTraining.export.export_model import export_model, main
from LiverTumorSegTraining.recipe.config import OptimiserConfig, load_config
from LiverTumorSegTraining.training.loop import Trainer, bfloat16_is_fast
from LiverTumorSegTraining.training.loss_curve import draw_loss_curve
from LiverTumorSegTraining.training.run_files import (
    BEST,
    CHECKPOINT,
    LOSS_CURVE,
    METRICS,
    PREVIOUS,
    RESOLVED,
    read_metrics,
)
from LiverTumorSegTraining.training.schedule import learning_rate

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def losses(run):
    return {entry["step"]: entry["loss"] for entry in read_metrics(run) if "loss" in entry}


def command(presets, data, run, *options, name="attention_unet_3d"):
    recipe = presets / "tiny" / f"{name}.yaml"
    start = [sys.executable, "-m", "LiverTumorSegTraining.training.cli"]
    return [*start, "--config", str(recipe), "--data", str(data), "--output", str(run), *map(str, options)]


@pytest.fixture(scope="module")
def finished(pairs, tiny, tmp_path_factory):
    """A run of the tiny preset A with one patient held out."""
    run = tmp_path_factory.mktemp("finished") / "run"
    Trainer(tiny(data__validation=["case2"], run__tensorboard=True), pairs, run).train()
    return run


def test_a_run_leaves_all_records(finished):
    assert sorted(losses(finished)) == [1, 2, 3, 4, 5, 6]
    for name in (CHECKPOINT, PREVIOUS, BEST, RESOLVED, "loss_curve.png", "overlays/case2_portal.png"):
        assert (finished / name).stat().st_size > 500, name
    assert list((finished / "tensorboard").glob("events*"))
    assert load_config(finished / RESOLVED).data.validation == ["case2"]
    (validation,) = [entry["validation"] for entry in read_metrics(finished) if "validation" in entry]
    assert set(validation["case2_portal"]) == {"liver_dice", "tumor_dice", "tumor_ml", "reference_tumor_ml"}


def test_the_curve_shows_the_validation_loss(finished, tmp_path):
    pictures = []
    for kept in (True, False):
        entries = [dict(entry) for entry in read_metrics(finished)]
        for entry in entries if not kept else ():
            entry.pop("validation_loss", None)
        (tmp_path / METRICS).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        draw_loss_curve(tmp_path)
        pictures.append((tmp_path / LOSS_CURVE).read_bytes())
    assert pictures[0] == (finished / LOSS_CURVE).read_bytes()
    assert pictures[0] != pictures[1]


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="MLflow is installed")
def test_mlflow_that_is_not_there_is_one_sentence_before_anything_is_trained(pairs, tiny, tmp_path):
    with pytest.raises(UsageError, match=r"run\.mlflow needs the package mlflow"):
        Trainer(tiny(run__mlflow=True), pairs, tmp_path / "run").train()
    assert losses(tmp_path / "run") == {}


def test_export_writes_a_bundle_and_a_card(finished, tmp_path):
    bundle = export_model(finished, tmp_path / "model", version="2.0", training={"licence": "CC BY 4.0"})
    assert load_bundle(tmp_path / "model").sha256 == bundle.sha256
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "(loss_curve.png)" in card
    assert (tmp_path / "model" / "loss_curve.png").is_file()
    for words in ("attention-unet-3d 2.0", "CC BY 4.0", "6 steps of 2 samples", "case2_portal", bundle.sha256):
        assert words in card
    (validation,) = [entry["validation"] for entry in read_metrics(finished) if "validation" in entry]
    for figure in validation["case2_portal"].values():
        assert f" {figure:.3f} |" in card if figure is not None else True
    assert json.loads((tmp_path / "model" / "model.json").read_text())["training"]["licence"] == "CC BY 4.0"
    assert main([str(tmp_path), "--output", str(tmp_path / "x")]) == 3
    assert main([str(finished), "--output", str(tmp_path / "best"), "--best"]) == 0


def test_a_model_may_run_on_a_grid_that_the_training_saw_by_augmentation(finished, tmp_path, capsys):
    trained = export_model(finished, tmp_path / "model").spacing_mm
    finer = [str(0.9 * mm) for mm in trained]
    assert main([str(finished), "--output", str(tmp_path / "finer"), "--spacing", *finer]) == 0
    bundle = load_bundle(tmp_path / "finer")
    assert bundle.spacing_mm == pytest.approx([0.9 * mm for mm in trained])
    assert bundle.training["trained_spacing_mm"] == list(trained)
    assert "mm (x, y, z), trained at " in (tmp_path / "finer" / "MODEL_CARD.md").read_text()
    assert main([str(finished), "--output", str(tmp_path / "no"), "--spacing", *(str(mm / 2) for mm in trained)]) == 2
    assert "saw grids between" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.fixture(scope="module")
def best_at_step_2(pairs, tiny, tmp_path_factory):
    """A run of four steps, each validated, whose best checkpoint is that of the second."""
    run = tmp_path_factory.mktemp("best") / "run"
    changes = {"run__validation_minutes": 1e-6, "run__validation_quality": "quick", "run__overlays": False}
    trainer = Trainer(tiny(data__validation=["case2"], optimiser__steps=4, **changes), pairs, run)
    trainer.best_score = math.inf
    trainer.on_validation = lambda step, score: trainer.save_checkpoint(BEST) if step == 2 else None
    trainer.train()
    return run


def test_the_card_of_the_best_checkpoint_tells_its_own_validation_and_loss(best_at_step_2, tmp_path):
    figures = {e["step"]: e["validation"] for e in read_metrics(best_at_step_2) if "validation" in e}
    assert figures[2] != figures[4]
    for best, step in ((True, 2), (False, 4)):
        told = export_model(best_at_step_2, tmp_path / str(step), best=best).training
        assert (told["steps"], told["validation_step"]) == (step, step)
        assert told["validation"] == figures[step]
        assert told["loss_last"] == losses(best_at_step_2)[step]
        card = (tmp_path / str(step) / "MODEL_CARD.md").read_text()
        assert f"after step {step}." in card
        assert f"{told['loss_last']:.3f} at the end" in card


def test_a_validation_before_the_checkpoint_is_told_with_its_step(best_at_step_2, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(best_at_step_2, run)
    entries = [entry for entry in read_metrics(run) if "validation" not in entry or entry["step"] != 2]
    (run / METRICS).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    told = export_model(run, tmp_path / "model", best=True).training
    assert told["validation_step"] == 1
    words = "after step 1; the weights of this model are those after step 2."
    assert words in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    (run / METRICS).write_text("".join(json.dumps(entry) + "\n" for entry in entries if "validation" not in entry))
    assert "validation" not in export_model(run, tmp_path / "without", best=True).training
    card = (tmp_path / "without" / "MODEL_CARD.md").read_text()
    assert "had not validated yet" in card
    assert "No case was held out" not in card


def test_two_runs_are_alike_to_the_bit(pairs, tiny, tmp_path):
    # bfloat16 convolutions of the CPU do not repeat to the bit; full precision does.
    config = tiny(optimiser__steps=3, run__workers=2, run__amp="never")
    states = []
    for name in "ab":
        trainer = Trainer(config, pairs, tmp_path / name)
        trainer.train()
        states.append(trainer.average.state)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("name", ["attention_unet_3d", "subvolume_64"])
def test_killed_at_a_random_step_it_resumes_exactly(name, pairs, presets, tmp_path, tiny):
    options = ("--optimiser.steps", 10, "--data.validation", "[case2]", "--run.amp", "never", "--network.dropout", 0.2)
    options += ("--run.overlays", "false")
    whole = tiny(
        name,
        optimiser__steps=10,
        data__validation=["case2"],
        run__amp="never",
        network__dropout=0.2,
        run__overlays=False,
    )
    torch.set_num_threads(1)
    Trainer(whole, pairs, tmp_path / "whole").train()
    wanted = random.Random().randint(2, 7)
    run = tmp_path / "killed"
    process = subprocess.Popen(command(presets, pairs, run, *options, name=name), env=ENVIRONMENT)
    while process.poll() is None and not (len(losses(run)) >= wanted and (run / CHECKPOINT).exists()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(losses(run)) < 10
    subprocess.run(command(presets, pairs, run, *options, "--resume", name=name), env=ENVIRONMENT, check=True)
    expected, found = losses(tmp_path / "whole"), losses(run)
    assert sorted(found) == sorted(expected)
    assert max(abs(found[step] - expected[step]) for step in expected) < 1e-6


def test_ctrl_c_saves_and_says_how_to_go_on(pairs, presets, tmp_path):
    run = tmp_path / "run"
    arguments = command(presets, pairs, run, "--optimiser.steps", 10000, "--run.checkpoint_minutes", 60)
    process = subprocess.Popen(arguments, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(losses(run)) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=120)
    assert process.returncode == CancelledError.exit_code
    assert "go on with --resume" in words
    export_model(run, tmp_path / "model")


def test_the_time_limit_ends_with_a_usable_model(pairs, tiny, tmp_path):
    config = tiny(optimiser__steps=100000)
    trainer = Trainer(config, pairs, tmp_path / "run", max_minutes=0.1)
    trainer.train()
    assert 0 < trainer.step < 100000
    rates = [entry["learning_rate"] for entry in read_metrics(tmp_path / "run") if "loss" in entry]
    assert rates[-1] < 0.3 * max(rates)
    export_model(tmp_path / "run", tmp_path / "model")


def test_resume_without_or_with_a_foreign_checkpoint(pairs, tiny, tmp_path, finished):
    with pytest.raises(InputError, match="no checkpoint"):
        Trainer(tiny(), pairs, tmp_path / "new", resume=True)
    run = tmp_path / "other"
    run.mkdir()
    (run / CHECKPOINT).write_bytes((finished / CHECKPOINT).read_bytes())
    with pytest.raises(InputError, match="another network"):
        Trainer(tiny(network__features=[8, 16, 16, 32]), pairs, run, resume=True)
    (run / CHECKPOINT).write_bytes((finished / CHECKPOINT).read_bytes()[:5000])
    with pytest.raises(InputError, match=r"damaged.*checkpoint\.previous\.pt"):
        Trainer(tiny(), pairs, run, resume=True)
    (run / CHECKPOINT).rename(run / PREVIOUS)
    (run / PREVIOUS).write_bytes((finished / PREVIOUS).read_bytes())
    assert Trainer(tiny(), pairs, run, resume=True).step > 0


def test_accumulated_batches_make_one_step(pairs, tiny, tmp_path):
    # Cross entropy is a mean over voxels, all of which are labelled here: two batches of two are one of four.
    changes = {"loss__name": "cross_entropy", "optimiser__steps": 1, "network__deep_supervision": False}
    changes |= {"run__amp": "never", "augmentation__rotation_degrees": 0, "augmentation__scale": [1, 1]}
    found = []
    for size, parts in ((4, 1), (2, 2)):
        config = tiny("unet_3d_128", sampling__batch_size=size, optimiser__accumulate=parts, **changes)
        run = tmp_path / str(size)
        trainer = Trainer(config, pairs, run)
        trainer.train()
        found.append((losses(run)[1], trainer.network.state_dict()["stem.0.weight"]))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-4, rtol=1e-3)


def test_bad_steps_are_skipped_and_three_in_a_row_name_the_cases(pairs, tiny, tmp_path):
    trainer = Trainer(tiny(optimiser__steps=8), pairs, tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    good = trainer.sampler.batch

    def bad(step, *place):
        batch = good(step, *place)
        if step in (0, 2, 4, 5, 6):
            batch.image[:] = math.nan
        return batch

    trainer.sampler.batch = bad
    trainer._one_step(trainer._sample(0), 1e-3)
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.network.state_dict().items())
    with pytest.raises(LiverTumorSegError, match="3 steps in a row, on case"):
        trainer.train()
    assert trainer.bad_steps == 6


def test_early_stopping(pairs, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("LiverTumorSegTraining.training.loop.validate", lambda *a: {"case": {"tumor_dice": 0.5}})
    changes = {"run__early_stopping": 2, "run__validation_minutes": 1e-6, "data__validation": ["case2"]}
    trainer = Trainer(tiny(optimiser__steps=50, **changes), pairs, tmp_path / "run")
    trainer.train()
    assert trainer.step == 3


def test_a_late_schedule_falls_in_the_last_fifth_alone():
    optimiser = OptimiserConfig(schedule="late", learning_rate=1e-3, warm_up=0.1)
    rates = [learning_rate(optimiser, done) for done in (0.05, 0.1, 0.5, 0.8, 0.9, 1.0)]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3, 5e-4, 0])


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_schedules_and_optimisers(kind, pairs, tiny, tmp_path):
    config = tiny(optimiser__kind=kind, optimiser__schedule="poly", optimiser__steps=2, loss__name="focal_tversky")
    Trainer(config, pairs, tmp_path / "run").train()
    assert all(math.isfinite(loss) for loss in losses(tmp_path / "run").values())


def test_no_bfloat16_where_the_coarsest_grid_is_too_small_for_it(pairs, tiny):
    assert not bfloat16_is_fast(torch.device("cpu"), tiny())
    assert bfloat16_is_fast(torch.device("cpu"), tiny(sampling__patch_size=[64, 48, 64])) == cpu_has_bfloat16()
