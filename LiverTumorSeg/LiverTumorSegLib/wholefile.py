"""Whole or not at all: a file appears at its place when it is finished and on the disk, never half of it."""

from __future__ import annotations

import errno
import gzip
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from .errors import UsageError

_LONGEST_SUFFIX = 12
_BLOCK = 1 << 16
# A segmentation compresses well at any level; the lowest is several times faster.
_COMPRESSION_LEVEL = 1
_numbers = itertools.count()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; it is flushed to the disk and moved there when the block ends.

    When the block fails, or the process is killed, what lay at `path` before is still there unchanged.

    Parameters
    ----------
    path : Path
        The file to make or replace; its folder exists. The path given keeps its suffixes, so that writers which
        choose the format by them work, and is plain ASCII whatever the name is.

    Raises
    ------
    UsageError
        When the folder or the disk does not take the file: one sentence with the system's reason.
    """
    path = Path(path)
    partial = path.with_name(f".{os.getpid()}-{next(_numbers)}-part{_suffixes(path)}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UsageError(cannot_write(path, error)) from error
    finally:
        _remove(partial)


def cannot_write(path: Path, error: OSError) -> str:
    """Return the sentence that says why a file or folder cannot be written, and what to do."""
    reason = error.strerror or str(error)
    advice = "name another folder with --output, or allow writing there"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "make room, or name a folder on another disk"
    return f"{path} cannot be written ({reason}): {advice}."


def require_room(folder: Path, size: int) -> None:
    """Refuse a folder that does not take `size` bytes now: they are written, flushed and removed again.

    The system removes them, also when the process is killed meanwhile.

    Raises
    ------
    UsageError
        One sentence with the system's reason (read-only, no permission, disk full, quota).
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            for _ in range(0, size, _BLOCK):
                stream.write(bytes(_BLOCK))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise UsageError(cannot_write(folder / "room", error)) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all; what UTF-8 cannot hold (an undecodable file name) becomes an escape."""
    with whole_file(path) as partial:
        partial.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def write_image(path: Path, image: sitk.Image, *, compress: bool = True) -> None:
    """Write an image whole or not at all, in the format of the file's suffix.

    Raises
    ------
    UsageError
        When the folder or the disk does not take it, or no format has this suffix.
    """
    with whole_file(path) as partial:
        # ITK does not say what the system says.
        partial.touch()
        try:
            sitk.WriteImage(image, str(partial), useCompression=compress, compressionLevel=_COMPRESSION_LEVEL)
        except RuntimeError as error:
            raise OSError("is the disk full?") from error
        _require_all_voxels(partial, image)


def _require_all_voxels(partial: Path, image: sitk.Image) -> None:
    """Refuse a NIfTI file that was cut short: ITK's writer does not notice when the disk is full."""
    if not partial.name.endswith((".nii", ".nii.gz")):
        return
    wanted = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel() * image.GetSizeOfPixelComponent()
    written = 0
    try:
        with gzip.open(partial) if partial.suffix == ".gz" else partial.open("rb") as stream:
            while block := stream.read(1 << 20):
                written += len(block)
    except EOFError:
        written = 0
    if written < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _suffixes(path: Path) -> str:
    """Return the last two suffixes of a name, such as ".nii.gz", as far as they look like some."""
    kept = ""
    for suffix in reversed(path.suffixes[-2:]):
        if len(suffix) > _LONGEST_SUFFIX or not suffix[1:].isascii() or not suffix[1:].isalnum():
            break
        kept = suffix + kept
    return kept


def _remove(partial: Path) -> None:
    # A disk that is gone cannot be tidied, and that is not what the user must hear.
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return
