"""Progress of a run: a bar for a person, metrics.jsonl for a program, loss_curve.png for the eye, TensorBoard."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any

from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.jsonfile import json_text
from LiverTumorSegLib.wholefile import whole_file
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from LiverTumorSegTraining.training.run_files import LOSS_CURVE, METRICS, read_metrics
from LiverTumorSegTraining.training.validation import Figures, mean_figures


class TrainingProgress:
    """Context that shows and records a run.

    Parameters
    ----------
    run : Path
        Folder of the records.
    steps : int
        Steps of the whole run.
    log_every : int
        Steps whose mean loss makes one line of metrics.jsonl.
    tensorboard : bool
        Also write event files.
    quiet : bool
        Show and record nothing (all processes but the first).
    """

    def __init__(
        self, run: Path, steps: int, log_every: int = 20, tensorboard: bool = False, quiet: bool = False
    ) -> None:
        self.run, self.log_every, self.quiet = run, log_every, quiet
        self.losses: list[float] = []
        self.bar = Progress(
            TextColumn("training"), BarColumn(),
            TextColumn("{task.completed}/{task.total} loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(), TimeRemainingColumn(), disable=quiet,
        )  # fmt: skip
        self.task = self.bar.add_task("training", total=steps, loss=math.nan)
        self.events = _event_writer(run) if tensorboard and not quiet else None

    def __enter__(self) -> TrainingProgress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if self.events is not None:
            self.events.close()
        if not self.quiet:
            draw_loss_curve(self.run)

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        if not self.quiet:
            self.bar.console.print(sentence)

    def step(self, step: int, minutes: float, loss: float, rate: float) -> None:
        """Show a step; every `log_every` steps record the mean loss."""
        if math.isfinite(loss):
            self.losses.append(loss)
        if step % self.log_every:
            return
        mean = sum(self.losses) / len(self.losses) if self.losses else None
        self.losses.clear()
        self.bar.update(self.task, completed=step, loss=math.nan if mean is None else mean)
        self._record({"step": step, "minutes": round(minutes, 3), "loss": mean, "learning_rate": rate})
        if self.events is not None and mean is not None:
            self.events.add_scalar("loss", mean, step)
            self.events.add_scalar("learning rate", rate, step)

    def validation(self, step: int, figures: Figures) -> None:
        """Record validation figures."""
        self._record({"step": step, "validation": figures})
        means = mean_figures(figures)
        self.say(f"validation at step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
        if self.events is not None:
            for name, value in means.items():
                if math.isfinite(value):
                    self.events.add_scalar(f"validation/{name}", value, step)
        if not self.quiet:
            draw_loss_curve(self.run)

    def _record(self, entry: dict[str, Any]) -> None:
        if self.quiet:
            return
        with (self.run / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json_text(entry) + "\n")


def _event_writer(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "run.tensorboard needs the package tensorboard: install it, or set run.tensorboard false."
        ) from error
    return SummaryWriter(str(run / "tensorboard"))


def draw_loss_curve(run: Path) -> None:
    """Write loss_curve.png from metrics.jsonl: training loss, and the mean validation Dice of each class."""
    from matplotlib.figure import Figure

    entries = read_metrics(run)
    losses = [(entry["step"], entry["loss"]) for entry in entries if entry.get("loss") is not None]
    if not losses:
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*losses, strict=True), color="0.3", linewidth=1, label="training loss")
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
