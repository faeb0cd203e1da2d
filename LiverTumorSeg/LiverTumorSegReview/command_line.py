"""The command line of the product as a child process: started, and ended with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "segment.py"
"""It makes the environment with the network's packages where there is none yet; the page itself needs no torch."""
GRACE_S = 10.0
ENDED_BY_THE_SYSTEM = "The run was ended by the system: most often memory ran out. Close other programs."


async def start(arguments: Sequence[str]) -> asyncio.subprocess.Process:
    """Start it; its events come as lines of JSON on its standard output."""
    group = {"start_new_session": True} if os.name != "nt" else {"creationflags": _new_group()}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        *arguments,
        "--json-progress",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 20,
        **group,
    )


async def end(process: asyncio.subprocess.Process) -> None:
    """End it and every process that it started; nothing half written stays."""
    if process.returncode is not None:
        return
    signal_group(process.pid, gently=True)
    try:
        await asyncio.wait_for(process.wait(), GRACE_S)
    except asyncio.TimeoutError:
        signal_group(process.pid, gently=False)


def signal_group(pid: int, gently: bool) -> None:
    """Tell a child and its children to end, or end them."""
    with contextlib.suppress(ProcessLookupError):
        if os.name == "nt":
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
        else:
            os.killpg(pid, signal.SIGTERM if gently else signal.SIGKILL)


def _new_group() -> int:
    return int(getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0))
