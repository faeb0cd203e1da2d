"""The records of a run: metrics.jsonl for a program, loss_curve.png for the eye, TensorBoard, MLflow."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any

from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.jsonfile import json_text

from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.loss_curve import draw_loss_curve
from LiverTumorSegTraining.training.run_files import LOSS_CURVE, METRICS
from LiverTumorSegTraining.training.validation import Figures, mean_figures


class RunRecords:
    """Context that records a run.

    Parameters
    ----------
    run : Path
        Folder of the records.
    config : Config
        The recipe; `run.log_every`, `run.tensorboard` and `run.mlflow` say what is written.
    step : int
        Steps already behind the run when it is resumed: events beyond them are forgotten.
    quiet : bool
        Record nothing (all processes but the first).
    """

    def __init__(self, run: Path, config: Config, step: int = 0, quiet: bool = False) -> None:
        self.run, self.log_every, self.quiet = run, config.run.log_every, quiet
        self.losses: list[float] = []
        self._events = None if quiet else _tensorboard(run, config.run.tensorboard, step)
        self._mlflow = _mlflow(config, run) if config.run.mlflow and not quiet else None

    def __enter__(self) -> RunRecords:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()
        if self.quiet:
            return
        draw_loss_curve(self.run)
        if self._mlflow is not None:
            if (self.run / LOSS_CURVE).exists():
                self._mlflow.log_artifact(str(self.run / LOSS_CURVE))
            self._mlflow.end_run("FINISHED" if kind is None else "KILLED")

    def step(self, step: int, minutes: float, loss: float, rate: float) -> None:
        """Record a step: the first one, then every `log_every` steps the mean loss since."""
        if math.isfinite(loss):
            self.losses.append(loss)
        if step % self.log_every and step != 1:
            return
        mean = sum(self.losses) / len(self.losses) if self.losses else None
        self.losses.clear()
        self._write({"step": step, "minutes": round(minutes, 3), "loss": mean, "learning_rate": rate})
        if mean is not None:
            self._scalars(step, {"loss": mean, "learning rate": rate})

    def validation(self, step: int, figures: Figures, loss: float | None) -> None:
        """Record the figures of a validation and the loss on the held-out cases."""
        self._write({"step": step, "validation": figures, "validation_loss": loss})
        scalars = {f"validation/{name}": value for name, value in mean_figures(figures).items()}
        self._scalars(step, scalars if loss is None else {**scalars, "validation/loss": loss})
        if not self.quiet:
            draw_loss_curve(self.run)

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        if self._events is not None:
            for name, value in finite.items():
                self._events.add_scalar(name, value, step)
        if self._mlflow is not None:
            self._mlflow.log_metrics({name.replace(" ", "_"): value for name, value in finite.items()}, step)

    def _write(self, entry: dict[str, Any]) -> None:
        if self.quiet:
            return
        with (self.run / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json_text(entry) + "\n")


def _tensorboard(run: Path, wanted: bool | str, step: int) -> Any:
    if wanted is False:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        if wanted == "auto":
            return None
        raise UsageError(
            "run.tensorboard needs the package tensorboard: install it, or set run.tensorboard auto."
        ) from error
    return SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)


def _mlflow(config: Config, run: Path) -> Any:
    """Return mlflow with a run begun; where it goes is told by its own variables (MLFLOW_TRACKING_URI, ...)."""
    try:
        import mlflow
    except ImportError as error:
        raise UsageError("run.mlflow needs the package mlflow: install it, or set run.mlflow false.") from error
    mlflow.start_run(run_name=f"{config.id} {run.resolve().name}")
    content = json.loads(config.model_dump_json())
    for section, values in content.items():
        named = (
            {f"{section}.{key}": value for key, value in values.items()}
            if isinstance(values, dict)
            else {section: values}
        )
        mlflow.log_params({key: str(value)[:500] for key, value in named.items()})
    return mlflow
