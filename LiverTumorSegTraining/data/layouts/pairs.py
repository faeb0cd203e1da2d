"""A folder of pairs: NAME.nii.gz + NAME_label.nii.gz, or what Slicer saves, NAME.nrrd + NAME.seg.nrrd.

Slicer proposes the names of its nodes: the CT "CT" and the panel's results of it become ``CT.nrrd``,
``CT liver 1.seg.nrrd``, ``CT liver 2.seg.nrrd``; the one with the highest number is the label.
"""

from __future__ import annotations

from pathlib import Path

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labelnames import scan_of_result

from LiverTumorSegTraining.data.case import IMAGE_SUFFIXES, Case, without_suffix

LABEL_ENDINGS = ("_label", "-label", "_seg", "_segmentation", "-segmentation")


def matches(root: Path) -> bool:
    """Return whether a label file lies in the folder."""
    return any(_stem_of_label(path) is not None for path in root.iterdir() if path.is_file())


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return every image of the folder, with its label where there is one.

    With several channels the images are NAME_CHANNEL.nii.gz.

    Raises
    ------
    InputError
        If two files are the label, or one image, of one case.
    """
    files = sorted(path for path in root.iterdir() if path.is_file() and path.name.lower().endswith(IMAGE_SUFFIXES))
    labels: dict[str, Path] = {}
    images: dict[str, dict[str, Path]] = {}
    for path in files:
        labelled = _stem_of_label(path)
        if labelled is not None:
            _only(labels.setdefault(labelled, path), path, "labels", labelled)
            continue
        stem, channel = _channel_of(without_suffix(path), channels)
        _only(images.setdefault(stem, {}).setdefault(channel, path), path, "images", stem)
    labels = _named_after_scans(labels, set(images))
    cases = []
    for stem in sorted(set(images) | set(labels)):
        present = images.get(stem, {})
        paths = tuple(present.get(channel, root / f"{stem}_{channel}.nii.gz") for channel in channels)
        if len(channels) == 1:
            paths = tuple(present.values())[:1] or (root / f"{stem}.nii.gz",)
        cases.append(Case(stem, "", paths, labels.get(stem)))
    return cases


def _only(first: Path, path: Path, what: str, case: str) -> None:
    """Refuse a second file where a case has one."""
    if first != path:
        raise InputError(f"{path.parent} holds two {what} of case {case}, {first.name} and {path.name}: remove one.")


def _stem_of_label(path: Path) -> str | None:
    """Return the case a label file belongs to, or None if it is no label."""
    if path.name.lower().endswith(".seg.nrrd"):
        stem = path.name[: -len(".seg.nrrd")]
        return next((stem[: -len(e)] for e in LABEL_ENDINGS if stem.lower().endswith(e)), stem)
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        return None
    stem = without_suffix(path)
    return next((stem[: -len(e)] for e in LABEL_ENDINGS if stem.lower().endswith(e)), None)


def _named_after_scans(labels: dict[str, Path], scans: set[str]) -> dict[str, Path]:
    """Return the labels with the panel's results under the name of their scan, the newest result of each."""
    numbers: dict[str, int] = {}
    named = {}
    for stem, path in labels.items():
        scan, number = scan_of_result(stem) or ("", 0)
        if stem in scans or scan not in scans:
            named[stem] = path
        elif scan not in labels and number > numbers.get(scan, 0):
            numbers[scan] = number
            named[scan] = path
    return named


def _channel_of(stem: str, channels: list[str]) -> tuple[str, str]:
    if len(channels) > 1:
        for channel in channels:
            if stem.lower().endswith(f"_{channel.lower()}"):
                return stem[: -len(channel) - 1], channel
    return stem, channels[0]
