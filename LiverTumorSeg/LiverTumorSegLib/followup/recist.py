"""The decision tables of RECIST 1.1: from sums of diameters, and what else is seen, to the response at one scan.

Source: Eisenhauer et al., "New response evaluation criteria in solid tumours: revised RECIST guideline (version 1.1)",
Eur J Cancer 2009; sections 4.3.1 and 4.3.3, tables 1 and 2.
"""

from __future__ import annotations

COMPLETE, PARTIAL = "complete response", "partial response"
STABLE, PROGRESSIVE = "stable disease", "progressive disease"
PERSISTENT = "non-CR/non-PD"
"""Of lesions that are no targets: still there, without unequivocal progression."""
NOT_EVALUABLE = "not evaluable"
SHRINKAGE = 0.30
GROWTH = 0.20
GROWTH_MM = 5.0
_ROUNDING = 1e-9
"""A limit is reached by the sum that is equal to it: 30 mm after 25 mm are 20 % more, in floating point a bit less."""


def growth_limit_mm(smallest_mm: float) -> float:
    """Return 20 % and 5 mm above the smallest diameter, or sum, so far."""
    return max((1.0 + GROWTH) * smallest_mm, smallest_mm + GROWTH_MM)


def has_grown(now_mm: float, smallest_mm: float) -> bool:
    """Return whether a diameter, or a sum, reaches the limit of growth."""
    return now_mm - growth_limit_mm(smallest_mm) >= -_ROUNDING


def target_response(sum_mm: float, baseline_mm: float, smallest_mm: float, evaluated: bool = True) -> str:
    """Return the response of the target lesions.

    Parameters
    ----------
    sum_mm, baseline_mm, smallest_mm : float
        Sum of the diameters now, in the baseline (above 0), and the smallest of all earlier ones.
    evaluated : bool
        Whether every target's place is seen. Where one is not, the sum is at least what is measured: that can show
        progression, and nothing else.
    """
    if has_grown(sum_mm, smallest_mm):
        return PROGRESSIVE
    if not evaluated:
        return NOT_EVALUABLE
    if sum_mm == 0.0:
        return COMPLETE
    return PARTIAL if sum_mm - (1.0 - SHRINKAGE) * baseline_mm <= _ROUNDING else STABLE


def response_at(target: str | None, nontarget: str | None, new: bool) -> str:
    """Return the overall response at one scan.

    Parameters
    ----------
    target : str or None
        `target_response`; None when the baseline has no target (table 2).
    nontarget : str or None
        Of the baseline's other lesions: `COMPLETE`, `PERSISTENT`, `PROGRESSIVE`, or `NOT_EVALUABLE` where not every
        place is seen; None when there are none.
    new : bool
        Whether there is a new lesion.
    """
    if new or PROGRESSIVE in (target, nontarget):
        return PROGRESSIVE
    if target is None:
        return nontarget or NOT_EVALUABLE
    if target == COMPLETE and nontarget not in (None, COMPLETE):
        return PARTIAL
    return target
