"""Pictures of a follow-up: each lesion at every date, and how well the livers were brought together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..labels import TUMOR
from ..output.palette import PREDICTION_ON_SCAN, REFERENCE_ON_SCAN, chart, picture_uri
from ..pipeline.diameters import AxialDiameters, draw_diameters
from .registration import Alignment
from .timepoints import TimePoint
from .tracking import Track

_WINDOW = (-100.0, 200.0)
_SMALLEST_VIEW_MM = 90.0
_OTHER = (0.75, 0.75, 0.75)
_MARK = (1.0, 1.0, 1.0)
_PANEL_IN, _TITLE_IN = 2.7, 0.4


@dataclass(frozen=True)
class View:
    """One scan with its axes to the patient's left, posterior and superior (LPS), for display.

    Attributes
    ----------
    grid : sitk.Image
        Geometry.
    grey : ndarray [z, y, x] or None
    labels : ndarray [z, y, x]
    numbers : ndarray [z, y, x]
        Lesion ids.
    slices_below : int
        Slices of the whole scan below the first one here.
    """

    grid: sitk.Image
    grey: npt.NDArray[np.generic] | None
    labels: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.uint16]
    slices_below: int

    @cached_property
    def boxes(self) -> list[tuple[slice, ...] | None]:
        """The box of each lesion, by id - 1."""
        boxes: list[tuple[slice, ...] | None] = ndimage.find_objects(self.numbers)
        return boxes

    def diameters(self, ids: tuple[int, ...]) -> list[AxialDiameters]:
        """Return the two diameters of each of these lesions, the longest first; their ends are voxels of this view."""
        found = []
        for number in ids:
            box = self.boxes[number - 1]
            drawn = None if box is None else draw_diameters(self.numbers[box] == number, self.spacing_mm)
            if box is not None and drawn is not None:
                corner = [part.start for part in box]
                ends = drawn.longest_zyx + corner, drawn.perpendicular_zyx + corner
                found.append(replace(drawn, longest_zyx=ends[0], perpendicular_zyx=ends[1]))
        return sorted(found, key=lambda drawn: -drawn.longest_mm)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size [z, y, x]."""
        x, y, z = self.grid.GetSpacing()
        return z, y, x

    def place(self, point_mm: npt.NDArray[np.float64]) -> tuple[int, int, int]:
        """Return the voxel [z, y, x] nearest to a point, kept inside the scan."""
        x, y, z = self.grid.TransformPhysicalPointToContinuousIndex([float(value) for value in point_mm])
        nearest = (int(np.clip(round(v), 0, n - 1)) for v, n in zip((z, y, x), self.labels.shape, strict=True))
        a, b, c = nearest
        return a, b, c


def make_view(point: TimePoint) -> View:
    """Return a scan turned for display."""
    labels = sitk.DICOMOrient(point.labelmap, "LPS")
    numbers = sitk.DICOMOrient(point.numbers, "LPS")
    grey = None if point.image is None else sitk.GetArrayFromImage(sitk.DICOMOrient(point.image, "LPS"))
    voxels = [sitk.GetArrayFromImage(image) for image in (labels, numbers)]
    return View(labels, grey, voxels[0], voxels[1], point.slices_below)


def track_picture(track: Track, points: list[TimePoint], views: list[View], alignments: list[Alignment]) -> str:
    """Return one lesion at every date, cut where it is widest; where it is not seen, through its place."""
    centres = [_centre(track, scan, points, alignments) for scan in range(len(points))]
    size_mm = max(
        [_SMALLEST_VIEW_MM]
        + [
            1.5 * lesion.diameter_mm
            for scan, p in enumerate(points)
            for lesion in p.lesions
            if lesion.id in track.seen(scan)
        ]
    )
    height_in = _PANEL_IN + _TITLE_IN
    with chart(_PANEL_IN * len(points), height_in, None, ncols=len(points), squeeze=False) as (figure, panels):
        for scan, (axes, view) in enumerate(zip(panels[0], views, strict=True)):
            z, y, x = view.place(centres[scan])
            measured = view.diameters(track.seen(scan))
            z = int(measured[0].longest_zyx[0, 0]) if measured else z
            rows, columns = (
                slice(max(0, round(at - size_mm / 2 / step)), min(n, round(at + size_mm / 2 / step)))
                for at, step, n in zip((y, x), view.spacing_mm[1:], view.labels.shape[1:], strict=True)
            )
            axes.set_position(((scan + 0.01) / len(points), 0.0, 0.98 / len(points), _PANEL_IN / height_in))
            _show(axes, view, z, rows, columns)
            own = np.isin(view.numbers[z, rows, columns], track.seen(scan))
            _outline(axes, (view.labels[z, rows, columns] == TUMOR.value) & ~own, _OTHER, 0.8)
            _outline(axes, own, PREDICTION_ON_SCAN, 1.4)
            title = f"{points[scan].name}\nslice {z + 1 + view.slices_below}"
            if measured:
                title += f", {measured[0].longest_mm:.0f} x {measured[0].perpendicular_mm:.0f} mm"
            else:
                axes.plot(x - columns.start, y - rows.start, "+", color=_MARK, markersize=14, markeredgewidth=1.0)
            for one in measured:
                if int(one.longest_zyx[0, 0]) == z:
                    for ends in (one.longest_zyx, one.perpendicular_zyx):
                        axes.plot(ends[:, 2] - columns.start, ends[:, 1] - rows.start, color=_MARK, linewidth=1.0)
            axes.set_title(title, fontsize=8, fontweight="normal")
        return picture_uri(figure, dpi=100)


