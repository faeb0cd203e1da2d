"""The channels of one case: files named one by one, a case folder, one 4D file, or NAME_0000, NAME_0001 and so on."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, UsageError
from .headers import read_header
from .imageio import CaseImage, case_name, case_names, read_case, sha256_of
from .volumefile import read_volumes

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")
SEQUENCES = {
    "flair": ("flair", "t2f"),
    "t1": ("t1", "t1n", "t1w"),
    "t1ce": ("t1ce", "t1c", "t1gd"),
    "t2": ("t2", "t2w"),
}
"""Words in file names that mean an MR sequence: the years of BraTS name them differently."""
LABEL_WORDS = frozenset({"seg", "otmulticlass", "label", "segmentation", "labels", "mask"})
_NUMBERED = re.compile(r"(.+)_(\d{4})$")


def words_of(path: Path) -> frozenset[str]:
    """Return the lower-case words of a file name."""
    return frozenset(re.split(r"[^a-z0-9]+", path.name.lower()))


def words_for(channel: str) -> frozenset[str]:
    """Return the words by which a channel of this name goes in file names."""
    name = channel.strip().lower()
    return frozenset(SEQUENCES.get(name, next((words for words in SEQUENCES.values() if name in words), (name,))))


def images_in(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, by name; hidden ones, such as ``._scan.nii``, are none."""
    files = (path for path in folder.iterdir() if path.name.lower().endswith(IMAGE_SUFFIXES))
    return sorted(path for path in files if not path.name.startswith(".") and not path.is_dir())


def channel_file(files: Sequence[Path], channel: str) -> Path | None:
    """Return the file among those of one case that holds a channel, by the words in its name; never a label."""
    wanted = words_for(channel)
    return next((path for path in files if words_of(path) & wanted and not words_of(path) & LABEL_WORDS), None)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case, one for each channel or one for all, and its name (None: that of the file)."""

    paths: tuple[Path, ...]
    name: str | None = None

    @property
    def shown(self) -> str:
        """What the case is called until it is read: its only file, or its name where it has several."""
        return self.paths[0].name if len(self.paths) == 1 or self.name is None else self.name


def group_inputs(inputs: Sequence[Path], channels: Sequence[str]) -> list[CaseFiles]:
    """Return the inputs of a command line, those of one case together.

    Parameters
    ----------
    inputs : sequence of Path
        Case folders, 4D files and files named NAME_0000 stand for a case each; of other files it takes one a channel,
        in the order of the channels.
    channels : sequence of str
        The model's.

    Raises
    ------
    UsageError
        If files are left over.
    InputError
        If a case folder lacks a channel.
    """
    if len(channels) == 1:
        names = case_names(inputs)
        return [CaseFiles((path,), name) for path, name in zip(inputs, names, strict=True)]
    groups: list[CaseFiles] = []
    single: list[Path] = []
    for path in inputs:
        whole = _whole_case(path, channels)
        if whole is None:
            single.append(path)
        elif whole not in groups:
            groups.append(whole)
    if len(single) % len(channels):
        raise UsageError(
            f"The model takes {len(channels)} files a case ({', '.join(channels)}), or one folder or 4D file that "
            f"holds them, but {len(single)} files were given."
        )
    for start in range(0, len(single), len(channels)):
        files = tuple(single[start : start + len(channels)])
        groups.append(CaseFiles(files, name_of_case(files, channels)))
    return groups


def read_channels(files: CaseFiles, channels: Sequence[str], series: str | None = None) -> list[CaseImage]:
    """Return one image for each channel of a case; all carry the name of the case.

    Parameters
    ----------
    files : CaseFiles
        Where they lie.
    channels : sequence of str
        Their names.
    series : str, optional
        As for `read_case`.

    Raises
    ------
    InputError
        If a file cannot be read, or the number of channels is another.
    """
    if len(files.paths) == 1 and len(channels) > 1:
        cases = _split(files.paths[0], channels)
    elif len(files.paths) == len(channels):
        cases = [read_case(path, series) for path in files.paths]
    else:
        raise InputError(f"{len(files.paths)} files were given for the channels {', '.join(channels)}.")
    return [dataclasses.replace(case, name=files.name or case.name) for case in cases]


def name_of_case(paths: Sequence[Path], channels: Sequence[str]) -> str:
    """Return the name of a case from the files of its channels: without the word or number of the first channel.

    Files that are called alike in each case folder are named after the folder.
    """
    stem = case_name(paths[0])
    numbered = _NUMBERED.match(stem)
    if len(channels) == 1 or numbered:
        return numbered[1] if numbered else stem
    parts = re.split(r"([_\-. ]+)", stem)
    wanted = words_for(channels[0])
    place = next((i for i in range(len(parts) - 1, -1, -2) if parts[i].lower() in wanted), None)
    if place is None:
        return stem
    # The word goes with the separator before it, or after it where it comes first.
    del parts[max(place - 1, 0) : place + 1 + (place == 0)]
    rest = "".join(parts)
    folder = paths[0].resolve().parent
    return folder.name if not rest or _called_alike(rest, folder) else rest


def _called_alike(rest: str, folder: Path) -> bool:
    """Return whether a neighbouring folder holds files of the same words, so that only the folder tells them apart."""
    wanted = words_of(Path(rest))
    siblings = sorted(path for path in folder.parent.iterdir() if path.is_dir() and path != folder)
    return any(wanted <= words_of(path) for other in siblings[:3] for path in images_in(other))


def _whole_case(path: Path, channels: Sequence[str]) -> CaseFiles | None:
    """Return the case that a path stands for as a whole; None for a file of one channel."""
    if path.is_dir():
        files = images_in(path)
        return CaseFiles(_of_folder(path, files, channels), path.resolve().name) if files else None
    if not path.is_file() or not path.name.lower().endswith(IMAGE_SUFFIXES):
        return None
    stem = case_name(path)
    numbered = _NUMBERED.match(stem)
    if numbered:
        names = [f"{numbered[1]}_{number:04d}{path.name[len(stem) :]}" for number in range(len(channels))]
        together = tuple(path.with_name(name) for name in names)
        return CaseFiles(together, numbered[1]) if all(file.is_file() for file in together) else None
    size = read_header(path).size
    return CaseFiles((path,), stem) if len(size) == 4 and size[3] == len(channels) else None


def _of_folder(folder: Path, files: list[Path], channels: Sequence[str]) -> tuple[Path, ...]:
    found = [channel_file(files, channel) for channel in channels]
    missing = [channel for channel, file in zip(channels, found, strict=True) if file is None]
    if missing:
        raise InputError(
            f"The case folder {folder} has no {' and no '.join(missing)} image, only "
            f"{', '.join(file.name for file in files)}: add it, or name the files one by one."
        )
    return tuple(file for file in found if file is not None)


def _split(path: Path, channels: Sequence[str]) -> list[CaseImage]:
    size = read_header(path).size
    if len(size) != 4 or size[3] != len(channels):
        raise InputError(
            f"{path} has the shape {' x '.join(map(str, size))}, but the model takes the channels "
            f"{', '.join(channels)}: give one file for each, or one 4D file with {len(channels)} volumes."
        )
    sha256, name = sha256_of([path]), case_name(path)
    return [CaseImage(volume, name, path, sha256) for volume in read_volumes(path)]
