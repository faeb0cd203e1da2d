"""The files of a run folder: names, the atomic checkpoint, the metrics."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import torch
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.jsonfile import json_text
from LiverTumorSegLib.wholefile import whole_file, write_text

CHECKPOINT = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
BEST = "checkpoint.best.pt"
RESOLVED = "config.yaml"
METRICS = "metrics.jsonl"
LOSS_CURVE = "loss_curve.png"


def write_checkpoint(path: Path, state: dict[str, Any], keep_previous: bool = True) -> None:
    """Write a checkpoint whole or not at all; the one before it is kept beside it."""
    try:
        with whole_file(path) as partial:
            with partial.open("wb") as stream:
                try:
                    torch.save(state, stream)
                except RuntimeError as error:
                    raise OSError("is the disk full?") from error
            if keep_previous and path.exists():
                path.replace(path.with_name(PREVIOUS))
    except UsageError as error:
        raise UsageError(f"{error} The last checkpoint is whole: go on from it with --resume.") from error


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return a checkpoint; tensors and numbers only, nothing in the file is executed.

    Raises
    ------
    InputError
        If it is absent or damaged (then naming the one before it, where there is one).
    """
    if path.name == CHECKPOINT and not path.exists() and has_checkpoint(path.parent):
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


def has_checkpoint(run: Path) -> bool:
    """Return whether a run can go on: its last checkpoint is there, or the one before it."""
    return (run / CHECKPOINT).exists() or (run / PREVIOUS).exists()


def best_score_of(run: Path, device: torch.device) -> float:
    """Return the score of the best checkpoint of a run; minus infinity where there is none that can be read."""
    try:
        return float(read_checkpoint(run / BEST, device).get("best_score", -math.inf))
    except InputError:
        return -math.inf


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
    write_text(path, "".join(json_text(entry) + "\n" for entry in kept))
