"""BraTS: one folder a case, in it one file for each sequence and the segmentation."""

from __future__ import annotations

from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.scan.channels import LABEL_WORDS, SEQUENCES, channel_file, images_in, words_of

from LiverTumorSegTraining.data.case import Case


def matches(root: Path) -> bool:
    """Return whether a subfolder holds a FLAIR image and a segmentation."""
    for folder in _folders(root):
        files = images_in(folder)
        if channel_file(files, "FLAIR") is not None and any(words_of(path) & LABEL_WORDS for path in files):
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
        files = images_in(folder)
        if not files:
            continue
        images = tuple(_channel(folder, files, channel) for channel in channels)
        label = next((path for path in files if words_of(path) & LABEL_WORDS), None)
        cases.append(Case(folder.name, folder.name, images, label))
    return cases


def _channel(folder: Path, files: list[Path], channel: str) -> Path:
    found = channel_file(files, channel)
    if found is not None:
        return found
    present = [name.upper() for name in SEQUENCES if channel_file(files, name) is not None]
    raise InputError(
        f"Case {folder.name} has no {channel} image, only {', '.join(present) or 'files of other names'}: "
        f"add it, or train without it with --data.channels '[{', '.join(present)}]'."
    )


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())
