"""BraTS: one folder a case, in it one file for each sequence and the segmentation."""

from __future__ import annotations

import re
from pathlib import Path

from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import IMAGE_SUFFIXES, Case

SEQUENCES = {
    "FLAIR": ("flair", "t2f"),
    "T1": ("t1", "t1n"),
    "T1CE": ("t1ce", "t1c", "t1gd"),
    "T2": ("t2", "t2w"),
}
"""Words in the file names that mean a sequence (BraTS 2015 to 2023 name them differently)."""
LABEL_WORDS = ("seg", "otmulticlass", "label")


def matches(root: Path) -> bool:
    """Return whether a subfolder holds a FLAIR image and a segmentation."""
    for folder in _folders(root):
        words = [_words(path) for path in _images(folder)]
        if any(w & {"flair", "t2f"} for w in words) and any(w & set(LABEL_WORDS) for w in words):
            return True
    return False


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return the cases.

    Raises
    ------
    InputError
        If a case lacks a channel; the message says which and how to train without it.
    """
    cases = []
    for folder in _folders(root):
        files = _images(folder)
        if not files:
            continue
        images = tuple(_channel(folder, files, channel) for channel in channels)
        label = next((path for path in files if _words(path) & set(LABEL_WORDS)), None)
        cases.append(Case(folder.name, folder.name, images, label))
    return cases


def _channel(folder: Path, files: list[Path], channel: str) -> Path:
    wanted = set(SEQUENCES.get(channel.upper(), (channel.lower(),)))
    for path in files:
        if _words(path) & wanted and not _words(path) & set(LABEL_WORDS):
            return path
    present = [name for name, words in SEQUENCES.items() if any(_words(path) & set(words) for path in files)]
    raise InputError(
        f"Case {folder.name} has no {channel} image, only {', '.join(present) or 'files of other names'}: "
        f"add it, or train without it with --data.channels '[{', '.join(present)}]'."
    )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(IMAGE_SUFFIXES))


def _words(path: Path) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", path.name.lower()))
