"""What the page shows, in plain JSON types: one entry a lesion, volumes and totals in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from LiverTumorSegLib.review.figures import LesionFigures

    from LiverTumorSegReview.session import ReaderSession


def table_rows(rows: Sequence[LesionFigures]) -> list[dict[str, Any]]:
    """Return the lesion table, in the order of the numbers."""
    return [
        {
            "number": row.number,
            "verdict": row.verdict,
            "place": row.place.words(),
            "volume": f"{row.lesion.volume_ml:.{2 if row.lesion.volume_ml < 10 else 1}f}",
            "diameters": f"{row.lesion.diameter_mm:.0f} x {row.lesion.perpendicular_mm:.0f}",
            "hu": f"{row.lesion.mean_hu:.0f}",
            "score": "-" if row.lesion.mean_probability is None else f"{100 * row.lesion.mean_probability:.0f}",
        }
        for row in rows
    ]


def volume_words(session: ReaderSession) -> str:
    """Return the volumes in one line."""
    volumes = session.volumes_ml()
    if not volumes["liver"]:
        return "No liver was found."
    share = 100 * volumes["tumor"] / volumes["liver"]
    return f"Liver {volumes['liver']:.0f} ml with tumours, tumour {volumes['tumor']:.1f} ml ({share:.1f} %)"


def finding_words(session: ReaderSession) -> list[dict[str, str]]:
    """Return what the run noticed, graded."""
    findings = session.provenance.get("findings") or []
    return [{"grade": str(each["grade"]), "message": str(each["message"])} for each in findings]
