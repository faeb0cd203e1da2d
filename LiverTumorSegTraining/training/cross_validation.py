"""Cross-validation: the folds one after the other, and one table of all."""

from __future__ import annotations

import csv
import json
import math
import statistics
from pathlib import Path
from typing import Any

from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.wholefile import whole_file

from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.before_start import check_start_of_folds
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.run_files import CHECKPOINT, read_metrics
from LiverTumorSegTraining.training.validation import Figures, mean_figures

JSON, TABLE = "cross_validation.json", "cross_validation.csv"
FINISHED = "finished.json"


def cross_validate(
    config: Config, root: Path, run: Path, folds: int, resume: bool = False, max_minutes: float | None = None
) -> dict[str, Any]:
    """Train every fold in RUN/fold_K and return the summary, also written as JSON and CSV.

    Patients are dealt to folds of similar tumour burden. With `resume`, finished folds are kept and the others go on.

    Parameters
    ----------
    config, root, run : Config, Path, Path
        As for `Trainer`.
    folds : int
        2 or more.
    max_minutes : float or None
        For each fold.

    Returns
    -------
    dict
        "folds": the mean figures of each fold; "mean" and "sd" over the folds; "cases": figures of every case.
    """
    run = Path(run)
    check_start_of_folds(config, [run / f"fold_{fold}" for fold in range(folds)], resume)
    for fold in range(folds):
        folder = run / f"fold_{fold}"
        if resume and (folder / FINISHED).exists():
            continue
        part = config.model_copy(
            update={"data": config.data.model_copy(update={"folds": folds, "fold": fold, "validation": []})}
        )
        # All folds share the prepared cases beside the whole run.
        cache = config.preparation.cache or run.resolve().parent / "prepared"
        part = part.model_copy(update={"preparation": config.preparation.model_copy(update={"cache": cache})})
        Trainer(part, root, folder, resume and (folder / CHECKPOINT).exists(), max_minutes).train()
        write_json(folder / FINISHED, last_validation(folder))
    return summarise(
        [json.loads((run / f"fold_{k}" / FINISHED).read_text(encoding="utf-8")) for k in range(folds)], run
    )


def last_validation(run: Path) -> dict[str, dict[str, float | None]]:
    """Return the figures of the last validation of a run; empty when there was none."""
    entries = [entry for entry in read_metrics(run) if "validation" in entry]
    return entries[-1]["validation"] if entries else {}


def summarise(folds: list[dict[str, dict[str, float | None]]], run: Path) -> dict[str, Any]:
    """Write and return the table of the folds: mean figures of each, and mean and sd over them."""
    means = []
    for fold in folds:
        figures: Figures = {
            case: {name: float("nan") if value is None else value for name, value in values.items()}
            for case, values in fold.items()
        }
        means.append({name: None if math.isnan(value) else value for name, value in mean_figures(figures).items()})
    names = list({name: None for fold in means for name in fold})
    known = {name: [fold[name] for fold in means if fold.get(name) is not None] for name in names}
    summary: dict[str, Any] = {
        "folds": means,
        "mean": {name: statistics.fmean(values) if values else None for name, values in known.items()},
        "sd": {name: statistics.stdev(values) if len(values) > 1 else None for name, values in known.items()},
        "cases": {case: figures | {"fold": k} for k, fold in enumerate(folds) for case, figures in fold.items()},
    }
    write_json(run / JSON, summary)
    with whole_file(run / TABLE) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["fold", *names])
        for number, fold in enumerate(means):
            writer.writerow([number, *(fold.get(name) for name in names)])
        for row in ("mean", "sd"):
            writer.writerow([row, *(summary[row][name] for name in names)])
    return summary
