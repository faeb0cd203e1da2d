"""loss_curve.png: the loss on training and held-out cases, and the Dice of each class, against steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from LiverTumorSegLib.wholefile import whole_file

from LiverTumorSegTraining.training.run_files import LOSS_CURVE, read_metrics
from LiverTumorSegTraining.training.validation import mean_figures


def draw_loss_curve(run: Path) -> None:
    """Write loss_curve.png from metrics.jsonl."""
    from matplotlib.figure import Figure

    entries = read_metrics(run)
    losses = [(entry["step"], entry["loss"]) for entry in entries if entry.get("loss") is not None]
    if not losses:
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*losses, strict=True), color="0.3", linewidth=1, label="training loss")
    held_out = validation_losses(entries)
    if held_out:
        axes.plot(*zip(*held_out, strict=True), "s--", color="0.3", markersize=4, label="validation loss")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    right = axes.twinx()
    right.set_ylim(0, 1)
    right.set_ylabel("validation Dice")
    for metric, points in validation_curves(entries).items():
        right.plot(*zip(*points, strict=True), "o-", label=metric.removesuffix("_dice") + " Dice")
    figure.legend(loc="outside upper center", ncols=4)
    with whole_file(run / LOSS_CURVE) as partial:
        figure.savefig(partial, dpi=110)


def validation_losses(entries: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Return [(step, loss on the held-out cases)] of the entries of metrics.jsonl."""
    return [(entry["step"], entry["validation_loss"]) for entry in entries if entry.get("validation_loss") is not None]


def validation_curves(entries: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return {metric: [(step, mean over the cases)]} of the entries of metrics.jsonl."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        figures = {
            case: {name: math.nan if value is None else value for name, value in values.items()}
            for case, values in entry.get("validation", {}).items()
        }
        for name, value in mean_figures(figures).items():
            if math.isfinite(value):
                curves.setdefault(name, []).append((entry["step"], value))
    return curves
