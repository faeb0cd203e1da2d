"""The charts of the evaluation report; every one says how many cases or lesions it shows.

Each is handed to `write` when it is drawn, and what that returns is given back: a data URI for the page by default.
"""

from __future__ import annotations

import numpy as np
from LiverTumorSegLib.output.palette import (
    AGREEMENT,
    GRID,
    NEUTRAL,
    PREDICTION,
    REFERENCE,
    SERIES,
    Writer,
    chart,
    svg_uri,
)

from .engine import Evaluation
from .lesion_summary import RULES, SIZE_CLASSES
from .metrics import BY_KEY
from .paired import PairedDifference

BAR_METRICS = ("dice", "iou", "accuracy", "precision", "recall", "specificity", "nsd")
_MOST_NAMED_CASES = 40


def score_bars(evaluation: Evaluation, write: Writer = svg_uri) -> str:
    """Return bars of the mean scores per region with their 95 % intervals, cases as dots."""
    regions = list(evaluation.summary.regions)
    with chart(10.6, 3.6) as (figure, axes):
        width = 0.8 / len(regions)
        generator = np.random.default_rng(0)
        for place, name in enumerate(regions):
            summary = evaluation.summary.regions[name]
            at = np.arange(len(BAR_METRICS)) + (place - (len(regions) - 1) / 2) * width
            estimates = [summary.per_case[key] for key in BAR_METRICS]
            heights = [estimate.value or 0.0 for estimate in estimates]
            color = SERIES[place % len(SERIES)]
            axes.bar(
                at, heights, width * 0.92, color=color, alpha=0.85, label=f"{name} (n = {summary.per_case['dice'].n})"
            )
            for x, estimate, key in zip(at, estimates, BAR_METRICS, strict=True):
                values = [v for v in (case.regions[name].values[key] for case in evaluation.cases) if v is not None]
                jitter = generator.uniform(-0.25, 0.25, len(values)) * width
                axes.scatter(x + jitter, values, s=9, color="white", edgecolor="black", linewidth=0.5, zorder=3)
                if estimate.low is not None and estimate.high is not None and estimate.value is not None:
                    ends = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
                    axes.errorbar(x, estimate.value, yerr=ends, color="black", capsize=3, linewidth=1.2, zorder=4)
        axes.set_xticks(np.arange(len(BAR_METRICS)), [BY_KEY[key].label for key in BAR_METRICS], fontsize=8.5)
        axes.set_ylim(0, 1.04)
        axes.set_ylabel("Mean over cases")
        axes.grid(axis="y")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=len(regions), frameon=False)
        return write(figure)


