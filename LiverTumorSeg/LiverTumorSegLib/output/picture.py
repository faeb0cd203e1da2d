"""One overview picture of a segmented case: three planes in patient axes, contours, lesion numbers, volumes.

The planes are cut in patient coordinates (LPS, mm), whatever the orientation of the voxel grid, so the picture of an
oblique or left-handed scan looks like any other: the patient's right is on the left of axial and coronal planes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..labelnames import canonical_name
from ..labels import AIR_HU, LIVER, LIVER_TUMOR, NO_LABEL, TUMOR, Label
from ..pipeline.lesions import Lesion, label_lesions
from ..pipeline.postprocess import Box, bounding_box
from ..pipeline.volumes import volumes_ml
from ..wholefile import whole_file

WINDOW_HU = (-160, 240)
"""The usual abdominal soft tissue window, as lower and upper bound."""

MARGIN_MM = 45.0
PIXEL_MM = 0.75
WIDTH_IN = 16.0
LISTED_LESIONS = 8
PAPER, INK, FAINT = "#101418", "#eef1f4", "#9aa5b1"


@dataclass(frozen=True)
class _Plane:
    """One view: which patient axes run right and down, and in which direction."""

    name: str
    across: int
    down: int
    normal: int
    down_sign: int
    letters: tuple[str, str, str, str]  # left, right, top, bottom


PLANES = (
    _Plane("axial", 0, 1, 2, 1, ("R", "L", "A", "P")),
    _Plane("coronal", 0, 2, 1, -1, ("R", "L", "S", "I")),
    _Plane("sagittal", 1, 2, 0, -1, ("A", "P", "S", "I")),
)


def write_case_picture(
    path: Path,
    image: sitk.Image,
    labelmap: sitk.Image,
    lesions: Sequence[Lesion],
    title: str = "",
    labels: Sequence[Label] = LIVER_TUMOR,
    window: tuple[float, float] | None = WINDOW_HU,
    modality: str = "CT",
) -> bool:
    """Write the overview picture of one case as PNG.

    Parameters
    ----------
    path : Path
        The file to write, replaced in one step.
    image : sitk.Image
        The CT in HU.
    labelmap : sitk.Image
        Labels on the same grid; the outline of a liver is drawn around it and its tumours together.
    lesions : sequence of Lesion
        As ``measure_lesions`` gives them; the planes go through the first (largest).
    title : str
        Shown above the planes, usually the case name.
    labels : sequence of Label
        Voxel values of ``labelmap`` with their names and colours.
    window : tuple of float or None
        Grey values shown as black and white; the percentiles 1 and 99 of the image's foreground when None.
    modality : str
        What the image is, to be written beside the window: "CT", "MR", "FLAIR".

    Returns
    -------
    bool
        False where matplotlib is not installed, as in Slicer's Python: there is no picture then, and none is needed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False

    values = sitk.GetArrayViewFromImage(labelmap)
    box = bounding_box(values)
    low, high = _field_mm(image, box)
    center = np.array(lesions[0].centroid_lps_mm) if lesions else _center_mm(image, values, box)
    tumor = next((label.value for label in labels if canonical_name(label.name) == TUMOR.name), NO_LABEL)
    numbered = _numbered_lesions(labelmap, box, tumor) if box is not None and lesions else None
    grey = window or _percentiles(image)

    size = high - low
    widths = [float(size[plane.across]) for plane in PLANES]
    tallest = max(float(size[plane.down]) for plane in PLANES)
    height = float(np.clip(tallest / sum(widths) * WIDTH_IN * 0.775 + 1.35, 5.6, 10.0))
    figure = Figure(figsize=(WIDTH_IN, height), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        1, 3, width_ratios=widths, left=0.012, right=0.8, wspace=0.03, top=1 - 0.85 / height, bottom=0.4 / height
    )
    images, place = (image, labelmap, numbered), (low, high, center)
    for column, plane in enumerate(PLANES):
        _draw_plane(figure.add_subplot(grid[0, column]), plane, images, place, labels, grey)
    _scale_bar(figure.axes[0], widths[0], float(size[PLANES[0].down]))
    _write_line(figure, 0.012, 0.32, title or path.stem, color=INK, fontsize=17, weight="bold")
    _write_line(
        figure,
        0.012,
        height - 0.18,
        f"{modality}, {'window' if window else 'grey values'} {grey[0]:g} to {grey[1]:g}{' HU' if window else ''}. "
        "Automatic result, for research use only: not a medical device.",
        color=FAINT,
        fontsize=10,
    )
    _write_findings(figure, volumes_ml(labelmap, labels), labels, lesions)

    with whole_file(path) as partial:
        figure.savefig(partial, format="png", facecolor=PAPER)
    return True


