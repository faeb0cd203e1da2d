"""Pictures of synthetic tumours, so that a person can judge them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.wholefile import whole_file
from scipy import ndimage

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.preparation import cache_of, prepare
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.samples.synthetic import add_tumors

FILE = "synthetic_tumors.png"
COLUMNS = 4
HALF_WIDTH_MM = 60.0
SMALLEST_LIVER_VOXELS = 500
TRIES = 50
"""So many places are tried for each picture."""


def draw_synthetic_tumors(config: Config, root: Path, run: Path, count: int) -> Path:
    """Write RUN/synthetic_tumors.png: pairs of the liver before and after, outlined, and return its path.

    Raises
    ------
    InputError
        If no case of the data set has healthy liver, or too little of it.
    """
    config = in_agreement(config, Path(root))
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    cache = cache_of(config, run)
    prepared = [prepare(case, config, cache) for case in find_cases(Path(root), config.data)]
    with_liver = [case for case in prepared if len(case.organ_centres)]
    if not with_liver:
        raise InputError("No case has healthy liver to put tumours into.")
    rng = np.random.default_rng(config.run.seed)
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]] = []
    for _ in range(TRIES * count):
        if len(pairs) == count:
            break
        case = with_liver[rng.integers(len(with_liver))]
        centre = case.organ_centres[rng.integers(len(case.organ_centres))]
        reach = np.ceil(HALF_WIDTH_MM / np.asarray(case.spacing_mm[::-1])).astype(int)
        box = tuple(slice(max(c - r, 0), c + r) for c, r in zip(centre, reach, strict=True))
        image, label = case.image[0][box].astype(np.float32), np.asarray(case.label[box])
        if (label == LIVER.value).sum() < SMALLEST_LIVER_VOXELS:
            continue
        changed, tumors = add_tumors(image, label, np.asarray(case.spacing_mm[::-1]), rng)
        new = (tumors == TUMOR.value) & (label != TUMOR.value)
        if new.any():
            z = int(new.sum((1, 2)).argmax())
            pairs.append((image[z], changed[z], new[z], case.case.name))
    if not pairs:
        raise InputError(
            f"No place in {root} holds enough healthy liver (label {LIVER.value}) for a tumour: check data.labels and "
            "data.label_map, or set a finer preparation.spacing_mm."
        )
    return _draw(pairs, config, run / FILE)


def _draw(pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]], config: Config, path: Path) -> Path:
    from matplotlib.figure import Figure

    low, high = config.preparation.window_hu or (-150.0, 250.0)
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 2 * COLUMNS, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for number, (before, after, new, name) in enumerate(pairs):
        row, column = divmod(number, COLUMNS)
        left, right = panels[row][2 * column], panels[row][2 * column + 1]
        left.imshow(before, cmap="gray", vmin=low, vmax=high)
        left.set_title(name, fontsize=7)
        right.imshow(after, cmap="gray", vmin=low, vmax=high)
        outline = ndimage.binary_dilation(new, iterations=2) & ~ndimage.binary_dilation(new)
        right.imshow(np.ma.masked_where(~outline, outline), cmap="autumn", alpha=0.8)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=90)
    return path
