"""What a person sees of a run: a bar for each stage on a terminal, lines in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

SHORTEST_S, LONGEST_S = 1.0, 60.0
SHARE = 0.05
"""A log gets its next line after this share of the time since the stage began, from a second to a minute."""

Advance = Callable[..., None]
"""advance(done, words="", fraction=None): how many of the stage are done, what else to show, and which part (0..1) of
the stage lies behind us where that does not follow from the number."""


class Display:
    """Shows the stages of a run one after the other.

    Parameters
    ----------
    quiet : bool
        Show nothing (all processes but the first).
    console : Console, optional
        Where to; standard output when None.
    clock : callable
        Seconds.
    """

    def __init__(
        self, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.quiet, self.console, self.clock = quiet, console or Console(soft_wrap=True), clock
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[words]}"), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), console=self.console, transient=True,
        )  # fmt: skip
        self._open = 0

    def say(self, sentence: str) -> None:
        """Print a sentence, above the bar where there is one."""
        if not self.quiet:
            self.console.print(sentence, highlight=False, markup=False)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """Show a stage of `total` parts while the context lasts; yield the function that is told of progress.

        Stages may lie within each other, as a validation within the training.
        """
        if self.quiet:
            yield lambda done, words="", fraction=None: None
        elif self.console.is_terminal:
            if not self._open:
                self._bars.start()
            self._open += 1
            task = self._bars.add_task(name, total=total, words="", left="")
            left = TimeLeft(self.clock)

            def update(done: int, words: str = "", fraction: float | None = None) -> None:
                part = done / max(total, 1) if fraction is None else fraction
                self._bars.update(task, completed=done, words=words, left=left.words(part))

            try:
                yield update
            finally:
                self._bars.remove_task(task)
                self._open -= 1
                if not self._open:
                    self._bars.stop()
        else:
            yield self._lines(name, total)

    def _lines(self, name: str, total: int) -> Advance:
        started, told, left = self.clock(), [-LONGEST_S], TimeLeft(self.clock)

        def line(done: int, words: str = "", fraction: float | None = None) -> None:
            part = done / max(total, 1) if fraction is None else fraction
            remaining = left.words(part)
            now = self.clock() - started
            if now - told[0] < min(max(SHARE * now, SHORTEST_S), LONGEST_S) and done < total:
                return
            told[0] = now
            self.say(", ".join(text for text in (f"{name} {done}/{total}", words, remaining) if text))

        return line


class TimeLeft:
    """How long a stage will still take, from the part done since it began."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._started, self._first = clock, clock(), None

    _first: float | None

    def words(self, fraction: float) -> str:
        """Return such as "12 min left" when a part (0..1) of the stage lies behind; empty while nothing is known."""
        if self._first is None:
            self._first, self._started = fraction, self._clock()
            if not fraction:
                return ""
        gained, elapsed = fraction - self._first, self._clock() - self._started
        if gained <= 0 or elapsed <= 0:
            return ""
        return f"{duration(elapsed * max(1 - fraction, 0) / gained)} left"


def duration(seconds: float) -> str:
    """Return a duration in the largest unit that tells it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
