"""What a run over a folder of scans would leave out: asked of a child process before the run, and put into words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path, PurePosixPath

from LiverTumorSegLib.scan.collection import LABELS, LOOSE_SLICES
from slicer.i18n import tr as _

from LiverTumorSegPanel.childQuery import ChildQuery

NAMED = 5
"""So many names of a kind are in the sentence; all of them are in its tooltip."""


def askWhatIsLeftOut(
    scans: str, results: str, channels: Sequence[str], moduleFolder: Path, onAnswer: Callable[[list], None]
) -> ChildQuery:
    """Ask once.

    Parameters
    ----------
    scans, results : str
        Folder of scans, and folder for results; empty while none is chosen.
    channels : sequence of str
        The model's.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    onAnswer : callable
        Called with the list of (path in the folder, kind); empty when the child could not tell.
    """
    arguments = [scans, results, *channels]
    return ChildQuery(
        "leftOutQuery.py", arguments, "left out", moduleFolder, lambda answer, _log: onAnswer(answer.get("paths", []))
    )


def leftOutText(leftOut: list) -> str:
    """Return one sentence with the first names of each kind; empty when nothing is left out."""
    words = {
        LABELS: _("labels, by their names"),
        LOOSE_SLICES: _("DICOM files beside folders of other studies"),
    }
    parts = []
    for kind in dict.fromkeys(kind for _path, kind in leftOut):
        names = [PurePosixPath(path).name for path, other in leftOut if other == kind]
        form = _("{names} and {number} more as {kind}") if len(names) > NAMED else _("{names} as {kind}")
        shown = ", ".join(names[:NAMED])
        parts.append(form.format(names=shown, number=len(names) - NAMED, kind=words.get(kind, kind)))
    return _("A run leaves out {parts}.").format(parts="; ".join(parts)) if parts else ""


def leftOutTip(leftOut: list) -> str:
    """Return rich text that names all of them, by their paths in the folder."""
    advice = _("To segment one of these all the same, load it and press Segment:")
    return "<br>".join(escape(line) for line in (advice, *(path for path, _kind in leftOut)))
