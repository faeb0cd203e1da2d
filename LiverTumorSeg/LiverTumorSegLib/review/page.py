"""One self-contained page about a reviewed scan: totals, the lesions with their verdicts, a key image of each."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..grid import Grid, superior_axis
from ..labels import LIVER, TUMOR
from ..wholefile import write_text
from .figures import LesionFigures
from .page_template import TEMPLATE
from .region import Labels
from .totals import Totals

WINDOW_HU = (-40.0, 200.0)
"""A narrow liver window, as lower and upper bound."""
SIDE_MM = 120.0
KEY_IMAGES = 12
_VERDICT_WORDS = {"accept": "accepted", "reject": "rejected", "unsure": "unsure", "": "not looked at"}


def write_session_page(
    path: Path,
    title: str,
    image: sitk.Image,
    labels: Labels,
    lesions: Sequence[LesionFigures],
    sums: Totals,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write the page, in one step; pictures are inline and nothing is loaded from anywhere.

    Parameters
    ----------
    path : Path
        The HTML file.
    title : str
        Heading, usually the name of the case.
    image : sitk.Image
        CT in HU.
    labels : ndarray of uint8, [z, y, x]
        The labelmap on its grid.
    lesions : sequence of LesionFigures
        As ``measure_session`` gives them; the first twelve get a key image.
    sums : Totals
        Of the session.
    provenance : mapping, optional
        ``model``, ``threshold``, ``quality`` of the report.

    Raises
    ------
    UsageError
        When the folder or the disk does not take it.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    voxel_ml = float(np.prod(image.GetSpacing())) / 1000
    page = environment.from_string(TEMPLATE).render(
        title=title,
        totals=sums.words(),
        organ_ml=np.count_nonzero(labels) * voxel_ml,
        tumor_ml=np.count_nonzero(labels == TUMOR.value) * voxel_ml,
        rows=[{"is": row, "verdict": _VERDICT_WORDS[row.verdict]} for row in lesions],
        pictures=[
            {"number": row.number, "source": key_image(image, labels, row), "words": row.place.words()}
            for row in lesions[:KEY_IMAGES]
        ],
        model=dict((provenance or {}).get("model") or {}),
        settings={key: (provenance or {})[key] for key in ("threshold", "quality") if key in (provenance or {})},
    )
    write_text(path, page)


def key_image(image: sitk.Image, labels: Labels, lesion: LesionFigures) -> str:
    """Return the axial slice of a lesion's diameters, outlines and diameters drawn, as a PNG data address.

    The patient's right is on the left of the picture and anterior on top, whatever the grid.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pixels, outlines, extent, center = _slice_around(image, labels, lesion)
    figure = Figure(figsize=(3.2, 3.2), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(pixels, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], extent=extent, interpolation="bilinear")
    rows, columns = pixels.shape
    x = extent[0] + (np.arange(columns) + 0.5) * (extent[1] - extent[0]) / columns
    y = extent[3] + (np.arange(rows) + 0.5) * (extent[2] - extent[3]) / rows
    for mask, label in ((outlines > 0, LIVER), (outlines == TUMOR.value, TUMOR)):
        if mask.any() and not mask.all():
            axes.contour(x, y, mask, levels=[0.5], colors=[label.color], linewidths=1.2)
    dash = "--" if lesion.verdict == "reject" else "-"
    for ends in (lesion.longest_lps_mm, lesion.perpendicular_lps_mm):
        axes.plot(ends[:, 0], ends[:, 1], color="#7fd4ff", linewidth=1.2, linestyle=dash)
    axes.set_xlim(center[0] - SIDE_MM / 2, center[0] + SIDE_MM / 2)
    axes.set_ylim(center[1] + SIDE_MM / 2, center[1] - SIDE_MM / 2)
    axes.set_facecolor("black")
    axes.text(0.03, 0.97, str(lesion.number), transform=axes.transAxes, color="white", fontsize=14, va="top")
    axes.set_xticks([])
    axes.set_yticks([])
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _slice_around(
    image: sitk.Image, labels: Labels, lesion: LesionFigures
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float, float], np.ndarray]:
    """Return a slice's HU and labels in patient axes (rows to posterior, columns to the left), extent and centre."""
    grid = Grid.of(image)
    axis = superior_axis(grid.direction)
    start, size = [0, 0, 0], list(grid.size)
    start[axis], size[axis] = lesion.place.slice_index, 1
    center = lesion.longest_lps_mm.mean(axis=0)
    step = 0.6
    count = round(SIDE_MM / step)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([count, count, 1])
    resampler.SetOutputSpacing([step, step, 1.0])
    resampler.SetOutputOrigin(
        [center[0] - SIDE_MM / 2 + step / 2, center[1] - SIDE_MM / 2 + step / 2, float(center[2])]
    )
    resampler.SetDefaultPixelValue(-1024)
    # An oblique scan is cut along its own slice: one slab is all that is sampled, and nearest beyond its faces.
    plane = _thick(sitk.RegionOfInterest(image, size, start), axis)
    marks = _thick(_slab(labels, grid, start, size), axis)
    resampler.SetInterpolator(sitk.sitkLinear)
    pixels = sitk.GetArrayFromImage(resampler.Execute(plane))[0]
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    resampler.SetDefaultPixelValue(0)
    outlines = sitk.GetArrayFromImage(resampler.Execute(marks))[0]
    left, top = center[0] - SIDE_MM / 2, center[1] - SIDE_MM / 2
    return pixels, outlines, (left, left + SIDE_MM, top + SIDE_MM, top), center


def _slab(labels: Labels, grid: Grid, start: list[int], size: list[int]) -> sitk.Image:
    box = tuple(slice(a, a + n) for a, n in zip(reversed(start), reversed(size), strict=True))
    stop = np.add(start, size)
    return grid.crop(np.asarray(start), stop).image(np.ascontiguousarray(labels[box]))


def _thick(image: sitk.Image, axis: int) -> sitk.Image:
    """Return one slice as a slab so thick that the plane of the picture stays inside of it however it is tilted."""
    spacing = list(image.GetSpacing())
    spacing[axis] = 2 * SIDE_MM
    image.SetSpacing(spacing)
    return image
