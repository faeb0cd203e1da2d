"""What a follow-up found, in words of the reader's language."""

from __future__ import annotations

from typing import Any

from LiverTumorSegLib.followup.registration import LEAST_OVERLAP
from slicer.i18n import tr as _

NOT_SEEN = "–"


def changeRow(track: dict[str, Any]) -> list[str]:
    """Return the cells of one lesion: its number, those then and now, millilitres, millimetres, change, course.

    Parameters
    ----------
    track : dict
        An entry of ``tracks`` of ``followup.json``, of two dates.
    """
    numbers = " → ".join(_numbers(track, scan) for scan in (0, 1))
    volumes = " → ".join(_figure(value) for value in track["volumes_ml"])
    diameters = " → ".join(_figure(value, 0) for value in track["diameters_mm"])
    number, change = str(track["track"]["number"]), shareText(track["volume_change"])
    return [number, numbers, volumes, diameters, change, eventText(track["event"])]


def densityTip(track: dict[str, Any]) -> str:
    """Return the mean density of a lesion then and now; a dash where it is not seen or there is no CT."""
    told = (NOT_SEEN if value is None else f"{value:.0f}" for value in track["mean_hu"])
    return _("Mean density {change} HU.").format(change=" → ".join(told))


def _numbers(track: dict[str, Any], scan: int) -> str:
    parts = track["track"]["parts"]
    ids = parts.get(str(scan)) or ()
    return "+".join(map(str, ids)) or NOT_SEEN


def _figure(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if value else NOT_SEEN


def shareText(share: float | None) -> str:
    """Return a change as "+12 %"; a dash where there was nothing before."""
    return NOT_SEEN if share is None else f"{100 * share:+.0f} %".replace("-", "−")


def eventText(event: str) -> str:
    """Return what became of a lesion."""
    words = {
        "followed": _("both"),
        "new": _("new"),
        "vanished": _("gone"),
        "split": _("split"),
        "fused": _("fused"),
        "split and fused": _("split and fused"),
        "came back": _("came back"),
        "place not seen": _("place not seen"),
    }
    return words.get(event, event)


def totalsText(document: dict[str, Any]) -> str:
    """Return the tumour and liver volumes then and now."""
    earlier, later = document["scans"]
    change = shareText(later["tumor_ml"] / earlier["tumor_ml"] - 1 if earlier["tumor_ml"] else None)
    words = _("All lesions {tumorThen:.1f} → {tumorNow:.1f} ml ({change}); liver {liverThen:.0f} → {liverNow:.0f} ml.")
    return words.format(
        tumorThen=earlier["tumor_ml"],
        tumorNow=later["tumor_ml"],
        change=change,
        liverThen=earlier["liver_ml"],
        liverNow=later["liver_ml"],
    )


def responseText(document: dict[str, Any]) -> str:
    """Return what the sizes would mean under RECIST 1.1, with the caveat that a reader decides."""
    found, aligned = document["assessments"][-1], document["scans"][-1]["alignment"]["liver_dice"]
    category, sums = found["category_without_new"], document["target_sums_mm"]
    hidden = ", ".join(map(str, found["hidden_lesions"]))
    if aligned < LEAST_OVERLAP:
        parts = [_("The two livers do not lie on each other after alignment: the lesions could not be followed.")]
    elif category == "not evaluable" and hidden:
        words = _("The place of lesions {numbers} is unknown in this scan or outside it: complete it, compare again.")
        parts = [words.format(numbers=hidden)]
    elif not document["target_lesions"]:
        parts = [_("The earlier scan has no lesion of at least 10 mm, so RECIST 1.1 has no target to measure.")]
        if category != "not evaluable":
            words = _("By the other lesions this would correspond to {category}.")
            parts.append(words.format(category=categoryText(category)))
    else:
        words = _(
            "Sum of the target diameters {before:.0f} → {now:.0f} mm ({change}); by size alone (RECIST 1.1) this "
            "would correspond to {category}."
        )
        change, named = shareText(found["against_baseline"]), categoryText(category)
        parts = [words.format(before=sums[0], now=sums[-1], change=change, category=named)]
    if found["grown_nontargets"]:
        words = _("Lesions {numbers}, no targets, grew: whether that is unequivocal progression, a reader judges.")
        parts.append(words.format(numbers=", ".join(map(str, found["grown_nontargets"]))))
    if found["new_lesions"]:
        words = _("Lesions without a partner in the earlier scan: {count}; a confirmed new one is progression.")
        parts.append(words.format(count=len(found["new_lesions"])))
    parts.append(_("An aid, not a diagnosis: a physician decides from the scans."))
    return " ".join(parts)


def categoryText(category: str) -> str:
    """Return a category of RECIST 1.1."""
    words = {
        "complete response": _("complete response"),
        "partial response": _("partial response"),
        "stable disease": _("stable disease"),
        "progressive disease": _("progressive disease"),
        "non-CR/non-PD": _("neither complete response nor progressive disease"),
    }
    return words.get(category, category)
