"""LiTS: volume-N.nii and segmentation-N.nii, in one folder or in the challenge's batches."""

from __future__ import annotations

import re
from pathlib import Path

from LiverTumorSegTraining.data.case import Case

_VOLUME = re.compile(r"volume-(\d+)\.nii(\.gz)?$")
_SEGMENTATION = re.compile(r"segmentation-(\d+)\.nii(\.gz)?$")


def matches(root: Path) -> bool:
    """Return whether a volume-N.nii lies in the folder or one below."""
    return any(_VOLUME.match(path.name) for path in (*root.glob("volume-*"), *root.glob("*/volume-*")))


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return the volumes in the order of their numbers."""
    files = sorted(root.rglob("*.nii*"))
    volumes = {int(found[1]): path for path in files if (found := _VOLUME.match(path.name))}
    labels = {int(found[1]): path for path in files if (found := _SEGMENTATION.match(path.name))}
    return [
        Case(
            f"lits{number}", f"lits{number}", (volumes.get(number, root / f"volume-{number}.nii"),), labels.get(number)
        )
        for number in sorted(set(volumes) | set(labels))
    ]
