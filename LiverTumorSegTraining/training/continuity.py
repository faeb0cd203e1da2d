"""What a run that goes on, and the folds of a cross-validation, must have kept: the classes, and who is held out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labelnames import canonical_name

from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.provenance import PROVENANCE, read_provenance
from LiverTumorSegTraining.training.run_files import RESOLVED
from LiverTumorSegTraining.training.training_data import TrainingData

_SHOWN = 5


def check_same_recipe(config: Config, run: Path) -> None:
    """Refuse to resume a run whose weights stand for other classes or channels, or were changed by another optimiser.

    Raises
    ------
    InputError
        Naming the key of the recipe that differs.
    """
    before = _resolved(run)
    now = config.model_dump(mode="json")
    for section, key in (("data", "labels"), ("data", "channels"), ("optimiser", "kind")):
        old, new = before.get(section, {}).get(key), now[section][key]
        if old is not None and _plain(old) != _plain(new):
            raise InputError(
                f"{run} was trained with {section}.{key} {_words(old)}, but the recipe says {_words(new)}: resume "
                f"with {RESOLVED} of that folder, or start a new run."
            )


def check_same_split(run: Path, data: TrainingData) -> None:
    """Refuse to resume a run that was trained on patients who are held out now.

    Raises
    ------
    InputError
        Naming them.
    """
    before = _split_of(run)
    leaked = sorted({prepared.case.patient for prepared in data.validation} & (before.everybody - before.held_out))
    if leaked:
        raise InputError(
            f"{run} was trained on {_some(leaked)}, held out now, because the data set or its split is another: bring "
            f"back the one that {PROVENANCE} of that folder tells, or start a new run."
        )


def check_same_deal(run: Path, folds: Iterable[int]) -> None:
    """Refuse folds whose patients are not the same, or of whom two hold out one patient.

    Parameters
    ----------
    run : Path
        Of the whole cross-validation.
    folds : iterable of int
        Those to compare, by what each recorded at its start.

    Raises
    ------
    InputError
        Naming two folds and the patients.
    """
    begun = [run / f"fold_{fold}" for fold in folds]
    splits = [(folder, _split_of(folder)) for folder in begun]
    for (first, one), (second, other) in itertools.combinations(splits, 2):
        strangers = sorted((one.held_out & other.held_out) | (one.everybody ^ other.everybody))
        if strangers:
            raise InputError(
                f"{first} and {second.name} are of different data sets or numbers of folds, as {_some(strangers)} "
                "would be held out twice or never: bring back what the first was trained with, or name another "
                "--output for all folds."
            )


@dataclass(frozen=True)
class _Split:
    held_out: frozenset[str]
    everybody: frozenset[str]


def _split_of(run: Path) -> _Split:
    split = read_provenance(run).get("split", {})
    held_out = frozenset(split.get("validation", ()))
    return _Split(held_out, held_out | frozenset(split.get("training", ())))


def _resolved(run: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load((run / RESOLVED).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _plain(value: str | list[str]) -> list[str]:
    return [canonical_name(one) for one in ([value] if isinstance(value, str) else value)]


def _words(value: str | list[str]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
