"""Who belongs together: a column, a pattern or a splits file says it; else the beginnings of the case names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from LiverTumorSegLib.errors import InputError, UsageError

from LiverTumorSegTraining.data.case import Case

if TYPE_CHECKING:  # the follow-up imports this file without the packages of a training
    from LiverTumorSegTraining.recipe.config import DataConfig

_SHOWN = 3


def with_patients(cases: Sequence[Case], data: DataConfig) -> list[Case]:
    """Return the cases, each with its patient.

    `data.patient_pattern` is asked first, then the data set's own column, then the name: up to the first part with a
    number in it, such as hcc006 in hcc006_portal and liver_12 in liver_12_late. When all names share that part, it is
    the data set's, and the next numbered part tells the patients: BraTS20_Training_001.

    Raises
    ------
    UsageError
        If the pattern is no regular expression.
    InputError
        If it does not match a name.
    """
    if data.patient_pattern is not None:
        return [dataclasses.replace(case, patient=_matched(case.name, data.patient_pattern)) for case in cases]
    unnamed = [case.name for case in cases if not case.patient]
    patients = dict(zip(unnamed, patients_of(unnamed), strict=True))
    return [case if case.patient else dataclasses.replace(case, patient=patients[case.name]) for case in cases]


def patients_of(names: Sequence[str]) -> list[str]:
    """Return the patient that each case name begins with."""
    parts = [name.split("_") for name in names]
    ends = [_numbered_end(part, 0) for part in parts]
    further = [_numbered_end(part, end) for part, end in zip(parts, ends, strict=True)]
    shared = len(names) > 1 and len({tuple(part[:end]) for part, end in zip(parts, ends, strict=True)}) == 1
    numbered = all(_has_number("_".join(part[end:more])) for part, end, more in zip(parts, ends, further, strict=True))
    ends = further if shared and numbered else ends
    return ["_".join(part[:end]) for part, end in zip(parts, ends, strict=True)]


def _numbered_end(parts: Sequence[str], start: int) -> int:
    """Return the end of the first part with a number from `start` on; of the first part at all when none has one."""
    return next((place + 1 for place in range(start, len(parts)) if _has_number(parts[place])), max(start, 1))


def _has_number(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


def _matched(name: str, pattern: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise UsageError(f"data.patient_pattern {pattern!r} is no regular expression ({error}).") from error
    if found is None:
        raise InputError(
            f"data.patient_pattern {pattern!r} does not match the case {name}: every case needs a patient."
        )
    patient = next(filter(None, found.groups() or (found[0],)), "")
    if not patient:
        raise InputError(
            f"data.patient_pattern {pattern!r} finds an empty name in the case {name}: let it take at least one "
            "letter, such as by + in place of *."
        )
    return patient


def patients_in_words(cases: Sequence[Case], data: DataConfig, own_column: bool = False) -> str:
    """Return how many patients there are and by which rule, so that a wrong rule is seen before it costs an hour."""
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(case.patient, []).append(case.name)
    if data.patient_pattern is not None:
        rule = f"by data.patient_pattern {data.patient_pattern}"
    elif own_column:
        rule = "by the data set's patient column"
    else:
        rule = "by the beginnings of the case names (data.patient_pattern or a patient column says otherwise)"
    several = [f"{patient}: {', '.join(names[:_SHOWN])}" for patient, names in groups.items() if len(names) > 1]
    together = f"; scans of one patient such as {several[0]}" if several else "; one scan each"
    return f"{len(groups)} patients in {len(cases)} cases, {rule}{together}."
