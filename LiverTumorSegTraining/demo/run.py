"""Segment the sample scans with the real command line, compare with their labels, write one report."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.labels import LIVER, TUMOR
from LiverTumorSegLib.output.report_html import ReportCase, write_html_report
from LiverTumorSegLib.output.segfile import read_segmentation

from .samples import SAMPLES, Sample, fetch

ROOT = Path(__file__).resolve().parents[2]
NOTICE = "For research use only; not a medical device."


@dataclass(frozen=True)
class SegmentedSample:
    """A sample, where its reference lies and which files the command line wrote."""

    sample: Sample
    reference: Path
    segmentation: Path
    report: Path
    picture: Path


class CommandFailedError(LiverTumorSegError):
    """The command line ended with an error, which becomes the exit code of the demo."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; return the exit code."""
    parser = argparse.ArgumentParser(prog="demo.py", description="Segment two public sample CTs. " + NOTICE)
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "demo", help="folder of the results")
    parser.add_argument("--cache", type=Path, default=ROOT / "results" / ".cache", help="folder of the samples")
    parser.add_argument("--offline", action="store_true", help="use only what was downloaded before")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--quality", default="standard", choices=("quick", "standard", "best"))
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(
        lambda options: run(
            options.output, options.cache, offline=options.offline, device=options.device, quality=options.quality
        ),
        parser.parse_args(arguments),
    )


def run(output: Path, cache: Path, *, offline: bool, device: str = "auto", quality: str = "standard") -> None:
    """Fetch, segment, compare and report.

    Parameters
    ----------
    output, cache : Path
        Folders of the results and of the downloaded samples.
    offline : bool
        Use only what the cache has.
    device, quality : str
        As the command line takes them.

    Raises
    ------
    LiverTumorSegError
        With one sentence for the user.
    """
    start = time.monotonic()
    files = {sample: fetch(sample, cache, offline=offline, say=_say) for sample in SAMPLES}
    fetched = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    options = ["--output", str(output), "--device", device, "--quality", quality]
    results = _segment([str(image) for image, _ in files.values()], options)
    segmented = time.monotonic()

    cases = []
    for sample, (_, reference) in files.items():
        event = results[sample.name]
        paths = [Path(event[key]) for key in ("segmentation", "report", "picture")]
        cases.append(_compared(SegmentedSample(sample, reference, *paths)))
    seconds = {"samples": fetched - start, "segmentation": segmented - fetched, "total": time.monotonic() - start}
    write_html_report(output / "report.html", cases, title="LiverTumorSeg demo: two public CTs")
    summary = [{"name": case.name, "about": case.about, "agreement": case.agreement, **case.report} for case in cases]
    write_json(output / "report.json", {"notice": NOTICE, "seconds": seconds, "cases": summary})
    _say_what_came_out(cases, output, seconds)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Dice coefficient of two masks of one shape; 1 when both are empty."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def _compared(case: SegmentedSample) -> ReportCase:
    """Return the case with its agreement with the sample's own labels."""
    labelmap, values = read_segmentation(case.segmentation)
    found = sitk.GetArrayFromImage(labelmap)
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(case.reference)))
    tumor = found == values.get(TUMOR.name, TUMOR.value)
    organ = tumor | (found == values.get(LIVER.name, LIVER.value))
    agreement = {"Liver Dice": dice(organ, np.isin(reference, case.sample.liver_values))}
    if case.sample.tumor_values:
        agreement["Tumour Dice"] = dice(tumor, np.isin(reference, case.sample.tumor_values))
    report = json.loads(case.report.read_text(encoding="utf-8"))
    return ReportCase(case.sample.name, report, case.picture, case.sample.about, agreement)


def _segment(inputs: list[str], options: list[str]) -> dict[str, dict[str, Any]]:
    """Run the command line as a user would, showing its progress; return the result event of each case."""
    command = [sys.executable, "-m", "LiverTumorSegLib", *inputs, *options, "--json-progress"]
    results: dict[str, dict[str, Any]] = {}
    message = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        progress = _ProgressLine()
        for event in _events(process):
            if event["event"] == "progress":
                progress.show(event["case"], event["fraction"], event["message"])
            elif event["event"] == "finding":
                progress.end()
                _say(f"{event['case']}: {event['grade']}: {event['message']}")
            elif event["event"] == "result":
                results[event["case"]] = event
            elif event["event"] == "error":
                message = event["message"]
        progress.end()
    if process.returncode:
        raise CommandFailedError(message or "the segmentation ended without saying why", process.returncode)
    return results


def _events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    if process.stdout is not None:
        yield from (json.loads(line) for line in process.stdout if line.startswith("{"))


class _ProgressLine:
    """One line that is rewritten on a terminal, and printed every tenth elsewhere."""

    def __init__(self) -> None:
        self._last = ("", -1)
        self._start = time.monotonic()
        self._open = False

    def show(self, case: str, fraction: float, message: str) -> None:
        """Show how far a case is."""
        terminal = sys.stdout.isatty()
        step = (case, int(fraction * (1000 if terminal else 10)))
        if step == self._last:
            return
        self._last = step
        bar = "#" * round(24 * fraction)
        text = f"{case}: [{bar:<24}] {100 * fraction:3.0f} %  {time.monotonic() - self._start:4.0f} s  {message}"
        self._open = terminal
        print(f"\r\033[K{text[:110]}" if terminal else text, end="" if terminal else "\n", flush=True)

    def end(self) -> None:
        """Leave the line, so that what follows starts on a new one."""
        if self._open:
            print(flush=True)
            self._open = False


def _say(text: str) -> None:
    print(text, flush=True)


def _say_what_came_out(cases: Sequence[ReportCase], output: Path, seconds: dict[str, float]) -> None:
    for case in cases:
        volumes = case.report["volumes_ml"]
        agreement = ", ".join(f"{name} {value:.3f}" for name, value in case.agreement.items())
        _say(
            f"\n{case.name}: liver {volumes['liver']:.0f} ml, tumour {volumes['tumor']:.1f} ml in "
            f"{len(case.report['lesions'])} lesions, {case.report['seconds']['total']:.1f} s. "
            f"Against the sample's labels: {agreement}"
        )
        _say(f"  {case.about}")
        _say(f"  picture: {case.picture}")
    _say(f"\nreport: {output / 'report.html'}\ndone in {seconds['total']:.0f} s. {NOTICE}")