def case_bars(evaluation: Evaluation, region: str, key: str = "dice", write: Writer = svg_uri) -> str:
    """Return one bar for each case, worst first."""
    rows = sorted(
        ((case.regions[region].values[key], case.name) for case in evaluation.cases if case.regions[region].judged),
        key=lambda row: (row[0] is not None, row[0] or 0.0),
    )[:_MOST_NAMED_CASES]
    with chart(10.6, max(1.3, 0.24 * len(rows) + 0.9)) as (figure, axes):
        values = [value or 0.0 for value, _ in rows]
        axes.barh(range(len(rows)), values, color=SERIES[0], height=0.72)
        axes.set_yticks(range(len(rows)), [_short(name) for _, name in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        for place, (value, _) in enumerate(rows):
            axes.text(
                (value or 0.0) + 0.01, place, "none" if value is None else f"{value:.3f}", va="center", fontsize=8
            )
        axes.set_xlabel(f"{BY_KEY[key].label}, {region}")
        judged = sum(case.regions[region].judged for case in evaluation.cases)
        axes.set_title(_count(len(rows), judged, "cases, worst first"))
        axes.grid(axis="x")
        return write(figure)


def score_boxes(
    evaluation: Evaluation,
    keys: tuple[str, ...] = ("dice", "nsd", "assd_mm", "hd95_mm"),
    write: Writer = svg_uri,
) -> str:
    """Return box plots of the cases' scores, one panel for each metric, a box for each region."""
    regions = list(evaluation.summary.regions)
    with chart(10.6, 3.1, ncols=len(keys)) as (figure, panels):
        generator = np.random.default_rng(0)
        for axes, key in zip(panels, keys, strict=True):
            columns = [
                [v for v in (case.regions[name].values[key] for case in evaluation.cases) if v is not None]
                for name in regions
            ]
            boxes = axes.boxplot(columns, widths=0.55, showfliers=False, patch_artist=True)
            for box, median, color in zip(boxes["boxes"], boxes["medians"], SERIES, strict=False):
                box.set(facecolor=color, alpha=0.55, edgecolor="black")
                median.set(color="black", linewidth=1.6)
            for place, column in enumerate(columns, start=1):
                jitter = generator.uniform(-0.16, 0.16, len(column))
                axes.scatter(place + jitter, column, s=11, color="white", edgecolor="black", linewidth=0.6, zorder=3)
            axes.set_xticks(
                range(1, len(regions) + 1),
                [f"{name}\nn = {len(column)}" for name, column in zip(regions, columns, strict=True)],
            )
            axes.set_title(BY_KEY[key].title.replace(" (", "\n("), fontsize=9)
            axes.set_ylim(bottom=0, top=1.04 if not BY_KEY[key].unit else None)
            axes.grid(axis="y")
        return write(figure)


def bland_altman(evaluation: Evaluation, region: str, write: Writer = svg_uri) -> str:
    """Return the Bland-Altman plot of a region's volumes."""
    agreement = evaluation.summary.regions[region].agreement
    values = [case.regions[region].values for case in evaluation.cases if case.regions[region].judged]
    mean = np.array([(v["reference_ml"] + v["prediction_ml"]) / 2.0 for v in values])  # type: ignore[operator]
    difference = np.array([v["volume_difference_ml"] for v in values], dtype=float)
    with chart(5.1, 3.4) as (figure, axes):
        axes.axhline(0.0, color=NEUTRAL, linewidth=0.8)
        axes.axhline(agreement.bias_ml, color=REFERENCE, linewidth=1.6)
        axes.scatter(mean, difference, s=22, color=PREDICTION, edgecolor="white", linewidth=0.6, zorder=3)
        lines = [(agreement.bias_ml, "bias")]
        if agreement.low_ml is not None and agreement.high_ml is not None and agreement.n > 2:
            axes.axhspan(agreement.low_ml, agreement.high_ml, color=REFERENCE, alpha=0.08)
            lines += [(agreement.high_ml, "+1.96 SD"), (agreement.low_ml, "-1.96 SD")]
            for place, _ in lines[1:]:
                axes.axhline(place, color=REFERENCE, linewidth=1.0, linestyle="--")
        # Room on the right for the lines' names.
        left, right = axes.get_xlim()
        axes.set_xlim(left, right + 0.34 * (right - left))
        for place, word in lines:
            axes.annotate(
                f"{word} {place:+.1f} ml",
                (axes.get_xlim()[1], place),
                xytext=(-2, 3),
                textcoords="offset points",
                ha="right",
                fontsize=7.5,
                color=REFERENCE,
            )
        axes.set_xlabel(f"Mean of both volumes, {region} (ml)")
        axes.set_ylabel("Prediction - reference (ml)")
        axes.set_title(f"{region}, n = {agreement.n}")
        axes.grid(color=GRID)
        return write(figure)


def detection_bars(evaluation: Evaluation, region: str, write: Writer = svg_uri) -> str:
    """Return precision, recall and F1 by lesion size, one panel for each matching rule."""
    detection = evaluation.summary.regions[region].detection or {}
    with chart(10.6, 3.3, ncols=len(RULES), sharey=True) as (figure, panels):
        for axes, (rule, title) in zip(panels, RULES.items(), strict=True):
            for place, (key, color) in enumerate((("precision", SERIES[0]), ("recall", SERIES[1]), ("f1", SERIES[2]))):
                for group, size in enumerate(SIZE_CLASSES):
                    estimate = getattr(detection[rule][size], key)
                    x = group + (place - 1) * 0.27
                    axes.bar(x, estimate.value or 0.0, 0.25, color=color, label=key if group == 0 else None)
                    if estimate.low is not None:
                        ends = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
                        axes.errorbar(x, estimate.value, yerr=ends, color="black", capsize=2, linewidth=0.9)
                    if estimate.value is None:
                        axes.text(x, 0.01, "\N{EM DASH}", ha="center", fontsize=7, color=NEUTRAL)
            labels = [
                f"{size}\n{detection[rule][size].recall.n} ref.\n{detection[rule][size].precision.n} pred."
                for size in SIZE_CLASSES
            ]
            axes.set_xticks(range(len(SIZE_CLASSES)), labels, fontsize=7.5)
            axes.set_ylim(0, 1.05)
            axes.set_title(title, fontsize=9)
            axes.grid(axis="y")
        handles = panels[0].get_legend_handles_labels()[0]
        figure.legend(handles, ["precision", "recall", "F1"], frameon=False, ncols=3, loc="outside upper right")
        return write(figure)


def froc_chart(evaluation: Evaluation, write: Writer = svg_uri) -> str | None:
    """Return the FROC curve, or None without probabilities."""
    froc = evaluation.froc
    if froc is None or froc.lesions == 0:
        return None
    with chart(8.6, 3.6) as (figure, axes):
        for (rule, title), color, style in zip(RULES.items(), SERIES, ("-", "--", ":"), strict=False):
            points = froc.points[rule]
            rates = [point.false_positives_per_scan for point in points]
            found = [point.sensitivity for point in points]
            axes.plot(rates, found, style, color=color, marker="o", markersize=4, label=title)
            if rule == "lits":
                for point in points:
                    if point.threshold in (0.1, 0.5, 0.9):
                        axes.annotate(
                            f"p = {point.threshold:g}",
                            (point.false_positives_per_scan, point.sensitivity),
                            xytext=(4, -10),
                            textcoords="offset points",
                            fontsize=7.5,
                            color=color,
                        )
        axes.set_xlabel("False positives per scan")
        axes.set_ylabel("Sensitivity")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.04)
        axes.set_title(f"{froc.lesions} lesions, {_scans(froc.cases)}")
        axes.grid()
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
        return write(figure)


def confidence_chart(evaluation: Evaluation, write: Writer = svg_uri) -> str | None:
    """Return the FROC curve over the confidence of the lesions, or None without probabilities."""
    detection = evaluation.confidence
    if detection is None or not detection.lesions or not detection.points:
        return None
    with chart(8.6, 3.2) as (figure, axes):
        rates = [0.0, *(point.false_positives_per_scan for point in detection.points)]
        found = [0.0, *(point.sensitivity or 0.0 for point in detection.points)]
        axes.step(rates, found, where="post", color=SERIES[0], linewidth=1.6)
        axes.set_xlabel("False positives per scan")
        axes.set_ylabel("Sensitivity")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.04)
        axes.set_title(f"{detection.lesions} lesions, {_scans(detection.cases)}")
        axes.grid()
        return write(figure)


