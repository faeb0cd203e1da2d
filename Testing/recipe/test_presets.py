"""Each preset goes the whole way on tiny data: train, resume, export, segment, evaluate."""

import json

import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.__main__ import main as segment
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.models import models_folder

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.preparation import organ_box, organ_mask
from LiverTumorSegTraining.evaluation.cli import main as evaluate
from LiverTumorSegTraining.export.export_model import main as export
from LiverTumorSegTraining.recipe.config import load_config
from LiverTumorSegTraining.training.cli import main as train
from LiverTumorSegTraining.training.model import bundle_of, network_of
from LiverTumorSegTraining.training.run_files import read_metrics
from LiverTumorSegTraining.training.validation import ProductInference


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


def segment_and_evaluate(models, case, data, run):
    """Segment a held-out case and compare it with the data set, nothing renamed, no option; return the metrics."""
    folder = run.parent
    for model in models:
        assert (model / "MODEL_CARD.md").exists()
    inputs = case.images if len(case.images) == 1 else [case.images[0].parent]
    arguments = [*map(str, inputs), "--output", str(folder / "results"), "--model", *map(str, models)]
    assert segment([*arguments, "--device", "cpu", "--force"]) == 0
    arguments = ["--references", str(data), "--predictions", str(folder / "results"), "--cases", str(run)]
    assert evaluate([*arguments, "--output", str(folder / "evaluation")]) == 0
    return json.loads((folder / "evaluation" / "metrics.json").read_text())


def held_out(run, data, config):
    """Return the held-out case of a run and its logged figures."""
    figures = [entry["validation"] for entry in read_metrics(run) if "validation" in entry][-1]
    ((name, logged),) = figures.items()
    return next(case for case in find_cases(data, config.data) if case.name == name), logged


SAME = {name: f"{name}_dice" for name in ("liver", "tumor", "spleen", "left_kidney")}
SAME |= {"WT": "foreground_dice", "ET": "enhancing_dice"}


def assert_logged_is_evaluated(logged, metrics, regions):
    """The Dice in the run's log is that of segment.py and evaluate.py."""
    (case,) = metrics["cases"]
    found = {name: region["values"]["dice"] for name, region in case["regions"].items() if name in SAME}
    assert set(found) == regions
    for region, dice in found.items():
        print(f"{region}: logged Dice {logged[SAME[region]]:.4f}, segment.py and evaluate.py {dice:.4f}")
        assert logged[SAME[region]] == pytest.approx(dice, abs=1e-3), (region, logged)
    assert max(found.values()) > 0.005


QUICK_TO_LEARN = [
    *("--data.validation_fraction", "0.34", "--synthetic.probability", "0", "--augmentation.contrast", "[1, 1]"),
    *("--augmentation.rotation_degrees", "0", "--augmentation.scale", "[1, 1]", "--augmentation.flip_axes", "[]"),
    *("--optimiser.steps", "150", "--optimiser.learning_rate", "0.03", "--optimiser.warm_up", "0.02"),
]

