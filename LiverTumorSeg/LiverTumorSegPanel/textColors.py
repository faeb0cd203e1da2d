"""Colours of text that can be read on the panel as it is now, in a light and in a dark theme."""

from __future__ import annotations

import qt
import slicer

CONTRAST = 4.5
"""Least contrast of small text (WCAG 2, level AA)."""

_WANTED = {"info": "#3d6fa5", "warning": "#b26a00", "error": "#b3261e", "quiet": "#808080"}
_STEPS = 50


def textColor(kind: str) -> str:
    """Return "#rrggbb" for "info", "warning", "error" or "quiet" text on the panel's background."""
    return readableColor(_WANTED[kind], slicer.app.palette().color(qt.QPalette.Window).name())


def readableColor(color: str, background: str) -> str:
    """Return the colour nearest to `color`, on its way to black or white, that has `CONTRAST` on a background."""
    start = _channels(color)
    ends = sorted(((0, 0, 0), (255, 255, 255)), key=lambda end: -contrast(_name(end), background))
    for step in range(_STEPS + 1):
        mixed = _name(tuple(round(a + (b - a) * step / _STEPS) for a, b in zip(start, ends[0], strict=True)))
        if contrast(mixed, background) >= CONTRAST:
            return mixed
    return _name(ends[0])


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours "#rrggbb", 1 to 21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    parts = [channel / 255 for channel in _channels(color)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _name(channels: tuple[int, ...]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)
