"""The command lines end to end on small files: pairing, refusals, outputs, the page."""

import csv
import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.followup.cli import main as compare
from LiverTumorSegLib.labels import LIVER_TUMOR as LABELS
from LiverTumorSegLib.output.segfile import write_segmentation

from LiverTumorSegTraining.evaluation.cli import main as evaluate
from LiverTumorSegTraining.evaluation.loading import load_case
from LiverTumorSegTraining.evaluation.pairing import case_name, pair_cases
from LiverTumorSegTraining.evaluation.phantoms import degrade, random_pair
from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR

SPACING = (0.9, 0.9, 2.0)


def image(array, origin=(0.0, 0.0, 0.0), spacing=SPACING):
    result = sitk.GetImageFromArray(np.ascontiguousarray(array))
    result.SetSpacing(spacing)
    result.SetOrigin(origin)
    return result


def labels(seed):
    return random_pair(seed, (26, 30, 32)).reference


@pytest.fixture
def folders(tmp_path):
    references, predictions = tmp_path / "references", tmp_path / "predictions"
    references.mkdir()
    predictions.mkdir()
    for number in range(3):
        truth = labels(number)
        sitk.WriteImage(image(truth), str(references / f"segmentation-{number}.nii.gz"))
        scan = np.random.default_rng(number).normal(50.0, 20.0, truth.shape).astype(np.int16)
        sitk.WriteImage(image(scan), str(references / f"volume-{number}.nii.gz"))
        guess, probability = degrade(truth, number)
        if number != 1:
            write_segmentation(predictions / f"volume-{number}.seg.nrrd", image(guess), LABELS, {})
            inside = image(probability[2:, 3:, 4:], tuple(np.array([4, 3, 2]) * SPACING))
            sitk.WriteImage(inside, str(predictions / f"volume-{number}.tumor-probability.nrrd"))
    return references, predictions, tmp_path / "out"


def run(folders, *more):
    references, predictions, output = folders
    return evaluate(
        [
            *("--references", str(references), "--predictions", str(predictions), "--output", str(output)),
            *("--pictured-lesions", "2", "--pictured-cases", "1"),
            *more,
        ]
    )


def test_full_evaluation(folders, capsys):
    stray = folders[1] / "volume-9.nii.gz"
    sitk.WriteImage(image(labels(9)), str(stray))
    assert run(folders, "--name", "<b>$model</b>") == 0
    document = json.loads((folders[2] / "metrics.json").read_text())
    assert document["missing_predictions"] == ["1"]
    assert [case["name"] for case in document["cases"]] == ["0", "1", "2"]
    assert document["predictions_without_reference"] == [str(stray)]
    assert document["cases"][1]["regions"]["liver"]["values"]["dice"] == 0.0
    assert document["summary"]["regions"]["tumor"]["per_case"]["dice"]["n"] == 3
    assert document["froc"]["cases"] == 3
    assert document["reliability"]["cases"] == 2
    with (folders[2] / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[2]["status"] == "missing prediction"
    page = (folders[2] / "report.html").read_text()
    assert "&lt;b&gt;$model&lt;/b&gt;" in page
    assert "<b>$model" not in page
    assert "counted as a total miss" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page), "the page must hold everything itself"
    assert "missing prediction: 1" in capsys.readouterr().out


