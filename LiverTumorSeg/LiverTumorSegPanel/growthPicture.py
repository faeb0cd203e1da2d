"""The growth of every lesion between two dates, drawn by Qt in the theme's colours: no other package is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from LiverTumorSegLib.output.palette import SERIES

from LiverTumorSegPanel.textColors import readableColor

MOST_CURVES = 8
SMALLEST_ML = 0.01
_SIZE_IN_LINES = (26, 12)
"""Width and height of the picture in heights of a line of text."""


@dataclass(frozen=True)
class Curve:
    """One lesion of two dates.

    Attributes
    ----------
    name : str
        Its number.
    before, now : float
        Millilitres; 0 where it is not seen.
    """

    name: str
    before: float
    now: float


def curvesOf(document: dict[str, Any]) -> list[Curve]:
    """Return the largest lesions of a ``followup.json`` of two dates."""
    tracks = sorted(document["tracks"], key=lambda track: -max(track["volumes_ml"]))[:MOST_CURVES]
    return [Curve(str(track["track"]["number"]), *track["volumes_ml"]) for track in tracks]


def heightOf(volume: float, lowest: float, highest: float) -> float:
    """Return where a volume lies between the lowest and the highest, 0..1, so that equal rates have equal slopes."""
    span = math.log(highest / lowest) or 1.0
    return (math.log(max(volume, SMALLEST_ML) / lowest)) / span


def drawGrowth(curves: list[Curve], names: tuple[str, str]):
    """Return a pixmap: a line for each lesion, a dot alone for one that is new or gone; millilitres, logarithmic."""
    metrics = qt.QFontMetrics(qt.QApplication.font())
    line = metrics.height()
    width, height = (line * lines for lines in _SIZE_IN_LINES)
    palette = slicer.app.palette()
    background, ink = (palette.color(role) for role in (qt.QPalette.Base, qt.QPalette.Text))
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(background)
    volumes = [volume for curve in curves for volume in (curve.before, curve.now) if volume > 0]
    if not volumes:
        return pixmap
    lowest, highest = 0.6 * max(min(volumes), SMALLEST_ML), 1.7 * max(volumes)
    left, right, top, bottom = 5 * line, width - 5 * line, line, height - 2 * line
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setFont(qt.QApplication.font())
    painter.setPen(ink)
    for x, name in zip((left, right), names, strict=True):
        painter.drawLine(x, top, x, bottom)
        words = metrics.elidedText(name, qt.Qt.ElideMiddle, 9 * line)
        painter.drawText(x - metrics.horizontalAdvance(words) // 2, bottom + line + 2, words)
    for number, curve in enumerate(curves):
        painter.setPen(qt.QPen(qt.QColor(readableColor(SERIES[number % len(SERIES)], background.name())), 2))
        places = [
            (x, round(bottom - (bottom - top) * heightOf(volume, lowest, highest)), volume)
            for x, volume in ((left, curve.before), (right, curve.now))
            if volume > 0
        ]
        if len(places) == 2:
            painter.drawLine(places[0][0], places[0][1], places[1][0], places[1][1])
        for x, y, volume in places:
            painter.drawEllipse(x - 3, y - 3, 6, 6)
            words = f"{curve.name}: {volume:.1f}"
            beside = x - 8 - metrics.horizontalAdvance(words) if x == left else x + 8
            painter.drawText(beside, y + metrics.ascent() // 2, words)
    painter.end()
    return pixmap
