"""What machine the figures were measured on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import psutil
import SimpleITK as sitk
import torch
from LiverTumorSegLib.cores import cores
from LiverTumorSegLib.model.tiles import cpu_has_bfloat16


def describe_machine(threads: int) -> dict[str, Any]:
    """Return system, processor, memory, load and versions; `threads` is how many each candidate had."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "threads": threads,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "bf16_in_hardware": cpu_has_bfloat16(),
        "load_average": list(psutil.getloadavg()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "simpleitk": sitk.Version_VersionString(),
    }


def _processor() -> str:
    """Return the processor's name; Linux keeps it where the standard library does not look."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