def test_figures_tables_and_case_list_for_a_paper(folders, capsys):
    references, predictions, output = folders
    assert run(folders, "--figures", "--also", "boundary_iou", "cldice", "--name", "A_1 & B") == 0
    names = {path.name for path in (output / "figures").iterdir()}
    charts = {"scores", "score_boxes", "froc", "lesion_confidence", "reliability", "cases_liver", "cases_tumor"}
    charts |= {"volumes_liver", "volumes_tumor", "lesions_tumor"}
    assert {f"{name}.{kind}" for name in charts for kind in ("png", "pdf")} <= names
    assert len([name for name in names if name.startswith("slice_")]) == 2
    for path in (output / "figures").iterdir():
        assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix]
    metrics = json.loads((output / "metrics.json").read_text())
    tumor = metrics["summary"]["regions"]["tumor"]["per_case"]
    with (output / "table.csv").open() as file:
        rows = {row["region"]: row for row in csv.DictReader(file)}
    assert float(rows["tumor"]["Dice"]) == pytest.approx(tumor["dice"]["value"], rel=1e-5)
    assert float(rows["tumor"]["clDice"]) == pytest.approx(tumor["cldice"]["value"], rel=1e-5)
    assert float(rows["tumor"]["Lesion AP"]) == pytest.approx(
        metrics["lesion_confidence"]["average_precision"]["value"], rel=1e-5
    )
    assert rows["liver"]["Lesion AP"] == ""
    table = (output / "table.tex").read_text()
    assert f"{tumor['dice']['value']:.3f}" in next(line for line in table.splitlines() if line.startswith("Dice &"))
    assert len({line.count("&") for line in table.splitlines() if "&" in line}) == 1
    with (output / "cases.csv").open() as file:
        cases = list(csv.DictReader(file))
    assert [case["status"] for case in cases] == ["scored", "missing prediction", "scored"]
    digest = hashlib.sha256((references / cases[0]["reference"]).read_bytes()).hexdigest()
    assert cases[0]["reference_sha256"] == digest
    assert cases[1]["prediction_sha256"] == ""
    assert "average precision" in capsys.readouterr().out
    other = output.with_name("both")
    arguments = ["--against", str(predictions), "--against-name", "B_2%", "--output", str(other)]
    assert run(folders, *arguments) == 0
    assert "model, liver & model, tumor & B\\_2\\%, liver" in (other / "table.tex").read_text()


def test_paired_comparison(folders):
    _, predictions, output = folders
    assert run(folders, "--against", str(predictions), "--name", "A", "--against-name", "B") == 0
    paired = json.loads((output / "metrics.json").read_text())["paired"]
    assert {row["metric"] for row in paired} >= {"dice", "hd95_mm", "nsd"}
    assert all(value == 0.0 for row in paired for value in row["differences"])
    assert "A against B" in (output / "report.html").read_text()


def prediction_of_case_0(folders):
    references, predictions, _ = folders
    cases, _ = pair_cases(references, predictions)
    return load_case(cases[0], LIVER_TUMOR).prediction


def test_segment_names_win_over_values(folders):
    """A segmentation saved with tumour 1 and liver 2 is read by its names."""
    before = prediction_of_case_0(folders)
    path = folders[1] / "volume-0.seg.nrrd"
    swapped = np.array([0, 2, 1], dtype=np.uint8)[sitk.GetArrayFromImage(sitk.ReadImage(str(path)))]
    exchanged = [dataclasses.replace(label, value=3 - label.value) for label in LABELS]
    write_segmentation(path, image(swapped), exchanged, {})
    assert np.array_equal(prediction_of_case_0(folders), before)


