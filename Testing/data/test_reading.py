"""Labels are read as scans are: every NIfTI there is, whole or not at all, on the grid of their scan."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.channels import CaseFiles, read_channels

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.reading import read_label
from LiverTumorSegTraining.data.verify import verify_cases
from LiverTumorSegTraining.recipe.config import DataConfig

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_nibabel(image, kind):
    """Return an image as nibabel holds it, in NIfTI-1 or NIfTI-2 or as a pair of files."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return kind(sitk.GetArrayFromImage(image).T, RAS @ affine)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(nib.Nifti2Image, "label.nii.gz"), (nib.Nifti1Pair, "label.hdr"), (nib.Nifti1Image, "label.nii")],
)
def test_labels_of_every_nifti_lie_on_their_scan(make, tmp_path, kind, name):
    image, label = make["scan"](3)
    scan = tmp_path / "scan.nii.gz"
    nib.save(as_nibabel(image, nib.Nifti2Image if kind is nib.Nifti2Image else nib.Nifti1Image), scan)
    nib.save(as_nibabel(label, kind), tmp_path / name)
    case = Case("a", "a", (scan,), tmp_path / name)
    data = DataConfig()
    assert verify_cases([case], data) == []
    read = read_label(case, data)
    assert np.array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(label))
    assert np.allclose(read.GetOrigin(), image.GetOrigin(), atol=1e-4)


def test_a_label_that_was_cut_short_is_refused(make, tmp_path):
    _, label = make["scan"](3)
    path = tmp_path / "label.nii.gz"
    sitk.WriteImage(label, str(path))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"Case a: .*label.nii.gz is damaged or incomplete"):
        read_label(Case("a", "a", (), path), DataConfig())


def test_a_file_of_several_channels_that_was_cut_short_is_refused(tmp_path):
    channels = np.random.default_rng(1).normal(100, 20, (20, 24, 28, 2)).astype(np.float32)
    path = tmp_path / "case.nii.gz"
    nib.save(nib.Nifti1Image(channels, RAS), path)
    read = read_channels(CaseFiles((path,)), ["T1", "T2"])
    assert [np.array_equal(sitk.GetArrayFromImage(one.image), channels[..., n].T) for n, one in enumerate(read)] == [
        True,
        True,
    ]
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_channels(CaseFiles((path,)), ["T1", "T2"])
