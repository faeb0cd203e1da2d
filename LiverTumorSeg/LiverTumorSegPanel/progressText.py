"""Words for a run in progress: what is being done, how long it took, how long it may still take."""

from __future__ import annotations

from slicer.i18n import tr as _

MIN_FRACTION = 0.04
MIN_SECONDS = 2.0


def durationText(seconds: float) -> str:
    """Return a duration in words: "8 s", "1 min 05 s", "1 h 02 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def remainingSeconds(elapsed: float, fraction: float) -> float | None:
    """Return the seconds a run may still take, or None while nothing sensible can be said."""
    if fraction < MIN_FRACTION or elapsed < MIN_SECONDS or fraction >= 1.0:
        return None
    return elapsed * (1.0 - fraction) / fraction


class RunClock:
    """Estimates the remaining time of one run.

    The estimate is made when a progress report arrives and counted down between reports, so that the figure
    does not grow while a long stage says nothing.
    """

    def __init__(self, start: float):
        self._start = start
        self._fraction = 0.0
        self._reportedAt = start
        self._estimate: float | None = None

    @property
    def fraction(self) -> float:
        """Progress so far, 0..1; it never goes back."""
        return self._fraction

    def report(self, fraction: float, now: float) -> None:
        """Take one progress report at time ``now`` (seconds)."""
        self._fraction = max(self._fraction, min(1.0, max(0.0, fraction)))
        self._reportedAt = now
        self._estimate = remainingSeconds(now - self._start, self._fraction)

    def text(self, words: str, now: float) -> str:
        """Return the status line at time ``now``."""
        elapsed = durationText(now - self._start)
        if self._estimate is None:
            return _("{words} – {elapsed} elapsed").format(words=words, elapsed=elapsed)
        left = self._estimate - (now - self._reportedAt)
        if left < 1:
            return _("{words} – {elapsed} elapsed, nearly done").format(words=words, elapsed=elapsed)
        line = _("{words} – {elapsed} elapsed, about {left} left")
        return line.format(words=words, elapsed=elapsed, left=durationText(left))
