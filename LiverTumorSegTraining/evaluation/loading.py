"""Reading one case: labelmaps in the scheme's values on one grid, refused when they do not lie on the same voxels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import place_in, require_same_grid
from LiverTumorSegLib.labels import IGNORE
from LiverTumorSegLib.output.segfile import read_segmentation
from LiverTumorSegLib.scan.checks import superior_axis

from LiverTumorSegTraining.data.studies.study import read_labels

from .pairing import CasePaths
from .regions import Scheme, canonical_labels

_SAMPLE = 1_000_000


@dataclass(frozen=True)
class LoadedCase:
    """One case in memory.

    Attributes
    ----------
    grid : sitk.Image
        The reference image, for its geometry.
    reference : ndarray of uint8, [z, y, x]
    prediction : ndarray of uint8, [z, y, x], or None
    """

    grid: sitk.Image
    reference: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8] | None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm, [z, y, x]."""
        x, y, z = self.grid.GetSpacing()
        return z, y, x

    @property
    def axial_axis(self) -> int:
        """Array axis across which the axial slices lie."""
        return 2 - superior_axis(self.grid.GetDirection())


def load_case(paths: CasePaths, scheme: Scheme) -> LoadedCase:
    """Read reference and prediction.

    Raises
    ------
    InputError
        For unreadable files, unknown label values, or grids that differ; never resampled silently.
    """
    truth, segments = read_labels(paths.reference) if paths.reference.is_dir() else read_segmentation(paths.reference)
    truth_names = segments or dict(paths.reference_names)
    about_truth = f"Case {paths.name}, reference {paths.reference.name}"
    grid = truth
    guess, guess_names = None, {}
    about_guess = ""
    if paths.prediction is not None:
        about_guess = f"Case {paths.name}, prediction {paths.prediction.name}"
        guess, segments = read_segmentation(paths.prediction)
        guess_names = segments or dict(paths.prediction_names)
        if _is_slicer_file(paths.reference) and np.prod(guess.GetSize()) > np.prod(truth.GetSize()):
            grid = guess
    reference = canonical_labels(_voxels(truth, grid, paths.reference, about_truth), truth_names, scheme, about_truth)
    _refuse_all_unknown(reference, about_truth)
    prediction = None
    if guess is not None and paths.prediction is not None:
        voxels = _voxels(guess, grid, paths.prediction, about_guess)
        prediction = canonical_labels(voxels, guess_names, scheme, about_guess)
        _refuse_all_unknown(prediction, about_guess)
    return LoadedCase(grid, reference, prediction)


def _refuse_all_unknown(labels: npt.NDArray[np.uint8], what: str) -> None:
    """Refuse a labelmap that says nothing: every voxel that is not background is "unknown" (255)."""
    counts = np.bincount(labels.ravel()[:: max(1, labels.size // _SAMPLE)], minlength=256)
    if not counts[IGNORE] or counts[1:IGNORE].any():
        return
    # The sample holds nothing but 0 and 255: look at all of it.
    if ((labels > 0) & (labels < IGNORE)).any():
        return
    held = "only 255" if (labels == IGNORE).all() else "only 0 and 255, as masks of pictures do"
    raise InputError(
        f"{what} holds {held}, and 255 means that the truth is unknown: nothing could be scored. "
        "Write the label's own value, such as 1 for liver, in place of 255."
    )


def _is_slicer_file(path: Path) -> bool:
    return path.name.lower().endswith(".seg.nrrd")


def _voxels(labelmap: sitk.Image, grid: sitk.Image, path: Path, what: str) -> npt.NDArray[np.generic]:
    """Return a labelmap's voxels on the case's grid.

    3D Slicer saves a segmentation cropped to what is drawn; such a part is put in its place, voxel onto voxel.
    """
    if labelmap.GetSize() == grid.GetSize() or not _is_slicer_file(path):
        require_same_grid(grid, labelmap, what)
        return sitk.GetArrayFromImage(labelmap)
    start = place_in(grid, labelmap)
    if start is None:
        raise InputError(f"{what} does not lie on the voxels of the case's grid; export it on the grid of the scan.")
    part = sitk.GetArrayFromImage(labelmap)
    full = np.zeros(grid.GetSize()[::-1], dtype=part.dtype)
    source, target = [], []
    for first, size, room in zip(start[::-1], part.shape, full.shape, strict=True):
        source.append(slice(max(0, -first), max(0, min(size, room - first))))
        target.append(slice(max(0, first), max(0, min(room, first + size))))
    full[tuple(target)] = part[tuple(source)]
    if np.count_nonzero(full) != np.count_nonzero(part):
        raise InputError(f"{what} reaches beyond the case's grid; export it on the grid of the scan.")
    return full