def test_cropped_segmentation_is_put_in_its_place(folders):
    before = prediction_of_case_0(folders)
    path = folders[1] / "volume-0.seg.nrrd"
    at = np.argwhere(before > 0)
    (z0, y0, x0), (z1, y1, x1) = at.min(axis=0).tolist(), (at.max(axis=0) + 1).tolist()
    part = sitk.ReadImage(str(path))[x0:x1, y0:y1, z0:z1]
    assert part.GetNumberOfPixels() < before.size
    write_segmentation(path, part, LABELS, {})
    assert np.array_equal(prediction_of_case_0(folders), before)
    part.SetOrigin(np.array(part.GetOrigin()) + 0.3)
    write_segmentation(path, part, LABELS, {})
    with pytest.raises(InputError, match="on the voxels"):
        prediction_of_case_0(folders)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spacing": (0.9, 0.9, 2.01)}, "spacing"),
        ({"origin": (0.0, 0.0, 1.0)}, "origin"),
        ({"crop": True}, "voxels"),
        ({"value": 5}, "label values 5"),
        ({"fraction": True}, "whole numbers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_with_a_reason(folders, capsys, change, message):
    _, predictions, output = folders
    (predictions / "volume-0.seg.nrrd").unlink()
    guess = labels(0).astype(np.float32 if "fraction" in change else np.uint8)
    if "value" in change:
        guess[5:8, 5:8, 5:8] = change["value"]
    if "fraction" in change:
        guess[5, 5, 5] = 1.7
    if "crop" in change:
        guess = guess[:-1]
    placed = image(guess, change.get("origin", (0.0, 0.0, 0.0)), change.get("spacing", SPACING))
    sitk.WriteImage(placed, str(predictions / "volume-0.nii.gz"))
    assert run(folders) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert "0" in error
    assert not (output / "metrics.json").exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(lambda a: a * 0 + 255, "holds only 255"), (lambda a: (a > 0) * 255, "only 0 and 255, as masks")],
)
@pytest.mark.parametrize("role", ["reference", "prediction"])
def test_a_labelmap_that_says_nothing_but_unknown_is_refused(folders, capsys, role, spoil, words):
    references, predictions, _ = folders
    path = references / "segmentation-2.nii.gz"
    array = spoil(labels(2).astype(np.int16)).astype(np.uint8)
    if role == "prediction":
        (predictions / "volume-2.seg.nrrd").unlink()
        path = predictions / "volume-2.nii.gz"
    sitk.WriteImage(image(array), str(path))
    assert run(folders) == 3
    told = capsys.readouterr().err
    assert f"Case 2, {role}" in told
    assert words in told


def test_wrong_folders_and_options_are_usage_errors(folders, tmp_path, capsys):
    references, predictions, _ = folders
    assert run((references, tmp_path / "nowhere", tmp_path / "out")) == 2
    assert run(folders, "--regions", "tumor") == 2
    assert run(folders, "--lesion-regions", "spleen") == 2
    assert run(folders, "--tolerance", "0") == 2
    sitk.WriteImage(image(labels(0)), str(predictions / "0_seg.nii.gz"))
    assert run(folders) == 2
    assert "claim case 0" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run((references, empty, tmp_path / "out")) == 3
    assert "named after" in capsys.readouterr().err


def test_brats_regions_and_folders_by_case(tmp_path):
    for case in ("a", "b"):
        (tmp_path / "data" / case).mkdir(parents=True)
        truth = np.random.default_rng(1).integers(0, 5, (8, 9, 10)).astype(np.uint8)
        sitk.WriteImage(image(truth), str(tmp_path / "data" / case / "seg.nii.gz"))
        (tmp_path / "predictions").mkdir(exist_ok=True)
        sitk.WriteImage(image(truth), str(tmp_path / "predictions" / f"{case}.nii.gz"))
    folders = (tmp_path / "data", tmp_path / "predictions", tmp_path / "out")
    assert run(folders, "--regions", "brats", "--reference-glob", "*/seg.nii.gz") == 0
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(document["summary"]["regions"]) == ["WT", "TC", "ET"]
    assert [case["name"] for case in document["cases"]] == ["a", "b"]
    assert document["summary"]["regions"]["ET"]["per_case"]["specificity"]["value"] == 1.0


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("segmentation-12.nii", "12"),
        ("volume-12.seg.nrrd", "12"),
        ("liver_7_label.nii.gz", "liver_7"),
        ("hcc005_portal.nii.gz", "hcc005_portal"),
        ("patient-seg.nrrd", "patient"),
        ("liver_001_0000.nii.gz", "liver_001"),
    ],
)
def test_case_names(tmp_path, name, case):
    assert case_name(tmp_path / name) == case


