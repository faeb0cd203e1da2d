"""A finding as the panel keeps it: one plain sentence with a grade, and what may be passed over."""

from __future__ import annotations

from dataclasses import dataclass

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
