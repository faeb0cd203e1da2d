"""report.html of a follow-up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..output.page import page_environment
from ..wholefile import write_text
from .changes import Change, sum_of_diameters
from .charts import growth_chart, sum_chart
from .pictures import alignment_picture, make_view, track_picture
from .recist import NOT_EVALUABLE
from .registration import Alignment
from .response import Assessment
from .timepoints import TimePoint

WEAK = 0.5
"""Below this support a pairing is marked for the reader to check."""
POOR_ALIGNMENT = 0.88
_MOTTLED_HU = 60.0
"""Standard deviation within a lesion; untreated ones reach about 30 HU with usual noise."""


@dataclass(frozen=True)
class FollowUp:
    """Everything a follow-up found."""

    points: list[TimePoint]
    alignments: list[Alignment]
    changes: list[Change]
    assessments: list[Assessment]
    targets: tuple[int, ...]

    def warnings(self) -> list[str]:
        """Return what a reader must know before trusting the tables."""
        found = []
        for point, alignment in zip(self.points[1:], self.alignments[1:], strict=True):
            if alignment.liver_dice < POOR_ALIGNMENT:
                found.append(
                    f"{point.name}: the livers overlap only by Dice {alignment.liver_dice:.2f} after alignment; "
                    "surgery, an incomplete scan or a wrong segmentation can be the reason. Check every pairing."
                )
        for change in self.changes:
            weak = [self.points[scan].name for scan, value in change.track.certainty.items() if value < WEAK]
            if weak:
                found.append(f"Lesion {change.track.number}: the pairing in {', '.join(weak)} is weak; check it.")
        for point in self.points:
            dense = [lesion.id for lesion in point.lesions if point.image is not None and lesion.sd_hu > _MOTTLED_HU]
            if dense:
                found.append(
                    f"{point.name}: {len(dense)} lesion{'' if len(dense) == 1 else 's'} of very uneven "
                    "density, as with lipiodol or necrosis after local treatment; size criteria can mislead there."
                )
            if point.image is None:
                found.append(
                    f"{point.name}: no CT that fits was found for its segmentation, so its densities are not told and "
                    "its lesions are drawn without it."
                )
        undated = [point.name for point in self.points if point.day is None]
        if undated:
            found.append(
                f"No date is known of {', '.join(undated)}: the order of the scans was taken as given, and doubling "
                "times need the first and the last date. With compare.py, --dates gives them."
            )
        first = self.points[0]
        if any(point.slice_mm > 5.0 for point in self.points):
            found.append("A scan has slices thicker than 5 mm: small lesions and changes are unreliable.")
        ratios = [point.liver_ml / first.liver_ml for point in self.points[1:] if first.liver_ml]
        if any(ratio < 0.75 or ratio > 1.33 for ratio in ratios):
            found.append("The liver's volume changed by more than a quarter; check both segmentations.")
        return found


def write_report(path: Path, followup: FollowUp, pictured: int = 30) -> None:
    """Write the page; the largest ``pictured`` lesions are drawn."""
    views = [make_view(point) for point in followup.points]
    ranked = sorted(followup.changes, key=lambda change: -max(change.volumes_ml))
    sums = _sums(followup)
    page = (
        page_environment(Path(__file__).parent / "templates")
        .get_template("followup.html.j2")
        .render(
            followup=followup,
            points=followup.points,
            labels=_short_labels(followup.points),
            warnings=followup.warnings(),
            growth=growth_chart(followup.points, followup.changes) if followup.changes else None,
            sums=sum_chart(followup.points, sums) if followup.targets else None,
            sum_values=sums,
            alignments=[
                (point, alignment, alignment_picture(views[0], view, alignment))
                for point, alignment, view in list(zip(followup.points, followup.alignments, views, strict=True))[1:]
            ],
            pictures=[
                (change, track_picture(change.track, followup.points, views, followup.alignments))
                for change in ranked[:pictured]
            ],
            weak=WEAK,
        )
    )
    write_text(path, page)


def _sums(followup: FollowUp) -> list[float | None]:
    """Return the sum of the target diameters of each scan; None where the targets are not evaluable."""
    tracks = [change.track for change in followup.changes]
    lost = [False, *(one.target_response == NOT_EVALUABLE for one in followup.assessments)]
    return [
        None if gone else sum_of_diameters(followup.points, tracks, followup.targets, scan)
        for scan, gone in enumerate(lost)
    ]


def _short_labels(points: list[TimePoint]) -> list[str]:
    """Return column headings: the scans' names when all are short, else their numbers."""
    names = [point.name for point in points]
    return names if max(map(len, names)) <= 12 else [f"scan {number}" for number in range(1, len(names) + 1)]
