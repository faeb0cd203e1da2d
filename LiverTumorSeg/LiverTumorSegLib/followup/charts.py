"""Charts of a follow-up: volumes and diameters over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..output.palette import NEUTRAL, SERIES, chart, svg_uri
from .changes import Change
from .recist import SHRINKAGE, growth_limit_mm
from .timepoints import TimePoint

_MOST_CURVES = 12


def growth_chart(points: list[TimePoint], changes: list[Change]) -> str:
    """Return every lesion's volume over time, on a scale on which equal growth rates have equal slopes."""
    from matplotlib.ticker import LogLocator, NullFormatter

    places, ticks, label = _time_axis(points)
    with chart(6.0, 3.6) as (figure, axes):
        shown = sorted(changes, key=lambda change: -max(change.volumes_ml))[:_MOST_CURVES]
        for index, change in enumerate(shown):
            seen = [(x, volume) for x, volume in zip(places, change.volumes_ml, strict=True) if volume > 0]
            style = {"new": ":", "vanished": "--", "place not seen": "--"}.get(change.event, "-")
            axes.plot(
                [x for x, _ in seen],
                [volume for _, volume in seen],
                style,
                color=SERIES[index % len(SERIES)],
                marker="os^Dv"[(index // len(SERIES)) % 5],
                label=f"{change.track.number} ({change.event})",
            )
        totals = [point.tumor_ml for point in points]
        if len(changes) > 1:
            axes.plot(places, totals, color="black", linewidth=2.2, marker="s", label="all lesions")
        axes.set_yscale("log")
        volumes = [volume for change in shown for volume in change.volumes_ml if volume > 0]
        # Room above and below, so that a change of a few per cent does not fill the chart.
        axes.set_ylim(0.5 * min(volumes), 1.8 * max(*volumes, *totals))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("Volume (ml), logarithmic")
        axes.set_title(_count(len(shown), len(changes)))
        _dress(axes, places, ticks, label)
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return svg_uri(figure)


def sum_chart(points: list[TimePoint], sums: Sequence[float | None]) -> str:
    """Return the sum of target diameters over time with the RECIST 1.1 limits; None where it is not known."""
    places, ticks, label = _time_axis(points)
    known = [(x, value) for x, value in zip(places, sums, strict=True) if value is not None]
    baseline, smallest = known[0][1], min(value for _, value in known)
    with chart(4.2, 3.6) as (figure, axes):
        axes.plot(*zip(*known, strict=True), color=SERIES[0], marker="o", linewidth=2.0)
        for x, value in known:
            axes.annotate(
                f"{value:.0f} mm", (x, value), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8
            )
        axes.axhline((1.0 - SHRINKAGE) * baseline, color=SERIES[2], linestyle="--", linewidth=1.0)
        axes.annotate(
            "-30 % of baseline",
            (places[0], (1.0 - SHRINKAGE) * baseline),
            xytext=(2, 3),
            textcoords="offset points",
            fontsize=7.5,
        )
        limit = growth_limit_mm(smallest)
        axes.axhline(limit, color=SERIES[5], linestyle="--", linewidth=1.0)
        axes.annotate(
            "+20 % of smallest sum", (places[0], limit), xytext=(2, 3), textcoords="offset points", fontsize=7.5
        )
        axes.set_ylim(0, 1.18 * max(limit, *(value for _, value in known)))
        axes.set_ylabel("Sum of target diameters (mm)")
        _dress(axes, places, ticks, label)
        return svg_uri(figure)


def _time_axis(points: list[TimePoint]) -> tuple[list[float], list[str], str]:
    """Return positions, tick labels and axis label: days when every scan is dated, else the order."""
    days = [point.day for point in points]
    if all(day is not None for day in days):
        places = [float((day - days[0]).days) for day in days]  # type: ignore[operator]
        return places, [f"{day:%Y-%m-%d}" for day in days], "Date"
    return [float(index) for index in range(len(points))], [point.name for point in points], "Scan (order only)"


def _dress(axes: Any, places: list[float], ticks: list[str], label: str) -> None:
    short = [tick if len(tick) <= 22 else tick[:21] + "\N{HORIZONTAL ELLIPSIS}" for tick in ticks]
    axes.set_xticks(places, short, rotation=15 if max(map(len, short)) > 12 else 0, fontsize=8)
    span = (places[-1] - places[0]) or 1.0
    axes.set_xlim(places[0] - 0.15 * span, places[-1] + 0.15 * span)
    axes.set_xlabel(label, color=NEUTRAL)
    axes.grid(axis="y", which="both", alpha=0.6)


def _count(shown: int, total: int) -> str:
    word = "lesion" if total == 1 else "lesions"
    return f"{total} {word}" if shown == total else f"{shown} largest of {total} {word}"
