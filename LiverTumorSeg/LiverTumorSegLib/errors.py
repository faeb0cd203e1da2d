"""Errors that end a run, each with the exit code of the command line."""

from __future__ import annotations


class LiverTumorSegError(Exception):
    """A failure a user can understand: the message says what is wrong, where, and what to do."""

    exit_code = 1


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
