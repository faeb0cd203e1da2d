"""Findings as the panel shows them: one plain sentence each, graded by colour and by word."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from slicer.i18n import tr as _

from LiverTumorSegPanel.textColors import textColor

GRADES = ("info", "warning", "error")


@dataclass(frozen=True)
class PanelFinding:
    """One sentence for the reader.

    Attributes
    ----------
    grade : str
        "info", "warning" or "error"; an error stops the run.
    message : str
        The sentence.
    code : str
        Stable name of the finding, empty for findings that have none.
    overridable : bool
        Whether "Segment anyway" may pass over this error.
    """

    grade: str
    message: str
    code: str = ""
    overridable: bool = False


def findingFromEvent(event: dict) -> PanelFinding:
    """Return the finding of a ``finding`` event of the command line; an unknown grade counts as a warning."""
    grade = event.get("grade")
    return PanelFinding(
        grade if grade in GRADES else "warning",
        str(event.get("message", "")),
        str(event.get("code", "")),
        bool(event.get("overridable", False)),
    )


def mayForce(findings: list[PanelFinding]) -> bool:
    """Return whether there are errors and every one of them may be passed over."""
    errors = [finding for finding in findings if finding.grade == "error"]
    return bool(errors) and all(finding.overridable for finding in errors)


def findingsAsHtml(findings: list[PanelFinding]) -> str:
    """Return rich text for a label: worst first, each sentence once, everything escaped."""
    lines = []
    words = {"info": _("Note"), "warning": _("Please check"), "error": _("Problem")}
    for grade in reversed(GRADES):
        color, word = textColor(grade), words[grade]
        for message in dict.fromkeys(finding.message for finding in findings if finding.grade == grade):
            lines.append(
                f'<p style="margin:2px 0"><span style="color:{color}; font-weight:600">{word}:</span> '
                f"{escape(message)}</p>"
            )
    return "".join(lines)
