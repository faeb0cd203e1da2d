"""What the core says of a session in English, in the reader's language."""

from __future__ import annotations

from LiverTumorSegLib.review.totals import Totals
from slicer.i18n import tr as _


def totalsText(sums: Totals) -> str:
    """Return the sums of a session in one sentence."""
    line = _("Accepted {count} of {all}, {volume:.1f} of {allVolume:.1f} ml")
    parts = [
        line.format(
            count=sums.accepted.count, all=sums.all.count, volume=sums.accepted.volume_ml, allVolume=sums.all.volume_ml
        )
    ]
    words = (("reject", _("{number} rejected")), ("unsure", _("{number} unsure")), ("", _("{number} not looked at")))
    rest = [
        word.format(number=sums.by_verdict[verdict].count) for verdict, word in words if sums.by_verdict[verdict].count
    ]
    return "; ".join([*parts, ", ".join(rest)] if rest else parts) + "."


def placeText(place: str) -> str:
    """Return the words of a place, such as "right lobe, superior"; what is not known stays as it is."""
    known = {
        "right lobe": _("right lobe"),
        "left lobe": _("left lobe"),
        "between the lobes": _("between the lobes"),
        "superior": _("superior"),
        "mid-height": _("mid-height"),
        "inferior": _("inferior"),
    }
    return ", ".join(known.get(word, word) for word in place.split(", ") if word)
