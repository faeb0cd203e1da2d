"""What tests of DICOM series share: changing the files of a series, comparing volumes, the findings of a case."""

import numpy as np
import pydicom
import SimpleITK as sitk
from LiverTumorSegLib.grid import affine_of, corner_distance_mm


def edit(folder, change):
    """Change every file of a folder in place: ``change(number from 0, dataset)``."""
    for number, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        change(number, dataset)
        dataset.save_as(path)


def same_volume(image, expected, millimetres=1e-4):
    return (
        image.GetSize() == expected.GetSize()
        and corner_distance_mm(affine_of(image), affine_of(expected), expected.GetSize()) < millimetres
        and np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(expected))
    )


def codes(case):
    return [(f.code, f.grade) for f in case.findings]
