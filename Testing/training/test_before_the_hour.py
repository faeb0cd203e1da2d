"""What would train something else than was meant is one sentence before the first step."""

import errno
import json

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.dataset import find_cases, split
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.preparation_cache import Arrays, PreparationCache
from LiverTumorSegTraining.training.before_start import check_splits_of_folds
from LiverTumorSegTraining.training.display import Display
from LiverTumorSegTraining.training.distributed import Processes
from LiverTumorSegTraining.training.training_data import load_training_data

FILES = ("t1", "t1ce", "flair")


@pytest.fixture
def numbered(make, tmp_path):
    """Return a function that writes a brain in nnU-Net's or MSD's layout, the channels in an order of their own."""

    def write(layout):
        for folder in ("imagesTr", "labelsTr"):
            (tmp_path / folder).mkdir()
        images, label = make["brain"](0)
        sitk.WriteImage(label, str(tmp_path / "labelsTr" / "brain_0.nii.gz"))
        content = {"labels": {"background": 0, "necrotic core": 1, "edema": 2, "enhancing": 4}}
        if layout == "nnunet":
            for number, name in enumerate(FILES):
                sitk.WriteImage(images[name], str(tmp_path / "imagesTr" / f"brain_0_{number:04d}.nii.gz"))
            content |= {"channel_names": {"0": "T1", "1": "T1ce", "2": "Flair"}, "file_ending": ".nii.gz"}
        else:
            together = sitk.JoinSeries([images[name] for name in FILES])
            sitk.WriteImage(together, str(tmp_path / "imagesTr" / "brain_0.nii.gz"))
            content |= {"modality": {"0": "T1w", "1": "t1gd", "2": "FLAIR"}}
            content["training"] = [{"image": "./imagesTr/brain_0.nii.gz", "label": "./labelsTr/brain_0.nii.gz"}]
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("layout", "told", "advice"),
    [("nnunet", "T1, T1ce, Flair", r"\[T1, T1ce, Flair\]"), ("msd", "T1w, t1gd, FLAIR", r"\[T1w, t1gd, FLAIR\]")],
)
def test_channels_are_not_taken_for_each_other(layout, told, advice, numbered, tiny):
    root = numbered(layout)
    config = tiny("brats_attention_3d", data__layout="auto")
    words = rf"numbers the channels {told}, but data\.channels is FLAIR, T1, T1CE.*set --data\.channels '{advice}'"
    with pytest.raises(InputError, match=words):
        in_agreement(config, root)


@pytest.mark.parametrize("channels", [["T1", "T1CE", "FLAIR"], ["t1w", "t1gd"], ["first", "second", "third"]])
def test_channels_in_the_order_of_the_files_are_taken_by_any_name(channels, numbered, tiny):
    root = numbered("nnunet")
    config = in_agreement(tiny("brats_attention_3d", data__layout="auto", data__channels=channels), root)
    (case,) = find_cases(root, config.data)
    assert [path.name for path in case.images] == [f"brain_0_{number:04d}.nii.gz" for number in range(len(channels))]


def test_two_files_that_claim_to_be_one_are_refused(pairs, tiny, tmp_path):
    image, label = (sitk.ReadImage(str(pairs / f"case0_portal{end}.nii.gz")) for end in ("", "_label"))
    sitk.WriteImage(image, str(tmp_path / "a_1.nii.gz"))
    sitk.WriteImage(label, str(tmp_path / "a_1_label.nii.gz"))
    (case,) = find_cases(tmp_path, tiny().data)
    assert case.images[0].name == "a_1.nii.gz"
    # What Slicer saves beside it was once taken for the image.
    sitk.WriteImage(label, str(tmp_path / "a_1.seg.nrrd"))
    with pytest.raises(InputError, match=r"two labels of case a_1, a_1\.seg\.nrrd and a_1_label\.nii\.gz: remove one"):
        find_cases(tmp_path, tiny().data)
    (tmp_path / "a_1.seg.nrrd").unlink()
    sitk.WriteImage(image, str(tmp_path / "a_1.nrrd"))
    with pytest.raises(InputError, match=r"two images of case a_1, a_1\.nii\.gz and a_1\.nrrd: remove one"):
        find_cases(tmp_path, tiny().data)


def test_a_pattern_finds_the_patient_by_whichever_group_matches(pairs, tiny):
    config = tiny(data__patient_pattern=r"scan(\d+)|case(\d+)", data__validation=["2"])
    training, held_out = split(find_cases(pairs, config.data), config.data)
    assert [case.patient for case in training] == ["0", "1"]
    assert [case.name for case in held_out] == ["case2_portal"]


@pytest.mark.parametrize("pattern", [r"\d*", r"(\d*)", r"(x)?"])
def test_a_pattern_that_finds_nothing_is_no_patient(pairs, tiny, pattern):
    with pytest.raises(InputError, match=r"finds an empty name in the case case0_portal"):
        find_cases(pairs, tiny(data__patient_pattern=pattern).data)


def test_folds_of_a_table_that_hold_nobody_out_are_refused(make, tiny, tmp_path):
    table = make["csv"](tmp_path / "data", 4)
    config = tiny(data__folds=3, data__fold=0)
    with pytest.raises(InputError, match="leaves nobody to hold out in fold 2 of 3"):
        split(find_cases(table, config.data), config.data)
    table.write_text(table.read_text().replace("scan1,p1", "scan1,p0"))
    with pytest.raises(InputError, match="assigns patient p0 to the folds 0 and 1"):
        split(find_cases(table, config.data), config.data)


@pytest.mark.parametrize("why", ["exclude", "exclude_bad"])
def test_a_splits_file_may_name_a_case_that_is_left_out(why, make, tiny, tmp_path):
    data = make["pairs"](tmp_path / "data", 4)
    splits = tmp_path / "splits_final.json"
    names = [f"case{number}_portal" for number in range(4)]
    splits.write_text(json.dumps([{"train": names[:3], "val": names[3:]}]))
    label = sitk.ReadImage(str(data / "case0_portal_label.nii.gz"))
    sitk.WriteImage(label * 7, str(data / "case0_portal_label.nii.gz"))
    changes = {"data__exclude": ["case0"]} if why == "exclude" else {"data__exclude_bad": True}
    config = tiny(data__splits=str(splits), **changes)
    check_splits_of_folds(config, data, 1)
    loaded = load_training_data(data, config, tmp_path / "run", Processes(config), Display(quiet=True))
    assert [prepared.case.name for prepared in loaded.training] == names[1:3]
    splits.write_text(json.dumps([{"train": [*names[:3], "nobody"], "val": names[3:]}]))
    with pytest.raises(InputError, match="does not hold: nobody"):
        check_splits_of_folds(config, data, 1)


def test_a_full_disk_keeps_no_half_of_a_prepared_case(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    arrays = Arrays(np.zeros((1, 2, 2, 2)), np.zeros((2, 2, 2), np.uint8), {})
    with pytest.raises(OSError, match="No space left"):
        PreparationCache(tmp_path).get("key", lambda: arrays)
    assert list(tmp_path.iterdir()) == []
