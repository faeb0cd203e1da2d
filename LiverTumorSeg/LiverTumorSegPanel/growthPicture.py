"""The growth of every lesion between two dates, drawn by Qt in the theme's colours: no other package is needed."""

from __future__ import annotations

import itertools
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


def spread(places: list[int], gap: int, lowest: int) -> list[int]:
    """Return places, growing downwards, moved so that each is `gap` below the one above it; the order stays.

    They move down as far as needed, and up again where one would come to lie below `lowest`.
    """
    moved = list(places)
    order = sorted(range(len(places)), key=lambda index: places[index])
    for above, below in itertools.pairwise(order):
        moved[below] = max(moved[below], moved[above] + gap)
    room = lowest
    for index in reversed(order):
        moved[index] = min(moved[index], room)
        room = moved[index] - gap
    return moved


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
    pens = [
        qt.QPen(qt.QColor(readableColor(SERIES[index % len(SERIES)], background.name())), 2)
        for index in range(len(curves))
    ]

    def yOf(volume: float) -> int:
        return round(bottom - (bottom - top) * heightOf(volume, lowest, highest))

    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setFont(qt.QApplication.font())
    painter.setPen(ink)
    for x, name in zip((left, right), names, strict=True):
        painter.drawLine(x, top, x, bottom)
        words = metrics.elidedText(name, qt.Qt.ElideMiddle, 9 * line)
        painter.drawText(x - metrics.horizontalAdvance(words) // 2, bottom + line + 2, words)
    for x, toLeft, sized in ((left, True, [c.before for c in curves]), (right, False, [c.now for c in curves])):
        seen = [index for index, volume in enumerate(sized) if volume > 0]
        heights = {index: yOf(sized[index]) for index in seen}
        places = spread([heights[index] for index in seen], metrics.ascent(), bottom - line // 2)
        written = dict(zip(seen, places, strict=True))
        for index in seen:
            painter.setPen(pens[index])
            painter.drawEllipse(x - 3, heights[index] - 3, 6, 6)
            words = f"{curves[index].name}: {sized[index]:.1f}"
            beside = x - 8 - metrics.horizontalAdvance(words) if toLeft else x + 8
            painter.drawText(beside, written[index] + metrics.ascent() // 2, words)
    for curve, pen in zip(curves, pens, strict=True):
        if curve.before > 0 and curve.now > 0:
            painter.setPen(pen)
            painter.drawLine(left, yOf(curve.before), right, yOf(curve.now))
    painter.end()
    return pixmap
