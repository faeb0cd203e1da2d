"""Every planted fault is found in one pass; training on such a set refuses, or leaves the bad cases out."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.dataset import list_cases
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.verify import CODES, main, verify_cases
from LiverTumorSegTraining.recipe.config import DataConfig
from LiverTumorSegTraining.training.distributed import Processes
from LiverTumorSegTraining.training.training_data import load_training_data


def changed(image, function):
    array = function(sitk.GetArrayFromImage(image))
    other = sitk.GetImageFromArray(array)
    if other.GetSize() == image.GetSize():
        other.CopyInformation(image)
    else:
        other.SetSpacing(image.GetSpacing()[: other.GetDimension()])
    return other


def moved(image, origin=None, spacing=None):
    other = sitk.Image(image)
    if origin:
        other.SetOrigin(origin)
    if spacing:
        other.SetSpacing(spacing)
    return other


def value_at_middle(value, dtype=np.float32):
    def change(array):
        array = array.astype(dtype)
        array[tuple(n // 2 for n in array.shape)] = value
        return array

    return change


FAULTS = {
    "nan": ("not_finite", lambda i, s: (changed(i, value_at_middle(np.nan)), s)),
    "constant": ("constant", lambda i, s: (changed(i, lambda a: a * 0), s)),
    "shifted": ("label_geometry", lambda i, s: (i, moved(s, origin=(0, 0, 0)))),
    "spacing": ("label_geometry", lambda i, s: (i, moved(s, spacing=(4, 4, 3.01)))),
    "size": ("label_size", lambda i, s: (i, s[:-1])),
    "value5": ("label_values", lambda i, s: (i, changed(s, value_at_middle(5, np.uint8)))),
    "value1.7": ("label_values", lambda i, s: (i, changed(s, value_at_middle(1.7)))),
    "empty": ("no_annotation", lambda i, s: (i, s * 0)),
    "fine": ("spacing", lambda i, s: (moved(i, spacing=(0.01, 0.01, 3)), moved(s, spacing=(0.01, 0.01, 3)))),
    "flat": ("few_slices", lambda i, s: (i[:, :, 10:14], s[:, :, 10:14])),
    "mirrored": ("label_in_air", lambda i, s: (i, changed(s, lambda a: np.roll(a, (16, 22), (1, 2))))),
    "nanlabel": ("label_values", lambda i, s: (i, changed(s, value_at_middle(np.nan)))),
    "intercept": ("hu", lambda i, s: (changed(i, lambda a: (a + 1024).astype(np.int16)), s)),
    "unit": ("hu", lambda i, s: (changed(i, lambda a: np.clip((a + 150) / 400, 0, 1).astype(np.float32)), s)),
    "gray": ("hu", lambda i, s: (changed(i, lambda a: np.clip((a + 150) * 255 / 400, 0, 255).astype(np.uint8)), s)),
    "rgb": ("not_3d", lambda i, s: (sitk.Compose([i, i, i]), s)),
}


@pytest.fixture(scope="module")
def faulty(make, tmp_path_factory):
    """A data set with one fault of each kind and two sound cases."""
    root = make["pairs"](tmp_path_factory.mktemp("faulty"), 2)
    for number, (name, (_, plant)) in enumerate(FAULTS.items(), 10):
        image, label = plant(*make["scan"](number))
        sitk.WriteImage(image, str(root / f"{name}.nii.gz"))
        sitk.WriteImage(label, str(root / f"{name}_label.nii.gz"))
    image, label = make["scan"](50)
    for name in ("twin", "patient9_a", "patient9_b", "broken", "halflabel", "lonely"):
        sitk.WriteImage(
            image if "twin" in name or "9" in name else make["scan"](60 + len(name))[0], str(root / f"{name}.nii.gz")
        )
        if name != "lonely":
            sitk.WriteImage(label, str(root / f"{name}_label.nii.gz"))
    (root / "imageless_label.nii.gz").write_bytes((root / "case0_portal_label.nii.gz").read_bytes())
    for name in ("broken.nii.gz", "halflabel_label.nii.gz"):
        payload = (root / name).read_bytes()
        (root / name).write_bytes(payload[: len(payload) // 2])
    return root


EXPECTED = {name: code for name, (code, _) in FAULTS.items()} | {
    "patient9_b": "duplicate",
    "twin": "leak",
    "broken": "unreadable_image",
    "halflabel": "unreadable_label",
    "lonely": "no_annotation",
    "imageless": "missing_image",
}


def test_every_planted_fault_is_found_in_one_pass(faulty, tmp_path, capsys):
    assert main([str(faulty), "--json", str(tmp_path / "found.json")]) == 3
    found = json.loads((tmp_path / "found.json").read_text())
    pairs = {(problem["case"], problem["code"]) for problem in found["problems"]}
    assert {(case, code) for case, code in EXPECTED.items()} <= pairs
    assert not {case for case, _ in pairs} & {"case0_portal", "case1_portal", "patient9_a"}
    assert len({code for _, code in pairs}) >= 12
    assert {code for _, code in pairs} <= set(CODES)
    assert "problems in" in capsys.readouterr().out


def test_channels_on_different_grids(make, tmp_path):
    root = make["brats"](tmp_path / "b", 2)
    path = root / "BraTS20_Training_000" / "BraTS20_Training_000_t1.nii.gz"
    sitk.WriteImage(moved(sitk.ReadImage(str(path)), origin=(1, 2, 3)), str(path))
    data = DataConfig(channels=["FLAIR", "T1", "T1CE"], labels=["a", "b", "c"], label_map={4: 3})
    assert [p.code for p in verify_cases(list_cases(root, data), data)] == ["channel_geometry"]


def test_lost_spacing_of_a_scanner_plane(make, tmp_path):
    image = make["image"](
        np.random.default_rng(0).integers(-1000, 200, (9, 512, 512)).astype(np.int16), (1.0, 1.0, 1.0)
    )
    label = make["image"](np.ones((9, 512, 512), np.uint8), (1.0, 1.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    sitk.WriteImage(label, str(tmp_path / "a_label.nii"))
    problems = verify_cases(
        [Case("a", "a", (tmp_path / "a.nii",), tmp_path / "a_label.nii")], DataConfig(channels=["MR"])
    )
    assert [problem.code for problem in problems] == ["spacing"]


def test_training_refuses_or_leaves_out(faulty, tiny, tmp_path, capsys):
    config = tiny()
    with pytest.raises(InputError) as error:
        load_training_data(faulty, config, tmp_path / "run", Processes(config))
    assert all(f"{case}: " in str(error.value) for case, code in EXPECTED.items() if code != "no_annotation")
    config = tiny(data__exclude_bad=True, data__validation_fraction=0.4)
    data = load_training_data(faulty, config, tmp_path / "run", Processes(config))
    names = {prepared.case.name for prepared in (*data.training, *data.validation)}
    assert names == {"case0_portal", "case1_portal", "patient9_a"}
    assert "Left out because of problems" in capsys.readouterr().out


def test_a_sound_set_passes_and_is_remembered(pairs, tmp_path, monkeypatch, capsys):
    assert main([str(pairs)]) == 0
    assert "no problem found" in capsys.readouterr().out
    cases = list_cases(pairs, DataConfig())
    assert verify_cases(cases, DataConfig(), tmp_path) == []

    def never(*arguments):
        raise AssertionError("an unchanged case was read again")

    monkeypatch.setattr("LiverTumorSegTraining.data.verify.case_facts", never)
    assert verify_cases(cases, DataConfig(), tmp_path) == []


def test_a_clipped_ct_and_an_mr_are_in_order(make, tmp_path):
    """A CT clipped to a window is in Hounsfield units still, and of other channels nothing is asked."""
    for name, change in (("clipped", lambda a: np.clip(a, -160, 240)), ("normalised", lambda a: (a + 1024) / 2000)):
        image, label = make["scan"](3)
        sitk.WriteImage(changed(image, change), str(tmp_path / f"{name}.nii.gz"))
        sitk.WriteImage(label, str(tmp_path / f"{name}_label.nii.gz"))
    for channels, wrong in ((["CT"], {"normalised"}), (["FLAIR"], set())):
        data = DataConfig(channels=channels)
        found = verify_cases(list_cases(tmp_path, data), data)
        assert {problem.case for problem in found if problem.code == "hu"} == wrong


def test_a_description_with_a_byte_order_mark_is_read(make, tmp_path):
    root = make["msd"](tmp_path / "set", 2)
    path = root / "dataset.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert main([str(root)]) == 0


def test_a_table_in_another_encoding_is_one_sentence(pairs, tmp_path, capsys):
    table = tmp_path / "set.csv"
    table.write_bytes("case,image,label\nMüller,a.nii.gz,b.nii.gz\n".encode("latin-1"))
    assert main([str(table)]) == 3
    told = capsys.readouterr().err
    assert "line 2: the text is not UTF-8" in told
    assert "Traceback" not in told


def test_region_labels_are_named_or_scored_never_a_trace(make, tmp_path, capsys):
    root = make["msd"](tmp_path / "set", 2)
    path = root / "dataset.json"
    content = json.loads(path.read_text())
    content["labels"] = {"background": 0, "organ": [1, 2], "tumor": 2}
    path.write_text(json.dumps(content))
    assert main([str(root)]) in (0, 3)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("first", ["CT", "MR"])
def test_what_one_recipe_saw_is_not_taken_for_another(first, make, tmp_path):
    """A set that is not in Hounsfield units is no CT, whichever recipe looked at it before."""
    image, label = make["scan"](0)
    sitk.WriteImage(changed(image, lambda a: (a + 1100).astype(np.uint16)), str(tmp_path / "a.nii.gz"))
    sitk.WriteImage(label, str(tmp_path / "a_label.nii.gz"))
    found = {}
    for channel in (first, "MR" if first == "CT" else "CT"):
        data = DataConfig(channels=[channel])
        problems = verify_cases(list_cases(tmp_path, data), data, tmp_path / "cache")
        found[channel] = [problem.code for problem in problems]
    assert found == {"CT": ["hu"], "MR": []}


def test_unknown_voxels_in_air_are_no_label_in_air(make, tiny, tmp_path):
    """Sparse annotation: nnU-Net's ignore label covers whole slices, air and all."""
    root = make["nnunet"](tmp_path / "set", 2)
    for path in (root / "labelsTr").iterdir():
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        array[:8] = array[16:] = 3
        sitk.WriteImage(make["image"](array), str(path))
    content = json.loads((root / "dataset.json").read_text())
    content["labels"]["ignore"] = 3
    (root / "dataset.json").write_text(json.dumps(content))
    # Without the label map the value has no name, and half of it lies in air: that must not be remembered.
    unmapped = verify_cases(list_cases(root, DataConfig()), DataConfig(), tmp_path / "cache")
    assert {problem.code for problem in unmapped} == {"label_values", "label_in_air"}
    data = in_agreement(tiny(), root).data
    assert data.label_map == {3: 255}
    assert verify_cases(list_cases(root, data), data, tmp_path / "cache") == []


