"""How much memory this computer has, and how much of it a new process may take; asked of the system itself."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CONTROL_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Bytes of main memory.

    Attributes
    ----------
    total : int
        Of the computer, or of the container this process lives in.
    available : int
        What can be taken without swapping; what the system would give back (file caches) counts.
    """

    total: int
    available: int


def machine_memory() -> Memory | None:
    """Return the memory of this computer, or None where the system does not say."""
    try:
        if sys.platform == "win32":
            return _windows()
        return _mac() if sys.platform == "darwin" else _linux()
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _linux() -> Memory:
    lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    total, available = kilobytes["MemTotal"] << 10, kilobytes["MemAvailable"] << 10
    try:
        limit = (_CONTROL_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CONTROL_GROUP / "memory.current").read_text(encoding="ascii"))
        entries = (_CONTROL_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:  # no container, or one that does not count
        return Memory(total, available)
    if limit == "max":
        return Memory(total, available)
    cache = next((int(entry.split()[1]) for entry in entries if entry.startswith("inactive_file ")), 0)
    room = int(limit) - max(used - cache, 0)
    return Memory(min(total, int(limit)), max(min(available, room), 0))


def _mac() -> Memory:
    system = ctypes.CDLL(None)

    def ask(name: str) -> int:
        value = ctypes.c_uint64()  # those of four bytes fill the lower half
        size = ctypes.c_size_t(ctypes.sizeof(value))
        if system.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)):
            raise OSError(f"sysctl does not know {name}")
        return int(value.value)

    pages = ("vm.page_free_count", "vm.page_purgeable_count", "vm.page_pageable_external_count")
    free = sum(ask(name) for name in pages)
    total = ask("hw.memsize")
    # Counted in the kernel's pages: hw.pagesize tells those of the process, a quarter of them under Rosetta.
    return Memory(total, min(total, free * ask("vm.pagesize")))


class _Status(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("page_file_total", ctypes.c_uint64),
        ("page_file_available", ctypes.c_uint64),
        ("virtual_total", ctypes.c_uint64),
        ("virtual_available", ctypes.c_uint64),
        ("virtual_extended", ctypes.c_uint64),
    )


def _windows() -> Memory:
    status = _Status()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        raise OSError("the memory status is not told")
    # Where little is left to be committed, main memory that is free cannot be had either.
    return Memory(int(status.total), min(int(status.available), int(status.page_file_available)))
