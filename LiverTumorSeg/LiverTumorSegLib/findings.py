"""Graded findings: what the program noticed about an input or a result, and when that stops a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .errors import InputError, readable

Grade = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One observation about the input or the result.

    Attributes
    ----------
    code : str
        Stable name for programs, such as ``hu_clipped``.
    grade : {"info", "warning", "error"}
        Errors stop the run unless they are overridable and the user insists.
    message : str
        One or two plain sentences: what, how much, what to do.
    overridable : bool
        Whether ``--force`` / "Segment anyway" may pass over this error.
    """

    code: str
    grade: Grade
    message: str
    overridable: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", readable(self.message))


class RefusedError(InputError):
    """Findings stand in the way of a run; `findings` holds all of them, the harmless ones too."""

    def __init__(self, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.findings = findings


def refuse(findings: Iterable[Finding], force: bool = False) -> None:
    """Raise when an error finding stands.

    Parameters
    ----------
    findings : iterable of Finding
        What the checks found.
    force : bool
        Pass over the overridable errors.

    Raises
    ------
    RefusedError
        Its message holds the message of every error that ``force`` does not override.
    """
    findings = tuple(findings)
    standing = [f for f in findings if f.grade == "error" and not (force and f.overridable)]
    if not standing:
        return
    message = " ".join(f.message for f in standing)
    if all(f.overridable for f in standing):
        message += " Use --force (in Slicer: Segment anyway) to segment it nevertheless."
    raise RefusedError(message, findings)
