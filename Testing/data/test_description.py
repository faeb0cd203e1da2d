"""What a data set says of its labels and channels is honoured or refused in words."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.labelnames import canonical_name, plain_name
from LiverTumorSegLib.labels import IGNORE, label_table, value_of

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.description import agreed_labels, describe, in_agreement
from LiverTumorSegTraining.data.preparation import prepare
from LiverTumorSegTraining.data.verify import expected_data
from LiverTumorSegTraining.data.verify import main as verify
from LiverTumorSegTraining.recipe.config import DataConfig, parse_config


def folder(root, labels, channels=None, key="channel_names"):
    root.mkdir(parents=True, exist_ok=True)
    content = {"labels": labels, key: channels or {"0": "CT"}, "training": []}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def agreed(root, *names, **changes):
    return agreed_labels(DataConfig(labels=list(names), **changes), describe(root)).label_map


@pytest.mark.parametrize(
    ("first", "second"),
    [("Tumour", "tumor"), ("tumors", "lesion"), ("liver_tumour", "cancer"), ("oedema", "Edema"),
     ("necrotic_core", "NCR/NET"), ("enhancing", "enhancing tumour"), ("haemangioma", "Hemangiomas"),
     ("Kidneys", "kidney"), ("liver-vessel", "liver vessels")],
)  # fmt: skip
def test_one_thing_has_one_name(first, second):
    assert canonical_name(first) == canonical_name(second)


def test_other_things_keep_their_names():
    names = ["liver", "tumor", "spleen", "left kidney", "right kidney", "hepatic vessel", "portal vein"]
    assert len({canonical_name(name) for name in names}) == len(names)
    assert plain_name("Left_Kidney") == "left kidney"


def test_names_not_numbers_say_what_a_value_is(tmp_path):
    msd = folder(tmp_path / "a", {"0": "background", "1": "liver", "2": "cancer"}, key="modality")
    assert agreed(msd, "liver", "tumor") == {}
    turned = folder(tmp_path / "b", {"background": 0, "tumour": 1, "liver": 2})
    assert agreed(turned, "liver", "tumor") == {1: 2, 2: 1}
    ignoring = folder(tmp_path / "c", {"background": 0, "liver": 1, "tumor": 2, "ignore": 3})
    assert agreed(ignoring, "liver", "tumor") == {3: IGNORE}


def test_names_that_the_recipe_does_not_know_are_refused(tmp_path):
    spleen = folder(tmp_path / "a", {"background": 0, "liver": 1, "spleen": 2})
    with pytest.raises(InputError, match=r"calls the value 2 'spleen'.*data\.label_map"):
        agreed(spleen, "liver", "tumor")
    assert agreed(spleen, "liver", "tumor", label_map={2: 0}) == {2: 0}
    assert agreed(spleen, "liver", "tumor", "spleen") == {2: 3}
    regions = folder(tmp_path / "b", {"background": 0, "whole": [1, 2], "core": [2]})
    with pytest.raises(InputError, match=r"region labels \(whole = \[1, 2\]\)"):
        agreed(regions, "edema", "core")
    assert agreed(regions, "edema", "core", label_map={1: 1, 2: 2}) == {1: 1, 2: 2}


def recipe(**sections):
    no_tumors = {"probability": 0, "distractor_probability": 0}
    return parse_config({"id": "x", "synthetic": no_tumors, **sections}, "test")


def test_mr_is_not_trained_as_ct(tmp_path):
    mr = folder(tmp_path / "a", {"background": 0, "liver": 1, "tumor": 2}, {"0": "MRI"})
    with pytest.raises(InputError, match=r"are MRI.*subvolume_64_mr"):
        in_agreement(recipe(), mr)
    assert in_agreement(recipe(preparation={"window_hu": None}, data={"channels": ["MR"]}), mr).data.label_map == {}
    two = folder(tmp_path / "b", {"background": 0, "liver": 1, "tumor": 2}, {"0": "CT", "1": "PET"})
    with pytest.raises(InputError, match=r"2 channels.*'\[CT, PET\]'"):
        in_agreement(recipe(), two)


def test_a_liver_task_begins_with_liver_and_tumour():
    assert recipe(data={"labels": ["Liver", "tumours", "vessel"]}).classes == 4
    with pytest.raises(UsageError, match="begin with liver, tumor"):
        recipe(data={"labels": ["tumor", "liver"]})
    with pytest.raises(UsageError, match="one thing twice"):
        recipe(task="other", data={"labels": ["tumor", "tumour"]})


def test_verify_names_the_label_map(make, tmp_path, capsys):
    data = make["pairs"](tmp_path / "data", 2)
    path = data / "case0_portal_label.nii.gz"
    label = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(label)
    array[0, 0, 0] = 7
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(label)
    sitk.WriteImage(changed, str(path))
    assert verify([str(data), "--json", str(tmp_path / "problems.json")]) == InputError.exit_code
    (problem,) = json.loads((tmp_path / "problems.json").read_text())["problems"]
    assert problem["code"] == "label_values"
    assert "--data.label_map '{7: 0}'" in problem["message"]


def test_every_class_has_a_code_and_a_colour_of_its_own():
    names = ["liver", "tumour", "spleen", "left kidney", "vessels", *(f"thing {n}" for n in range(12))]
    table = label_table(names)
    assert [label.value for label in table] == list(range(1, len(names) + 1))
    assert [label.name for label in table] == names
    assert len({label.color for label in table}) == len(names)
    assert [label.type.meaning for label in table[:5]] == ["Liver", "Neoplasm", "Spleen", "Kidney", "Blood vessel"]
    colors = np.array([label.color for label in table])
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)[np.triu_indices(len(names), 1)]
    assert distances.min() > 0.05
    assert value_of("lesions", names) == 2
    assert value_of("pancreas", names) is None


def test_enhancing_tumour_is_trained_as_it_whatever_the_year_of_brats(make, tiny, tmp_path):
    sets = {layout: make[layout](tmp_path / layout, 2) for layout in ("brats", "brats_2023")}
    (label_of_2020, label_of_2023) = (
        prepare(find_cases(data, config.data)[0], config).label
        for data in sets.values()
        for config in [in_agreement(tiny("brats_attention_3d"), data)]
    )
    assert (label_of_2020 == label_of_2023).all()
    assert set(np.unique(label_of_2023).tolist()) == {0, 1, 2, 3}
    assert expected_data(sets["brats"]).label_map == {3: 1, 4: 3}
    assert expected_data(sets["brats_2023"]).label_map[3] == 3
    # A fourth class of its own, such as the resection cavity of 2024, is no enhancing tumour of 2020.
    names = ["necrotic core", "oedema", "enhancing", "resection cavity"]
    config = tiny("brats_attention_3d", data__labels=names, data__label_map={})
    assert in_agreement(config, sets["brats_2023"]).data.label_map == {}
