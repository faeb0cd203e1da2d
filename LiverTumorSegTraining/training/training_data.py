"""From a data set to prepared training and validation cases: found, verified, split, prepared."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import TUMOR

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.dataset import find_cases, list_cases, split
from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.data.doubts import doubts_of
from LiverTumorSegTraining.data.patients import patients_in_words
from LiverTumorSegTraining.data.preparation import PreparedCase, cache_of, fill_cache, prepare
from LiverTumorSegTraining.data.preparation_cache import PreparationCache
from LiverTumorSegTraining.data.reading import as_classes, read_label
from LiverTumorSegTraining.data.verify import facts_of, problems_of, refuse_or_exclude
from LiverTumorSegTraining.data.verify_case import CaseFacts
from LiverTumorSegTraining.data.workers import on_all_cores
from LiverTumorSegTraining.recipe.config import Config, DataConfig
from LiverTumorSegTraining.training.display import Display
from LiverTumorSegTraining.training.distributed import Processes


@dataclass(frozen=True)
class TrainingData:
    """Prepared cases: to train on, held out, and mixed in from the second data set."""

    training: list[PreparedCase]
    validation: list[PreparedCase]
    mixed: list[PreparedCase]


def load_training_data(
    root: Path, config: Config, run: Path, processes: Processes, display: Display | None = None
) -> TrainingData:
    """Return the cases of a recipe.

    Raises
    ------
    InputError
        If a case is wrong and `data.exclude_bad` is not set; the message names all of them.
    """
    display = display or Display(quiet=not processes.first)
    cache = cache_of(config, run)
    own = in_agreement(config, root)

    def load() -> TrainingData:
        if own.data.label_map != config.data.label_map:
            display.say(f"The data set numbers its labels so that data.label_map is {own.data.label_map}.")
        cases, facts = sound_cases(root, own, cache.folder, display)
        for doubt in doubts_of(cases, facts, own.data):
            display.say(f"Warning: {doubt}")
        display.say(patients_in_words(cases, own.data))
        left_out = {case.name for case in list_cases(root, own.data)} - {case.name for case in cases}
        training, validation = split(cases, own.data, lambda case: tumor_burden_ml(case, own), left_out)
        unused = sorted({case.name for case in cases} - {case.name for case in (*training, *validation)})
        if unused:
            display.say(f"Neither trained on nor held out by {own.data.splits}: {', '.join(unused)}.")
        mixed: list[PreparedCase] = []
        if config.data.mix is not None:
            scans = {facts[case.name].content: case for case in validation}
            # The second data set may number its labels otherwise.
            other = in_agreement(recipe_of_mix(config, config.data.mix), config.data.mix)
            mixed = prepare_all(
                mixed_cases(config.data.mix, other, scans, cache.folder, display), other, cache, display
            )
        prepared = prepare_all([*training, *validation], own, cache, display)
        return TrainingData(prepared[: len(training)], prepared[len(training) :], mixed)

    # The first process fills the cache, the others then read it.
    data = load() if processes.first else None
    processes.wait()
    return data if data is not None else load()


def sound_cases(root: Path, config: Config, cache: Path, display: Display) -> tuple[list[Case], dict[str, CaseFacts]]:
    """Return the usable cases of a data set after verification, and what that saw of each by name."""
    cases = find_cases(root, config.data, display.say)
    with display.stage("verifying cases", len(cases)) as advance:
        facts = facts_of(cases, config.data, cache, lambda done, of: advance(done))
    report = problems_of(cases, facts, config.data, config.task == "localiser")
    return refuse_or_exclude(cases, report, config.data, display.say), facts


def recipe_of_mix(config: Config, mix: Path) -> Config:
    """Return the recipe as it goes for `data.mix`: what names cases, patients or the layout is of the first set only.

    The pattern of patients is kept where it fits every case, so that a patient has one name in both sets.
    """
    kept = ("channels", "labels", "label_map", "exclude_bad", "missing_labels")
    data = DataConfig(**config.data.model_dump(include=set(kept)))
    pattern = config.data.patient_pattern
    if pattern is not None and all(re.search(pattern, case.name) for case in list_cases(mix, data)):
        data = data.model_copy(update={"patient_pattern": pattern})
    return config.model_copy(update={"data": data})


def mixed_cases(mix: Path, config: Config, held_out: Mapping[str, Case], cache: Path, display: Display) -> list[Case]:
    """Return the cases of `data.mix` without those of held-out patients, told by their names and by their scans.

    Parameters
    ----------
    mix, config : Path, Config
        The second data set and the recipe as it goes for it (`recipe_of_mix`).
    held_out : mapping of str to Case
        The held-out cases of the first set by the SHA-256 of their voxels.
    cache, display
        As for `sound_cases`.

    Raises
    ------
    InputError
        If nothing is left.
    """
    cases, facts = sound_cases(mix, config, cache, display)
    same = {case.name: held_out[content] for case in cases if (content := facts[case.name].content) in held_out}
    patients = {case.patient for case in held_out.values()} | {case.patient for case in cases if case.name in same}
    left_out = [case.name for case in cases if case.patient in patients]
    mixed = [case for case in cases if case.patient not in patients]
    if not mixed:
        raise InputError(f"data.mix {mix} holds only patients that are held out for validation.")
    if left_out:
        display.say(f"Left out of data.mix because their patients are held out: {', '.join(left_out)}.")
    for name, case in same.items():
        display.say(f"The scan of {name} in data.mix is that of the held-out case {case.name}.")
    return mixed


def prepare_all(cases: list[Case], config: Config, cache: PreparationCache, display: Display) -> list[PreparedCase]:
    """Return the cases on the grid of the recipe, in their order."""
    prepared = []
    with display.stage("preparing cases", len(cases)) as advance:
        # The arrays themselves stay on the disk: other processes fill the cache, this one maps it into memory.
        filled = on_all_cores(functools.partial(fill_cache, config=config, cache=cache), cases)
        for case, files in zip(cases, filled, strict=True):
            prepared.append(prepare(case, config, cache, files))
            advance(len(prepared), case.name)
    return prepared


def tumor_burden_ml(case: Case, config: Config) -> float:
    """Return the tumour volume of a case (of all classes, if the task is not the liver)."""
    label = read_label(case, config.data)
    classes = as_classes(sitk.GetArrayFromImage(sitk.Cast(label, sitk.sitkUInt8)), config.data)
    present = classes == TUMOR.value
    if config.task == "other":
        present = (classes > 0) & (classes <= len(config.data.labels))
    return float(present.sum()) * float(np.prod(label.GetSpacing())) / 1000
