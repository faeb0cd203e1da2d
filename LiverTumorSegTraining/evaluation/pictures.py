"""Pictures of the report: worst slices and strips through missed lesions, seen from the feet.

Outlines are drawn, not only fills, so that the tissue under an error stays visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from LiverTumorSegLib.output.palette import (
    AGREEMENT_ON_SCAN,
    PREDICTION_ON_SCAN,
    REFERENCE_ON_SCAN,
    Writer,
    chart,
    picture_uri,
)

from .case_scores import LesionRecord
from .loading import LoadedCase
from .regions import Region

_LIVER_WINDOW = (-100.0, 200.0)
_UNKNOWN_ON_SCAN = (0.8, 0.8, 0.8)
_STRIP_MM = 90.0
_MARGIN_MM = 15.0


@dataclass(frozen=True)
class Scene:
    """One case turned so that array axes are [z up, y to posterior, x to the patient's left].

    Attributes
    ----------
    image : ndarray of float32 or None
        Grey values; None without a scan.
    reference, prediction : ndarray of uint8
        Labels in the scheme's values; an absent prediction is all 0.
    spacing_mm : tuple of float
        [z, y, x].
    window : tuple of float
        Grey values shown as black and white.
    order : tuple of int
        For each axis here, the array axis of the case it came from.
    flipped : tuple of bool
        Whether it was reversed.
    """

    image: npt.NDArray[np.float32] | None
    reference: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    window: tuple[float, float]
    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def box(self, lesion: LesionRecord) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Return a lesion's box in this scene's axes."""
        turned: list[tuple[int, int]] = []
        for axis, flip in zip(self.order, self.flipped, strict=True):
            start, stop = lesion.box[axis]
            size = self.reference.shape[len(turned)]
            turned.append((size - stop, size - start) if flip else (start, stop))
        return turned[0], turned[1], turned[2]


def make_scene(loaded: LoadedCase, image: sitk.Image | None) -> Scene:
    """Turn a case for display; a scan on another grid than the reference is not shown."""
    direction = np.reshape(loaded.grid.GetDirection(), (3, 3))
    # Which index axis runs most along x, y, z of the patient; array order is the reverse.
    index_axis = _best_axes(np.abs(direction))
    order = tuple(2 - index_axis[world] for world in (2, 1, 0))
    flipped = tuple(direction[world, index_axis[world]] < 0 for world in (2, 1, 0))
    grey = None
    window = _LIVER_WINDOW
    if image is not None and image.GetDimension() == 3 and image.GetSize() == loaded.grid.GetSize():
        grey = _turn(sitk.GetArrayFromImage(image).astype(np.float32), order, flipped)
        window = _window(grey)
    prediction = np.zeros_like(loaded.reference) if loaded.prediction is None else loaded.prediction
    return Scene(
        grey,
        _turn(loaded.reference, order, flipped),
        _turn(prediction, order, flipped),
        tuple(loaded.spacing_mm[axis] for axis in order),  # type: ignore[arg-type]
        window,
        order,  # type: ignore[arg-type]
        flipped,  # type: ignore[arg-type]
    )


def worst_slice_picture(
    scene: Scene, region: Region, ignore: int | None, write: Writer = picture_uri
) -> tuple[str, int]:
    """Return a row of four views of the slice with the largest error, and that slice's number (from 1).

    The views: scan, reference, prediction, and both with errors filled.
    """
    truth, found = region.mask(scene.reference), region.mask(scene.prediction)
    wrong = truth ^ found
    if ignore is not None:
        wrong &= scene.reference != ignore
    area = wrong.sum(axis=(1, 2))
    if not area.any():
        area = truth.sum(axis=(1, 2))
    z = int(area.argmax())
    rows, columns = _view(scene, z)
    aspect = _aspect(scene, rows, columns)
    with chart(10.4, 10.4 / 4 * aspect + 0.3, ncols=4) as (figure, panels):
        grey = _grey(scene, z, rows, columns)
        ours, theirs = truth[z, rows, columns], found[z, rows, columns]
        for axes, title in zip(panels, ("Slice", "Reference", "Prediction", "Difference"), strict=True):
            _show(axes, scene, grey)
            axes.set_title(title, fontsize=9)
        _fill(panels[1], scene, ours, REFERENCE_ON_SCAN, 0.45)
        _fill(panels[2], scene, theirs, PREDICTION_ON_SCAN, 0.45)
        _fill(panels[3], scene, ours & theirs, AGREEMENT_ON_SCAN, 0.22)
        _fill(panels[3], scene, ours & ~theirs, REFERENCE_ON_SCAN, 0.55)
        _fill(panels[3], scene, theirs & ~ours, PREDICTION_ON_SCAN, 0.55)
        for axes in (panels[1], panels[3]):
            _outline(axes, ours, REFERENCE_ON_SCAN)
        for axes in (panels[2], panels[3]):
            _outline(axes, theirs, PREDICTION_ON_SCAN)
        if ignore is not None:
            _outline(panels[3], scene.reference[z, rows, columns] == ignore, _UNKNOWN_ON_SCAN)
        return write(figure), z + 1


def lesion_strip(scene: Scene, lesion: LesionRecord, region: Region, slices: int = 5) -> str:
    """Return slices from just below to just above a lesion, with both outlines and the lesion's box, dotted."""
    (z0, z1), (y0, y1), (x0, x1) = scene.box(lesion)
    count = scene.reference.shape[0]
    steps = np.unique(np.clip(np.round(np.linspace(z0 - 1, z1, slices)).astype(int), 0, count - 1))
    middle = ((y0 + y1) / 2.0, (x0 + x1) / 2.0)
    half_mm = max(_STRIP_MM / 2, 0.75 * max((y1 - y0) * scene.spacing_mm[1], (x1 - x0) * scene.spacing_mm[2]))
    rows, columns = (
        slice(max(0, round(center - half_mm / size)), min(n, round(center + half_mm / size)))
        for center, size, n in zip(middle, scene.spacing_mm[1:], scene.reference.shape[1:], strict=True)
    )
    height, width = rows.stop - rows.start, columns.stop - columns.start
    gap = max(1, width // 30)
    strip = np.ones((height, len(steps) * (width + gap) - gap), dtype=np.float32)
    for place, z in enumerate(steps):
        strip[:, place * (width + gap) :][:, :width] = _grey(scene, z, rows, columns)
    panel_in, title_in = 1.85, 0.2
    image_in = panel_in * _aspect(scene, rows, columns)
    # One pair of axes for the whole strip: a report may hold dozens, and axes are what costs time.
    with chart(panel_in * len(steps), image_in + title_in, layout=None) as (figure, axes):
        axes.set_position((0.0, 0.0, 1.0, image_in / (image_in + title_in)))
        _show(axes, scene, strip)
        for place, z in enumerate(steps):
            left = place * (width + gap)
            axes.text(left, -1.5, f"slice {z + 1}", fontsize=7.5, va="bottom", clip_on=False)
            if z0 <= z < z1:
                _mark(axes, (y0 - rows.start, y1 - rows.start), (x0 - columns.start + left, x1 - columns.start + left))
            _contour(axes, region.mask(scene.prediction[z, rows, columns]), PREDICTION_ON_SCAN, left)
            _contour(axes, region.mask(scene.reference[z, rows, columns]), REFERENCE_ON_SCAN, left)
        axes.set_xlim(-0.5, strip.shape[1] - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
        return picture_uri(figure)


def _best_axes(weights: npt.NDArray[np.float64]) -> list[int]:
    """Return for each patient axis x, y, z the index axis that runs most along it, each used once."""
    left = weights.copy()
    chosen = [0, 0, 0]
    for _ in range(3):
        world, axis = np.unravel_index(np.argmax(left), left.shape)
        chosen[int(world)] = int(axis)
        left[world, :] = -1.0
        left[:, axis] = -1.0
    return chosen


def _turn(array: npt.NDArray[Any], order: tuple[int, ...], flipped: tuple[bool, ...]) -> npt.NDArray[Any]:
    return np.flip(array.transpose(order), tuple(axis for axis, flip in enumerate(flipped) if flip))


def _window(grey: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return the liver window for a CT; for any other image its 1st and 99th percentile within the body."""
    sample = grey[:: max(1, grey.shape[0] // 40), ::4, ::4].astype(np.float64)
    low, high = float(sample.min()), float(sample.max())
    if low <= -200.0 and high > 150.0:
        return _LIVER_WINDOW
    inside = sample[sample != sample.flat[0]]
    if inside.size == 0:
        return low, high + 1.0
    first, last = np.percentile(inside, [1.0, 99.0])
    return float(first), float(max(last, first + 1e-3))


def _view(scene: Scene, z: int) -> tuple[slice, slice]:
    """Return the rows and columns worth showing: the labels of the slice, or of the case, with a margin."""
    labelled = (scene.reference[z] > 0) | (scene.prediction[z] > 0)
    if not labelled.any():
        labelled = ((scene.reference > 0) | (scene.prediction > 0)).any(axis=0)
    if not labelled.any():
        labelled = np.ones_like(labelled)
    parts = []
    for axis in (0, 1):
        at = np.flatnonzero(labelled.any(axis=1 - axis))
        margin = round(_MARGIN_MM / scene.spacing_mm[1 + axis])
        parts.append(slice(max(0, int(at[0]) - margin), min(labelled.shape[axis], int(at[-1]) + 1 + margin)))
    return parts[0], parts[1]


def _aspect(scene: Scene, rows: slice, columns: slice) -> float:
    height = (rows.stop - rows.start) * scene.spacing_mm[1]
    width = (columns.stop - columns.start) * scene.spacing_mm[2]
    return float(np.clip(height / width, 0.3, 1.6))


def _grey(scene: Scene, z: int, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
    if scene.image is None:
        return np.full((rows.stop - rows.start, columns.stop - columns.start), 0.35, dtype=np.float32)
    low, high = scene.window
    return np.clip((scene.image[z, rows, columns] - low) / (high - low), 0.0, 1.0)


def _show(axes: Any, scene: Scene, grey: npt.NDArray[np.float32]) -> None:
    axes.imshow(grey, cmap="gray", vmin=0.0, vmax=1.0, aspect=scene.spacing_mm[1] / scene.spacing_mm[2])
    axes.set_axis_off()


def _fill(
    axes: Any, scene: Scene, mask: npt.NDArray[np.bool_], color: tuple[float, float, float], alpha: float
) -> None:
    overlay = np.zeros((*mask.shape, 4), dtype=np.float32)
    overlay[mask] = (*color, alpha)
    axes.imshow(overlay, aspect=scene.spacing_mm[1] / scene.spacing_mm[2], interpolation="nearest")


def _mark(axes: Any, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    """Draw the lesion's box, because the same view often holds others."""
    (top, bottom), (left, right) = rows, columns
    x = np.array([left, right, right, left, left]) - 0.5
    y = np.array([top, top, bottom, bottom, top]) - 0.5
    axes.plot(x, y, color="white", linewidth=0.7, linestyle=(0, (2, 2)))


def _outline(axes: Any, mask: npt.NDArray[np.bool_], color: tuple[float, float, float]) -> None:
    if _contour(axes, mask, color):
        axes.set_xlim(-0.5, mask.shape[1] - 0.5)
        axes.set_ylim(mask.shape[0] - 0.5, -0.5)


def _contour(axes: Any, mask: npt.NDArray[np.bool_], color: tuple[float, float, float], left: int = 0) -> bool:
    """Draw a mask's outline, shifted to the right by some columns; return whether there was anything to draw."""
    if not mask.any() or mask.all():
        return False
    # A ring of background closes outlines that reach the edge of the view.
    padded = np.pad(mask, 1).astype(np.float32)
    x, y = np.arange(-1, mask.shape[1] + 1) + left, np.arange(-1, mask.shape[0] + 1)
    axes.contour(x, y, padded, levels=[0.5], colors=[color], linewidths=1.2)
    return True
