"""Probabilities that mean what they say: Platt scaling of the tumour, folded into the network's last convolution.

A loss that counts tumour more than the rest makes every network too sure of it. Two numbers, fitted to held-out cases
voxel by voxel, mend that (Platt, 1999; Guo et al., ICML 2017): the logits are scaled and that of the tumour is
shifted. Both are linear, so that the weights take them up and inference knows nothing of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import place_in
from LiverTumorSegLib.labels import IGNORE, TUMOR
from LiverTumorSegLib.model.bundle import Bundle
from scipy.optimize import minimize
from scipy.special import expit, logit

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.reading import as_classes
from LiverTumorSegTraining.evaluation.reliability import CaseReliability, case_reliability
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.validation import ProductInference

FAINTEST = 3
"""Bytes of probability below this are most of every scan and say nothing of how sure the network is of a tumour."""


@dataclass(frozen=True)
class Calibration:
    """What turns a tumour probability p into the part of such voxels that is tumour: logit -> scale * logit + shift.

    Attributes
    ----------
    scale, shift : float
        Below 1 and below 0 where the network is too sure.
    cases : tuple of str
        What it was fitted to.
    """

    scale: float
    shift: float
    cases: tuple[str, ...]

    def of(self, probability: float) -> float:
        """Return the calibrated probability, 0..1 without the ends."""
        return float(expit(self.scale * logit(probability) + self.shift))


def fit_calibration(cases: Sequence[CaseReliability]) -> Calibration:
    """Return the calibration with the smallest cross entropy, every case counting as much as another.

    Raises
    ------
    InputError
        If no case has tumour that the network sees, or none has anything else: there is nothing to fit.
    """
    probability = np.clip(np.arange(FAINTEST, 256), 1, 254) / 255
    used = [case for case in cases if case.tumor[FAINTEST:].sum() + case.other[FAINTEST:].sum()]
    shares = [
        np.stack([case.tumor, case.other])[:, FAINTEST:] / (case.tumor + case.other)[FAINTEST:].sum() for case in used
    ]
    tumor, other = np.sum(shares, axis=0) if shares else np.zeros((2, len(probability)))
    if not tumor.any() or not other.any():
        raise InputError(
            "The cases to calibrate on hold no tumour that the network sees, or nothing else it calls so."
        )

    def cross_entropy(parameters: np.ndarray) -> float:
        calibrated = parameters[0] * logit(probability) + parameters[1]
        return float((tumor * np.logaddexp(0, -calibrated) + other * np.logaddexp(0, calibrated)).sum())

    scale, shift = minimize(cross_entropy, np.array([1.0, 0.0]), options={"gtol": 1e-7}).x
    return Calibration(round(float(scale), 4), round(float(shift), 4), tuple(case.name for case in used))


def calibrated(bundle: Bundle, calibration: Calibration) -> Bundle:
    """Return a model whose tumour probability is calibrated; its threshold moves along, so that its masks stay.

    Parameters
    ----------
    bundle : Bundle
        Of task "liver-tumor", a network of this project.
    """
    weights = dict(bundle.weights)
    classes = len(bundle.labels) + 1
    # A sub-voxel head has several outputs a class, one after the other.
    outputs = torch.arange(len(weights["head.bias"])) // (len(weights["head.bias"]) // classes)
    weights["head.weight"] = weights["head.weight"].float() * calibration.scale
    weights["head.bias"] = weights["head.bias"].float() * calibration.scale
    weights["head.bias"] = weights["head.bias"] + calibration.shift * (outputs == TUMOR.value)
    told = {"scale": calibration.scale, "shift": calibration.shift, "cases": list(calibration.cases)}
    return dataclasses.replace(
        bundle,
        weights=weights,
        tumor_threshold=round(calibration.of(bundle.tumor_threshold), 3),
        training={**bundle.training, "calibration": told},
    )


def held_out_reliability(
    bundle: Bundle, config: Config, data: Path, patients: Sequence[str]
) -> Iterator[CaseReliability]:
    """Yield, for each scan of the held-out patients, how its tumour probability goes with the reference.

    Parameters
    ----------
    bundle : Bundle
        The model, run as segment.py runs it.
    config : Config
        The recipe; says how the data set is laid out and what its labels mean.
    data : Path
        The data set of the run.
    patients : sequence of str
        Who was held out.

    Raises
    ------
    InputError
        If the data set has no case of them.
    """
    held_out = [case for case in find_cases(data, config.data) if case.patient in set(patients)]
    # Where tumours were not annotated, what is found is no mistake.
    cases = [case for case in held_out if not case.liver_only]
    if not cases:
        raise InputError(
            f"{data} holds no case of the held-out patients {', '.join(patients)} with annotated tumours: give the "
            "run's data."
        )
    inference = ProductInference(bundle, config, torch.device("cpu"))
    for case in cases:
        result, images, label = inference.result(case)
        if result.tumor_probability is None:
            continue
        reference = as_classes(sitk.GetArrayFromImage(label), config.data)
        start = place_in(images[0], result.tumor_probability)
        assert start is not None  # the probability was made on the scan's grid
        x, y, z = (int(n) for n in start)
        probability = sitk.GetArrayFromImage(result.tumor_probability)
        yield case_reliability(case.name, reference == TUMOR.value, reference == IGNORE, probability, (z, y, x))
