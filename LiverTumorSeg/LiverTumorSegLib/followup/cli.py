"""Command line of the follow-up comparison."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..command import exit_code
from ..errors import LiverTumorSegError, UsageError
from ..messages import JsonMessages
from ..scan.imageio import case_name
from .changes import choose_targets, measure_changes
from .dates import parse_day, require_order
from .inputs import ScanInput, open_scan, segmented
from .outputs import write_csv, write_followup_json
from .registration import IDENTITY, align_livers
from .report import FollowUp, write_report
from .response import assess
from .timepoints import TimePoint
from .tracking import follow

DOCUMENT, TABLE, PAGE = "followup.json", "followup.csv", "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the scans of one patient; return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code(_tell_a_program if options.json_progress else _tell_a_person, options)


def compare(points: list[TimePoint]) -> FollowUp:
    """Return the follow-up of scans in order of time (at least two)."""
    alignments = [IDENTITY, *(align_livers(points[0], point) for point in points[1:])]
    tracks = follow(points, alignments)
    targets = choose_targets(points[0])
    changes = measure_changes(points, tracks, targets, alignments)
    return FollowUp(points, alignments, changes, assess(points, tracks, targets, alignments), targets)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare.py",
        description="Follow the liver lesions of one patient through two or more scans, oldest first. Each input is a "
        "CT (segmented first) or a segmentation. Writes report.html, followup.json and followup.csv. Research use "
        "only; the response category is an aid for a reader, not a diagnosis.",
    )
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN", help="BASELINE FOLLOWUP [...], oldest first")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--images", nargs="+", type=Path, metavar="CT", help="the CTs of segmentations, one each ('-': look for it)"
    )
    parser.add_argument("--dates", nargs="+", metavar="YYYY-MM-DD", help="the scans' dates, one each")
    parser.add_argument("--names", nargs="+", help="the scans' names in the report, one each")
    parser.add_argument("--model", type=Path, nargs="+", metavar="DIR", help="model folders for CTs")
    parser.add_argument("--device", help="where CTs are segmented: auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--quality", help="of the segmentation of CTs: quick, standard or best")
    parser.add_argument("--force", action="store_true", help="pass over findings about CTs that may be passed over")
    parser.add_argument("--pictured-lesions", type=int, default=30, help="lesions to draw (default 30)")
    parser.add_argument("--json-progress", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return parser


def _tell_a_person(options: argparse.Namespace) -> None:
    def told(number: int, count: int, name: str) -> None:
        sys.stderr.write(f"scan {number} of {count}: {name}\n" if number <= count else f"{name}\n")

    followup, page = _run(options, told)
    _tell(followup, page or options.output / TABLE)
    if page is None:
        sys.stdout.write("No page was written: that needs the packages matplotlib and jinja2.\n")


def _tell_a_program(options: argparse.Namespace) -> int:
    messages = JsonMessages()

    def told(number: int, count: int, name: str) -> None:
        messages.progress(name, (number - 1) / (count + 2), name)

    try:
        followup, page = _run(options, told)
    except LiverTumorSegError as error:
        if options.debug:
            raise
        messages.error(None, str(error), error.exit_code)
        return error.exit_code
    files = {"document": str(options.output / DOCUMENT), "table": str(options.output / TABLE)}
    messages.result("", {**files, "page": str(page) if page else None}, followup.assessments[-1].wording)
    return 0


def _run(options: argparse.Namespace, told: Callable[[int, int, str], None]) -> tuple[FollowUp, Path | None]:
    """Compare and write; return what was found, and the page where what writes it is installed.

    `told` hears (number of the step, number of scans, words) before each step: the scans, aligning, writing.
    """
    scans = _scans(options)
    if options.output.exists() and not options.output.is_dir():
        raise UsageError(f"--output {options.output} is a file; name a folder.")
    options.output.mkdir(parents=True, exist_ok=True)
    segmenter = _segmenter_options(options)
    # All inputs are opened before the first is segmented, which takes minutes: what is wrong with one is said at once.
    opened = []
    for number, scan in enumerate(scans, start=1):
        told(number, len(scans), scan.name)
        opened.append(open_scan(scan))
    require_order([(one.name, one.day) for one in opened])
    folder = options.output / "segmentations"
    points = [
        segmented(one, folder / str(number), segmenter) if isinstance(one, ScanInput) else one
        for number, one in enumerate(opened, start=1)
    ]
    told(len(scans) + 1, len(scans), "Aligning the livers")
    followup = compare(points)
    told(len(scans) + 2, len(scans), "Writing")
    write_followup_json(
        options.output / DOCUMENT,
        points,
        followup.alignments,
        followup.changes,
        followup.assessments,
        followup.targets,
        followup.warnings(),
    )
    write_csv(options.output / TABLE, points, followup.changes)
    page = options.output / PAGE
    try:
        write_report(page, followup, options.pictured_lesions)
    except ImportError:  # a Slicer without the packages that draw and write pages
        return followup, None
    return followup, page


def _scans(options: argparse.Namespace) -> list[ScanInput]:
    count = len(options.scans)
    if count < 2:
        raise UsageError("Give at least two scans: BASELINE FOLLOWUP.")
    for option in ("images", "dates", "names"):
        given = getattr(options, option)
        if given is not None and len(given) != count:
            raise UsageError(f"--{option} needs one entry for each of the {count} scans, but has {len(given)}.")
    names = options.names or [f"{number}: {case_name(path)}" for number, path in enumerate(options.scans, start=1)]
    images = [None if str(image) == "-" else image for image in options.images or ["-"] * count]
    days = [parse_day(text) for text in options.dates] if options.dates else [None] * count
    return [
        ScanInput(path, image, day, name)
        for path, image, day, name in zip(options.scans, images, days, names, strict=True)
    ]


def _segmenter_options(options: argparse.Namespace) -> list[str]:
    passed: list[str] = []
    if options.model:
        passed += ["--model", *map(str, options.model)]
    for option in ("device", "quality"):
        if getattr(options, option):
            passed += [f"--{option}", getattr(options, option)]
    if options.force:
        passed.append("--force")
    return passed


def _tell(followup: FollowUp, written: Path) -> None:
    lines = [f"note: {warning}" for warning in followup.warnings()]
    for change in followup.changes:
        volumes = " -> ".join(f"{volume:.1f}" for volume in change.volumes_ml)
        lines.append(f"lesion {change.track.number}: {change.event}, {volumes} ml")
    lines += [
        f"{point.name}: {assessment.wording}"
        for point, assessment in zip(followup.points[1:], followup.assessments, strict=True)
    ]
    lines.append(f"report: {written}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
