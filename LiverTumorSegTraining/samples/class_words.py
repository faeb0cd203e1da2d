"""What the name of a class speaks of, word by word: which of a recipe's classes something that is drawn looks like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from LiverTumorSegLib.labelnames import canonical_name, plain_name

CALCIUM = ("calcification", "calcium")
NECROSIS = ("necrosis",)


def words_of(names: Iterable[str]) -> set[str]:
    """Return the words of names, each in the singular: "Veins of the left kidney" holds vein and kidney."""
    return {canonical_name(word) for name in names for word in (name, *plain_name(name).split())}


def value_like(looks: Sequence[str], classes: Sequence[str]) -> int | None:
    """Return the value of the first class in whose name one of the words stands, by any word for it; None of none."""
    words = words_of(looks)
    return next((value for value, name in enumerate(classes, 1) if words & words_of([name])), None)
