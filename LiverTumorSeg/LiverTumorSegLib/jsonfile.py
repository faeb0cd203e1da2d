"""JSON files: plain values only, and a number that is not finite is null, for JSON knows neither NaN nor infinity.

What was written is read back by `read_object`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .wholefile import write_text


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Write a value as a JSON file, whole or not at all.

    Raises
    ------
    UsageError
        When the folder or the disk does not take it.
    """
    write_text(path, json_text(content, indent) + "\n")


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the object that a JSON file holds; None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def json_text(content: Any, indent: int | None = None) -> str:
    """Return a value as JSON text, on one line without `indent`."""
    return json.dumps(plain(content), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value of JSON types only: keys and paths as text, arrays as lists, numbers not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