def reliability_chart(evaluation: Evaluation, write: Writer = svg_uri) -> str | None:
    """Return the reliability diagram beside Dice against threshold, or None without probabilities."""
    reliability = evaluation.reliability
    if reliability is None or not reliability.bins:
        return None
    with chart(8.6, 3.6, ncols=2) as (figure, (left, right)):
        left.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=0.8)
        shown = [(part.probability, part.observed) for part in reliability.bins]
        left.plot(*zip(*shown, strict=True), color=SERIES[0], marker="o", markersize=4)
        left.set_xlabel("Tumour probability given")
        left.set_ylabel("Part of the voxels that is tumour")
        left.set_xlim(0, 1)
        left.set_ylim(0, 1)
        left.set_title(f"{sum(part.voxels for part in reliability.bins):,} voxels, {_scans(reliability.cases)}")
        left.grid()
        right.plot(list(reliability.dice), list(reliability.dice.values()), color=SERIES[1], marker="o", markersize=4)
        right.set_xlabel("Threshold")
        right.set_ylabel("Mean tumour Dice")
        right.set_xlim(0, 1)
        right.set_ylim(0, 1.04)
        right.set_title(f"{_scans(reliability.tumor_cases)} with tumour")
        right.grid()
        return write(figure)


def paired_chart(difference: PairedDifference, first: str, second: str, write: Writer = svg_uri) -> str:
    """Return the per-case differences of two models, sorted."""
    metric = BY_KEY[difference.metric]
    rows = sorted(zip(difference.differences, difference.cases, strict=True), reverse=metric.better == "lower")
    shown = rows if len(rows) <= _MOST_NAMED_CASES else []
    with chart(5.1, max(1.8, 0.22 * len(shown) + 1.1) if shown else 3.2) as (figure, axes):
        sign = 1.0 if metric.better == "higher" else -1.0
        colors = [AGREEMENT if sign * value > 0 else PREDICTION if sign * value < 0 else NEUTRAL for value, _ in rows]
        axes.barh(range(len(rows)), [value for value, _ in rows], color=colors, height=0.75)
        axes.axvline(0.0, color="black", linewidth=0.8)
        if shown:
            axes.set_yticks(range(len(rows)), [_short(name) for _, name in rows], fontsize=8)
        else:
            axes.set_yticks([])
            axes.set_ylabel("Cases, sorted")
        axes.set_xlabel(f"{metric.title}, {difference.region}: {_short(first)} - {_short(second)}")
        axes.set_title(
            f"{difference.better} better, {difference.worse} worse, {difference.equal} equal (n = {len(rows)})"
        )
        axes.grid(axis="x")
        return write(figure)


def _short(name: str, longest: int = 34) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _scans(count: int) -> str:
    return f"n = {count} scan{'' if count == 1 else 's'}"


def _count(shown: int, all_: int, words: str) -> str:
    return f"{all_} {words}" if shown == all_ else f"{shown} of {all_} {words}"
