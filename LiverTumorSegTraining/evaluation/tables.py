"""table.csv and table.tex, the figures a paper shows, and cases.csv, what they were measured on."""

from __future__ import annotations

import csv
from pathlib import Path

from LiverTumorSegLib.wholefile import whole_file, write_text

from LiverTumorSegTraining.data.preparation_cache import content_hash

from .bootstrap import Estimate
from .engine import Evaluation
from .outputs import spreadsheet_cell

_SHOWN = ("dice", "iou", "precision", "recall", "nsd", "assd_mm", "hd95_mm")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def write_tables(folder: Path, evaluations: list[Evaluation]) -> None:
    """Write table.csv and table.tex: a row for each model and region.

    Parameters
    ----------
    folder : Path
    evaluations : list of Evaluation
        The models compared, of one scheme.
    """
    rows = [(one.model, name, _figures(one, name)) for one in evaluations for name in one.summary.regions]
    titles = list(dict.fromkeys(title for _, _, figures in rows for title in figures))
    with whole_file(folder / "table.csv") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        parts = [f"{title}{part}" for title in titles for part in ("", " low", " high", " n")]
        writer.writerow(["model", "region", *parts])
        for model, region, figures in rows:
            cells = [cell for title in titles for cell in _cells(figures.get(title))]
            writer.writerow([spreadsheet_cell(model), region, *cells])
    write_text(folder / "table.tex", _latex(rows, titles, len({one.model for one in evaluations}) > 1))


def write_case_list(path: Path, evaluation: Evaluation) -> None:
    """Write a row for each case: its files with their SHA-256, so that others can see what was scored."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["case", "patient", "status", "reference", "reference_sha256", "prediction", "prediction_sha256"]
        )
        for paths, case in zip(evaluation.paths, evaluation.cases, strict=True):
            found = paths.prediction
            writer.writerow(
                [
                    *(spreadsheet_cell(text) for text in (case.name, paths.patient, case.status)),
                    *(spreadsheet_cell(paths.reference.name), content_hash(paths.reference)),
                    *((spreadsheet_cell(found.name), content_hash(found)) if found is not None else ("", "")),
                ]
            )


def _figures(evaluation: Evaluation, region: str) -> dict[str, Estimate]:
    summary = evaluation.summary.regions[region]
    shown = [m for m in evaluation.metrics if m.key in _SHOWN or m.key in ("boundary_iou", "cldice")]
    figures = {metric.title: summary.per_case[metric.key] for metric in shown}
    figures["Dice, pooled"] = summary.pooled["dice"]
    if summary.detection is not None:
        found = summary.detection["lits"]["all"]
        figures |= {"Lesion recall": found.recall, "Lesion precision": found.precision, "Lesion F1": found.f1}
    if summary.detection is not None and region == "tumor" and evaluation.confidence is not None:
        figures["Lesion AP"] = evaluation.confidence.average_precision
        figures["Patient AUROC"] = evaluation.confidence.patient_auroc
    return figures


def _cells(estimate: Estimate | None) -> list[str]:
    if estimate is None:
        return ["", "", "", ""]
    numbers = (estimate.value, estimate.low, estimate.high)
    return ["" if number is None else f"{number:.6g}" for number in numbers] + [str(estimate.n)]


def _latex(rows: list[tuple[str, str, dict[str, Estimate]]], titles: list[str], several: bool) -> str:
    """Return a table in the style of booktabs: figures down, regions (and models) across."""
    heads = [f"{model}, {region}" if several else region for model, region, _ in rows]
    lines = [
        "% Needs \\usepackage{booktabs}. Means over cases with 95 % intervals from resampled cases.",
        f"\\begin{{tabular}}{{l{'r' * len(rows)}}}",
        "\\toprule",
        " & ".join(["", *map(_escaped, heads)]) + r" \\",
        "\\midrule",
    ]
    for title in titles:
        cells = [_written(figures.get(title)) for _, _, figures in rows]
        lines.append(" & ".join([_escaped(title), *cells]) + r" \\")
    counts = [str(figures["Dice"].n) for _, _, figures in rows]
    lines += ["\\midrule", " & ".join(["Cases", *counts]) + r" \\", "\\bottomrule", "\\end{tabular}"]
    return "\n".join(lines) + "\n"


def _written(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "--"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text)
