"""Perfect predictions score 1 for every layout, as segment.py writes them, with no renaming and no option."""

import json

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main as segment
from LiverTumorSegLib.labels import label_table
from LiverTumorSegLib.model.bundle import save_bundle
from LiverTumorSegLib.output.segfile import write_segmentation

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.reading import as_classes
from LiverTumorSegTraining.evaluation.cli import main as evaluate
from LiverTumorSegTraining.training.model import bundle_of, network_of


def written(layout, format, make, tiny, root):
    """Segment every case of a data set with an untrained network; return data set, recipe, cases and results."""
    config = tiny("brats_attention_3d" if layout == "brats" else "attention_unet_3d")
    data = make[layout](root / "data", 2)
    config = in_agreement(config, data)
    save_bundle(bundle_of(config, network_of(config).state_dict()), root / "model")
    cases = find_cases(data, config.data)
    inputs = [case.images[0] if len(case.images) == 1 else case.images[0].parent for case in cases]
    arguments = [*map(str, inputs), "--output", str(root / "results"), "--model", str(root / "model")]
    assert segment([*arguments, "--force", "--device", "cpu", "--quality", "quick", "--format", format]) == 0
    return data, config, cases, root / "results"


def truth(case, config):
    label = sitk.ReadImage(str(case.label), sitk.sitkUInt8)
    image = sitk.GetImageFromArray(as_classes(sitk.GetArrayFromImage(label), config.data))
    image.CopyInformation(label)
    return image


def dice(data, results, output):
    arguments = ["--references", str(data), "--predictions", str(results), "--output", str(output)]
    assert evaluate([*arguments, "--pictured-cases", "0", "--pictured-lesions", "0"]) == 0
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["missing_predictions"] == []
    assert metrics["predictions_without_reference"] == []
    return {
        (case["name"], region): figures["values"]["dice"]
        for case in metrics["cases"]
        for region, figures in case["regions"].items()
    }


@pytest.mark.parametrize("format", ["seg.nrrd", "nii.gz"])
@pytest.mark.parametrize("layout", ["pairs", "msd", "lits", "brats", "nnunet", "csv"])
def test_perfect_predictions_score_1(layout, format, make, tiny, tmp_path):
    data, config, cases, results = written(layout, format, make, tiny, tmp_path)
    untrained = dice(data, results, tmp_path / "before")
    assert min(untrained.values()) < 0.9
    predictions = sorted(results.glob(f"*.{format}"))
    assert len(predictions) == len(cases)
    for case, path in zip(cases, predictions, strict=True):
        write_segmentation(path, truth(case, config), label_table(config.data.labels))
    perfect = dice(data, results, tmp_path / "after")
    assert set(perfect.values()) == {1.0}
    regions = {"WT", "TC", "ET"} if layout == "brats" else {"liver", "tumor"}
    assert {region for _, region in perfect} == regions


@pytest.mark.parametrize("layout", ["brats", "brats_2023"])
@pytest.mark.parametrize("numbering", ["files", "ours"])
def test_brats_numberings_without_any_name(numbering, layout, make, tiny, tmp_path):
    """What is trained as enhancing tumour is scored as it, whatever the year of the files."""
    data = make[layout](tmp_path / "data", 2)
    config = in_agreement(tiny("brats_attention_3d"), data)
    (tmp_path / "results").mkdir()
    for case in find_cases(data, config.data):
        label = truth(case, config) if numbering == "ours" else sitk.ReadImage(str(case.label), sitk.sitkUInt8)
        sitk.WriteImage(label, str(tmp_path / "results" / f"{case.name}.nii.gz"))
    assert set(dice(data, tmp_path / "results", tmp_path / "out").values()) == {1.0}


def test_further_classes_are_segmented_measured_coded_and_evaluated(make, tiny, tmp_path):
    data = make["organs"](tmp_path / "data", 2)
    names = ["liver", "tumour", "spleen", "left_kidney"]
    config = in_agreement(tiny("attention_unet_3d", data__labels=names), data)
    assert config.data.label_map == {1: 2, 2: 1, 5: 255}
    bundle = bundle_of(config, network_of(config).state_dict())
    assert bundle.labels == ("liver", "tumor", "spleen", "left_kidney")
    save_bundle(bundle, tmp_path / "model")
    cases = find_cases(data, config.data)
    arguments = [*(str(case.images[0]) for case in cases), "--output", str(tmp_path / "results"), "--force"]
    assert segment([*arguments, "--model", str(tmp_path / "model"), "--quality", "quick", "--device", "cpu"]) == 0
    report = json.loads((tmp_path / "results" / "liver_000_0000.report.json").read_text())
    assert report["labels"] == {"1": "liver", "2": "tumor", "3": "spleen", "4": "left_kidney"}
    assert set(report["volumes_ml"]) == set(bundle.labels)
    for case, path in zip(cases, sorted((tmp_path / "results").glob("*.seg.nrrd")), strict=True):
        write_segmentation(path, truth(case, config), bundle.label_table)
    perfect = dice(data, tmp_path / "results", tmp_path / "out")
    assert set(perfect.values()) == {1.0}
    assert {region for _, region in perfect} == {"liver", "tumor", "spleen", "left_kidney"}
