"""DICOM studies made from a scan and its label: CT slices with an RTSTRUCT or a DICOM SEG drawn on them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from conftest import write_dicom_series
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.labels import label_table
from LiverTumorSegLib.output.dicomseg import write_dicom_seg
from LiverTumorSegLib.scan.imageio import read_case
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from skimage.measure import find_contours

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


def contours_of(mask: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Return the outlines of a mask [z, y, x] in patient coordinates, holes as outlines of their own."""
    found = []
    for number, plane in enumerate(mask):
        for line in find_contours(np.pad(plane.astype(float), 1), 0.5):
            index = np.column_stack([line[:, 1] - 1, line[:, 0] - 1, np.full(len(line), number)])
            found.append(grid.point_mm(index[:-1]))
    return found


def write_rtstruct(
    path: Path, image: sitk.Image, structures: Sequence[tuple[str, np.ndarray]], series: Path, seed: int = 0, **changes
) -> None:
    """Write an RTSTRUCT of named masks, the contours of each in a random order.

    `changes` replaces `frame` (frame of reference UID) or `series_uid`, or hands a function `contour` each contour.
    """
    header = pydicom.dcmread(next(iter(sorted(series.glob("*.dcm")))), stop_before_pixels=True)
    content = pydicom.Dataset()
    content.file_meta = pydicom.dataset.FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.file_meta.MediaStorageSOPClassUID = content.SOPClassUID = RTSTRUCT
    content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID = generate_uid()
    content.StudyInstanceUID, content.SeriesInstanceUID = header.StudyInstanceUID, generate_uid()
    content.PatientName, content.PatientID, content.Modality = header.PatientName, header.PatientID, "RTSTRUCT"
    of_series, study, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    of_series.SeriesInstanceUID = changes.get("series_uid", header.SeriesInstanceUID)
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [of_series]
    frame.FrameOfReferenceUID = changes.get("frame", header.FrameOfReferenceUID)
    frame.RTReferencedStudySequence = [study]
    content.ReferencedFrameOfReferenceSequence = [frame]
    content.StructureSetROISequence, content.ROIContourSequence = [], []
    for number, (name, mask) in enumerate(structures, 1):
        roi, drawn = pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame.FrameOfReferenceUID
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        lines = contours_of(mask, Grid.of(image))
        random.Random(seed).shuffle(lines)
        for points in lines:
            contour = pydicom.Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            drawn_at = changes["contour"](points) if "contour" in changes else points
            contour.NumberOfContourPoints = len(drawn_at)
            contour.ContourData = [f"{value:.6f}" for value in drawn_at.ravel()]
            drawn.ContourSequence.append(contour)
        content.StructureSetROISequence.append(roi)
        content.ROIContourSequence.append(drawn)
    content.save_as(path, enforce_file_format=True)


def write_study(
    folder: Path, image: sitk.Image, label: sitk.Image, kind: str, names: Mapping[int, str] | None = None, **tags
) -> Path:
    """Write a study: the CT in ``ct``, beside it ``labels.dcm`` of a kind, "rtstruct" or "seg"."""
    write_dicom_series(folder / "ct", image, **tags)
    array = sitk.GetArrayFromImage(label)
    names = names or {1: "Liver", 2: "GTV 1"}
    if kind == "rtstruct":
        # The liver is drawn with the tumour in it, as radiotherapy does.
        structures = [(name, array >= value if value == 1 else array == value) for value, name in names.items()]
        write_rtstruct(folder / "labels.dcm", image, structures, folder / "ct")
    else:
        table = label_table([names[value] for value in sorted(names)])
        write_dicom_seg(folder / "labels.dcm", label, table, read_case(folder / "ct").dicom_files, "reader", "1")
    return folder
