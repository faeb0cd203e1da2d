"""End a child process together with everything it started.

Slicer's own Python is a launcher: killing the process that was started would leave the interpreter behind it running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable


def childOptions() -> dict:
    """Return the ``Popen`` options that make a child's tree separable (and hide its console on Windows)."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class ProcessTree:
    """One started process and its descendants.

    Parameters
    ----------
    process : subprocess.Popen
        Started with `childOptions`.
    """

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._members: list = []

    def terminate(self) -> None:
        """Ask the whole tree to stop. Members are remembered first: orphans cannot be found afterwards."""
        self._remember()
        self._signal("terminate", signal.SIGTERM)

    def kill(self) -> None:
        """Stop the whole tree at once."""
        self._remember()
        self._signal("kill", getattr(signal, "SIGKILL", signal.SIGTERM))

    def isAlive(self) -> bool:
        """Return whether any process of the tree still runs."""
        if self._process.poll() is None:
            return True
        return any(_isRunning(member) for member in self._members)

    def stop(self, patience: float = 1.5, sleep: Callable[[float], None] = time.sleep) -> None:
        """Terminate, wait up to ``patience`` seconds, kill what is left. Blocks for that long at most."""
        self.terminate()
        deadline = time.monotonic() + patience
        while self.isAlive() and time.monotonic() < deadline:
            sleep(0.05)
        if self.isAlive():
            self.kill()
            self._process.wait(timeout=5)

    def _remember(self) -> None:
        known = {member.pid for member in self._members}
        self._members += [member for member in _descendants(self._process.pid) if member.pid not in known]

    def _signal(self, method: str, number: int) -> None:
        for member in self._members:
            _callQuietly(getattr(member, method))
        if self._process.poll() is None:
            if os.name == "nt" and not self._members:
                subprocess.run(  # without psutil, only taskkill knows the tree
                    ["taskkill", "/PID", str(self._process.pid), "/T", "/F"], check=False, capture_output=True
                )
            else:
                _callQuietly(getattr(self._process, method))
        if os.name != "nt":
            _callQuietly(lambda: os.killpg(self._process.pid, number))


def _descendants(pid: int) -> list:
    try:
        import psutil
    except ImportError:
        return []
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _isRunning(member) -> bool:
    import psutil

    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _callQuietly(call: Callable[[], object]) -> None:
    """Call a stop function; a process that has just ended by itself is no failure."""
    try:
        call()
    except OSError:
        return
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psutil":
            raise
