"""The sentences of an assessment: what was measured, what it would correspond to, and what a reader must decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .recist import NOT_EVALUABLE, PROGRESSIVE


def of_targets(
    response: str | None, sum_mm: float, baseline_mm: float, smallest_mm: float, hidden: Sequence[int]
) -> str:
    """Tell how the sum of the target lesions changed; `hidden` are those whose place is not seen."""
    if response is None:
        return "The baseline has no measurable target lesion (at least 10 mm; twice the slice thickness above 5 mm)."
    shares = "" if response == NOT_EVALUABLE else f" ({sum_mm / baseline_mm - 1.0:+.0%} against the baseline"
    if shares:
        shares += f", {sum_mm / smallest_mm - 1.0:+.0%} against the smallest sum so far)" if smallest_mm else ")"
    least = "at least " if hidden else ""
    told = f"The sum of the target diameters went from {baseline_mm:.1f} mm to {least}{sum_mm:.1f} mm{shares}."
    return told if not hidden else f"{told} {_not_seen(hidden)}"


def of_nontargets(seen: int, count: int, grown: Mapping[int, tuple[float, float]], hidden: Sequence[int]) -> str:
    """Tell what became of the baseline's other lesions.

    Parameters
    ----------
    seen, count : int
        How many are still there, and how many there were.
    grown : mapping of int to (float, float)
        Number -> smallest diameter so far and diameter now (mm), of those that grew by 20 % and 5 mm.
    hidden : sequence of int
        Those whose place is not seen.
    """
    if not count:
        return ""
    still = f"{seen} {_are(seen)}" if seen else "none is"
    told = f"Of {count} lesion{_s(count)} of the baseline that {_are(count)} no target, {still} still seen."
    if hidden:
        told += f" {_not_seen(hidden)}"
    for number, (before, now) in grown.items():
        told += (
            f" Lesion {number}, no target, grew from {before:.1f} mm to {now:.1f} mm: if a reader judges that "
            "unequivocal progression, that alone would be progressive disease."
        )
    return told


def of_category(category: str, without_lesions: bool) -> str:
    """Tell the category of the lesions that the baseline has; `without_lesions` when it has none."""
    if category != NOT_EVALUABLE:
        return f"By size alone this would correspond to {category}."
    return "No category can be computed" + (": there is no lesion to follow." if without_lesions else ".")


def of_further(
    new: int, specks: int, smallest_mm: float, returned: Sequence[int], hidden_before: Sequence[int]
) -> str:
    """Tell of lesions that the baseline has not, and of those that came back after a complete response.

    Parameters
    ----------
    new, specks : int
        How many reach `smallest_mm`, and how many do not.
    returned, hidden_before : sequence of int
        Those that came back after a complete response, and those that lie where the baseline is unknown.
    """
    told = []
    if returned:
        told.append(
            f"{_named(returned)} came back after a complete response: if a reader confirms that, that alone would be "
            f"{PROGRESSIVE}."
        )
    if hidden_before:
        told.append(
            f"{_named(hidden_before)}: the place is marked as unknown in the baseline, so nothing tells whether "
            f"{'it is' if len(hidden_before) == 1 else 'they are'} new. Look there in its CT."
        )
    if specks:
        told.append(f"{specks} below {smallest_mm:g} mm not counted as new.")
    if new:
        told.append(
            f"{new} lesion{_s(new)} without a partner in the baseline: if a reader confirms a new lesion, that alone "
            f"would be {PROGRESSIVE}."
        )
    return " ".join(told)


def _not_seen(hidden: Sequence[int]) -> str:
    return (
        f"{_named(hidden)}: the place is marked as unknown in this scan or lies outside it, so nothing tells whether "
        f"{'it is' if len(hidden) == 1 else 'they are'} still there. Look there in the CT, complete the segmentation "
        "and compare again."
    )


def _named(numbers: Sequence[int]) -> str:
    return f"Lesion{_s(len(numbers))} {', '.join(map(str, numbers))}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
