"""Findings as the panel shows them: graded by colour and by word."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from LiverTumorSegPanel.panelFinding import GRADES, PanelFinding
from LiverTumorSegPanel.textColors import textColor


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
