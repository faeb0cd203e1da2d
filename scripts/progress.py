"""Run one long command with a line that shows it is alive, for programs that have only the standard library."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

QUIET_INTERVAL_S = 15.0
"""How often a line is printed where the output is not a terminal."""

TELLING = ("Collecting ", "Processing ", "Downloading ", "Installing ", "Preparing ")
"""How the lines of pip begin that tell a reader what is going on."""


class SetupError(Exception):
    """The environment cannot be made; the message is one sentence for the user."""


def run_step(title: str, command: list[str], log: Path | None) -> None:
    """Run a command, showing its title, what it is at and the seconds; raise SetupError with its last words.

    Parameters
    ----------
    title : str
        What the step does, in words.
    command : list of str
        Program and arguments; no shell.
    log : Path or None
        File to which the whole output is appended.
    """
    start = time.monotonic()
    lines: list[str] = []
    packages = 0
    shown, words = start, ""
    for line in _output(command, lines):
        packages += bool(line and line.startswith(("Collecting ", "Processing ")))
        now = time.monotonic()
        if line and line.startswith(TELLING):
            words = line
        if sys.stdout.isatty() or now - shown >= QUIET_INTERVAL_S:
            shown = now
            _show(title, packages, words, now - start)
    if log is not None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write("\n".join([f"$ {' '.join(command)}", *lines, ""]))
    failed = bool(lines) and lines[-1].startswith("exit code ")
    end = "failed" if failed else "done"
    _show(title, packages, f"{end} in {time.monotonic() - start:.0f} s", None)
    if sys.stdout.isatty():
        print(flush=True)
    if failed:
        last = "\n".join(f"  {line}" for line in lines[-13:-1])
        where = f" (everything in {log})" if log is not None else ""
        raise SetupError(f"{title} failed{where}. It said last:\n{last}")


def _output(command: list[str], lines: list[str]):
    """Yield each output line as it comes (None every second in between), collecting them in ``lines``."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    arrived: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            arrived.put(line.rstrip())
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                line = arrived.get(timeout=1.0)
            except queue.Empty:
                yield None
                continue
            if line is None:
                break
            lines.append(line)
            yield line
    finally:
        if process.poll() is None and sys.exc_info()[0] is not None:
            process.terminate()
        code = process.wait()
    if code:
        lines.append(f"exit code {code}")


def _show(title: str, packages: int, words: str, seconds: float | None) -> None:
    count = f" {packages} packages," if packages else ""
    clock = f" ({seconds:.0f} s)" if seconds is not None else ""
    words = re.sub(r"\S*/(\S*)", r"\1", words)  # addresses and folders make the line too long
    text = f"setup: {title}:{count} {words.strip()[:50]}{clock}"
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)
    else:
        print(text, flush=True)
