"""The figures of a result, kept on its segmentation node so that they are saved with the scene."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

PREFIX = "LiverTumorSeg."
PROVENANCE = tuple(PREFIX + key for key in ("Model", "ModelSha256", "Threshold", "Quality", "Version"))
"""The attributes of a result that say where it came from."""


@dataclass(frozen=True)
class LesionRecord:
    """One lesion of a result.

    Attributes
    ----------
    number : int
        1 was the largest when the run ended; it is kept for the whole session.
    verdict : str
        "", "accept", "reject" or "unsure".
    figures : dict
        As ``row_of`` of the core gives them.
    """

    number: int
    verdict: str
    figures: dict

    @property
    def placeRas(self) -> tuple[float, float, float]:
        """Where to look, in RAS millimetres in the CT's own frame: the middle of the longest diameter."""
        ends = self.figures.get("longest_lps_mm") or [self.figures["centroid_lps_mm"]]
        x, y, z = (sum(end[axis] for end in ends) / len(ends) for axis in range(3))
        return (-x, -y, z)

    def diametersRas(self) -> list[list[tuple[float, float, float]]]:
        """Return the ends of the longest diameter and of the perpendicular one, in the same frame."""
        found = [self.figures.get(key) or [] for key in ("longest_lps_mm", "perpendicular_lps_mm")]
        return [[(-x, -y, z) for x, y, z in ends] for ends in found]


def attributesOfReport(report: dict, volumeNode=None) -> dict[str, str]:
    """Return the node attributes that keep a report: volumes, lesions and where the result came from."""
    model = report.get("model") or {}
    lesions = [
        {"number": lesion["id"], "verdict": "", **{k: v for k, v in lesion.items() if k != "id"}}
        for lesion in report.get("lesions", [])
    ]
    attributes = {
        "VolumesMl": json.dumps(report.get("volumes_ml", {})),
        "Lesions": json.dumps(lesions),
        "Model": f"{model.get('id', '?')} {model.get('version', '?')}",
        "ModelSha256": str(model.get("sha256", "")),
        "Threshold": str(report.get("threshold", "")),
        "Device": str(report.get("device", "")),
        "Quality": str(report.get("quality", "")),
        "Seconds": str((report.get("seconds") or {}).get("total", 0.0)),
        "Version": str(report.get("version", "")),
    }
    if volumeNode is not None:
        attributes["Volume"] = volumeNode.GetName()
    return {PREFIX + key: value for key, value in attributes.items()}


def provenanceOf(node) -> dict[str, Any]:
    """Return what made a result: model (id, version, sha256), threshold, quality; what is not known is empty."""
    told = {key: node.GetAttribute(PREFIX + key) or "" for key in ("Model", "ModelSha256", "Threshold", "Quality")}
    identity, _space, version = told["Model"].rpartition(" ")
    model = {"id": identity or "?", "version": version or "?", "sha256": told["ModelSha256"]}
    return {"model": model, "threshold": told["Threshold"], "quality": told["Quality"]}


def isResult(node) -> bool:
    """Return whether a segmentation node was made by this module."""
    return node is not None and node.GetAttribute(PREFIX + "Lesions") is not None


def hasLiverAndTumor(node) -> bool:
    """Return whether a result is of a model for liver and tumour: only then there are lesions to judge."""
    segmentation = node.GetSegmentation()
    return all(segmentation.GetSegmentIdBySegmentName(name) for name in ("liver", "tumor"))


def volumesOf(node) -> dict[str, float]:
    """Return the volumes of a result in ml: ``liver`` is the whole organ with its tumours, ``tumor`` all lesions."""
    return json.loads(node.GetAttribute(PREFIX + "VolumesMl") or "{}")


def lesionsOf(node) -> list[LesionRecord]:
    """Return the lesions of a result, by their numbers."""
    stored = json.loads(node.GetAttribute(PREFIX + "Lesions") or "[]")
    return [LesionRecord(int(lesion["number"]), str(lesion["verdict"]), lesion) for lesion in stored]


def storeFigures(node, rows: list[dict[str, Any]], volumes: dict[str, float]) -> None:
    """Keep lesions and volumes on a result's node."""
    node.SetAttribute(PREFIX + "Lesions", json.dumps(rows))
    node.SetAttribute(PREFIX + "VolumesMl", json.dumps(volumes))
