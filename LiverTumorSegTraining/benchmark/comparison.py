"""Candidates measured in turns, and the one form in which every measurement is reported."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .child import ChildRun
from .machine import describe_machine

OURS = "livertumorseg"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measurement:
    """One run of one candidate.

    Attributes
    ----------
    seconds : dict of str to float
        Of each stage, and "total", without the start of Python and its imports; "wall" includes them.
    cpu_seconds : float
        Processor time.
    peak_rss_mb : float
        Most memory the process held, MiB.
    figures : dict
        What it computed: a candidate that skipped its work shows here.
    """

    seconds: dict[str, float]
    cpu_seconds: float
    peak_rss_mb: float
    figures: dict[str, Any] = field(default_factory=dict)


def measurement_of(run: ChildRun) -> Measurement:
    """Return what a worker measured of itself: the last line it printed, one JSON object.

    Its "seconds" {"total": s, ...} is needed; "cpu_seconds" is the whole process's where the worker gives none.
    """
    content = json.loads(run.lines[-1][1])
    return Measurement(
        {**content["seconds"], "wall": run.wall_s},
        content.get("cpu_seconds", run.cpu_s),
        run.peak_rss_mb,
        content.get("figures", {}),
    )


def compare(
    candidates: Mapping[str, Callable[[], Measurement]], *, rounds: int, threads: int, say: Say
) -> dict[str, Any]:
    """Run the candidates in turns, ours first, and return the comparison of their medians.

    Parameters
    ----------
    candidates : mapping of str to callable
        `OURS` and its peers; each call is one run.
    rounds : int
        How often each runs. In turns, so that the machine's load meets all alike.
    threads : int
        Threads of every candidate.
    say : callable
        Told what is running.

    Returns
    -------
    dict
        ``machine``, ``rounds``; by candidate ``seconds`` {stage: median, "total", "wall"}, ``totals`` (each run's),
        ``cpu_seconds``, ``peak_rss_mb``, ``figures``; by peer ``ratios`` (its total over ours) and ``cpu_ratios``.
    """
    runs: dict[str, list[Measurement]] = {name: [] for name in candidates}
    for number in range(1, rounds + 1):
        for name, run in candidates.items():
            say(f"running {name}, {number} of {rounds}")
            runs[name].append(run())
    seconds = {
        name: {stage: statistics.median(run.seconds[stage] for run in done) for stage in done[0].seconds}
        for name, done in runs.items()
    }
    cpu = {name: statistics.median(run.cpu_seconds for run in done) for name, done in runs.items()}
    peers = [name for name in runs if name != OURS]
    return {
        "machine": describe_machine(threads),
        "rounds": rounds,
        "seconds": seconds,
        "totals": {name: [round(run.seconds["total"], 3) for run in done] for name, done in runs.items()},
        "cpu_seconds": cpu,
        "peak_rss_mb": {name: max(run.peak_rss_mb for run in done) for name, done in runs.items()},
        "ratios": {name: seconds[name]["total"] / seconds[OURS]["total"] for name in peers},
        "cpu_ratios": {name: cpu[name] / cpu[OURS] for name in peers},
        "figures": {name: done[-1].figures for name, done in runs.items()},
    }
