"""The accuracy figures of a model: a known answer, a known reference, known figures."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.pipeline.inference import Segmenter

from LiverTumorSegTraining.benchmark.accuracy import Labelled, score, table
from LiverTumorSegTraining.benchmark.accuracy_cli import main
from LiverTumorSegTraining.benchmark.pasted_mass import scans_with_mass
from LiverTumorSegTraining.benchmark.synthetic_set import synthetic_scans


@pytest.fixture(scope="module")
def scan(make_phantom):
    image, labels, _ = make_phantom()
    return image, labels


def test_a_right_answer_scores_as_one(scan, density_bundles):
    image, labels = scan
    row = score(Segmenter(*density_bundles, device="cpu"), Labelled("phantom_portal", image, labels))
    assert row.liver_dice > 0.95
    assert row.tumor_dice > 0.85
    assert row.reference_ml == pytest.approx(4 / 3 * np.pi * (1.6 * 1.4 * 1.8 + 0.9**3), rel=0.1)
    # Both tumours lie 100 HU above the liver.
    sizes = {"under 10 mm": [0, 0], "10 to 20 mm": [1, 1], "over 20 mm": [1, 1]}
    assert row.hits == {**sizes, "under 20 HU": [0, 0], "20 to 40 HU": [0, 0], "over 40 HU": [2, 2]}
    assert row.false_lesions == 0
    assert row.false_ml < 0.2 * row.found_ml


def test_false_and_missed_lesions_are_told_apart_and_unknown_ones_are_neither(scan, density_bundles):
    image, labels = scan
    segmenter = Segmenter(*density_bundles, device="cpu")
    without = np.where(labels == 2, 1, labels).astype(np.uint8)
    row = score(segmenter, Labelled("none", image, without))
    assert row.tumor_dice is None
    assert row.false_lesions == 2
    assert row.false_ml == row.found_ml > 15
    unknown = np.where(labels == 2, 255, labels).astype(np.uint8)
    row = score(segmenter, Labelled("unknown", image, unknown))
    assert row.false_lesions == 0
    assert row.false_ml < 3, "the rim of what is unknown"
    elsewhere = without.copy()
    elsewhere[labels.shape[0] // 2, :, :][labels[labels.shape[0] // 2] == 1] = 2
    elsewhere[labels == 2] = 1
    row = score(segmenter, Labelled("elsewhere", image, elsewhere))
    assert sum(found for found, _ in row.hits.values()) <= sum(count for _, count in row.hits.values())
    assert row.tumor_dice < 0.2
    assert "| elsewhere |" in table([row])


def test_the_command_line_scores_the_named_cases(scan, models, tmp_path, capsys, monkeypatch):
    image, labels = scan
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(models))
    label = sitk.GetImageFromArray(labels)
    label.CopyInformation(image)
    for name in ("first_portal", "second_portal"):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
        sitk.WriteImage(label, str(tmp_path / f"{name}_label.nii.gz"))
    output = tmp_path / "figures.json"
    arguments = ["--model", str(models / "liver-tumor"), "--data", str(tmp_path), "--output", str(output)]
    assert main([*arguments, "--cases", "second"]) == 0
    (row,) = json.loads(output.read_text())
    assert row["name"] == "second_portal"
    text = output.with_suffix(".md").read_text()
    assert "| second_portal |" in text
    assert "1 scans: liver" in text
    assert "over 20 mm 1 of 1" in text
    capsys.readouterr()
    assert main([*arguments, "--cases", "third"]) == 3
    assert "no case or patient third" in capsys.readouterr().err


def test_made_up_tumours_are_the_same_at_every_call_and_lie_in_healthy_livers(scan):
    image, labels = scan
    healthy = Labelled("healthy", image, np.where(labels == 2, 1, labels).astype(np.uint8))
    first, again = (list(synthetic_scans([Labelled("ill", image, labels), healthy], 3)) for _ in range(2))
    assert [one.name for one in first] == ["healthy + 0", "healthy + 1", "healthy + 2"]
    before = sitk.GetArrayFromImage(image)
    for one, other in zip(first, again, strict=True):
        changed = sitk.GetArrayFromImage(one.image)
        assert np.array_equal(changed, sitk.GetArrayFromImage(other.image))
        assert np.array_equal(one.reference, other.reference)
        tumor = one.reference == 2
        assert tumor.any()
        # Those at the surface bulge into the fat beyond it.
        assert (healthy.reference[tumor] == 1).mean() > 0.6
        assert np.abs(changed[tumor].astype(int) - before[tumor]).mean() > 8
    assert not np.array_equal(first[0].reference, first[1].reference)
    with pytest.raises(InputError, match="No scan of the data set has a liver without tumour"):
        next(synthetic_scans([Labelled("ill", image, labels)], 1))


def test_a_pasted_mass_lies_beside_the_liver_and_is_the_same_at_every_call(scan):
    image, labels = scan
    healthy = Labelled("healthy", image, np.where(labels == 2, 1, labels).astype(np.uint8))
    (first,), (again,) = (list(scans_with_mass([healthy, Labelled("ill", image, labels)], 60)) for _ in range(2))
    values = sitk.GetArrayFromImage(first.image)
    assert np.array_equal(values, sitk.GetArrayFromImage(again.image))
    changed = values != sitk.GetArrayFromImage(image)
    volume_ml = float(changed.sum() * np.prod(image.GetSpacing())) / 1000
    assert 20 < volume_ml < 75
    told_ml = float(first.name.split()[-2])
    assert told_ml == pytest.approx(volume_ml, rel=0.2)
    assert not (changed & (healthy.reference == 1)).any(), "the liver stays as it is"
    assert np.array_equal(first.reference, healthy.reference)
    # The soft edge aside, what was pasted is fluid.
    assert np.median(values[changed]) == pytest.approx(12, abs=4)


def test_a_mass_and_made_up_tumours_exclude_each_other(models, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--model", str(models), "--output", str(tmp_path / "x.json"), "--mass", "500", "--synthetic", "3"])
    assert "not allowed with" in capsys.readouterr().err
