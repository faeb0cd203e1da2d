"""The command line of the accuracy figures: python -m LiverTumorSegTraining.benchmark.accuracy_cli --help."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import SimpleITK as sitk
from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.models import LOCALISER, models_folder
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.pipeline.quality import QUALITIES
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegTraining.benchmark.accuracy import Labelled, labelled_case, labelled_sample, score, table, totals
from LiverTumorSegTraining.benchmark.pasted_mass import scans_with_mass
from LiverTumorSegTraining.benchmark.synthetic_set import synthetic_scans
from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.demo.samples import SAMPLES, fetch
from LiverTumorSegTraining.recipe.config import DataConfig


def main(arguments: list[str] | None = None) -> int:
    """Score a model; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="accuracy",
        description="Score a model end to end on labelled scans: Dice, false millilitres, lesions by size.",
    )
    parser.add_argument("--model", type=Path, required=True, help="bundle of the fine network")
    parser.add_argument("--localiser", type=Path, help="bundle of the localiser (default: the shipped one)")
    parser.add_argument("--data", type=Path, help="data set whose labels are liver and tumour")
    parser.add_argument("--cases", nargs="*", default=[], help="cases, or patients, of it (default: all)")
    parser.add_argument("--samples", type=Path, help="folder of the public samples, fetched when absent")
    made_up = parser.add_mutually_exclusive_group()
    made_up.add_argument(
        "--synthetic",
        type=int,
        default=0,
        help="instead of the cases as they are: so many of them with made-up tumours",
    )
    made_up.add_argument(
        "--mass",
        type=float,
        default=0.0,
        help="instead of the cases as they are: those without tumour, a cystic mass of so many ml beside the liver",
    )
    parser.add_argument("--quality", default="standard", choices=list(QUALITIES))
    parser.add_argument("--threshold", type=float, help="tumour probability from which a voxel is tumour")
    parser.add_argument("--output", type=Path, required=True, help="FILE.json; the table is written beside it as .md")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    localiser = load_bundle(options.localiser or models_folder() / LOCALISER)
    segmenter = Segmenter(load_bundle(options.model), localiser, quality=options.quality, threshold=options.threshold)
    rows = []
    for scan in _scans(options):
        rows.append(score(segmenter, scan))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.output, [dataclasses.asdict(row) for row in rows])
    write_text(options.output.with_suffix(".md"), f"{table(rows)}\n{totals(rows)}\n" if rows else table(rows))


def _scans(options: argparse.Namespace) -> Iterator[Labelled]:
    scans = _scans_as_they_are(options)
    if options.mass:
        return scans_with_mass(scans, options.mass)
    return synthetic_scans(scans, options.synthetic) if options.synthetic else scans


def _scans_as_they_are(options: argparse.Namespace) -> Iterator[Labelled]:
    if options.data is not None:
        cases = find_cases(options.data, DataConfig())
        wanted = set(options.cases)
        unknown = wanted - {name for case in cases for name in (case.name, case.patient)}
        if unknown:
            raise InputError(f"{options.data} holds no case or patient {', '.join(sorted(unknown))}: check --cases.")
        for case in cases:
            if not wanted or {case.name, case.patient} & wanted:
                yield labelled_case(case)
    if options.samples is not None:
        for sample in SAMPLES:
            image, label = fetch(sample, options.samples, offline=False, say=lambda line: print(line, flush=True))
            yield labelled_sample(sample, sitk.ReadImage(str(image)), sitk.ReadImage(str(label)))


if __name__ == "__main__":
    sys.exit(main())
