"""Read a study: its CT, and its structures as one labelmap on the CT's own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.scan.dicomheader import quiet_pydicom
from LiverTumorSegLib.scan.dicomseries import find_series
from LiverTumorSegLib.scan.imageio import read_case

from LiverTumorSegTraining.data.studies.contours import contour_masks
from LiverTumorSegTraining.data.studies.label_objects import LabelObject, label_objects
from LiverTumorSegTraining.data.studies.segments import segment_masks
from LiverTumorSegTraining.data.studies.structure_names import advice_for, structure_map, unknown_structures


def series_of_labels(folder: Path) -> str | None:
    """Return the UID of the image series that a study's labels were drawn on; None when they do not say.

    Raises
    ------
    InputError
        If they were drawn on several series, or on one that the folder does not hold.
    """
    objects = label_objects(folder)
    wanted = {one.series for one in objects if one.series}
    if not wanted:
        return None
    if len(wanted) > 1:
        named = ", ".join(sorted(one.path.name for one in objects))
        raise InputError(
            f"{folder} holds labels of {len(wanted)} series ({named}): put each CT with its labels into a folder of "
            "its own."
        )
    uid = wanted.pop()
    held = {series.first.series_uid for series in find_series(folder)}
    if uid not in held:
        raise InputError(
            f"{folder}: {objects[0].path.name} was drawn on the series {uid}, which the folder does not hold: add "
            "that series, or the labels of the one that is there."
        )
    return uid


def read_image(folder: Path) -> sitk.Image:
    """Return the CT that a study's labels were drawn on, as `read_case` reads it."""
    return read_case(folder, series_of_labels(folder)).image


def read_labels(
    folder: Path, labels: list[str] | None = None, reference: sitk.Image | None = None
) -> tuple[sitk.Image, dict[str, int]]:
    """Return the structures of a study as a labelmap on the grid of its CT.

    Where structures overlap the smaller one is kept, so that a tumour drawn inside a liver remains.

    Parameters
    ----------
    folder : Path
        Of the study.
    labels : list of str, optional
        Names that structures may have; any when None.
    reference : sitk.Image, optional
        The CT, where it has been read already.

    Returns
    -------
    labelmap : sitk.Image
        uint8, values 1, 2, ...
    names : dict of str to int
        Label -> value.

    Raises
    ------
    InputError
        If a structure has no label, the coordinates are others than the CT's, or an object cannot be read.
    """
    objects = label_objects(folder)
    if not objects:
        raise InputError(f"{folder} holds no RTSTRUCT and no DICOM SEG.")
    _require_known(folder, objects, labels)
    _require_same_coordinates(folder, objects)
    image = reference if reference is not None else read_image(folder)
    grid, mapping = Grid.of(image), structure_map(folder)
    masks: dict[str, np.ndarray] = {}
    for one in objects:
        read = contour_masks if one.kind == "RTSTRUCT" else segment_masks
        for structure, mask in read(one.path, grid):
            label = mapping.label_of(structure, labels)
            if label is not None:
                masks[label] = mask | masks[label] if label in masks else mask
    names = {label: value for value, label in enumerate(sorted(masks), 1)}
    array = np.zeros(grid.size[::-1], np.uint8)
    for label in sorted(masks, key=lambda label: -int(masks[label].sum())):
        array[masks[label]] = names[label]
    return grid.image(array), names


def _require_known(folder: Path, objects: list[LabelObject], labels: list[str] | None) -> None:
    if labels is None:
        return
    mapping = structure_map(folder)
    unknown = unknown_structures((name for one in objects for name in one.names), mapping, labels)
    if unknown:
        listed = ", ".join(dict.fromkeys(unknown))
        raise InputError(f"the structures {listed} are {advice_for(unknown, mapping, labels)}.")


def _require_same_coordinates(folder: Path, objects: list[LabelObject]) -> None:
    """Refuse labels whose frame of reference is another than the CT's: their millimetres mean something else."""
    uid = series_of_labels(folder)
    series = [one for one in find_series(folder) if uid is None or one.first.series_uid == uid]
    with quiet_pydicom() as pydicom:
        header = pydicom.dcmread(series[0].first.path, stop_before_pixels=True, specific_tags=["FrameOfReferenceUID"])
    frame = str(header.get("FrameOfReferenceUID", ""))
    for one in objects:
        if frame and one.frame_of_reference and one.frame_of_reference != frame:
            raise InputError(
                f"{one.path.name} was drawn in other coordinates (frame of reference) than those of the CT: export it "
                "with the CT it was drawn on, or register it first."
            )