def alignment_picture(baseline: View, later: View, alignment: Alignment) -> str:
    """Return an axial and a coronal cut of the later scan with both livers' outlines."""
    organ = later.labels > 0
    z, y = (round(float(np.mean(np.flatnonzero(organ.any(axis=other))))) for other in ((1, 2), (0, 2)))
    shape = later.labels.shape
    with chart(7.2, 3.6, ncols=2) as (figure, panels):
        cuts = (
            (panels[0], "axial", np.mgrid[z : z + 1, 0 : shape[1], 0 : shape[2]]),
            (
                panels[1],
                "coronal",
                np.mgrid[shape[0] - 1 : -1 : -1, y : y + 1, 0 : shape[2]] if shape[0] > 1 else None,
            ),
        )
        for axes, name, index in cuts:
            if index is None:
                continue
            rows_axis = 1 if name == "axial" else 0
            flat = index.reshape(3, -1)
            picture = (later.grey if later.grey is not None else later.labels * 60)[tuple(flat)]
            side = (index.shape[1 + rows_axis], index.shape[3])
            low, high = _WINDOW if later.grey is not None else (0.0, 255.0)
            aspect = later.spacing_mm[rows_axis] / later.spacing_mm[2]
            axes.imshow(picture.reshape(side), cmap="gray", vmin=low, vmax=high, aspect=aspect)
            axes.set_axis_off()
            axes.set_title(name, fontsize=9)
            _outline(axes, organ[tuple(flat)].reshape(side), PREDICTION_ON_SCAN, 1.3)
            _outline(axes, _mapped_organ(baseline, later, alignment, flat).reshape(side), REFERENCE_ON_SCAN, 1.3)
        return picture_uri(figure, dpi=100)


def _mapped_organ(
    baseline: View, later: View, alignment: Alignment, index_zyx: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return whether voxels of the later scan, mapped back, lie in the baseline's organ."""
    spacing, origin = np.asarray(later.grid.GetSpacing()), np.asarray(later.grid.GetOrigin())
    axes = np.reshape(later.grid.GetDirection(), (3, 3)) * spacing
    back = alignment.inverse(index_zyx[::-1].T @ axes.T + origin)
    own_axes = np.reshape(baseline.grid.GetDirection(), (3, 3)) * np.asarray(baseline.grid.GetSpacing())
    own = np.round((back - np.asarray(baseline.grid.GetOrigin())) @ np.linalg.inv(own_axes).T).astype(int)[:, ::-1]
    within = np.all((own >= 0) & (own < baseline.labels.shape), axis=1)
    result = np.zeros(len(own), dtype=bool)
    result[within] = baseline.labels[tuple(own[within].T)] > 0
    return result


def _centre(track: Track, scan: int, points: list[TimePoint], alignments: list[Alignment]) -> npt.NDArray[np.float64]:
    """Return the lesion's centre in a scan, mapped from the nearest scan that shows it when it is not seen."""
    if track.seen(scan):
        return np.concatenate([points[scan].lesion_points[number] for number in track.seen(scan)]).mean(axis=0)
    source = min((other for other in track.parts if track.seen(other)), key=lambda other: abs(other - scan))
    centre = np.concatenate([points[source].lesion_points[number] for number in track.seen(source)]).mean(axis=0)
    return alignments[scan].apply(alignments[source].inverse(centre[None]))[0]


def _show(axes: Any, view: View, z: int, rows: slice, columns: slice) -> None:
    axes.set_axis_off()
    aspect = view.spacing_mm[1] / view.spacing_mm[2]
    if view.grey is None:
        axes.imshow((view.labels[z, rows, columns] > 0) * 0.35 + 0.1, cmap="gray", vmin=0.0, vmax=1.0, aspect=aspect)
    else:
        axes.imshow(view.grey[z, rows, columns], cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1], aspect=aspect)


def _outline(axes: Any, mask: npt.NDArray[np.bool_], color: tuple[float, float, float], width: float) -> None:
    if mask.any() and not mask.all():
        padded = np.pad(mask, 1).astype(np.float32)
        x, y = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
        axes.contour(x, y, padded, levels=[0.5], colors=[color], linewidths=width)
        axes.set_xlim(-0.5, mask.shape[1] - 0.5)
        axes.set_ylim(mask.shape[0] - 0.5, -0.5)
