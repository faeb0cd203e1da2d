"""report.html: one self-contained page; the worst cases come first, and each missed lesion has a strip of slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from LiverTumorSegLib.output.page import page_environment, write_number
from LiverTumorSegLib.output.palette import picture_uri
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegTraining.data.studies.study import read_image

from .bootstrap import FEWEST_CASES, RESAMPLES, Estimate
from .case_scores import CaseScores, LesionRecord
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
from .figure_files import file_writer
from .lesion_summary import RULES, SIZE_CLASSES
from .loading import load_case
from .metrics import BY_KEY, WORST_AT_MISS
from .paired import PairedDifference
from .pairing import CasePaths
from .pictures import Scene, lesion_strip, make_scene, worst_slice_picture

PAIRED_CHARTS = ("dice", "nsd", "hd95_mm")


@dataclass(frozen=True)
class MissedLesion:
    """One reference lesion that the headline rule does not count as found."""

    case: str
    region: str
    lesion: LesionRecord
    picture: str | None


@dataclass(frozen=True)
class CasePicture:
    """The worst slice of one case."""

    case: CaseScores
    region: str
    picture: str
    slice_number: int
    with_scan: bool


def write_report(
    path: Path,
    evaluation: Evaluation,
    paired: list[PairedDifference] | None = None,
    other_model: str | None = None,
    pictured_cases: int = 10,
    pictured_lesions: int = 60,
    figures: Path | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    evaluation : Evaluation
    paired : list of PairedDifference, optional
        Comparison with another model, whose name is ``other_model``.
    pictured_cases, pictured_lesions : int
        How many of the worst cases and of the missed lesions (largest first) get a picture; the page says how many
        there are in all.
    figures : Path, optional
        Folder that also receives the slices of the worst cases as PNG and PDF.
    """
    pictures, missed = _pictures(evaluation, pictured_cases, pictured_lesions, figures)
    lesion_regions = [region.name for region in evaluation.scheme.regions if region.lesions]
    environment = page_environment(Path(__file__).parent / "templates")
    environment.filters["estimate"] = write_estimate
    page = environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        summary=evaluation.summary,
        metrics=evaluation.metrics,
        scores=[metric for metric in evaluation.metrics if metric.better != "none"],
        by_key=BY_KEY,
        worst_at_miss=WORST_AT_MISS,
        rules=RULES,
        sizes=SIZE_CLASSES,
        fewest=FEWEST_CASES,
        resamples=RESAMPLES,
        bars=score_bars(evaluation),
        boxes=score_boxes(evaluation),
        case_bars={region.name: case_bars(evaluation, region.name) for region in evaluation.scheme.regions},
        agreement={region.name: bland_altman(evaluation, region.name) for region in evaluation.scheme.regions},
        detection={name: detection_bars(evaluation, name) for name in lesion_regions},
        froc=froc_chart(evaluation),
        confidence=confidence_chart(evaluation),
        reliability=reliability_chart(evaluation),
        pictures=pictures,
        missed=missed,
        paired=paired or [],
        paired_charts=_paired_charts(paired or [], evaluation.model, other_model or "other"),
        other_model=other_model,
    )
    write_text(path, page)


def write_estimate(estimate: Estimate, digits: int = 3) -> str:
    """Return "value [low, high]"."""
    value = write_number(estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def headline_region(evaluation: Evaluation) -> str:
    """Return the region by which cases are ranked: the first that has lesions, else the last."""
    regions = evaluation.scheme.regions
    return next((region.name for region in regions if region.lesions), regions[-1].name)


def worst_first(evaluation: Evaluation) -> list[CaseScores]:
    """Return the cases in which the headline region is judged, lowest Dice first."""
    name = headline_region(evaluation)
    judged = [case for case in evaluation.cases if case.regions[name].judged]
    return sorted(judged, key=lambda case: (case.regions[name].values["dice"] or 0.0, case.name))


def _pictures(
    evaluation: Evaluation, pictured_cases: int, pictured_lesions: int, figures: Path | None = None
) -> tuple[list[CasePicture], list[MissedLesion]]:
    """Draw the worst cases and the missed lesions, reading each case once."""
    name = headline_region(evaluation)
    region = evaluation.scheme.region(name)
    ranked = worst_first(evaluation)
    chosen = {case.name for case in ranked[:pictured_cases]}
    missed = [
        (case.name, lesion)
        for case in evaluation.cases
        for lesion in case.regions[name].lesions
        if lesion.side == "reference" and not lesion.found["lits"]
    ]
    missed.sort(key=lambda pair: -pair[1].volume_ml)
    drawn_lesions = missed[:pictured_lesions]
    drawn: dict[str, CasePicture] = {}
    strips: dict[tuple[str, int], str] = {}
    for paths, case in zip(evaluation.paths, evaluation.cases, strict=True):
        lesions = [lesion for owner, lesion in drawn_lesions if owner == case.name]
        if case.name not in chosen and not lesions:
            continue
        scene = _scene(paths, evaluation)
        if case.name in chosen:
            write = picture_uri if figures is None else file_writer(figures, f"slice_{case.name}", picture_uri)
            picture, number = worst_slice_picture(scene, region, evaluation.scheme.ignore, write)
            drawn[case.name] = CasePicture(case, name, picture, number, scene.image is not None)
        for lesion in lesions:
            strips[case.name, lesion.number] = lesion_strip(scene, lesion, region)
    return (
        [drawn[case.name] for case in ranked if case.name in drawn],
        [MissedLesion(owner, name, lesion, strips.get((owner, lesion.number))) for owner, lesion in missed],
    )


def _scene(paths: CasePaths, evaluation: Evaluation) -> Scene:
    loaded = load_case(paths, evaluation.scheme)
    return make_scene(loaded, _image(paths.image) if paths.image is not None else None)


def _image(path: Path) -> sitk.Image:
    return read_image(path) if path.is_dir() else sitk.ReadImage(str(path))


def _paired_charts(paired: list[PairedDifference], first: str, second: str) -> list[str]:
    return [paired_chart(difference, first, second) for difference in paired if difference.metric in PAIRED_CHARTS]
