"""Errors that end a run, each with the exit code of the command line."""

from __future__ import annotations


def readable(text: str) -> str:
    """Return a text without what cannot be printed: bytes of file names that are no UTF-8 are taken as Latin-1."""
    letters = (chr(ord(c) - 0xDC00) if "\udc80" <= c <= "\udcff" else c for c in text)
    return "".join(letters).encode("utf-8", "replace").decode()


class LiverTumorSegError(Exception):
    """A failure a user can understand: the message says what is wrong, where, and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        return readable(super().__str__())


class UsageError(LiverTumorSegError):
    """The request itself is wrong (unknown option value, output folder that is a file)."""

    exit_code = 2


class InputError(LiverTumorSegError):
    """The image cannot be used."""

    exit_code = 3


class ModelError(LiverTumorSegError):
    """The model folder cannot be used."""

    exit_code = 4


class OutOfMemoryError(LiverTumorSegError):
    """No rung of the device ladder had enough memory."""

    exit_code = 5


class CancelledError(LiverTumorSegError):
    """The user asked to stop; nothing was written."""

    exit_code = 130
