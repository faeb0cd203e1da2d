"""Progress of a training run: a bar for a person, metrics.jsonl for a program, loss_curve.png for the eye."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

METRICS = "metrics.jsonl"
LOG_EVERY = 20


class TrainingProgress:
    """Context that shows and records a run."""

    def __init__(self, run: Path, steps: int) -> None:
        self.run = run
        self.losses: list[float] = []
        self.bar = Progress(
            TextColumn("training"), BarColumn(), TextColumn("{task.completed}/{task.total} loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self.task = self.bar.add_task("training", total=steps, loss=math.nan)

    def __enter__(self) -> TrainingProgress:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()
        draw_loss_curve(self.run)

    def step(self, step: int, minutes: float, loss: float, rate: float) -> None:
        """Show a step; every 20 steps record the mean loss."""
        if math.isfinite(loss):
            self.losses.append(loss)
        if step % LOG_EVERY:
            return
        mean = sum(self.losses) / max(len(self.losses), 1)
        self.losses.clear()
        self.bar.update(self.task, completed=step, loss=mean)
        self._record({"step": step, "minutes": round(minutes, 3), "loss": mean, "learning_rate": rate})

    def validation(self, step: int, figures: dict[str, dict[str, float]]) -> None:
        """Record validation figures {case: {metric: value}}."""
        self._record({"step": step, "validation": figures})
        means = {}
        for metric in ("liver_dice", "tumor_dice"):
            values = [case[metric] for case in figures.values() if not math.isnan(case.get(metric, math.nan))]
            means[metric] = sum(values) / len(values) if values else math.nan
        self.bar.console.print(f"validation at step {step}: " + ", ".join(f"{k} {v:.3f}" for k, v in means.items()))
        draw_loss_curve(self.run)

    def _record(self, entry: dict) -> None:
        with (self.run / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


def draw_loss_curve(run: Path) -> None:
    """Write loss_curve.png from metrics.jsonl: training loss, and the mean validation Dice of each class."""
    from matplotlib.figure import Figure

    path = run / METRICS
    if not path.exists():
        return
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    losses = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
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
    for metric, color in (("liver_dice", "tab:orange"), ("tumor_dice", "tab:red")):
        points = []
        for entry in entries:
            values = [case[metric] for case in entry.get("validation", {}).values() if not math.isnan(case[metric])]
            if values:
                points.append((entry["step"], sum(values) / len(values)))
        if points:
            right.plot(*zip(*points, strict=True), "o-", color=color, label=metric.replace("_", " "))
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(run / "loss_curve.png", dpi=110)
