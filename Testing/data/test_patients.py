"""Who belongs together, said aloud; splits files of nnU-Net; what would waste a training is told before."""

import json

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.dataset import find_cases, split
from LiverTumorSegTraining.data.patients import patients_in_words, patients_of, with_patients
from LiverTumorSegTraining.data.splits import read_splits, write_splits
from LiverTumorSegTraining.data.verify import main as verify
from LiverTumorSegTraining.recipe.config import DataConfig
from LiverTumorSegTraining.training.distributed import Processes
from LiverTumorSegTraining.training.training_data import load_training_data


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["case_001", "case_002"], ["case_001", "case_002"]),
        (["case_001_portal", "case_001_late", "case_002_late"], ["case_001", "case_001", "case_002"]),
        (["hcc006_portal", "hcc006_arterial", "hcc015_portal"], ["hcc006", "hcc006", "hcc015"]),
        (["hcc006_portal", "hcc006_arterial"], ["hcc006", "hcc006"]),
        (["BraTS20_Training_001", "BraTS20_Training_002"], ["BraTS20_Training_001", "BraTS20_Training_002"]),
        (["anna_portal", "anna_late", "ben_portal"], ["anna", "anna", "ben"]),
        (["liver_0"], ["liver_0"]),
        (["scan7", "scan8"], ["scan7", "scan8"]),
        ([], []),
    ],
)
def test_the_default_rule(names, patients):
    assert patients_of(names) == patients


def cases(*names, patient=""):
    return [Case(name, patient, (), None) for name in names]


def test_a_pattern_or_a_column_says_otherwise():
    named = with_patients(cases("a-7-x", "a-8-y"), DataConfig(patient_pattern=r"a-(\d)"))
    assert [case.patient for case in named] == ["7", "8"]
    named = with_patients(cases("a_1", "a_2", patient="Lee"), DataConfig())
    assert {case.patient for case in named} == {"Lee"}
    with pytest.raises(InputError, match="does not match the case b_1"):
        with_patients(cases("a_1", "b_1"), DataConfig(patient_pattern="^a"))
    with pytest.raises(UsageError, match="no regular expression"):
        with_patients(cases("a_1"), DataConfig(patient_pattern="("))


def test_the_rule_is_said_with_its_count():
    data = DataConfig()
    told = patients_in_words(with_patients(cases("case_001", "case_002"), data), data)
    assert told.startswith("2 patients in 2 cases, by the beginnings of the case names")
    assert "one scan each" in told
    told = patients_in_words(with_patients(cases("p1_a", "p1_b"), data), data)
    assert told.startswith("1 patients in 2 cases")
    assert "p1: p1_a, p1_b" in told


def test_nnunets_splits_are_read_and_written(make, tmp_path):
    data = make["nnunet"](tmp_path / "data", 3)
    written = write_splits(tmp_path, [(["liver_000", "liver_001"], ["liver_002"]), (["liver_002"], ["liver_000"])])
    assert json.loads(written.read_text())[0] == {"train": ["liver_000", "liver_001"], "val": ["liver_002"]}
    assert len(read_splits(written).folds) == 2
    for fold, expected in enumerate(((["liver_000", "liver_001"], ["liver_002"]), (["liver_002"], ["liver_000"]))):
        config = DataConfig(splits=written, fold=fold)
        parts = split(find_cases(data, config), config)
        assert tuple([case.name for case in part] for part in parts) == expected
    with pytest.raises(InputError, match="has 2 folds"):
        split(find_cases(data, config), DataConfig(splits=written, fold=2))


def test_splits_that_contradict_the_data_are_refused(make, tmp_path):
    data = make["nnunet"](tmp_path / "data", 3)
    path = tmp_path / "splits.json"

    def trained(content):
        path.write_text(json.dumps(content))
        config = DataConfig(splits=path)
        return split(find_cases(data, config), config)

    fold = {"train": ["liver_000", "liver_001"], "val": ["liver_002"]}
    patients = {"liver_000": "Lee", "liver_002": "Lee"}
    with pytest.raises(InputError, match=r"patient Lee on both sides \(liver_000, liver_002\)"):
        trained({"splits": [fold], "patients": patients})
    with pytest.raises(InputError, match="does not hold: liver_9"):
        trained([{"train": ["liver_9"], "val": []}])
    with pytest.raises(InputError, match="must hold a list of folds"):
        trained([{"training": []}])
    with pytest.raises(InputError, match="trains on no case"):
        trained([{"train": [], "val": ["liver_000"]}])
    path.write_text("[")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        split([], DataConfig(splits=path))


def test_a_set_without_tumours_or_with_one_patient_is_told_before_training(make, tiny, tmp_path, capsys):
    for name in ("p1_portal", "p1_late"):
        image, label = make["scan"](3 if name == "p1_portal" else 4, tumor=False)
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
        sitk.WriteImage(label, str(tmp_path / f"{name}_label.nii.gz"))
    config = tiny(data__validation_fraction=0)
    load_training_data(tmp_path, config, tmp_path / "runs" / "run", Processes(config))
    told = capsys.readouterr().out
    assert "1 patients in 2 cases" in told
    assert "Warning: No case holds the label tumor (2)" in told
    assert "Warning: All 2 cases belong to one patient (p1)" in told
    assert told.index("Warning") < told.index("preparing")
    assert verify([str(tmp_path), "--json", str(tmp_path / "told.json")]) == 0
    assert len(json.loads((tmp_path / "told.json").read_text())["warnings"]) == 2
    assert "1 patients in 2 cases" in capsys.readouterr().out
