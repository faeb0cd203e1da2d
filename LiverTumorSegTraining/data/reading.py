"""Read the files of a case: channels and label on one grid, label values as the recipe numbers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import grid_difference, place_in
from LiverTumorSegLib.labels import IGNORE

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.recipe.config import DataConfig


def read_channels(case: Case, channels: list[str]) -> list[sitk.Image]:
    """Return one 3D image for each channel, all on one grid.

    Raises
    ------
    InputError
        If a file cannot be read, has not three dimensions, or the grids differ.
    """
    images = [read_image(path, case.name) for path in case.images]
    if len(images) == 1 and images[0].GetDimension() == 4 and images[0].GetSize()[3] == len(channels):
        whole = images[0]
        size = [*whole.GetSize()[:3], 0]
        images = [sitk.Extract(whole, size, [0, 0, 0, number]) for number in range(len(channels))]
    for image, path in zip(images, case.images * len(images), strict=False):
        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(
                f"Case {case.name}: {path.name} has the shape {image.GetSize()}; a 3D scalar image is needed."
            )
    if len(images) != len(channels):
        raise InputError(
            f"Case {case.name} has {len(images)} channels, but data.channels names {', '.join(channels)}."
        )
    for image, path in zip(images[1:], case.images[1:], strict=False):
        if grid_difference(images[0], image):
            raise InputError(f"Case {case.name}: {path.name} and {case.images[0].name} do not lie on the same grid.")
    return images


def read_image(path: Path, case_name: str) -> sitk.Image:
    """Return an image file; InputError naming the case when that fails."""
    if not path.is_file():
        raise InputError(f"Case {case_name}: there is no file {path}.")
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"Case {case_name}: {path} cannot be read; it is damaged or no image.") from error


def read_label(case: Case, data: DataConfig, reference: sitk.Image | None = None) -> sitk.Image:
    """Return the label image, values as stored in the file; a .seg.nrrd by the names of its segments.

    Slicer writes only the part of the grid that its segments fill: with `reference` (the image) it is put back onto
    the whole grid, if the voxels coincide.

    Raises
    ------
    InputError
        If it cannot be read or a segment name is unknown.
    """
    if case.label is None:
        raise InputError(f"Case {case.name} has no annotation.")
    if not case.label.name.lower().endswith(".seg.nrrd"):
        return read_image(case.label, case.name)
    from LiverTumorSegLib.output.segfile import onto_grid, read_segmentation

    image, names = read_segmentation(case.label)
    wanted = {name.lower(): value for value, name in enumerate(data.labels, 1)}
    strangers = sorted(name for name in names if name.lower() not in wanted)
    if strangers:
        raise InputError(
            f"Case {case.name}: the segments {', '.join(strangers)} of {case.label.name} are none of data.labels "
            f"{', '.join(data.labels)}: rename or delete them in Slicer."
        )
    array = sitk.GetArrayFromImage(image)
    values = np.zeros_like(array, np.uint8)
    for name, value in names.items():
        values[array == value] = wanted[name.lower()]
    named = sitk.GetImageFromArray(values)
    named.CopyInformation(image)
    if reference is not None and place_in(reference, named) is not None:
        return onto_grid(named, reference)
    return named


def strange_values(array: np.ndarray, data: DataConfig) -> list[float]:
    """Return the label values that neither `data.labels` nor `data.label_map` knows, smallest first."""
    allowed = {*range(len(data.labels) + 1), *data.label_map, IGNORE}
    return [value.item() for value in np.unique(array) if value.item() not in allowed]


def as_classes(array: np.ndarray, data: DataConfig) -> np.ndarray:
    """Return uint8 class values after `data.label_map`."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in data.label_map.items():
        table[old] = new
    return table[array.astype(np.uint8)]
