"""The command line of the benchmark: which part to measure, the JSON file, the table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.cores import cores
from LiverTumorSegLib.jsonfile import write_json

from . import evaluating, folder, page, panel, segmenting, training


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmark.py", description="Measure speed and memory beside the peers.")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="small data: tries the benchmark out, proves nothing")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--evaluation", action="store_true", help="measure the scoring of a large pair instead")
    part.add_argument("--training", action="store_true", help="measure the seconds of a training step instead")
    part.add_argument("--page", action="store_true", help="measure the reader's page in a browser instead")
    part.add_argument("--panel", action="store_true", help="measure what a reader waits for in the panel instead")
    part.add_argument("--folder", action="store_true", help="measure the scans an hour of a folder instead")
    parser.add_argument("--scan", type=Path, help="CT from which the scans of --folder are made (a public sample)")
    parser.add_argument("--rounds", type=int, default=None, help="runs of every candidate, in turns (3; quick: 1)")
    parser.add_argument("--threads", type=int, default=cores(), help="threads of every candidate")
    parser.add_argument("--quality", default="standard", choices=("quick", "standard", "best"))
    parser.add_argument("--offline", action="store_true", help="use only what was downloaded before")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    rounds = options.rounds if options.rounds is not None else 1 if options.quick else 3
    common: dict[str, Any] = {"quick": options.quick, "rounds": rounds, "threads": options.threads, "say": _say}
    if options.evaluation:
        figures = evaluating.run(**common)
    elif options.training:
        figures = training.run(**common)
    elif options.page:
        figures = page.run(**common, offline=options.offline)
    elif options.panel:
        figures = panel.run(**common, offline=options.offline)
    elif options.folder:
        figures = folder.run(**common, quality=options.quality, offline=options.offline, scan=options.scan)
    else:
        figures = segmenting.run(**common, quality=options.quality, offline=options.offline)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.output, figures)
    if options.page:
        _print_page(figures)
    elif options.panel:
        _print_panel(figures)
    else:
        _print_table(figures)


def _say(text: str) -> None:
    print(f"benchmark: {text}", flush=True)


def _print_table(figures: dict[str, Any]) -> None:
    """Print one row a candidate: seconds without and with the start of Python, processor time, memory, ratios."""
    columns = ("total s", "wall s", "cpu s", "peak MB", "ratio", "cpu ratio")
    print(f"\n{'':<28}" + "".join(f"{name:>10}" for name in columns))
    for name, stages in figures["seconds"].items():
        values = [stages["total"], stages["wall"], figures["cpu_seconds"][name], figures["peak_rss_mb"][name]]
        values += [figures[key].get(name, 1.0) for key in ("ratios", "cpu_ratios")]
        print(f"{name:<28}" + "".join(f"{value:>10.2f}" for value in values))


def _print_page(figures: dict[str, Any]) -> None:
    """Print one row a moment of the page's start, then how it scrolls and what it holds."""
    print(f"\n{'from the start to':<28}{'wall s':>10}{'cpu s':>10}")
    for name, seconds in figures["seconds"].items():
        print(f"{name:<28}{seconds:>10.2f}{figures['cpu_seconds'][name]:>10.2f}")
    print(f"{figures['scroll']['frames_per_s']['median']:.1f} pictures a second while scrolling")
    print(f"{figures['peak_rss_mb']:.0f} MB at most")


def _print_panel(figures: dict[str, Any]) -> None:
    """Print what a reader waited for in each session."""
    for told in figures["sessions"]:
        print(f"\n{' x '.join(map(str, told['volume']))} voxels. The panel said: {told['plan']['said']}")
        for name, unit in (("seconds", "s"), ("peak_mb", "MB")):
            error = f"{100 * told['plan_error'][name]:+.0f} %"
            print(f"foretold {told['plan'][name]:g} {unit}, took {told['run'][name]:g} {unit} ({error})")
        slider, place = told["slider_ms"], told["place_s"]
        print(f"slider {slider['median']:g} ms a move (largest {slider['max']:g}, first {slider['first']:g})")
        print(f"place segmented again {place['cold']:g} s cold, {', '.join(map(str, place['warm']))} s warm")