def _percentiles(image: sitk.Image) -> tuple[float, float]:
    values = sitk.GetArrayViewFromImage(image)[::2, ::2, ::2]
    foreground = values[values > values.min()]
    if not foreground.size:
        return float(values.min()), float(values.min()) + 1.0
    low, high = (float(f"{value:.3g}") for value in np.percentile(foreground, (1, 99)))
    return low, max(high, low + 1e-6)


def _field_mm(image: sitk.Image, box: Box | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the patient-space corners (LPS mm) of what to show: the labelled box with a margin, or the whole scan."""
    whole = _corners(image, tuple(slice(0, size) for size in image.GetSize()[::-1]))
    if box is None:
        return whole.min(axis=0), whole.max(axis=0)
    part = _corners(image, box)
    low = np.maximum(part.min(axis=0) - MARGIN_MM, whole.min(axis=0))
    return low, np.minimum(part.max(axis=0) + MARGIN_MM, whole.max(axis=0))


def _center_mm(image: sitk.Image, values: np.ndarray, box: Box | None) -> np.ndarray:
    """Return the centre of gravity of what is labelled (LPS mm), or the middle of the scan where nothing is."""
    box = box or tuple(slice(0, count) for count in values.shape)
    labelled = values[box] > 0
    index = []
    for axis in (2, 1, 0):
        counts = np.count_nonzero(labelled, axis=tuple(other for other in range(3) if other != axis))
        mean = float(np.average(np.arange(counts.size), weights=counts if counts.any() else None))
        index.append(box[axis].start + mean)
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def _corners(image: sitk.Image, box: tuple[slice, ...]) -> np.ndarray:
    ranges = [(s.start - 0.5, s.stop - 0.5) for s in reversed(box)]
    return np.array([image.TransformContinuousIndexToPhysicalPoint(index) for index in product(*ranges)])


def _numbered_lesions(labelmap: sitk.Image, box: Box, tumor: int) -> sitk.Image | None:
    """Return the lesion numbers as a small image around the tumours within a box, or None where there are none."""
    part = _cropped(labelmap, box)
    tumors = bounding_box(sitk.GetArrayViewFromImage(part) == tumor)
    return None if tumors is None else label_lesions(_cropped(part, tumors), tumor)


def _cropped(image: sitk.Image, box: Box) -> sitk.Image:
    return sitk.RegionOfInterest(image, [s.stop - s.start for s in box[::-1]], [s.start for s in box[::-1]])


def _draw_plane(
    axes: Any,
    plane: _Plane,
    images: tuple[sitk.Image, sitk.Image, sitk.Image | None],
    place: tuple[np.ndarray, np.ndarray, np.ndarray],
    labels: Sequence[Label],
    window: tuple[float, float],
) -> None:
    from matplotlib.patheffects import withStroke

    image, labelmap, numbered = images
    low, high, center = place
    field = (0.0, float(high[plane.across] - low[plane.across]), float(high[plane.down] - low[plane.down]), 0.0)
    gray = _cut(image, plane, place, sitk.sitkLinear, min(window[0], AIR_HU))
    label = _cut(labelmap, plane, place, sitk.sitkNearestNeighbor, 0)
    axes.imshow(gray, cmap="gray", vmin=window[0], vmax=window[1], extent=field, interpolation="bilinear")
    rows, columns = label.shape
    x = (np.arange(columns) + 0.5) * field[1] / columns
    y = (np.arange(rows) + 0.5) * field[2] / rows
    for one in labels:
        mask = np.isin(label, (LIVER.value, TUMOR.value)) if one.name == LIVER.name else label == one.value
        if mask.any() and not mask.all():
            axes.contour(x, y, mask, levels=[0.5], colors=[one.color], linewidths=1.5)
            if one.name != LIVER.name:  # the liver's own grey values stay as they are
                axes.contourf(x, y, mask, levels=[0.5, 1.5], colors=[one.color], alpha=0.15)
    if numbered is not None:
        _write_numbers(axes, _cut(numbered, plane, place, sitk.sitkNearestNeighbor, 0), x, y)
    offset = float(center[plane.normal])
    letter = ("LPS" if offset >= 0 else "RAI")[plane.normal]
    axes.set_title(f"{plane.name}, {letter} {abs(offset):.0f} mm", color=FAINT, fontsize=11, loc="left", pad=4)
    for letter, (u, v) in zip(plane.letters, ((0.02, 0.5), (0.98, 0.5), (0.5, 0.97), (0.5, 0.03)), strict=True):
        axes.text(
            u,
            v,
            letter,
            transform=axes.transAxes,
            color=FAINT,
            fontsize=12,
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
        )
    axes.set_aspect("equal", anchor="NW")
    axes.set_axis_off()


def _cut(
    image: sitk.Image, plane: _Plane, place: tuple[np.ndarray, np.ndarray, np.ndarray], how: int, outside: float
) -> np.ndarray:
    """Return one plane as an array (down, across), sampled in patient axes with square pixels."""
    low, high, center = place
    across, down = np.eye(3)[plane.across], np.eye(3)[plane.down] * plane.down_sign
    counts = [max(2, round(float(high[axis] - low[axis]) / PIXEL_MM)) for axis in (plane.across, plane.down)]
    steps = [float(high[axis] - low[axis]) / n for axis, n in zip((plane.across, plane.down), counts, strict=True)]
    origin = np.where(np.eye(3)[plane.normal] > 0, center, low)
    if plane.down_sign < 0:
        origin[plane.down] = high[plane.down]
    origin = origin + across * steps[0] / 2 + down * steps[1] / 2
    direction = np.stack([across, down, np.cross(across, down)], axis=1)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([*counts, 1])
    resampler.SetOutputSpacing([*steps, 1.0])
    resampler.SetOutputOrigin(origin.tolist())
    resampler.SetOutputDirection(direction.ravel().tolist())
    resampler.SetInterpolator(how)
    resampler.SetDefaultPixelValue(outside)
    return sitk.GetArrayFromImage(resampler.Execute(image))[0]


def _write_numbers(axes: Any, numbers: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    from matplotlib.patheffects import withStroke

    for number in np.unique(numbers[numbers > 0]):
        rows, columns = np.nonzero(numbers == number)
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        small = rows.size * PIXEL_MM**2 < 150.0  # beside a small lesion, inside a large one
        axes.annotate(
            str(number),
            (x[columns[nearest]], y[rows[nearest]]),
            xytext=(8, 8) if small else (0, 0),
            textcoords="offset points",
            color=INK,
            fontsize=11,
            weight="bold",
            ha="center",
            va="center",
            annotation_clip=True,
            path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
        )


def _scale_bar(axes: Any, width_mm: float, height_mm: float) -> None:
    length = 50.0 if width_mm > 120 else 10.0
    left, bottom = 0.04 * width_mm, 0.95 * height_mm
    axes.plot([left, left + length], [bottom, bottom], color=INK, linewidth=3, solid_capstyle="butt")
    axes.text(left, bottom - 0.015 * height_mm, f"{length / 10:g} cm", color=INK, fontsize=11, va="bottom")


def _write_line(figure: Any, left: float, from_top_in: float, text: str, **style: Any) -> None:
    figure.text(left, 1 - from_top_in / figure.get_figheight(), text, va="center", **style)


def _write_findings(
    figure: Any, volumes: Mapping[str, float], labels: Sequence[Label], lesions: Sequence[Lesion]
) -> None:
    """Write volumes and the largest lesions at the right of the planes."""
    left, top = 0.815, 0.95
    for label in labels:
        volume = volumes[label.name]
        found = f"{volume:,.{0 if volume >= 500 else 1}f} ml" if volume else "none found"
        name = "Tumour" if label.name == TUMOR.name else label.name.capitalize()
        _write_line(figure, left, top, name, color=label.color, fontsize=14, weight="bold")
        _write_line(figure, left, top + 0.31, found, color=INK, fontsize=18)
        top += 0.78
    if not lesions:
        return
    count = f"{len(lesions)} lesion{'s' if len(lesions) > 1 else ''}"
    if volumes.get(LIVER.name):
        count += f", {100 * volumes[TUMOR.name] / volumes[LIVER.name]:.1f} % of the liver"
    _write_line(figure, left, top + 0.1, count, color=INK, fontsize=12, weight="bold")
    for one in lesions[:LISTED_LESIONS]:
        top += 0.25
        words = f"{one.id}   {one.diameter_mm:.0f} x {one.perpendicular_mm:.0f} mm   {one.volume_ml:,.1f} ml"
        _write_line(figure, left, top + 0.15, words, color=INK, fontsize=11.5)
    if len(lesions) > LISTED_LESIONS:
        hidden = f"and {len(lesions) - LISTED_LESIONS} smaller"
        _write_line(figure, left, top + 0.4, hidden, color=FAINT, fontsize=11)
