"""A folder of pairs: NAME.nii.gz + NAME_label.nii.gz, or what Slicer exports, NAME.nrrd + NAME.seg.nrrd."""

from __future__ import annotations

from pathlib import Path

from LiverTumorSegTraining.data.case import IMAGE_SUFFIXES, Case, without_suffix

LABEL_ENDINGS = ("_label", "-label", "_seg", "_segmentation", "-segmentation")


def matches(root: Path) -> bool:
    """Return whether a label file lies in the folder."""
    return any(_stem_of_label(path) is not None for path in root.iterdir() if path.is_file())


def find(root: Path, channels: list[str]) -> list[Case]:
    """Return every image of the folder, with its label where there is one.

    With several channels the images are NAME_CHANNEL.nii.gz.
    """
    files = sorted(path for path in root.iterdir() if path.is_file() and path.name.lower().endswith(IMAGE_SUFFIXES))
    labels = {stem: path for path in files if (stem := _stem_of_label(path)) is not None}
    images: dict[str, dict[str, Path]] = {}
    for path in files:
        if path in labels.values():
            continue
        stem, channel = _channel_of(without_suffix(path), channels)
        images.setdefault(stem, {})[channel] = path
    cases = []
    for stem in sorted(set(images) | set(labels)):
        present = images.get(stem, {})
        paths = tuple(present.get(channel, root / f"{stem}_{channel}.nii.gz") for channel in channels)
        if len(channels) == 1:
            paths = tuple(present.values())[:1] or (root / f"{stem}.nii.gz",)
        cases.append(Case(stem, "", paths, labels.get(stem)))
    return cases


def _stem_of_label(path: Path) -> str | None:
    """Return the case a label file belongs to, or None if it is no label."""
    if path.name.lower().endswith(".seg.nrrd"):
        stem = path.name[: -len(".seg.nrrd")]
        return next((stem[: -len(e)] for e in LABEL_ENDINGS if stem.lower().endswith(e)), stem)
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        return None
    stem = without_suffix(path)
    return next((stem[: -len(e)] for e in LABEL_ENDINGS if stem.lower().endswith(e)), None)


def _channel_of(stem: str, channels: list[str]) -> tuple[str, str]:
    if len(channels) > 1:
        for channel in channels:
            if stem.lower().endswith(f"_{channel.lower()}"):
                return stem[: -len(channel) - 1], channel
    return stem, channels[0]
