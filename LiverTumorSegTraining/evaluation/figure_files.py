"""The report's figures as PNG and PDF files, for papers and slides."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from LiverTumorSegLib.output.palette import Writer
from LiverTumorSegLib.wholefile import whole_file

from .charts import (
    bland_altman,
    case_bars,
    confidence_chart,
    detection_bars,
    froc_chart,
    paired_chart,
    reliability_chart,
    score_bars,
    score_boxes,
)
from .engine import Evaluation
from .paired import PairedDifference

FORMATS = ("png", "pdf")
DPI = 300


def file_writer(folder: Path, name: str, also: Writer | None = None) -> Writer:
    """Return a function that writes a figure as FOLDER/NAME.png and .pdf.

    Parameters
    ----------
    folder : Path
        Made when absent.
    name : str
        What is no letter, digit, dot or dash becomes an underscore.
    also : callable, optional
        Given the figure too; what it returns is returned in place of the path.
    """

    def write(figure: Any) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / re.sub(r"[^\w.-]+", "_", name)
        for suffix in FORMATS:
            target = stem.with_name(f"{stem.name}.{suffix}")
            with whole_file(target) as partial:
                # The date would make two runs differ.
                dateless = {"CreationDate": None} if suffix == "pdf" else {}
                figure.savefig(partial, format=suffix, dpi=DPI, metadata=dateless)
        return also(figure) if also is not None else str(stem)

    return write


def write_figures(
    folder: Path, evaluation: Evaluation, paired: list[PairedDifference] | None, other_model: str | None
) -> None:
    """Write every chart of the report as PNG and PDF.

    Parameters
    ----------
    folder : Path
        Made when absent.
    evaluation : Evaluation
    paired : list of PairedDifference, optional
        Comparison with another model, whose name is ``other_model``.
    """

    def into(name: str) -> Writer:
        return file_writer(folder, name)

    whole: dict[str, Callable[..., str | None]] = {
        "scores": score_bars,
        "score_boxes": score_boxes,
        "froc": froc_chart,
        "lesion_confidence": confidence_chart,
        "reliability": reliability_chart,
    }
    for name, draw in whole.items():
        draw(evaluation, write=into(name))
    for region in evaluation.scheme.regions:
        case_bars(evaluation, region.name, write=into(f"cases_{region.name}"))
        bland_altman(evaluation, region.name, write=into(f"volumes_{region.name}"))
        if region.lesions:
            detection_bars(evaluation, region.name, write=into(f"lesions_{region.name}"))
    for difference in paired or []:
        name = f"paired_{difference.region}_{difference.metric}"
        paired_chart(difference, evaluation.model, other_model or "other", write=into(name))
