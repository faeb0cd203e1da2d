"""Read the files of a case: channels and label on one grid, label values as the recipe numbers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import grid_difference, place_in
from LiverTumorSegLib.labels import IGNORE, value_of
from LiverTumorSegLib.scan.channels import CaseFiles
from LiverTumorSegLib.scan.channels import read_channels as read_scan
from LiverTumorSegLib.scan.volumefile import read_volume

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.studies.study import read_labels, series_of_labels
from LiverTumorSegTraining.recipe.config import DataConfig


def read_channels(case: Case, channels: list[str]) -> list[sitk.Image]:
    """Return one 3D image for each channel, all on one grid, as segment.py reads them.

    Raises
    ------
    InputError
        If a file cannot be read, has not three dimensions, or the grids differ.
    """
    if len(case.images) not in (1, len(channels)):
        raise InputError(
            f"Case {case.name} has {len(case.images)} channels, but data.channels names {', '.join(channels)}."
        )
    try:
        series = series_of_labels(case.images[0]) if case.label is not None and case.label.is_dir() else None
        images = [channel.image for channel in read_scan(CaseFiles(case.images), channels, series)]
    except InputError as error:
        raise InputError(f"Case {case.name}: {error}") from error
    for image, path in zip(images[1:], case.images[1:], strict=False):
        if grid_difference(images[0], image):
            raise InputError(f"Case {case.name}: {path.name} and {case.images[0].name} do not lie on the same grid.")
    return images


def read_label(case: Case, data: DataConfig, reference: sitk.Image | None = None) -> sitk.Image:
    """Return the label image, values as stored in the file; a .seg.nrrd or a DICOM study by the names in it.

    Slicer writes only the part of the grid that its segments fill: with `reference` (the image) it is put back onto
    the whole grid, if the voxels coincide.

    Raises
    ------
    InputError
        If it cannot be read or a segment name is unknown.
    """
    if case.label is None:
        raise InputError(f"Case {case.name} has no annotation.")
    if case.label.is_dir():
        return _read_study(case.label, case.name, data, reference)
    if not case.label.name.lower().endswith(".seg.nrrd"):
        return _read_labelmap(case.label, case.name)
    from LiverTumorSegLib.output.segfile import onto_grid, read_segmentation

    image, names = read_segmentation(case.label)
    wanted = {name: place for name in names if (place := value_of(name, data.labels)) is not None}
    strangers = sorted(set(names) - set(wanted))
    if strangers:
        raise InputError(
            f"Case {case.name}: the segments {', '.join(strangers)} of {case.label.name} are none of data.labels "
            f"{', '.join(data.labels)}: name them there, or rename or delete them in Slicer."
        )
    named = _with_values(image, {value: wanted[name] for name, value in names.items()})
    if reference is not None and place_in(reference, named) is not None:
        return onto_grid(named, reference)
    return named


def _with_values(image: sitk.Image, values: dict[int, int]) -> sitk.Image:
    """Return a labelmap with other values; what has none becomes background."""
    array = sitk.GetArrayViewFromImage(image)
    table = np.zeros(int(array.max(initial=0)) + 1, np.uint8)
    for old, new in values.items():
        if old < len(table):
            table[old] = new
    named = sitk.GetImageFromArray(table[array])
    named.CopyInformation(image)
    return named


def _read_study(folder: Path, case_name: str, data: DataConfig, reference: sitk.Image | None) -> sitk.Image:
    try:
        image, names = read_labels(folder, data.labels, reference)
    except InputError as error:
        raise InputError(f"Case {case_name}: {error}") from error
    return _with_values(image, {value: value_of(name, data.labels) or 0 for name, value in names.items()})


def _read_labelmap(path: Path, case_name: str) -> sitk.Image:
    """Return a labelmap as a scan is read: every kind of file a scan may be, on the grid its scan gets."""
    try:
        if not path.is_file():
            raise InputError(f"there is no file {path}.")
        return read_volume(path)[0]
    except InputError as error:
        raise InputError(f"Case {case_name}: {error}") from error


def label_values(case: Case) -> frozenset[float]:
    """Return the values that a labelmap file holds; none where it cannot be read, which verification tells."""
    try:
        if case.label is None:
            return frozenset()
        image = _read_labelmap(case.label, case.name)
    except InputError:
        return frozenset()
    return frozenset(value.item() for value in np.unique(sitk.GetArrayViewFromImage(image)))


def strange_values(array: np.ndarray, data: DataConfig) -> list[float]:
    """Return the label values that neither `data.labels` nor `data.label_map` knows, smallest first."""
    allowed = {*range(len(data.labels) + 1), *data.label_map, IGNORE}
    return [value.item() for value in np.unique(array) if value.item() not in allowed]


def class_of(value: float, data: DataConfig) -> float:
    """Return what a single value of a label file is trained as; one that the recipe does not name stays as it is."""
    return data.label_map.get(int(value), value) if value == int(value) else value


def as_classes(array: np.ndarray, data: DataConfig) -> np.ndarray:
    """Return uint8 class values after `data.label_map`."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in data.label_map.items():
        table[old] = new
    return table[array.astype(np.uint8)]
