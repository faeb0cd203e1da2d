"""Hyper-parameter search with Optuna: resumable, pruned, shared by as many machines as reach the study's storage."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from LiverTumorSegLib.errors import OutOfMemoryError, UsageError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegTraining.recipe.config import Config, parse_config
from LiverTumorSegTraining.recipe.config_errors import nearest_key, recipe_keys
from LiverTumorSegTraining.training.before_start import check_splits_of_folds
from LiverTumorSegTraining.training.cross_validation import fold_of
from LiverTumorSegTraining.training.display import Display
from LiverTumorSegTraining.training.loop import DivergedError, Trainer

STUDY_FILE, BEST_RECIPE, SUMMARY = "study.db", "best.yaml", "search.json"
GIVEN_UP = "given_up"
"""Why a trial was given up, where its score did not tell."""
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""5e-5 is a number to everybody but YAML 1.1, which asks for a point and a sign: 5.0e-5."""


def search(
    config: Config,
    root: Path,
    run: Path,
    trials: int,
    storage: str | None = None,
    max_minutes: float | None = None,
    folds: int = 1,
) -> dict[str, Any]:
    """Run trials until the study holds `trials` finished ones; return and write the summary.

    Parameters
    ----------
    config, root, run : Config, Path, Path
        As for `Trainer`; `config.search.space` is searched. Each trial trains in RUN/trial_N.
    trials : int
        Finished (also pruned) trials of the study, those of earlier runs and other machines included.
    storage : str or None
        Optuna storage URL; an SQLite file in `run` when None.
    max_minutes : float or None
        For each trial, or each fold of it.
    folds : int
        Above 1, a trial's score is the mean over the folds of a cross-validation; hopeless trials are pruned after a
        fold.

    Returns
    -------
    dict
        "best": {key: value}, "score", and "trials".

    Raises
    ------
    UsageError
        If the space names an unknown key or a wrong range, no patient is held out, or no trial could be trained.
    """
    import optuna
    from optuna.study import MaxTrialsCallback
    from optuna.trial import TrialState

    data = config.data
    if not (data.validation or data.validation_fraction or data.folds > 1 or folds > 1 or data.splits):
        raise UsageError("A search needs held-out patients: set data.validation or data.validation_fraction.")
    check_space(config)
    if folds > 1:
        check_splits_of_folds(config, root, folds)
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage or f"sqlite:///{run.resolve() / STUDY_FILE}",
        study_name=config.id,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    # Machines that share a study must not all propose the same; a single machine repeats itself exactly.
    study.sampler = optuna.samplers.TPESampler(seed=config.run.seed + len(study.trials))
    finished = (TrialState.COMPLETE, TrialState.PRUNED)

    def objective(trial: Any) -> float:
        chosen = {key: suggest(trial, key, entry) for key, entry in config.search.space.items()}
        recipe = with_values(config, chosen, run)
        folder = run / f"trial_{trial.number}"

        def report(step: int, score: float) -> None:
            trial.report(score, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        scores = []
        for fold in range(folds):
            part = recipe if folds == 1 else fold_of(recipe, folds, fold, run)
            try:
                trainer = Trainer(part, root, folder if folds == 1 else folder / f"fold_{fold}", False, max_minutes)
                if folds == 1:
                    trainer.on_validation = report
                trainer.train()
            except (DivergedError, OutOfMemoryError) as error:
                # Known to be bad, which a failed trial would not tell the sampler.
                trial.set_user_attr(GIVEN_UP, str(error))
                Display().say(f"Trial {trial.number} with {chosen} is given up: {error}")
                raise optuna.TrialPruned from error
            scores.append(trainer.best_score)
            if folds > 1:
                report(fold, statistics.fmean(scores))
        return statistics.fmean(scores)

    if len(study.get_trials(states=finished)) < trials:
        # What a trial held of the GPU is free for the next one.
        study.optimize(objective, callbacks=[MaxTrialsCallback(trials, states=finished)], gc_after_trial=True)
    if not study.get_trials(states=(TrialState.COMPLETE,)):
        told = [str(t.user_attrs[GIVEN_UP]) for t in study.get_trials() if GIVEN_UP in t.user_attrs]
        raise UsageError(
            f"None of the {len(study.trials)} trials of {run} was trained to its end, so there is no best one: narrow "
            "search.space and name another --output (with --study, another --id too). " + " ".join(told[-1:])
        )
    summary = {
        "best": study.best_params,
        "score": study.best_value,
        "trials": [
            {"number": t.number, "state": t.state.name, "score": t.value, "values": t.params, **t.user_attrs}
            for t in study.get_trials()
        ],
    }
    write_json(run / SUMMARY, summary)
    best = json.loads(with_values(config, study.best_params, run).model_dump_json())
    write_text(run / BEST_RECIPE, yaml.safe_dump(best, sort_keys=False))
    return summary


def check_space(config: Config) -> None:
    """Refuse a search space with an unknown key or without choice."""
    keys = recipe_keys(Config)
    for key, entry in config.search.space.items():
        if key not in keys:
            near = nearest_key(key, Config)
            raise UsageError(f"search.space: there is no key {key}" + (f"; did you mean {near}?" if near else "."))
        if not entry or (_is_range(entry) and not _rises(*entry)):
            raise UsageError(
                f"search.space: {key} is {entry}; give [low, high, log or linear], two numbers with the lower first "
                "(above 0 for log), or a list of choices."
            )


def _is_range(entry: Sequence[Any]) -> bool:
    return len(entry) == 3 and entry[2] in ("log", "linear")


def _rises(low: Any, high: Any, scale: str) -> bool:
    ends = _number(low), _number(high)
    if not all(isinstance(end, int | float) for end in ends):
        return False
    return bool(ends[0] < ends[1] and (scale == "linear" or ends[0] > 0))


def _number(value: Any) -> Any:
    """Return a value of the space, as a number where YAML read a number with an exponent as text."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def suggest(trial: Any, key: str, entry: Sequence[Any]) -> Any:
    """Return the trial's value of a key: from a range, whole where both ends are whole, or from choices."""
    if not _is_range(entry):
        return trial.suggest_categorical(key, [_number(choice) for choice in entry])
    low, high, scale = map(_number, entry)
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, log=scale == "log")
    return trial.suggest_float(key, float(low), float(high), log=scale == "log")


def with_values(config: Config, values: dict[str, Any], run: Path) -> Config:
    """Return the recipe with other values; all trials share the prepared cases beside the run."""
    content = json.loads(config.model_dump_json())
    content["preparation"]["cache"] = str(config.preparation.cache or run.resolve().parent / "prepared")
    for key, value in values.items():
        *sections, name = key.split(".")
        target = content
        for section in sections:
            target = target[section]
        target[name] = value
    return parse_config(content, "search")
