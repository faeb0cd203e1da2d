"""What is wrong with the files of one case: everything that can be seen without looking at other cases."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.grid import GRID_TOLERANCE, affine_of, corner_distance_mm
from LiverTumorSegLib.labels import IGNORE
from LiverTumorSegLib.scan.checks import check_values, describe_wrong_shape
from LiverTumorSegLib.scan.headers import read_header
from LiverTumorSegLib.scan.hounsfield import ADVICE
from LiverTumorSegLib.scan.volumefile import read_volume, read_volumes

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.reading import as_classes, class_of, read_label
from LiverTumorSegTraining.data.studies.study import read_image
from LiverTumorSegTraining.recipe.config import DataConfig

SMALLEST_MM, LARGEST_MM = 0.2, 10.0
FEWEST_SLICES = 8
SCANNER_PLANE = 512
"""A plane of this size or more with a spacing of exactly 1 mm in all directions was not written by a scanner."""
AIR_HU = -500.0


@dataclass(frozen=True)
class CaseFacts:
    """What reading a case told.

    Attributes
    ----------
    problems : list of (code, message)
        What is wrong with the files; channels, labels and label map of the recipe say what they should be.
    values : list of float
        Label values that occur, at most 50; fractions included.
    content : str
        SHA-256 of the voxels of all channels, whatever type of number a file keeps them in.
    in_air : float
        Part of the voxels of a class that lie below -500 in the first channel.
    """

    problems: list[tuple[str, str]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    content: str = ""
    in_air: float = 0.0


def case_facts(case: Case, data: DataConfig) -> CaseFacts:
    """Read a case and return what was seen; never raises for what is wrong with it."""
    problems: list[tuple[str, str]] = []
    images = [image for path in case.images if (image := _image(path, case.name, problems)) is not None]
    for image, path, channel in zip(images, case.images, data.channels, strict=False):
        problems += _hounsfield_problems(image, path.name) if channel.strip().upper() == "CT" else []
    content = _content(images) if images else ""
    for image, path in zip(images[1:], case.images[1:], strict=False):
        problems += _grid_problems(image, images[0], path.name, "channel")
    label = _label(case, data, images[0] if images else None, problems)
    if label is None:
        return CaseFacts(problems, [], content)
    values = sitk.GetArrayViewFromImage(label)
    found = _values(values)
    if not any(value != 0 and class_of(value, data) != IGNORE for value in found):
        problems.append(("no_annotation", f"{_name(case.label)} holds no labelled voxel"))
    in_air = 0.0
    if images and label.GetDimension() == 3:
        grid_problems = _grid_problems(label, images[0], _name(case.label), "label")
        problems += grid_problems
        if not grid_problems:
            classes = as_classes(values, data)
            inside = sitk.GetArrayViewFromImage(images[0])[(classes > 0) & (classes != IGNORE)]
            in_air = float((inside < AIR_HU).mean()) if inside.size else 0.0
    return CaseFacts(problems, found, content, in_air)


def _content(images: list[sitk.Image]) -> str:
    digest = hashlib.sha256()
    for image in images:
        # A copy in another type of number is the same scan; one slice at a time, for the memory.
        for plane in sitk.GetArrayViewFromImage(image):
            digest.update(np.ascontiguousarray(plane, "<f4").tobytes())
    return digest.hexdigest()


def _image(path: Path, name: str, problems: list[tuple[str, str]]) -> sitk.Image | None:
    if path.is_dir():
        return _study_image(path, problems)
    if not path.is_file():
        problems.append(("missing_image", f"the image {path.name} does not exist"))
        return None
    size: tuple[int, ...] = (0, 0, 0)
    components = 1
    try:
        header = read_header(path)
        size, components = header.size, header.components
        # Several channels in one file: the geometry is that of the first.
        volumes = read_volumes(path) if len(size) == 4 and components == 1 else [read_volume(path, header)[0]]
    except (LiverTumorSegError, OSError, ValueError):
        if describe_wrong_shape(size, components) is not None:
            problems.append(("not_3d", f"{path.name} has the shape {size}; a 3D scalar image is needed"))
        else:
            problems.append(("unreadable_image", f"{path.name} cannot be read: it is damaged or no image"))
        return None
    bad = sum(nonfinite_voxels(volume) for volume in volumes)
    if bad:
        problems.append(("not_finite", f"{path.name} holds {bad} voxels that are NaN or infinity"))
    image = volumes[0]
    problems += _voxel_problems(image, path.name)
    return image


def _study_image(folder: Path, problems: list[tuple[str, str]]) -> sitk.Image | None:
    try:
        image = read_image(folder)
    except LiverTumorSegError as error:
        problems.append(("unreadable_image", str(error).rstrip(".")))
        return None
    problems += _voxel_problems(image, folder.name)
    return image


def nonfinite_voxels(image: sitk.Image) -> int:
    """Return how many voxels are NaN or infinite."""
    array = sitk.GetArrayViewFromImage(image)
    return 0 if array.dtype.kind != "f" else int(array.size - np.isfinite(array).sum())


def _voxel_problems(image: sitk.Image, name: str) -> list[tuple[str, str]]:
    problems = []
    array = sitk.GetArrayViewFromImage(image)
    if array.min() == array.max():
        problems.append(("constant", f"every voxel of {name} is {array.flat[0]:g}"))
    spacing = tuple(round(value, 4) for value in image.GetSpacing())
    if min(spacing) < SMALLEST_MM or max(spacing) > LARGEST_MM:
        problems.append(
            ("spacing", f"{name} has a spacing of {spacing} mm, outside {SMALLEST_MM:g} to {LARGEST_MM:g}")
        )
    elif spacing == (1.0, 1.0, 1.0) and min(image.GetSize()[:2]) >= SCANNER_PLANE:
        problems.append(
            ("spacing", f"{name} has {image.GetSize()[:2]} pixels of exactly 1 mm: its real spacing was lost")
        )
    if image.GetSize()[2] < FEWEST_SLICES:
        problems.append(("few_slices", f"{name} has {image.GetSize()[2]} slices; at least {FEWEST_SLICES} are needed"))
    return problems


def _hounsfield_problems(image: sitk.Image, name: str) -> list[tuple[str, str]]:
    """Return that a CT is not in Hounsfield units; a CT clipped to a window is one still."""
    found = check_values(image, assume_ct=True)
    lost = [f for f in found if f.grade == "error" and f.code not in ("constant", "nonfinite")]
    return [("hu", f"{name}: {finding.message.removesuffix(' ' + ADVICE)}") for finding in lost]


def _label(
    case: Case, data: DataConfig, image: sitk.Image | None, problems: list[tuple[str, str]]
) -> sitk.Image | None:
    if case.label is None or not case.label.exists():
        problems.append(
            ("no_annotation", "there is no label file" if case.label is None else f"{case.label} does not exist")
        )
        return None
    if case.label.is_dir() and image is None:
        return None
    try:
        label = read_label(case, data, image)
    except LiverTumorSegError as error:
        code = "label_values" if any(word in str(error) for word in ("segments", "structures")) else "unreadable_label"
        problems.append((code, str(error).removeprefix(f"Case {case.name}: ").rstrip(".")))
        return None
    bad = nonfinite_voxels(label)
    if bad:
        problems.append(("label_values", f"{bad} voxels of {case.label.name} are NaN or infinity"))
        return None
    return label


def _grid_problems(image: sitk.Image, reference: sitk.Image, name: str, what: str) -> list[tuple[str, str]]:
    if image.GetSize() != reference.GetSize():
        return [(f"{what}_size", f"{name} has the size {image.GetSize()}, the image {reference.GetSize()}")]
    distance = corner_distance_mm(affine_of(image), affine_of(reference), image.GetSize())
    if distance > GRID_TOLERANCE:
        return [(f"{what}_geometry", f"the voxels of {name} lie up to {distance:.3g} mm off those of the image")]
    return []


def _values(array: np.ndarray) -> list[float]:
    if array.dtype == np.uint8:
        return [float(value) for value in np.flatnonzero(np.bincount(array.ravel(), minlength=256))]
    return [float(value) for value in np.unique(array)[:50]]


def _name(path: Path | None) -> str:
    return path.name if path is not None else "the label"
