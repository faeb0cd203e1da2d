"""Cross-validation: the folds one after the other, and one table of all."""

from __future__ import annotations

import csv
import json
import math
import statistics
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.wholefile import whole_file

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.splits import write_splits
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.before_start import check_splits_of_folds, check_start_of_folds
from LiverTumorSegTraining.training.continuity import check_same_deal
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.out_of_fold import write_out_of_fold
from LiverTumorSegTraining.training.provenance import read_provenance
from LiverTumorSegTraining.training.run_files import has_checkpoint, read_metrics
from LiverTumorSegTraining.training.validation import Figures, mean_figures

JSON, TABLE = "cross_validation.json", "cross_validation.csv"
FINISHED = "finished.json"


def cross_validate(
    config: Config,
    root: Path,
    run: Path,
    folds: int,
    resume: bool = False,
    max_minutes: float | None = None,
    only: int | None = None,
) -> dict[str, Any] | None:
    """Train every fold in RUN/fold_K and return the summary, also written as JSON and CSV.

    Patients are dealt to folds of similar tumour burden, or as `data.splits` says; RUN/splits_final.json keeps them.
    With `resume`, finished folds are kept and the others go on. Each finished fold adds its held-out cases to
    RUN/out_of_fold.

    Parameters
    ----------
    config, root, run : Config, Path, Path
        As for `Trainer`.
    folds : int
        2 or more.
    max_minutes : float or None
        For each fold.
    only : int or None
        The one fold that this machine trains; the summary is written when all are finished.

    Returns
    -------
    dict or None
        "folds": the mean figures of each fold; "mean" and "sd" over the folds; "cases": figures of every case. None
        while a fold is not finished.

    Raises
    ------
    UsageError
        If there is no such fold, in the splits file either, or one would be overwritten.
    InputError
        If the folds are of different data sets or numbers of folds.
    """
    run = Path(run)
    if only is not None and not 0 <= only < folds:
        raise UsageError(f"--fold is {only}: it must lie from 0 to {folds - 1}.")
    wanted = range(folds) if only is None else [only]
    check_start_of_folds(config, [run / f"fold_{fold}" for fold in wanted], resume)
    check_splits_of_folds(config, root, folds)
    for fold in wanted:
        folder = run / f"fold_{fold}"
        if resume and (folder / FINISHED).exists():
            continue
        trainer = Trainer(
            fold_of(config, folds, fold, run), root, folder, resume and has_checkpoint(folder), max_minutes
        )
        if config.data.splits is None:
            check_same_deal(run, (k for k in range(folds) if k == fold or has_checkpoint(run / f"fold_{k}")))
        trainer.train()
        if trainer.processes.first:
            everybody = find_cases(root, trainer.config.data)
            held_out = [prepared.case for prepared in trainer.data.validation]
            write_out_of_fold(trainer.bundle(), held_out, everybody, trainer.config, run, trainer.display)
            write_json(folder / FINISHED, last_validation(folder))
    if not all((run / f"fold_{fold}" / FINISHED).exists() for fold in range(folds)):
        return None
    if config.data.splits is None:
        check_same_deal(run, range(folds))
    _write_splits(run, folds)
    return summarise(
        [json.loads((run / f"fold_{k}" / FINISHED).read_text(encoding="utf-8")) for k in range(folds)], run
    )


def fold_of(config: Config, folds: int, fold: int, run: Path) -> Config:
    """Return the recipe of one fold; all folds share the prepared cases beside the whole run."""
    cache = config.preparation.cache or run.resolve().parent / "prepared"
    update = {"folds": folds, "fold": fold, "validation": []}
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=update),
            "preparation": config.preparation.model_copy(update={"cache": cache}),
        }
    )


def _write_splits(run: Path, folds: int) -> None:
    parts: list[tuple[list[str], list[str]]] = []
    for fold in range(folds):
        cases = read_provenance(run / f"fold_{fold}").get("cases", [])
        training, validation = ([c["case"] for c in cases if c["part"] == part] for part in ("training", "validation"))
        parts.append((training, validation))
    write_splits(run, parts)


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
    known = {name: [value for fold in means if (value := fold.get(name)) is not None] for name in names}
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
        for number, mean in enumerate(means):
            writer.writerow([number, *(mean.get(name) for name in names)])
        for row in ("mean", "sd"):
            writer.writerow([row, *(summary[row][name] for name in names)])
    return summary
