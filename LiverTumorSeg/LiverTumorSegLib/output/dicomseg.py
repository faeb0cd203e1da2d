"""DICOM SEG: the segmentation as a DICOM object that refers to the slices it was made from (extra ``dicom``)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .. import __version__
from ..errors import InputError, UsageError
from ..labels import Code, Label
from ..scan.dicomheader import Slice, read_slices, require_slices
from ..wholefile import whole_file

MANUFACTURER = "LiverTumorSeg"
_SERIES_NUMBER = 900
# What the standard wants present in every object of a patient and study, but lets be empty (type 2).
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)


def write_dicom_seg(
    path: Path,
    labelmap: sitk.Image,
    labels: Sequence[Label],
    dicom_files: Sequence[str],
    algorithm_name: str,
    algorithm_version: str,
    reviewed: bool = False,
) -> Any:
    """Write a binary DICOM segmentation with one segment a label, numbered 1, 2, ... in the order of the labels.

    The segmentation lies on the original slices, also where reading had to resample them (gantry tilt, uneven
    gaps): each slice takes the nearest voxel of the labelmap. The file appears whole or not at all.

    Parameters
    ----------
    path : Path
        ``.dcm`` file.
    labelmap : sitk.Image
        3D, on the grid of the case that was read from ``dicom_files``.
    labels : sequence of Label
        Values, names, codes and colours.
    dicom_files : sequence of str
        The slices; ``CaseImage.dicom_files``.
    algorithm_name, algorithm_version : str
        Model that made the segmentation; kept in each segment's algorithm identification.
    reviewed : bool
        A reader judged and corrected it: it is not called automatic.

    Returns
    -------
    highdicom.seg.Segmentation
        What was written, for objects that refer to it.

    Raises
    ------
    UsageError
        highdicom is not installed, or the file cannot be written.
    InputError
        The slices lack what a segmentation must repeat of them, such as patient or frame of reference.
    """
    require_highdicom()
    import highdicom

    if not dicom_files:
        raise InputError("A DICOM SEG can only be written for DICOM input; choose .seg.nrrd or .nii.gz.")
    sources = source_images(dicom_files)
    slices = [s for file in map(Path, dicom_files) for s in require_slices(read_slices(file), file)]
    try:
        segmentation = highdicom.seg.Segmentation(
            source_images=sources,
            pixel_array=_on_slices(labelmap, slices, labels),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _describe(number, label, algorithm_name, algorithm_version, reviewed)
                for number, label in enumerate(labels, start=1)
            ],
            series_instance_uid=highdicom.UID(),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=algorithm_name,
            software_versions=__version__,
            device_serial_number="0",
            series_description="Liver and tumour segmentation",
            content_description="Reviewed by a reader" if reviewed else "Automatic segmentation, not verified",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"No DICOM SEG can be made for the series of {dicom_files[0]}: {str(error).rstrip('.')}. "
            "Choose .seg.nrrd or .nii.gz."
        ) from error
    with whole_file(path) as partial:
        segmentation.save_as(partial)
    return segmentation


def source_images(dicom_files: Sequence[str]) -> list[Any]:
    """Return the headers of slices, with what the standard wants present in every object made from them."""
    import pydicom

    sources = [pydicom.dcmread(file, stop_before_pixels=True, force=True) for file in dicom_files]
    for source in sources:
        for keyword in _MAY_BE_EMPTY:
            if keyword not in source:
                setattr(source, keyword, "")
        # Present but empty, as some scanners write it, means the same as absent; highdicom takes only the latter.
        if not source.get("SpecificCharacterSet", "absent"):
            del source.SpecificCharacterSet
    return sources


def require_highdicom() -> None:
    """Raise UsageError when the library that writes DICOM SEG is not installed."""
    if find_spec("highdicom") is None:
        raise UsageError(
            "DICOM SEG needs the package highdicom: install it with 'pip install highdicom', or leave DICOM SEG out."
        )


def _on_slices(labelmap: sitk.Image, slices: Sequence[Slice], labels: Sequence[Label]) -> npt.NDArray[np.uint8]:
    """Return segment numbers on the source slices (or frames), [slice, row, column]."""
    numbers = np.zeros(256, dtype=np.uint8)
    for number, label in enumerate(labels, start=1):
        numbers[label.value] = number
    labelmap = sitk.Cast(labelmap, sitk.sitkUInt8)
    frames = np.empty((len(slices), *slices[0].size[::-1]), dtype=np.uint8)
    for index, source in enumerate(slices):
        frame = sitk.Resample(
            labelmap,
            [*source.size, 1],
            sitk.Transform(),
            sitk.sitkNearestNeighbor,
            source.position,
            [*source.pixel_spacing[::-1], labelmap.GetSpacing()[2]],
            np.stack([source.orientation[:3], source.orientation[3:], source.normal], axis=1).ravel().tolist(),
        )
        frames[index] = numbers[sitk.GetArrayViewFromImage(frame)[0]]
    return frames


def _describe(number: int, label: Label, algorithm_name: str, algorithm_version: str, reviewed: bool) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    def coded(code: Code) -> Any:
        return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)

    kinds = highdicom.seg.SegmentAlgorithmTypeValues
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=coded(label.category),
        segmented_property_type=coded(label.type),
        algorithm_type=kinds.SEMIAUTOMATIC if reviewed else kinds.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=algorithm_name, family=codes.DCM.ArtificialIntelligence, version=algorithm_version
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(*(round(255 * c) for c in label.color)),
    )
