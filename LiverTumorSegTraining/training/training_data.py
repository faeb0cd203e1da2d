"""From a data set to prepared training and validation cases: found, verified, split, prepared."""

from __future__ import annotations

import functools
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
from LiverTumorSegTraining.data.workers import on_all_cores
from LiverTumorSegTraining.recipe.config import Config
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
        cases = sound_cases(root, own, cache.folder, display)
        display.say(patients_in_words(cases, own.data))
        training, validation = split(cases, own.data, lambda case: tumor_burden_ml(case, own))
        unused = sorted({case.name for case in cases} - {case.name for case in (*training, *validation)})
        if unused:
            display.say(f"Neither trained on nor held out by {own.data.splits}: {', '.join(unused)}.")
        mixed = []
        mixed_in = own
        if config.data.mix is not None:
            held_out = {case.patient for case in validation}
            # The second data set may number its labels otherwise.
            mixed_in = in_agreement(config, config.data.mix)
            others = sound_cases(config.data.mix, mixed_in, cache.folder, display)
            mixed = [case for case in others if case.patient not in held_out]
            if not mixed:
                raise InputError(f"data.mix {config.data.mix} holds only patients that are held out for validation.")
        prepared = prepare_all([*training, *validation], own, cache, display)
        return TrainingData(
            prepared[: len(training)],
            prepared[len(training) :],
            prepare_all(mixed, mixed_in, cache, display) if mixed else [],
        )

    # The first process fills the cache, the others then read it.
    data = load() if processes.first else None
    processes.wait()
    return data if data is not None else load()


def sound_cases(root: Path, config: Config, cache: Path, display: Display) -> list[Case]:
    """Return the usable cases of a data set after verification."""
    cases = find_cases(root, config.data, display.say)
    listed = list_cases(root, config.data)
    with display.stage("verifying cases", len(listed)) as advance:
        facts = facts_of(listed, config.data, cache, lambda done, of: advance(done))
    report = problems_of(listed, facts, config.data, config.task == "localiser")
    sound = refuse_or_exclude(cases, report, config.data, display.say)
    for doubt in doubts_of(sound, facts, config.data):
        display.say(f"Warning: {doubt}")
    return sound


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
