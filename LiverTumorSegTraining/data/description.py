"""What a data set says of itself (dataset.json, the BraTS numbering): honoured by a recipe or refused in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labelnames import canonical_name, plain_name
from LiverTumorSegLib.labels import IGNORE, LIVER, TUMOR, value_of
from LiverTumorSegLib.scan.channels import SEQUENCES, words_for

from LiverTumorSegTraining.data.layouts import brats, lits, msd, pairs, studies
from LiverTumorSegTraining.data.reading import label_values
from LiverTumorSegTraining.data.studies.listing import labels_of_studies, refuse_unknown
from LiverTumorSegTraining.data.workers import on_all_cores
from LiverTumorSegTraining.recipe.config import Config, DataConfig

BRATS_LABELS = {1: "necrotic core", 2: "edema", 3: "non-enhancing tumor", 4: "enhancing tumor"}
"""The numbering of BraTS up to 2022; value 3 exists up to 2016 and was merged into 1 later."""
BRATS_LABELS_2023 = {1: BRATS_LABELS[1], 2: BRATS_LABELS[2], 3: BRATS_LABELS[4]}
"""The numbering from 2023 on."""
STUDIES = "the structures of the DICOM studies"
BACKGROUND = "background"
_MR_WORDS = frozenset({"mr", "mri", *(word for words in SEQUENCES.values() for word in words)})


@dataclass(frozen=True)
class Description:
    """Labels and channels as a data set names them.

    Attributes
    ----------
    source : str
        Where that is written, for messages.
    names : dict of int to str
        Value in the label files: name; background left out.
    ignore : int or None
        Value of voxels whose truth is unknown.
    regions : dict of str to tuple of int
        Names that stand for several values.
    channels : tuple of str
        In the order of the files; empty when not told.
    """

    source: str
    names: dict[int, str] = field(default_factory=dict)
    ignore: int | None = None
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    @property
    def is_mr(self) -> bool:
        """Whether a channel is said to be MR."""
        return any(set(plain_name(channel).split()) & _MR_WORDS for channel in self.channels)


def describe(root: Path) -> Description | None:
    """Return what a data set says of itself; None when it says nothing."""
    root = Path(root)
    if not root.is_dir():
        return None
    content = msd.read_description(root)
    if content:
        return _of_dataset_json(content, root / "dataset.json")
    if brats.matches(root):
        return Description("the BraTS numbering", BRATS_LABELS)
    if _is_of_studies(root):
        return Description(STUDIES, dict(enumerate(labels_of_studies(root), 1)))
    return None


def _is_of_studies(root: Path) -> bool:
    return not pairs.matches(root) and not lits.matches(root) and studies.matches(root)


def _of_dataset_json(content: dict[str, Any], path: Path) -> Description:
    names: dict[int, str] = {}
    regions: dict[str, tuple[int, ...]] = {}
    ignore = None
    labels = content.get("labels")
    for key, entry in labels.items() if isinstance(labels, dict) else ():
        # MSD writes {"0": "background"}, nnU-Net {"background": 0, "whole tumor": [1, 2], "ignore": 3}.
        name, value = (entry, key) if str(key).isdigit() else (key, entry)
        if isinstance(value, list):
            if len(value) > 1:
                regions[str(name)] = tuple(int(one) for one in value)
                continue
            value = value[0] if value else 0
        try:
            number = int(value)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{path}: the label {name!r} has the value {value!r}, which is no whole number."
            ) from error
        if plain_name(str(name)) == "ignore":
            ignore = number
        elif number and plain_name(str(name)) != BACKGROUND:
            names[number] = str(name)
    channels = content.get("channel_names", content.get("modality"))
    told = [str(channels[key]) for key in sorted(channels, key=int)] if isinstance(channels, dict) else []
    return Description(str(path), names, ignore, regions, tuple(told))


def brats_names(values: Collection[float]) -> dict[int, str]:
    """Return the numbering of BraTS that all values of a set's label files are of: with a 4 that of up to 2022."""
    return BRATS_LABELS if 4 in values else BRATS_LABELS_2023


