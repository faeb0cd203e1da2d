"""Finding files: which reference, prediction, image and probability map belong to one case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from LiverTumorSegLib.errors import InputError, UsageError

from LiverTumorSegTraining.data.patients import patients_of

SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
PROBABILITY = ".tumor-probability"
_LABEL_WORDS = r"(?:label|labels|labelmap|seg|segmentation|mask|gt|truth|reference|ref)"
_LABEL_ENDING = re.compile(rf"[-_.]{_LABEL_WORDS}$", re.IGNORECASE)
_LITS_NAME = re.compile(
    r"^(?:segmentation|volume|labels?|lab|img|test-volume|test-segmentation)[-_](?=\d+$)", re.IGNORECASE
)
_CHANNEL_ENDING = re.compile(r"_0000$")


@dataclass(frozen=True)
class CasePaths:
    """The files of one case.

    Attributes
    ----------
    name : str
    reference : Path
    prediction : Path or None
        None: there is none, a total miss.
    image : Path or None
    probability : Path or None
    patient : str
        Whose scan it is.
    liver_only : bool
        Tumours were not annotated: what the reference calls liver may be liver or tumour.
    reference_names, prediction_names : mapping of str to int
        Name -> value, for files that carry no names themselves.
    """

    name: str
    reference: Path
    prediction: Path | None = None
    image: Path | None = None
    probability: Path | None = None
    patient: str = ""
    liver_only: bool = False
    reference_names: Mapping[str, int] = field(default_factory=dict)
    prediction_names: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownReference:
    """A reference whose case its data set tells: name, label, first image, other names, patient, tumours left out."""

    name: str
    label: Path
    image: Path
    aliases: frozenset[str]
    patient: str = ""
    liver_only: bool = False


def case_name(path: Path) -> str:
    """Return the case a file belongs to: its name without format suffix, role word and LiTS prefix.

    ``segmentation-12.nii``, ``volume-12.seg.nrrd`` and ``12_label.nii.gz`` are all case ``12``.
    """
    return _strip_role(_stem(path))


def pair_cases(
    references: Path,
    predictions: Path,
    images: Path | None = None,
    reference_glob: str | None = None,
    prediction_glob: str | None = None,
    image_glob: str | None = None,
    known: list[KnownReference] | None = None,
    wanted: frozenset[str] | None = None,
) -> tuple[list[CasePaths], list[Path]]:
    """Pair the files of two folders by case name.

    Parameters
    ----------
    references, predictions : Path
        Folders.
    images : Path, optional
        Folder of the scans, for pictures only; the references' folder is searched when left out.
    reference_glob, prediction_glob, image_glob : str, optional
        Which files to take, such as ``*/OTMultiClass.nii.gz``; a file found in a subfolder is named after it.
    known : list of KnownReference, optional
        The references when they lie in a data set, instead of what the folder's files are called.
    wanted : frozenset of str, optional
        Names of the cases to score; all when None.

    Returns
    -------
    cases : list of CasePaths
        One for every reference, by name; its ``prediction`` is None when there is none.
    unused : list of Path
        Predictions without a reference.

    Raises
    ------
    UsageError
        When a folder is missing, two files claim one case, or a wanted case does not exist.
    InputError
        When there is no reference, or not one prediction has the name of a reference.
    """
    for folder, option in ((references, "--references"), (predictions, "--predictions"), (images, "--images")):
        if folder is not None and not folder.is_dir() and not (known and folder == references):
            raise UsageError(f"{option} {folder} is not a folder.")
    known = known if known and reference_glob is None else []
    truth = {one.name: one.label for one in known} or _labelmaps(references, reference_glob, "reference")
    if not truth:
        raise InputError(f"{references} holds no labelmap ({', '.join(SUFFIXES)}).")
    alias = {name: one.name for one in known for name in one.aliases}
    found = {
        alias.get(name, name): path for name, path in _labelmaps(predictions, prediction_glob, "prediction").items()
    }
    truth = _only(truth, wanted, alias)
    if not set(truth) & set(found):
        raise InputError(
            f"No prediction in {predictions} is named after a reference in {references} "
            f"(references such as {_examples(truth)}; predictions such as {_examples(found) or 'none at all'})."
        )
    scans = {one.name: one.image for one in known if images is None} or _scans(
        images or references, image_glob, set(truth.values()) | set(found.values())
    )
    maps = {}
    for path in filter(_is_probability, _files(predictions, None)):
        name = _strip_role(_stem(path).removesuffix(PROBABILITY))
        maps[alias.get(name, name)] = path
    patients = dict(zip(truth, patients_of(list(truth)), strict=True)) | {one.name: one.patient for one in known}
    incomplete = {one.name for one in known if one.liver_only}
    cases = [
        CasePaths(
            name, truth[name], found.get(name), scans.get(name), maps.get(name), patients[name], name in incomplete
        )
        for name in sorted(truth)
    ]
    return cases, [found[name] for name in sorted(set(found) - set(truth))]


def _only(truth: dict[str, Path], wanted: frozenset[str] | None, alias: dict[str, str]) -> dict[str, Path]:
    if wanted is None:
        return truth
    # A training run calls the volume N of LiTS litsN.
    names = {alias.get(name, name if name in truth else case_name(Path(name)).removeprefix("lits")) for name in wanted}
    strangers = sorted(names - set(truth))
    if strangers:
        raise UsageError(f"--cases names {', '.join(strangers)}, which the references do not hold.")
    return {name: path for name, path in truth.items() if name in names}


def _stem(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _strip_role(stem: str) -> str:
    return _LITS_NAME.sub("", _CHANNEL_ENDING.sub("", _LABEL_ENDING.sub("", stem)))


def _is_probability(path: Path) -> bool:
    return _stem(path).endswith(PROBABILITY)


def _files(folder: Path, glob: str | None) -> list[Path]:
    return sorted(path for path in folder.glob(glob or "*") if path.is_file() and path.name.lower().endswith(SUFFIXES))


def _name_in(folder: Path, path: Path) -> str:
    """Return the case's name: after the subfolder when the file lies in one."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else case_name(path)


def _labelmaps(folder: Path, glob: str | None, role: str) -> dict[str, Path]:
    """Return case name -> labelmap; a file that says it is a label wins over a plain one of the same case."""
    by_name: dict[str, list[Path]] = {}
    for path in _files(folder, glob):
        if not _is_probability(path):
            by_name.setdefault(_name_in(folder, path), []).append(path)
    chosen = {}
    for name, paths in by_name.items():
        marked = [path for path in paths if _says_label(path)]
        candidates = marked or paths
        if len(candidates) > 1:
            raise UsageError(
                f"Two {role} files claim case {name}: {candidates[0].name} and {candidates[1].name}. "
                f"Remove one, or choose with --{role}-glob."
            )
        chosen[name] = candidates[0]
    return chosen


def _says_label(path: Path) -> bool:
    stem = _stem(path)
    named = _LABEL_ENDING.search(stem) or re.match(
        r"^(?:test-)?(?:segmentation|labels?|lab)[-_]\d+$", stem, re.IGNORECASE
    )
    return bool(named) or path.name.lower().endswith(".seg.nrrd")


def _scans(folder: Path, glob: str | None, labelmaps: set[Path]) -> dict[str, Path]:
    scans: dict[str, Path] = {}
    for path in _files(folder, glob):
        if path not in labelmaps and not _is_probability(path) and not _says_label(path):
            scans.setdefault(_name_in(folder, path), path)
    return scans


def _examples(found: dict[str, Path]) -> str:
    return ", ".join(path.name for path in list(found.values())[:2])
