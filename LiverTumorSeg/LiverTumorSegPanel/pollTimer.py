"""A timer that lets go of what it calls."""

from __future__ import annotations

from collections.abc import Callable

import qt


class PollTimer:
    """Call a function again and again until `stop`, or once.

    PythonQt holds a connected bound method strongly: an owner whose timer stays connected to it, and which holds the
    timer, would never die, and with it the CT it holds. `stop` therefore disconnects. The timer has no parent and is
    never deleted by hand: PythonQt raises when a timer that Qt has deleted is touched.

    Parameters
    ----------
    intervalMs : int
        Milliseconds between two calls.
    function : callable
        What to call.
    once : bool
        Call it once, `intervalMs` after the last `start`; the function calls `stop`.
    """

    def __init__(self, intervalMs: int, function: Callable[[], None], once: bool = False):
        self._function = function
        self._connected = False
        self._timer = qt.QTimer()
        self._timer.setInterval(intervalMs)
        self._timer.setSingleShot(once)

    @property
    def isRunning(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._connected

    def start(self) -> None:
        """Start, or start over."""
        if not self._connected:
            self._timer.connect("timeout()", self._function)
            self._connected = True
        self._timer.start()

    def stop(self) -> None:
        """Stop, and let go of the function."""
        self._timer.stop()
        if self._connected:
            self._timer.disconnect("timeout()", self._function)
            self._connected = False
