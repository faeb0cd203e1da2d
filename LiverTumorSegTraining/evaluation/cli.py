"""Command line of the evaluation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import UsageError

from .engine import Evaluation, evaluate
from .figure_files import write_figures
from .metrics import OPTIONAL_METRICS, WORST_AT_MISS
from .naming import described_references, named_cases, scheme_of
from .outputs import write_lesions_csv, write_metrics_csv, write_metrics_json
from .paired import PairedDifference, compare_models
from .pairing import pair_cases
from .references import references_in, wanted_cases
from .regions import PRESETS, Scheme, judged_scheme, parse_regions, with_lesions
from .report import write_estimate, write_report
from .tables import write_case_list, write_tables


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate predictions against references; return the exit code."""
    return exit_code(_run, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate.py",
        description="Score predicted labelmaps against reference labelmaps. Every reference counts: one without a "
        "prediction is a total miss. Writes metrics.json, metrics.csv, lesions.csv, cases.csv, table.csv, table.tex, "
        "report.html.",
    )
    parser.add_argument(
        "--references", type=Path, required=True, help="folder of reference labelmaps, or a data set of any layout"
    )
    parser.add_argument("--predictions", type=Path, required=True, help="folder of predictions, named alike")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--images", type=Path, help="folder of the scans, for pictures (default: beside the references)"
    )
    parser.add_argument(
        "--regions",
        nargs="+",
        metavar="NAME=VALUES",
        help=f"a preset ({', '.join(PRESETS)}) or regions such as liver=1,2 tumor=2 (default: what the names of the "
        "labels say: dataset.json, BraTS, segment names, the report beside a prediction)",
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        metavar="NAME",
        help="only these: names, a file with one a line, or a training run, whose held-out cases are taken",
    )
    parser.add_argument("--lesion-regions", nargs="+", metavar="NAME", help="regions whose components are lesions")
    parser.add_argument("--tolerance", type=float, default=2.0, metavar="MM", help="of the surface Dice (default 2)")
    parser.add_argument(
        "--also",
        nargs="+",
        choices=[metric.key for metric in OPTIONAL_METRICS],
        default=[],
        metavar="FIGURE",
        help=f"further figures: {', '.join(metric.key for metric in OPTIONAL_METRICS)} (rim as wide as --tolerance)",
    )
    parser.add_argument("--figures", action="store_true", help="also every figure as PNG and PDF, in OUTPUT/figures")
    parser.add_argument("--against", type=Path, help="folder of another model's predictions, for a paired comparison")
    parser.add_argument("--name", default="model", help="the model's name in the report")
    parser.add_argument("--against-name", default="other model", help="the other model's name")
    for role in ("reference", "prediction", "image"):
        parser.add_argument(f"--{role}-glob", metavar="GLOB", help=f"which {role} files, such as '*/seg.nii.gz'")
    parser.add_argument("--pictured-cases", type=int, default=10, help="worst cases to draw (default 10)")
    parser.add_argument("--pictured-lesions", type=int, default=60, help="missed lesions to draw (default 60)")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return parser


def _run(options: argparse.Namespace) -> None:
    given = None if options.regions is None else parse_regions(options.regions)
    if options.tolerance <= 0:
        raise UsageError("--tolerance must be above 0 mm.")
    if options.output.exists() and not options.output.is_dir():
        raise UsageError(f"--output {options.output} is a file; name a folder.")
    evaluation = _evaluate(options, options.predictions, given, options.name)
    scheme = evaluation.scheme
    compared = [evaluation]
    paired: list[PairedDifference] | None = None
    if options.against is not None:
        other = _evaluate(options, options.against, scheme, options.against_name)
        compared.append(other)
        paired = compare_models(list(evaluation.cases), list(other.cases), scheme)
    options.output.mkdir(parents=True, exist_ok=True)
    write_metrics_json(options.output / "metrics.json", evaluation, paired)
    write_metrics_csv(options.output / "metrics.csv", evaluation)
    write_lesions_csv(options.output / "lesions.csv", evaluation)
    write_tables(options.output, compared)
    write_case_list(options.output / "cases.csv", evaluation)
    figures = options.output / "figures" if options.figures else None
    write_report(
        options.output / "report.html",
        evaluation,
        paired,
        options.against_name if paired else None,
        options.pictured_cases,
        options.pictured_lesions,
        figures,
    )
    if figures is not None:
        write_figures(figures, evaluation, paired, options.against_name)
    _tell(evaluation, options.output)


def _evaluate(options: argparse.Namespace, predictions: Path, given: Scheme | None, model: str) -> Evaluation:
    description = described_references(options.references)
    known = None if options.reference_glob else references_in(options.references, description)
    cases, unused = pair_cases(
        options.references,
        predictions,
        options.images,
        options.reference_glob,
        options.prediction_glob,
        options.image_glob,
        known,
        wanted_cases(options.cases),
    )
    cases = named_cases(cases, description)
    scheme = judged_scheme(with_lesions(given or scheme_of(cases, description), options.lesion_regions), cases)

    def progress(number: int, name: str) -> None:
        sys.stderr.write(f"{model}: case {number} of {len(cases)}, {name}\n")

    return evaluate(cases, scheme, model, unused, options.tolerance, progress, options.also)


def _tell(evaluation: Evaluation, output: Path) -> None:
    """Write the few figures a person wants to see at once."""
    summary = evaluation.summary
    lines = [f"{summary.cases} cases, {len(summary.missing)} without a prediction"]
    for name, region in summary.regions.items():
        figures = ", ".join(f"{key} {write_estimate(region.per_case[key])}" for key in WORST_AT_MISS)
        lines.append(f"{name}: {figures}; pooled dice {write_estimate(region.pooled['dice'])}")
        if region.detection is not None:
            found = region.detection["lits"]["all"]
            lines.append(
                f"{name}: {found.found} of {found.recall.n} lesions found, {found.false_positives} of "
                f"{found.precision.n} predicted lesions false (LiTS rule)"
            )
    if evaluation.confidence is not None:
        detection = evaluation.confidence
        lines.append(
            f"tumor: average precision {write_estimate(detection.average_precision)}, AUROC of {detection.patients} "
            f"patients {write_estimate(detection.patient_auroc)}"
        )
    incomplete = [case.name for case in evaluation.paths if case.liver_only]
    if incomplete:
        lines.append(f"only the liver annotated, not in the figures of tumours: {', '.join(incomplete)}")
    lines.extend(f"missing prediction: {name}" for name in summary.missing)
    lines.extend(f"no reference for: {path.name}" for path in evaluation.unused)
    lines.append(f"report: {output / 'report.html'}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
