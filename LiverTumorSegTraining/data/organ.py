"""What belongs to the organ of a recipe: a localiser looks for the whole liver, whatever grows in it."""

from __future__ import annotations

import numpy as np
from LiverTumorSegLib.labels import LIVER, TUMOR, value_of

from LiverTumorSegTraining.data.reading import as_classes
from LiverTumorSegTraining.recipe.config import Config


def organ_classes(config: Config) -> list[int]:
    """Return the classes that make up the organ: liver and tumour, or whatever a recipe of another task names."""
    if config.task == "localiser":
        return [LIVER.value]
    return [LIVER.value, TUMOR.value] if config.task == "liver-tumor" else list(range(1, config.classes))


def organs_tumor(config: Config) -> int | None:
    """Return the value that a localiser trains as liver: its label tumor, else 2, as most files have it, if free."""
    if config.task != "localiser":
        return None
    named = value_of(TUMOR.name, config.data.labels)
    is_free = len(config.data.labels) < TUMOR.value
    return TUMOR.value if named is None and is_free else named


def trained_classes(array: np.ndarray, config: Config) -> np.ndarray:
    """Return what the values of a label file are trained as, uint8; a localiser's tumours are its liver."""
    return without_organs_tumor(as_classes(array, config.data), config)


def without_organs_tumor(classes: np.ndarray, config: Config) -> np.ndarray:
    """Return class values, uint8, in which the tumours of a localiser are liver."""
    tumor = organs_tumor(config)
    return classes if tumor is None else np.where(classes == tumor, np.uint8(LIVER.value), classes)
