"""Prepared cases on disk: addressed by content, memory-mapped, safe when several runs share them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from LiverTumorSegTraining.data.case import files_of

DAMAGED = (OSError, ValueError, KeyError, EOFError, BadZipFile)
"""What numpy raises for files that are cut or missing."""


@dataclass(frozen=True)
class Arrays:
    """What is kept of a case: image (channels, z, y, x), label [z, y, x], and small arrays by name."""

    image: np.ndarray
    label: np.ndarray
    small: dict[str, np.ndarray]


class PreparationCache:
    """A folder with one folder for each prepared case.

    The name of an entry is a hash of the files and of every option that shapes the arrays: an entry is never changed,
    only added. It is written under a name of its own and renamed when whole, so another run sees all of it or nothing.

    Parameters
    ----------
    folder : Path
        Made when absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def get(self, key: str, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of an entry, mapped into memory; `make` is called when the entry is absent or damaged."""
        entry = self.folder / key
        try:
            return self._read(entry)
        except DAMAGED:
            self._write(entry, make())
            return self._read(entry)

    @staticmethod
    def _read(entry: Path) -> Arrays:
        with np.load(entry / "small.npz", allow_pickle=False) as small:
            arrays = {name: small[name] for name in small.files}
        image = np.load(entry / "image.npy", mmap_mode="r", allow_pickle=False)
        return Arrays(image, np.load(entry / "label.npy", mmap_mode="r", allow_pickle=False), arrays)

    def _write(self, entry: Path, arrays: Arrays) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{entry.name}.{os.getpid()}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        small: dict[str, Any] = arrays.small
        try:
            np.save(partial / "image.npy", arrays.image)
            np.save(partial / "label.npy", arrays.label)
            np.savez(partial / "small.npz", **small)
        except BaseException:
            # On a full disk, half an entry would take the room that is wanted.
            shutil.rmtree(partial, ignore_errors=True)
            raise
        try:
            partial.rename(entry)
        except OSError:
            # Another run was faster, or the entry is damaged: a whole one takes its place.
            if not self._is_whole(entry):
                shutil.rmtree(entry, ignore_errors=True)
                partial.rename(entry)
            else:
                shutil.rmtree(partial, ignore_errors=True)

    def _is_whole(self, entry: Path) -> bool:
        try:
            self._read(entry)
        except DAMAGED:
            return False
        return True


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder: of all files in it and below, in the order of their names."""
    digest = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
