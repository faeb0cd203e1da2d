"""How a command line of the evaluation ends: its exit code, and one sentence for what went wrong."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable

from LiverTumorSegLib.errors import CancelledError, LiverTumorSegError


def exit_code(run: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Run; return 0, or the exit code of the error, which is said on standard error (with its trace after --debug)."""
    try:
        run(options)
    except LiverTumorSegError as error:
        if options.debug:
            traceback.print_exc()
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Cancelled.\n")
        return CancelledError.exit_code
    return 0
