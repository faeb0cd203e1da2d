"""Each preset goes the whole way on tiny data: train, resume, export, segment, evaluate."""

import json

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main as segment

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.evaluation.cli import main as evaluate
from LiverTumorSegTraining.export.export_model import main as export
from LiverTumorSegTraining.training.cli import main as train
from LiverTumorSegTraining.training.run_files import read_metrics


def go(presets, name, data, folder, *options):
    """Train the tiny preset half-way, resume, export; return the model folder."""
    arguments = [
        "--config",
        str(presets / "tiny" / f"{name}.yaml"),
        "--data",
        str(data),
        "--output",
        str(folder / name),
    ]
    arguments += ["--data.validation_fraction", "0.34", *options]
    assert train([*arguments, "--optimiser.steps", "2"]) == 0
    assert train([*arguments, "--optimiser.steps", "4", "--resume"]) == 0
    assert sorted(e["step"] for e in read_metrics(folder / name) if "loss" in e) == [1, 2, 3, 4]
    assert export([str(folder / name), "--output", str(folder / f"{name}-model")]) == 0
    return folder / f"{name}-model"


def segment_and_evaluate(models, inputs, references, folder, *evaluate_options):
    """Segment and compare; return the metrics."""
    results = folder / "results"
    for model in models:
        assert (model / "MODEL_CARD.md").exists()
    named = [str(model) for model in models]
    assert segment([*map(str, inputs), "--output", str(results), "--model", *named, "--device", "cpu", "--force"]) == 0
    predictions = sorted(results.glob("*.seg.nrrd"))
    truths = folder / "references"
    truths.mkdir(exist_ok=True)
    for prediction, reference in zip(predictions, references, strict=True):
        image = sitk.ReadImage(str(reference))
        assert sitk.ReadImage(str(prediction)).GetSize() == image.GetSize()
        name = prediction.name.replace(".seg.nrrd", ".nii.gz")
        sitk.WriteImage(sitk.Cast(image, sitk.sitkUInt8), str(truths / name))
    arguments = ["--references", str(truths), "--predictions", str(results), "--output", str(folder / "evaluation")]
    assert evaluate([*arguments, *evaluate_options]) == 0
    return json.loads((folder / "evaluation" / "metrics.json").read_text())


def held_out(run):
    """Return the name of the held-out case and its logged figures."""
    figures = [entry["validation"] for entry in read_metrics(run) if "validation" in entry][-1]
    return next(iter(figures.items()))


def assert_logged_is_evaluated(run, metrics):
    """The Dice in the run's log is that of segment.py and evaluate.py."""
    _, logged = held_out(run)
    (case,) = metrics["cases"]
    compared = {region: figures for region, figures in case["regions"].items() if f"{region}_dice" in logged}
    assert compared
    for region, figures in compared.items():
        found = figures["dice"] if "dice" in figures else figures["values"]["dice"]
        if logged[f"{region}_dice"] is None:
            assert found in (0, 1, None)
        else:
            assert logged[f"{region}_dice"] == pytest.approx(found, abs=1e-3), (region, logged)
    return logged


LAYOUTS = {"attention_unet_3d": "msd", "unet_3d_128": "pairs", "subvolume_64": "nnunet"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_volume_presets(name, make, presets, tmp_path, tiny):
    data = make[LAYOUTS[name]](tmp_path / "data")
    model = go(presets, name, data, tmp_path)
    wanted, _ = held_out(tmp_path / name)
    case = next(case for case in find_cases(data, tiny(name).data) if case.name == wanted)
    metrics = segment_and_evaluate([model], case.images, [case.label], tmp_path)
    print(name, assert_logged_is_evaluated(tmp_path / name, metrics))


def test_2d_presets_and_their_ensemble(make, presets, tmp_path, tiny):
    data = make["lits"](tmp_path / "data")
    models = [go(presets, name, data, tmp_path) for name in ("lits_unet_2d", "lits_resunet_2d")]
    case = find_cases(data, tiny().data)[0]
    assert segment_and_evaluate(models, case.images, [case.label], tmp_path)
    (report,) = (tmp_path / "results").glob("*.report.json")
    assert [model["id"] for model in json.loads(report.read_text())["models"]] == ["lits-unet-2d", "lits-resunet-2d"]


def test_brats_preset(make, presets, tmp_path, tiny):
    data = make["brats"](tmp_path / "data")
    model = go(presets, "brats_attention_3d", data, tmp_path)
    case = find_cases(data, tiny("brats_attention_3d").data)[0]
    label = sitk.ReadImage(str(case.label))
    sitk.WriteImage(sitk.ChangeLabel(label, {4: 3}), str(tmp_path / "truth.nii.gz"))
    options = ["--regions", "necrotic_core=1", "oedema=2", "enhancing=3"]
    segment_and_evaluate([model], case.images, [tmp_path / "truth.nii.gz"], tmp_path, *options)


def test_mr_preset_trains_on_another_modality(make, presets, tmp_path):
    images, label = make["brain"](1)
    for number in range(3):
        sitk.WriteImage(images["flair"] + number, str(tmp_path / f"mr{number}.nii.gz"))
        binary = sitk.ChangeLabel(label, {4: 2, 2: 1})
        sitk.WriteImage(binary, str(tmp_path / f"mr{number}_label.nii.gz"))
    go(presets, "subvolume_64_mr", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["attention_unet_3d", "unet_3d_128", "lits_unet_2d", "subvolume_64"])
def test_presets_on_real_livers(name, shared_data, presets, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for case in ("crlm1006_portal", "hcc006_portal"):
        for suffix in ("", "_label"):
            path = shared_data / "liver" / "3mm_whole" / f"{case}{suffix}.nii.gz"
            (data / path.name).write_bytes(path.read_bytes())
    model = go(presets, name, data, tmp_path, "--data.validation_fraction", "0.5")
    case = "hcc006_portal"
    inputs, references = [data / f"{case}.nii.gz"], [data / f"{case}_label.nii.gz"]
    assert segment_and_evaluate([model], inputs, references, tmp_path)


def test_brats_preset_on_real_cases(shared_data, presets, tmp_path):
    options = ["--data.channels", "[FLAIR, T1CE]"]
    model = go(presets, "brats_attention_3d", shared_data / "brats", tmp_path, *options)
    folder = shared_data / "brats" / "brats_2013_pat0001_1"
    inputs = [folder / "Flair_subtrMeanDivStd.nii.gz", folder / "T1c_subtrMeanDivStd.nii.gz"]
    truth = sitk.Cast(sitk.ReadImage(str(folder / "OTMultiClass.nii.gz")), sitk.sitkUInt8)
    sitk.WriteImage(sitk.ChangeLabel(truth, {3: 1, 4: 3}), str(tmp_path / "truth.nii.gz"))
    options = ["--regions", "necrotic_core=1", "oedema=2", "enhancing=3"]
    segment_and_evaluate([model], inputs, [tmp_path / "truth.nii.gz"], tmp_path, *options)