def in_brats_numbering(data: DataConfig, root: Path) -> DataConfig:
    """Return the data section with enhancing tumour at the value where the label files of a BraTS folder have it.

    A recipe whose enhancing tumour is value 4 was written for BraTS up to 2022. Where 4 is in no file and 3 in some,
    the files are of 2023 or later, and 3 is trained as 4 would be.
    """
    enhancing = value_of(BRATS_LABELS[4], data.labels)
    trained_as_3, trained_as_4 = (data.label_map.get(value, value) for value in (3, 4))
    if enhancing is None or trained_as_4 != enhancing or trained_as_3 == enhancing:
        return data
    values: set[float] = set()
    for seen in on_all_cores(label_values, [case for case in brats.find(root, []) if case.label is not None]):
        values |= seen
        if 4 in values:
            break
    if 3 in values and brats_names(values) is BRATS_LABELS_2023:
        return data.model_copy(update={"label_map": {**data.label_map, 3: enhancing}})
    return data


def in_agreement(config: Config, root: Path) -> Config:
    """Return the recipe with `data.label_map` completed by what a data set says of its labels, or by their numbering.

    Parameters
    ----------
    config : Config
        The recipe.
    root : Path
        The data set.

    Raises
    ------
    InputError
        If names, regions, channels or modality contradict the recipe: what is said where, and what to set.
    """
    description = describe(root)
    if description is None:
        return config
    data = config.data
    _check_channels(description, config)
    if description.source == STUDIES and data.layout in ("auto", "dicom"):
        refuse_unknown(root, data.labels)
    if description.source.endswith("dataset.json"):
        data = agreed_labels(data, description, config.task == "localiser")
    if description.names is BRATS_LABELS and data.layout in ("auto", "brats"):
        data = in_brats_numbering(data, root)
    return config.model_copy(update={"data": data})


def agreed_labels(data: DataConfig, description: Description, localiser: bool = False) -> DataConfig:
    """Return the data section with the label map that the names of a description ask for.

    Parameters
    ----------
    data : DataConfig
        The recipe's section; values that its own `label_map` names are left as it says.
    description : Description
        Of the data set.
    localiser : bool
        Tumour belongs to the liver, so it needs no name of its own.
    """
    label_map = dict(data.label_map)
    unknown = {value for values in description.regions.values() for value in values} - set(label_map)
    if unknown:
        told = ", ".join(f"{name} = {list(values)}" for name, values in description.regions.items())
        raise InputError(
            f"{description.source} has region labels ({told}), which overlap; a network here learns one class each. "
            "Name the classes of the single values in data.labels and say which value is which with data.label_map, "
            f"such as --data.label_map '{{{min(unknown)}: 1}}'; evaluate.py --regions then scores the unions."
        )
    if description.ignore is not None:
        label_map.setdefault(description.ignore, IGNORE)
    for value, name in description.names.items():
        place = value_of(name, data.labels)
        if value in label_map:
            continue
        if place is None and localiser and canonical_name(name) == TUMOR.name:
            # A free value 2 is taken for the tumour anyhow.
            is_known = value == TUMOR.value and len(data.labels) < TUMOR.value
            place = value if is_known else value_of(LIVER.name, data.labels)
        if place is None:
            raise InputError(
                f"{description.source} calls the value {value} {name!r}, but data.labels is "
                f"[{', '.join(data.labels)}]: add it there, or say with data.label_map what it is trained as, such as "
                f"--data.label_map '{{{value}: 0}}' for background."
            )
        if place != value:
            label_map[value] = place
    return data.model_copy(update={"label_map": label_map})


def _check_channels(description: Description, config: Config) -> None:
    channels, wanted = description.channels, config.data.channels
    all_of_them = f"--data.channels '[{', '.join(channels)}]'"
    if config.data.layout in ("auto", "msd", "nnunet") and _in_another_order(channels, wanted):
        raise InputError(
            f"{description.source} numbers the channels {', '.join(channels)}, but data.channels is "
            f"{', '.join(wanted)}, which would be taken for them in that order: set {all_of_them}."
        )
    if description.is_mr and config.preparation.window_hu is not None:
        raise InputError(
            f"{description.source} says that the images are {', '.join(channels)}, but the recipe treats them as CT "
            "in HU: use a recipe for MR such as subvolume_64_mr.yaml, or set preparation.window_hu null and "
            "preparation.clip_percentiles '[0.5, 99.5]'."
        )
    if len(channels) > len(wanted) and len(wanted) == 1:
        raise InputError(
            f"{description.source} has {len(channels)} channels, but data.channels names only {wanted[0]}: set "
            f"{all_of_them}."
        )


def _in_another_order(numbered: Sequence[str], wanted: Sequence[str]) -> bool:
    """Return whether the place of a channel, by any word for it, is another in a data set than in the recipe."""
    words = [words_for(channel) for channel in numbered]
    for place, channel in enumerate(wanted):
        places = [at for at, known in enumerate(words) if known & words_for(channel)]
        if places and place not in places:
            return True
    return False
