"""End a child process together with everything it started.

Slicer's own Python is a launcher: ending the process that was started would leave the interpreter behind it running.
On POSIX the child leads a session of its own, so the whole family is one process group; on Windows ``taskkill`` walks
the tree while the launcher, which waits for its interpreter, is still there. psutil is not in Slicer's Python.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

KILL_TAKES_S = 5.0
"""Longest time to wait for processes that were killed; it is over in milliseconds."""

_PROCESSES = Path("/proc")


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

    def terminate(self) -> None:
        """Ask the whole tree to stop. On Windows, where a console program cannot be asked, it is stopped at once."""
        if os.name == "nt":
            self.kill()
        else:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the whole tree at once."""
        if os.name != "nt":
            self._signal(signal.SIGKILL)
        elif self._process.poll() is None:
            subprocess.run(
                ["taskkill", "/PID", str(self._process.pid), "/T", "/F"],
                check=False,
                capture_output=True,
                creationflags=subprocess.CREATE_NO_WINDOW,
            )

    def isAlive(self) -> bool:
        """Return whether any process of the tree still runs, also after the one that was started has ended."""
        if self._process.poll() is None:
            return True
        return os.name != "nt" and _groupIsAlive(self._process.pid)

    def stop(self, patience: float = 1.5, sleep: Callable[[float], None] = time.sleep) -> None:
        """Terminate, wait up to ``patience`` seconds, kill what is left. Blocks for that long at most."""
        self.terminate()
        if not self._waitForEnd(patience, sleep):
            self.kill()
            self._waitForEnd(KILL_TAKES_S, sleep)

    def _waitForEnd(self, seconds: float, sleep: Callable[[float], None]) -> bool:
        deadline = time.monotonic() + seconds
        while self.isAlive():
            if time.monotonic() >= deadline:
                return False
            sleep(0.05)
        return True

    def _signal(self, number: int) -> None:
        # The group keeps its number while any member lives; one that is gone is asked for nothing.
        if self.isAlive():
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):  # ended in between; macOS says EPERM of zombies
                return


def _groupIsAlive(group: int) -> bool:
    """Return whether a process group has a member that is more than a zombie."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not _PROCESSES.is_dir():  # macOS: zombies answered EPERM above
        return True
    return any(_isMember(folder, group) for folder in _PROCESSES.iterdir() if folder.name.isdigit())


def _isMember(folder: Path, group: int) -> bool:
    """Return whether a folder of /proc is that of a running member of the group."""
    try:
        state, _parent, itsGroup = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):  # ended in between
        return False
    return int(itsGroup) == group and state not in "ZX"