LAYOUTS = {"attention_unet_3d": "msd", "unet_3d_128": "pairs", "subvolume_64": "nnunet", "lits_unet_2d": "lits"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_logged_is_what_is_evaluated(name, make, presets, tmp_path, tiny):
    data = make[LAYOUTS[name]](tmp_path / "data")
    # The localiser finds no liver in made-up scans: the box around one is tried on real livers below.
    options = ["--preparation.crop", "none"] if name == "subvolume_64" else []
    model = go(presets, name, data, tmp_path, *options)
    case, logged = held_out(tmp_path / name, data, tiny(name))
    metrics = segment_and_evaluate([model], case, data, tmp_path / name)
    assert_logged_is_evaluated(logged, metrics, {"liver", "tumor"})


def test_further_classes_are_trained(make, presets, tmp_path, tiny):
    """A spleen that nothing but its label tells is learnt, and measured alike by the run and the product."""
    data = make["organs"](tmp_path / "data")
    names = ["liver", "tumor", "spleen", "left_kidney"]
    files = ["--config", str(presets / "tiny" / "attention_unet_3d.yaml"), "--data", str(data)]
    run, model = tmp_path / "run", tmp_path / "model"
    assert train([*files, "--output", str(run), "--data.labels", str(names), *QUICK_TO_LEARN]) == 0
    assert export([str(run), "--output", str(model)]) == 0
    case, logged = held_out(run, data, in_agreement(tiny("attention_unet_3d", data__labels=names), data))
    metrics = segment_and_evaluate([model], case, data, run)
    assert_logged_is_evaluated(logged, metrics, {*names})
    assert logged["spleen_dice"] > 0.5


def test_2d_presets_and_their_ensemble(make, presets, tmp_path, tiny):
    data = make["lits"](tmp_path / "data")
    models = [go(presets, name, data, tmp_path) for name in ("lits_unet_2d", "lits_resunet_2d")]
    case, _ = held_out(tmp_path / "lits_unet_2d", data, tiny("lits_unet_2d"))
    assert segment_and_evaluate(models, case, data, tmp_path / "lits_unet_2d")
    (report,) = (tmp_path / "results").glob("*.report.json")
    assert [model["id"] for model in json.loads(report.read_text())["models"]] == ["lits-unet-2d", "lits-resunet-2d"]


def test_brats_preset(make, presets, tmp_path, tiny):
    data = make["brats"](tmp_path / "data")
    model = go(presets, "brats_attention_3d", data, tmp_path)
    case, logged = held_out(tmp_path / "brats_attention_3d", data, tiny("brats_attention_3d"))
    metrics = segment_and_evaluate([model], case, data, tmp_path / "brats_attention_3d")
    assert_logged_is_evaluated(logged, metrics, {"WT", "ET"})


def test_mr_preset_trains_on_another_modality(make, presets, tmp_path, tiny):
    images, label = make["brain"](1)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        sitk.WriteImage(images["flair"] + number, str(data / f"mr{number}.nii.gz"))
        sitk.WriteImage(sitk.ChangeLabel(label, {4: 2, 2: 1}), str(data / f"mr{number}_label.nii.gz"))
    model = go(presets, "subvolume_64_mr", data, tmp_path)
    case, logged = held_out(tmp_path / "subvolume_64_mr", data, tiny("subvolume_64_mr"))
    metrics = segment_and_evaluate([model], case, data, tmp_path / "subvolume_64_mr")
    assert_logged_is_evaluated(logged, metrics, {"liver", "tumor"})
    (report,) = (tmp_path / "results").glob("*.report.json")
    assert "localiser" not in json.loads(report.read_text())


def test_an_mr_set_cut_to_the_organ_is_validated_so(make, tiny, tmp_path):
    images, label = make["brain"](1)
    for number in range(2):
        sitk.WriteImage(images["flair"], str(tmp_path / f"mr{number}.nii.gz"))
        sitk.WriteImage(sitk.ChangeLabel(label, {4: 2, 2: 1}), str(tmp_path / f"mr{number}_label.nii.gz"))
    config = tiny("subvolume_64_mr", preparation__crop="liver", data__validation=["mr1"])
    assert config.field_of_view == "crop"
    case = find_cases(tmp_path, config.data)[1]
    bundle = bundle_of(config, network_of(config).state_dict())
    shown = ProductInference(bundle, config, torch.device("cpu")).segment(case)
    start, stop = organ_box(organ_mask(sitk.ReadImage(str(case.label)), config), config.preparation.crop_margin_mm)
    assert shown.reference.shape == tuple((stop - start)[::-1])
    assert shown.reference.size < label.GetNumberOfPixels()


@pytest.mark.parametrize("name", ["attention_unet_3d", "unet_3d_128", "lits_unet_2d", "subvolume_64"])
def test_presets_on_real_livers(name, shared_data, presets, tmp_path, tiny):
    data = tmp_path / "data"
    data.mkdir()
    for case in ("crlm1006_portal", "hcc006_portal"):
        for suffix in ("", "_label"):
            path = shared_data / "liver" / "3mm_whole" / f"{case}{suffix}.nii.gz"
            (data / path.name).write_bytes(path.read_bytes())
    options = ["--data.validation", "[hcc006]", "--data.validation_fraction", "0"]
    model = go(presets, name, data, tmp_path, *options)
    case, logged = held_out(tmp_path / name, data, tiny(name))
    metrics = segment_and_evaluate([model], case, data, tmp_path / name)
    assert_logged_is_evaluated(logged, metrics, {"liver", "tumor"})


def test_the_shipped_model_is_validated_as_it_segments(shared_data, presets, tmp_path):
    config = load_config(presets / "shipped_liver_tumor.yaml", {"run.validation_quality": "quick"})
    data = tmp_path / "data"
    data.mkdir()
    for suffix in ("", "_label"):
        path = shared_data / "liver" / "3mm_whole" / f"hcc006_portal{suffix}.nii.gz"
        (data / path.name).write_bytes(path.read_bytes())
    (case,) = find_cases(data, config.data)
    shipped = models_folder() / "liver-tumor"
    result, _, _ = ProductInference(load_bundle(shipped), config, torch.device("cpu")).result(case)
    assert "localiser" in result.provenance
    arguments = [str(case.images[0]), "--output", str(tmp_path / "out"), "--quality", "quick", "--device", "cpu"]
    assert segment([*arguments, "--format", "nii.gz"]) == 0
    written = sitk.ReadImage(str(tmp_path / "out" / "hcc006_portal.nii.gz"))
    assert (sitk.GetArrayFromImage(written) == sitk.GetArrayFromImage(result.labelmap)).all()
    assert (sitk.GetArrayFromImage(written) > 0).any()


def test_brats_preset_on_real_cases(shared_data, presets, tmp_path, tiny):
    options = ["--data.channels", "[FLAIR, T1CE]"]
    model = go(presets, "brats_attention_3d", shared_data / "brats", tmp_path, *options)
    config = tiny("brats_attention_3d", data__channels=["FLAIR", "T1CE"])
    case, logged = held_out(tmp_path / "brats_attention_3d", shared_data / "brats", config)
    metrics = segment_and_evaluate([model], case, shared_data / "brats", tmp_path / "brats_attention_3d")
    assert_logged_is_evaluated(logged, metrics, {"WT", "ET"})
