"""metrics.json, metrics.csv and lesions.csv."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.output.spreadsheet import spreadsheet_cell
from LiverTumorSegLib.wholefile import whole_file

from .engine import Evaluation
from .paired import PairedDifference

SCHEMA_VERSION = 1


def write_metrics_json(path: Path, evaluation: Evaluation, paired: list[PairedDifference] | None = None) -> None:
    """Write everything that was measured; figures that do not exist are null, never left out."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": evaluation.model,
        "tolerance_mm": evaluation.tolerance_mm,
        "regions": [dataclasses.asdict(region) for region in evaluation.scheme.regions],
        "metrics": [dataclasses.asdict(metric) for metric in evaluation.metrics],
        "missing_predictions": list(evaluation.summary.missing),
        "predictions_without_reference": [str(unused) for unused in evaluation.unused],
        "summary": dataclasses.asdict(evaluation.summary),
        "froc": dataclasses.asdict(evaluation.froc) if evaluation.froc else None,
        "lesion_confidence": dataclasses.asdict(evaluation.confidence) if evaluation.confidence else None,
        "reliability": dataclasses.asdict(evaluation.reliability) if evaluation.reliability else None,
        "paired": [dataclasses.asdict(difference) for difference in paired] if paired else None,
        "cases": [dataclasses.asdict(case) for case in evaluation.cases],
    }
    write_json(path, document, indent=1)


def write_metrics_csv(path: Path, evaluation: Evaluation) -> None:
    """Write one row for each case and region."""
    keys = [metric.key for metric in evaluation.metrics]
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "status", "region", *keys, "distance_penalised", "notes"])
        for case in evaluation.cases:
            for name, region in case.regions.items():
                figures = ["" if region.values[key] is None else f"{region.values[key]:.6g}" for key in keys]
                penalised = "yes" if region.penalised else "no"
                writer.writerow(
                    [spreadsheet_cell(case.name), case.status, name, *figures, penalised, "; ".join(case.notes)]
                )


def write_lesions_csv(path: Path, evaluation: Evaluation) -> None:
    """Write one row for each lesion of either side."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "case",
                "region",
                "side",
                "number",
                "volume_ml",
                "diameter_mm",
                "best_iou",
                "lits",
                "iou_half",
                "any_overlap",
            ]
        )
        for case in evaluation.cases:
            for name, region in case.regions.items():
                for lesion in region.lesions:
                    words = ("missed", "found") if lesion.side == "reference" else ("false", "true")
                    verdicts = [words[lesion.found[rule]] for rule in ("lits", "iou_half", "any_overlap")]
                    writer.writerow(
                        [
                            spreadsheet_cell(case.name),
                            name,
                            lesion.side,
                            lesion.number,
                            f"{lesion.volume_ml:.4g}",
                            f"{lesion.diameter_mm:.2f}",
                            f"{lesion.best_iou:.4f}",
                            *verdicts,
                        ]
                    )
