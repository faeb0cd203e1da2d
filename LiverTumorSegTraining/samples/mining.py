"""Where a trained network errs on the training cases: hard places, to be drawn more often than others.

Online hard example mining (Shrivastava et al., CVPR 2016) at the pace of scans: the model that a run starts from goes
over every training case once, and samples are centred where it was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from LiverTumorSegLib.labels import IGNORE
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.model.normalisation import normalise
from LiverTumorSegLib.model.tile_plan import plan_tiles
from LiverTumorSegLib.model.tiles import predict_probabilities
from LiverTumorSegLib.pipeline.postprocess import level_of
from scipy import ndimage

from LiverTumorSegTraining.data.preparation import ANY_FOREGROUND, PreparedCase
from LiverTumorSegTraining.recipe.config import Config

RIM_VOXELS = 2
"""Errors this near to the border between two classes are a matter of how it was drawn."""
PLACES = 400
"""Places kept of each case."""
CERTAIN = level_of(0.5)


def hard_places(
    bundle: Bundle,
    cases: Sequence[PreparedCase],
    config: Config,
    device: torch.device,
    advance: Callable[[int, str], None] = lambda done, words: None,
) -> list[np.ndarray]:
    """Return, for each case, some voxels where a model is wrong.

    Parameters
    ----------
    bundle : Bundle
        The model; it has the recipe's labels.
    cases : sequence of PreparedCase
        On the grid of the recipe, which is the model's.
    config : Config
        The recipe.
    device : torch.device
        Where the model runs.
    advance : callable
        Told how many cases are done, and the name of the last one.

    Returns
    -------
    list of ndarray
        One for each case, (n, 3) as z, y, x; n is 0 where nothing is wrong.
    """
    network = bundle.build().to(device).eval()
    places = []
    for number, prepared in enumerate(cases, 1):
        steps = prepared.intensities(config)
        image = np.stack([normalise(v.astype(np.float32), s) for v, s in zip(prepared.image, steps, strict=True)])
        plan = plan_tiles(network, bundle.patch_size, image.shape[1:])
        found = predict_probabilities([network], image, plan, device)
        rng = np.random.default_rng([config.run.seed, number])
        places.append(_some(np.argwhere(errors(found, prepared.label)), rng))
        advance(number, prepared.case.name)
    return places


def errors(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return where a result is wrong beyond the rim of the classes, bool [z, y, x].

    Parameters
    ----------
    probabilities : ndarray of uint8, (classes - 1, z, y, x)
        255 times the probability of each class but the background.
    label : ndarray of uint8, [z, y, x]
        Classes; 255 is unknown, 254 any foreground class.
    """
    wrong = np.zeros(label.shape, bool)
    known = label < ANY_FOREGROUND
    for true, found in _class_by_class(probabilities, label, known):
        wrong |= found & ~_near(true | ~known)
        wrong |= true & ~_near(found)
    return wrong & known


def _class_by_class(
    probabilities: np.ndarray, label: np.ndarray, known: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield truth and result of the organ as a whole, then of each class beyond the first."""
    together = np.minimum(probabilities.astype(np.uint16).sum(0), IGNORE)
    yield (label > 0) & known, together >= CERTAIN
    for value in range(2, len(probabilities) + 1):
        yield label == value, probabilities[value - 1] >= CERTAIN


def _near(mask: np.ndarray) -> np.ndarray:
    near: np.ndarray = ndimage.binary_dilation(mask, iterations=RIM_VOXELS)
    return near


def _some(voxels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return voxels if len(voxels) <= PLACES else voxels[rng.choice(len(voxels), PLACES, replace=False)]