def test_a_copy_in_another_type_of_number_is_the_same_scan(make, tmp_path):
    image, label = make["scan"](0)
    for name, stored in (("a1", image), ("b2", sitk.Cast(image, sitk.sitkFloat32))):
        sitk.WriteImage(stored, str(tmp_path / f"{name}.nii.gz"))
        sitk.WriteImage(label, str(tmp_path / f"{name}_label.nii.gz"))
    (problem,) = verify_cases(list_cases(tmp_path, DataConfig()), DataConfig())
    assert (problem.case, problem.code) == ("b2", "leak")


@pytest.mark.parametrize(("value", "advice"), [(500, "correct the file"), (7, "--data.label_map '{7: 0}'")])
def test_the_advice_for_a_value_can_be_followed(value, advice, make, tmp_path):
    image, label = make["scan"](0)
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    sitk.WriteImage(changed(label, value_at_middle(value, np.int16)), str(tmp_path / "a_label.nii.gz"))
    (problem,) = verify_cases(list_cases(tmp_path, DataConfig()), DataConfig())
    assert advice in problem.message


def test_an_impossible_label_map_is_a_sentence(pairs, capsys):
    assert main([str(pairs), "--label-map", "{2: 7}"]) == 2
    assert "label_map trains the value 2 as 7" in capsys.readouterr().err
