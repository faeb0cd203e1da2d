"""The command line of the page."""

from __future__ import annotations

import argparse
import secrets
import sys
import webbrowser
from pathlib import Path

from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import UsageError

HERE = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Open the page of one case; return the exit code."""
    return exit_code(_serve, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="review.py",
        description="Review a result, or segment a scan, in the browser. Research use only; not a medical device.",
    )
    parser.add_argument("case", type=Path, metavar="SCAN_OR_RESULT", help="a CT, NAME.seg.nrrd, or a result's folder")
    parser.add_argument("--scan", type=Path, help="the CT of a result, when it has moved")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the results of a scan")
    parser.add_argument("--compare", type=Path, metavar="RESULT", help="another result of the scan, to merge from")
    parser.add_argument("--training", type=Path, metavar="DIR", help="folder that 'Export for training' writes to")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    parser.add_argument("--host", default=HERE, help="address to serve; without it only this computer can connect")
    parser.add_argument("--no-browser", action="store_true", help="only print the link")
    parser.add_argument("--autosave", type=float, default=30.0, metavar="S", help="seconds between autosaves")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return parser


def _serve(options: argparse.Namespace) -> int:
    from LiverTumorSegReview.case_files import find_case
    from LiverTumorSegReview.reading import start_reading

    if options.autosave <= 0:
        raise UsageError(f"--autosave is {options.autosave}; it must be more than 0 seconds.")
    files = find_case(options.case, options.scan, options.output)
    reading = start_reading(files)
    from LiverTumorSegReview.app import ReviewApp

    token = secrets.token_urlsafe(24)
    app = ReviewApp(files, reading, token, options.autosave, options.training, options.compare)

    def tell(**_: object) -> None:
        link = f"http://{options.host}:{app.server.port}/index.html?secret={token}"
        sys.stdout.write(f"Open {link}\nEnd with Ctrl+C.\n")
        sys.stdout.flush()
        if not options.no_browser:
            webbrowser.open(link)

    app.server.controller.on_server_ready.add(tell)
    # What the reader's own command line holds is none of the server's business.
    sys.argv = sys.argv[:1]
    app.server.start(
        port=options.port,
        host=options.host,
        open_browser=False,
        show_connection_info=False,
        disable_logging=True,
        timeout=0,
    )
    if app.refused is not None:
        raise app.refused
    return 0


if __name__ == "__main__":
    sys.exit(main())
