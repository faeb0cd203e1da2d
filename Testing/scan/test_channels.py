"""The channels of a case: a folder, a 4D file, numbered files, or one by one; the case is named, not a channel."""

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.scan.channels import CaseFiles, channel_file, group_inputs, name_of_case, read_channels

CHANNELS = ("FLAIR", "T1", "T1CE")


def image(value=0):
    array = np.random.default_rng(value).normal(100 * value, 5, (10, 12, 14)).astype(np.float32)
    return sitk.GetImageFromArray(array)


def write(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        sitk.WriteImage(image(number), str(folder / name))
    return [folder / name for name in names]


@pytest.mark.parametrize(
    "names",
    [
        ("BraTS20_Training_001_flair.nii.gz", "BraTS20_Training_001_t1.nii.gz", "BraTS20_Training_001_t1ce.nii.gz"),
        ("BraTS-GLI-00000-000-t2f.nii.gz", "BraTS-GLI-00000-000-t1n.nii.gz", "BraTS-GLI-00000-000-t1c.nii.gz"),
        ("Flair_subtrMeanDivStd.nii.gz", "T1_subtrMeanDivStd.nii.gz", "T1c_subtrMeanDivStd.nii.gz"),
    ],
)
def test_a_case_folder_is_one_input(tmp_path, names):
    files = write(tmp_path / "case7", *names, "case7_seg.nii.gz", "case7_t2.nii.gz")
    write(tmp_path / "case8", *names)
    (group,) = group_inputs([tmp_path / "case7"], CHANNELS)
    assert group == CaseFiles(tuple(files[:3]), "case7")
    channels = read_channels(group, CHANNELS)
    assert [channel.name for channel in channels] == ["case7"] * 3
    means = [sitk.GetArrayFromImage(channel.image).mean() for channel in channels]
    assert means == pytest.approx([0, 100, 200], abs=1)


def test_files_one_by_one_are_named_after_the_case(tmp_path):
    files = write(tmp_path, "case_flair.nii.gz", "case_t1.nii.gz", "case_t1ce.nii.gz")
    (group,) = group_inputs(files, CHANNELS)
    assert group.name == "case"
    assert name_of_case([tmp_path / "pat3-T2F.nii.gz"] * 3, CHANNELS) == "pat3"
    assert name_of_case([tmp_path / "flair_pat3.nii.gz"] * 3, CHANNELS) == "pat3"
    assert name_of_case([tmp_path / "venous.nii.gz"], ("CT",)) == "venous"


def test_files_called_alike_in_every_folder_are_named_after_it(tmp_path):
    files = write(tmp_path / "p1", "flair.nii.gz", "t1.nii.gz", "t1ce.nii.gz")
    more = write(tmp_path / "p2", "Flair_x.nii.gz", "T1_x.nii.gz", "T1c_x.nii.gz")
    write(tmp_path / "p3", "Flair_x.nii.gz")
    assert [group.name for group in group_inputs([*files, *more], CHANNELS)] == ["p1", "p2"]


def test_numbered_files_and_a_4d_file(tmp_path):
    numbered = write(tmp_path, "liver_001_0000.nii.gz", "liver_001_0001.nii.gz")
    (group,) = group_inputs(numbered[:1], ("CT", "PET"))
    assert group == CaseFiles(tuple(numbered), "liver_001")
    assert group_inputs(numbered, ("CT", "PET")) == [group]
    sitk.WriteImage(sitk.JoinSeries([image(0), image(3)]), str(tmp_path / "BRATS_001.nii.gz"))
    (group,) = group_inputs([tmp_path / "BRATS_001.nii.gz"], ("A", "B"))
    channels = read_channels(group, ("A", "B"))
    assert [channel.name for channel in channels] == ["BRATS_001"] * 2
    assert sitk.GetArrayFromImage(channels[1].image).mean() == pytest.approx(300, abs=1)


def test_what_does_not_fit_is_said(tmp_path):
    files = write(tmp_path / "case", "c_flair.nii.gz", "c_t1.nii.gz")
    with pytest.raises(InputError, match="has no T1CE image, only c_flair"):
        group_inputs([tmp_path / "case"], CHANNELS)
    with pytest.raises(UsageError, match="3 files a case"):
        group_inputs(files, CHANNELS)
    with pytest.raises(InputError, match="shape 14 x 12 x 10"):
        read_channels(CaseFiles((files[0],)), CHANNELS)


def test_t1_is_not_t1ce_and_a_label_is_no_channel(tmp_path):
    files = write(tmp_path, "a_seg_flair.nii.gz", "a_t1ce.nii.gz", "a_t1.nii.gz", "a_flair.nii.gz")
    assert channel_file(files, "T1") == tmp_path / "a_t1.nii.gz"
    assert channel_file(files, "T1CE") == tmp_path / "a_t1ce.nii.gz"
    assert channel_file(files, "FLAIR") == tmp_path / "a_flair.nii.gz"
    assert channel_file(files, "PET") is None
