"""The figures of a result, kept on its segmentation node so that they are saved with the scene."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

PREFIX = "LiverTumorSeg."
VERDICTS = ("", "accept", "reject", "unsure")
"""What a reader may say of a lesion; the empty verdict is "not looked at yet"."""

_CSV_COLUMNS = (
    "id",
    "verdict",
    "volume_ml",
    "diameter_mm",
    "perpendicular_mm",
    "mean_hu",
    "sd_hu",
    "mean_probability",
    "distance_to_liver_surface_mm",
    "voxels",
)


@dataclass(frozen=True)
class LesionRecord:
    """One lesion of a result.

    Attributes
    ----------
    id : int
        1 is the largest.
    figures : dict
        The lesion as the report gives it (``volume_ml``, ``diameter_mm``, ...).
    verdict : str
        One of `VERDICTS`.
    """

    id: int
    figures: dict
    verdict: str = ""

    @property
    def centroidRas(self) -> tuple[float, float, float]:
        """Centre in RAS millimetres in the CT's own frame (parent transforms not applied)."""
        x, y, z = self.figures["centroid_lps_mm"]
        return (-x, -y, z)


def attributesOfReport(report: dict, volumeNode=None) -> dict[str, str]:
    """Return the node attributes that keep a report: volumes, lesions and where the result came from."""
    model = report.get("model") or {}
    attributes = {
        "VolumesMl": json.dumps(report.get("volumes_ml", {})),
        "Lesions": json.dumps([{**lesion, "verdict": ""} for lesion in report.get("lesions", [])]),
        "Model": f"{model.get('id', '?')} {model.get('version', '?')}",
        "ModelSha256": str(model.get("sha256", "")),
        "Device": str(report.get("device", "")),
        "Quality": str(report.get("quality", "")),
        "Seconds": str((report.get("seconds") or {}).get("total", 0.0)),
        "Version": str(report.get("version", "")),
    }
    if volumeNode is not None:
        attributes["Volume"] = volumeNode.GetName()
    return {PREFIX + key: value for key, value in attributes.items()}


def isResult(node) -> bool:
    """Return whether a segmentation node was made by this module."""
    return node is not None and node.GetAttribute(PREFIX + "Lesions") is not None


def volumesOf(node) -> dict[str, float]:
    """Return the volumes of a result in ml: ``liver`` is the whole organ with its tumours, ``tumor`` all lesions."""
    return json.loads(node.GetAttribute(PREFIX + "VolumesMl") or "{}")


def lesionsOf(node) -> list[LesionRecord]:
    """Return the lesions of a result, largest first."""
    stored = json.loads(node.GetAttribute(PREFIX + "Lesions") or "[]")
    return [
        LesionRecord(
            int(lesion["id"]), {k: v for k, v in lesion.items() if k != "verdict"}, str(lesion.get("verdict", ""))
        )
        for lesion in stored
    ]


def storeLesions(node, lesions: list[LesionRecord], volumes: dict[str, float] | None = None) -> None:
    """Keep the lesions (and, when given, the volumes) on a result's node."""
    stored = [{**lesion.figures, "verdict": lesion.verdict} for lesion in lesions]
    node.SetAttribute(PREFIX + "Lesions", json.dumps(stored))
    if volumes is not None:
        node.SetAttribute(PREFIX + "VolumesMl", json.dumps(volumes))


def setVerdict(node, lesionId: int, verdict: str) -> None:
    """Keep the reader's verdict of one lesion.

    Raises
    ------
    ValueError
        If the verdict is not one of `VERDICTS` or there is no such lesion.
    """
    lesions = lesionsOf(node)
    if verdict not in VERDICTS or lesionId not in {lesion.id for lesion in lesions}:
        raise ValueError(f"No verdict '{verdict}' can be kept for lesion {lesionId} of '{node.GetName()}'")
    changed = [LesionRecord(x.id, x.figures, verdict if x.id == lesionId else x.verdict) for x in lesions]
    storeLesions(node, changed)


def writeCsv(path: Path, lesions: list[LesionRecord]) -> None:
    """Write one row for each lesion, verdict included; coordinates are LPS millimetres."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*_CSV_COLUMNS, "x_lps_mm", "y_lps_mm", "z_lps_mm"])
        for lesion in lesions:
            row = {**lesion.figures, "id": lesion.id, "verdict": lesion.verdict}
            figures = ["" if row.get(column) is None else row[column] for column in _CSV_COLUMNS]
            writer.writerow([*figures, *lesion.figures["centroid_lps_mm"]])