def test_follow_up_page(tmp_path):
    before, after = labels(3), labels(3)
    after[:, :, 18:][after[:, :, 18:] == 2] = 1
    paths = []
    for name, array in (("one", before), ("two", after)):
        path = tmp_path / f"{name}.seg.nrrd"
        write_segmentation(path, image(array), LABELS, {})
        scan = tmp_path / f"{name}_ct.nii.gz"
        sitk.WriteImage(image(np.full(array.shape, 60, dtype=np.int16)), str(scan))
        report = {"input": {"path": str(scan)}}
        (tmp_path / f"{name}.report.json").write_text(json.dumps(report))
        paths.append(str(path))
    output = tmp_path / "out"
    assert compare([*paths, "--output", str(output), "--dates", "2024-01-05", "2024-04-05"]) == 0
    document = json.loads((output / "followup.json").read_text())
    assert [scan["date"] for scan in document["scans"]] == ["2024-01-05", "2024-04-05"]
    assert document["scans"][0]["lesions"][0]["mean_hu"] == 60.0
    page = (output / "report.html").read_text()
    assert "not a diagnosis" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert compare([*reversed(paths), "--output", str(output), "--dates", "2024-04-05", "2024-01-05"]) == 2
    assert compare([paths[0], "--output", str(output)]) == 2
    assert compare([*paths, "--output", str(output), "--dates", "yesterday", "today"]) == 2


@pytest.fixture
def table_of_livers(folders):
    """References as a CSV; of case 2 only the liver was annotated, the prediction is right about its tumours."""
    references, predictions, _ = folders
    rows = ["case,image,label,liver_only"]
    for number in range(3):
        truth = labels(number)
        write_segmentation(predictions / f"volume-{number}.seg.nrrd", image(truth), LABELS, {})
        if number == 2:
            truth[truth == 2] = 1
            sitk.WriteImage(image(truth), str(references / f"segmentation-{number}.nii.gz"))
        rows.append(f"{number},volume-{number}.nii.gz,segmentation-{number}.nii.gz,{float(number == 2)}")
    (references / "set.csv").write_text("\n".join(rows) + "\n")
    return references / "set.csv"


def test_tumours_are_not_judged_where_only_the_liver_was_annotated(folders, table_of_livers, capsys):
    _, predictions, output = folders
    assert run((table_of_livers, predictions, output), "--figures", "--against", str(predictions)) == 0
    assert "only the liver annotated, not in the figures of tumours: 2" in capsys.readouterr().out
    metrics = json.loads((output / "metrics.json").read_text())
    tumor, liver = (metrics["summary"]["regions"][name] for name in ("tumor", "liver"))
    assert (tumor["per_case"]["dice"]["value"], tumor["per_case"]["dice"]["n"]) == (1.0, 2)
    assert (liver["per_case"]["dice"]["value"], liver["per_case"]["dice"]["n"]) == (1.0, 3)
    assert tumor["pooled"]["precision"]["value"] == 1.0
    assert tumor["agreement"]["n"] == metrics["summary"]["burden"]["n"] == 2
    assert all(size["false_positives"] == 0 for size in tumor["detection"]["lits"].values())
    case = metrics["cases"][2]
    assert case["notes"] == ["only the liver was annotated: not in the figures of tumor"]
    assert set(case["regions"]["tumor"]["values"].values()) == {None}
    assert case["regions"]["liver"]["values"]["dice"] == 1.0
    assert metrics["lesion_confidence"]["patients"] == 1  # case 0: 1 kept no probabilities, 2 is not judged
    with (output / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if (row["case"], row["region"]) == ("2", "tumor")]
    assert row["dice"] == ""


def test_livers_alone_have_no_figures_of_tumours(folders, table_of_livers, capsys):
    _, predictions, output = folders
    arguments = (table_of_livers, predictions, output)
    assert run(arguments, "--cases", "2") == 0
    metrics = json.loads((output / "metrics.json").read_text())
    assert set(metrics["summary"]["regions"]) == {"liver"}
    assert run(arguments, "--cases", "2", "--regions", "tumor=2") == InputError.exit_code
    assert "Only the liver was annotated in every reference" in capsys.readouterr().err
