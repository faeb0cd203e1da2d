"""Pictures of validation cases: the scan, the truth, the prediction, and the outlines of both on the scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from LiverTumorSegLib.labels import IGNORE, label_table
from LiverTumorSegLib.wholefile import whole_file

from LiverTumorSegTraining.data.preparation import ANY_FOREGROUND
from LiverTumorSegTraining.training.validation import Segmented

FOLDER = "overlays"


def draw_overlay(segmented: Segmented, labels: list[str], window_hu: tuple[float, float] | None, run: Path) -> Path:
    """Write RUN/overlays/NAME.png for the axial slice with most of the highest class, and return its path.

    Parameters
    ----------
    segmented : Segmented
        The case.
    labels : list of str
        Names of the values 1, 2, ...
    window_hu : tuple of float or None
        Grey values shown; percentiles 1 and 99 of the slice when None.
    run : Path
        The run folder.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    z = telling_slice(segmented.reference)
    image = segmented.image[z].astype(np.float32)
    low, high = window_hu or tuple(float(v) for v in np.percentile(image, (1, 99)))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    table = label_table(labels)
    figure = Figure(figsize=(13.5, 4), layout="constrained")
    panels = figure.subplots(1, 4)
    shown = (None, segmented.reference[z], segmented.prediction[z], None)
    titles = ("scan", "truth", "prediction", "truth (solid), prediction (dashed)")
    for axes, title, classes in zip(panels, titles, shown, strict=True):
        axes.imshow(grey if classes is None else _painted(grey, classes, table), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title)
        axes.set_axis_off()
    for classes, style in ((segmented.reference[z], "solid"), (segmented.prediction[z], "dashed")):
        for label in table:
            if (classes == label.value).any():
                panels[3].contour(
                    classes == label.value, [0.5], colors=[label.color], linewidths=1.2, linestyles=style
                )
    handles = [Patch(color=label.color, label=label.name) for label in table]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.suptitle(f"{segmented.name}, slice {z + 1} of {len(segmented.image)}")
    path = run / FOLDER / f"{segmented.name}.png"
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=100)
    return path


def telling_slice(reference: np.ndarray) -> int:
    """Return the index of the axial slice with most of the highest class present."""
    known = np.where(reference >= ANY_FOREGROUND, (reference == ANY_FOREGROUND).astype(reference.dtype), reference)
    return int((known == known.max()).sum((1, 2)).argmax()) if known.max() else len(reference) // 2


def _painted(grey: np.ndarray, classes: np.ndarray, table: tuple) -> np.ndarray:
    picture = np.repeat(grey[..., None], 3, -1)
    for label in table:
        mask = classes == label.value
        picture[mask] = 0.55 * picture[mask] + 0.45 * np.asarray(label.color)
    unknown = classes == IGNORE
    picture[unknown] = 0.7 * picture[unknown] + 0.3 * np.array([0.3, 0.3, 0.9])
    return picture
