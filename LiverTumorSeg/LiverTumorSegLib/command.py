"""How every command line of the project speaks and ends: any text on any console, one sentence an error."""

from __future__ import annotations

import argparse
import io
import sys
import traceback
from collections.abc import Callable, Sequence

from .errors import CancelledError, LiverTumorSegError, OutOfMemoryError, UsageError


def speak_any_text() -> None:
    """Let standard output and error take every character: what the console's code page lacks becomes an escape.

    A file name need not be decodable, and a console of Windows knows a few hundred characters; neither may end a run.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def renamed_option(parser: argparse.ArgumentParser, name: str) -> str | None:
    """Return what an option that was written with underscores is called now; None when there is none such."""
    known = {option for action in parser._actions for option in action.option_strings}
    today = name.replace("_", "-")
    return today if name.startswith("--") and name not in known and today in known else None


def parse_options(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line; one by an older name ends in a sentence with the name it has now."""
    for word in sys.argv[1:] if arguments is None else arguments:
        name = word.split("=")[0]
        today = renamed_option(parser, name)
        if today is not None:
            parser.error(f"There is no option {name}: it is {today}.")
    return parser.parse_args(arguments)


def exit_code(run: Callable[[argparse.Namespace], int | None], options: argparse.Namespace) -> int:
    """Run a command; return its exit code, or that of the error, which is said in one sentence on standard error.

    Parameters
    ----------
    run : callable
        Takes the options; returns an exit code, or None for 0.
    options : argparse.Namespace
        Its `debug` also shows the trace of an error.
    """
    speak_any_text()
    try:
        return run(options) or 0
    except LiverTumorSegError as error:
        failure = error
    except OSError as error:
        failure = as_sentence(error)
    except MemoryError:
        failure = OutOfMemoryError("Not enough memory: close other programs, or give smaller images.")
    except KeyboardInterrupt:
        failure = CancelledError("Cancelled.")
    if options.debug:
        traceback.print_exception(failure)
    sys.stderr.write(f"{failure}\n")
    return failure.exit_code


def as_sentence(error: OSError) -> UsageError:
    """Return what the system said as an error of one sentence, its cause kept."""
    about = "A file" if error.filename is None else str(error.filename)
    reason = error.strerror or str(error)
    sentence = UsageError(f"{about} cannot be read or written ({reason}): check the path and the disk.")
    sentence.__cause__ = error
    return sentence
