"""nnU-Net raw: imagesTr/NAME_0000.nii.gz (one file a channel), labelsTr/NAME.nii.gz, dataset.json."""

from __future__ import annotations

import re
from pathlib import Path

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.layouts.msd import read_description

_CHANNEL = re.compile(r"(.+)_(\d{4})$")


def matches(root: Path) -> bool:
    """Return whether imagesTr holds NAME_0000 files."""
    ending = _ending(root)
    return any((root / "imagesTr").glob(f"*_0000{ending}"))


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return the cases of imagesTr; channel NNNN is the NNNN-th of `channels`."""
    ending = _ending(root)
    names = set()
    for path in (root / "imagesTr").glob(f"*{ending}"):
        found = _CHANNEL.match(path.name.removesuffix(ending))
        if found:
            names.add(found[1])
    cases = []
    for name in sorted(names):
        images = tuple(root / "imagesTr" / f"{name}_{number:04d}{ending}" for number in range(len(channels)))
        label = root / "labelsTr" / f"{name}{ending}"
        cases.append(Case(name, "", images, label if label.exists() else None))
    return cases


def _ending(root: Path) -> str:
    return str(read_description(root).get("file_ending", ".nii.gz"))
