"""The files of a run folder: names, the atomic checkpoint, the metrics."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from LiverTumorSegLib.errors import InputError

CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
BEST = "checkpoint.best.pt"
RESOLVED = "config.yaml"
METRICS = "metrics.jsonl"
LOSS_CURVE = "loss_curve.png"


def write_checkpoint(path: Path, state: dict[str, Any], keep_previous: bool = True) -> None:
    """Write a checkpoint whole or not at all; the one before it is kept beside it."""
    partial = path.with_suffix(".part")
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    if keep_previous and path.exists():
        path.replace(path.with_name(PREVIOUS))
    partial.replace(path)


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return a checkpoint; tensors and numbers only, nothing in the file is executed.

    Raises
    ------
    InputError
        If it is absent or damaged (then naming the one before it, where there is one).
    """
    if path.name == CHECKPOINT and not path.exists() and path.with_name(PREVIOUS).exists():
        # Killed between the two renames of `write_checkpoint`.
        path = path.with_name(PREVIOUS)
    if not path.exists():
        raise InputError(f"{path.parent} holds no {path.name}: no checkpoint was saved there yet.")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(
            f"The checkpoint {path} is damaged ({str(error).splitlines()[0]}): "
            f"copy {PREVIOUS} of the same folder over it, or train again."
        ) from error


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Return the entries of metrics.jsonl, oldest first; a line cut short by a kill is left out."""
    path = run / METRICS
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def forget_metrics_after(run: Path, step: int) -> None:
    """Remove the entries of metrics.jsonl beyond a checkpoint: the resumed run writes them again."""
    path = run / METRICS
    if not path.exists():
        return
    kept = [entry for entry in read_metrics(run) if entry.get("step", 0) <= step]
    partial = path.with_suffix(".part")
    partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
    partial.replace(path)
