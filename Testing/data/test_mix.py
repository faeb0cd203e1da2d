"""The second data set of a training: nothing of held-out patients in it, and none of the first set's names."""

import json
import shutil

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.training.distributed import Processes
from LiverTumorSegTraining.training.training_data import load_training_data


def mixed_names(root, config, tmp_path):
    data = load_training_data(root, config, tmp_path / "runs" / "run", Processes(config))
    return {prepared.case.name for prepared in data.mixed}


@pytest.fixture
def old(make, tmp_path):
    """A second data set, whose liver_1 is the first set's case1 under another name and in another format."""
    return make["msd"](tmp_path / "old")


def recipe(tiny, old, **changes):
    return tiny("fine_tune", init_from="anything", data__mix=str(old), **changes)


def test_a_held_out_scan_is_not_mixed_in_under_another_name(pairs, old, tiny, tmp_path, capsys):
    config = recipe(tiny, old, data__validation=["case1"])
    assert mixed_names(pairs, config, tmp_path) == {"liver_0", "liver_2"}
    told = capsys.readouterr().out
    assert "Left out of data.mix because their patients are held out: liver_1." in told
    assert "The scan of liver_1 in data.mix is that of the held-out case case1_portal." in told


def test_other_scans_of_a_held_out_patient_are_not_mixed_in_either(pairs, make, tiny, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name, number in (("anna1_early", 1), ("anna1_late", 7), ("bert2", 8)):
        image, label = make["scan"](number)
        sitk.WriteImage(image, str(old / f"{name}.nii.gz"))
        sitk.WriteImage(label, str(old / f"{name}_label.nii.gz"))
    config = recipe(tiny, old, data__validation=["case1"])
    assert mixed_names(pairs, config, tmp_path) == {"bert2"}


def test_a_mix_of_held_out_patients_only_is_refused(pairs, old, tiny, tmp_path):
    config = recipe(tiny, old, data__validation=["case0", "case1"])
    content = json.loads((old / "dataset.json").read_text())
    content["training"] = content["training"][:2]
    (old / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="holds only patients that are held out"):
        mixed_names(pairs, config, tmp_path)


def test_what_names_cases_of_the_first_set_is_not_asked_of_the_second(pairs, old, tiny, tmp_path):
    splits = tmp_path / "splits.json"
    names = [f"case{number}_portal" for number in range(3)]
    splits.write_text(json.dumps([{"train": names[1:2], "val": names[2:]}]))
    config = recipe(
        tiny, old, data__layout="pairs", data__exclude=[names[0]], data__incomplete=[names[1]],
        data__missing_labels="liver_only", data__patient_pattern=r"^(case\d+)", data__splits=str(splits),
    )  # fmt: skip
    assert mixed_names(pairs, config, tmp_path) == {"liver_0", "liver_1"}


def test_the_pattern_of_patients_holds_in_both_sets_where_it_fits(pairs, make, tiny, tmp_path):
    old = tmp_path / "old"
    make["pairs"](old, 2, first=5)
    for path in sorted(old.iterdir()):
        shutil.move(path, old / path.name.replace("case5", "x_case1").replace("case6", "y_case6"))
    config = recipe(tiny, old, data__validation=["case1"], data__patient_pattern=r"(case\d+)")
    assert mixed_names(pairs, config, tmp_path) == {"y_case6_portal"}
