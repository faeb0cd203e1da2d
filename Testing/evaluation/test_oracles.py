"""Agreement with surface-distance and panoptica on 200 random pairs.

Those packages pin old libraries, so they live in an environment of their own, named by the environment variable
LIVERTUMORSEG_ORACLES (the path of its Python). docs/evaluation.md says how to make one.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from LiverTumorSegTraining.evaluation.case_scores import score_case
from LiverTumorSegTraining.evaluation.lesion_summary import summarise_panoptic
from LiverTumorSegTraining.evaluation.phantoms import random_pair
from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR

PAIRS = 200
ORACLES = os.environ.get("LIVERTUMORSEG_ORACLES")

pytestmark = pytest.mark.skipif(
    not ORACLES or not Path(ORACLES).is_file(),
    reason="LIVERTUMORSEG_ORACLES does not name the Python of an environment with surface-distance and panoptica",
)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oracles")
    pairs = [random_pair(seed) for seed in range(PAIRS)]
    arrays = {}
    for number, pair in enumerate(pairs):
        arrays[f"reference_{number}"] = pair.reference == 2
        arrays[f"prediction_{number}"] = pair.prediction == 2
        arrays[f"spacing_{number}"] = np.array(pair.spacing_mm)
    np.savez_compressed(folder / "pairs.npz", **arrays)
    worker = Path(__file__).with_name("oracle_worker.py")
    subprocess.run([ORACLES, str(worker), str(folder / "pairs.npz"), str(folder / "figures.json")], check=True)
    theirs = json.loads((folder / "figures.json").read_text())
    ours = [
        score_case(str(number), pair.reference, pair.prediction, pair.spacing_mm, LIVER_TUMOR)
        for number, pair in enumerate(pairs)
    ]
    return ours, theirs


@pytest.mark.parametrize("key", ["dice", "hd95_mm", "assd_mm", "nsd"])
def test_surface_distance_agrees(figures, key, record_property):
    ours, theirs = figures
    differences = [
        abs(case.regions["tumor"].values[key] - row[key]) for case, row in zip(ours, theirs, strict=True) if key in row
    ]
    record_property("largest_difference", max(differences))
    assert len(differences) > 150
    assert max(differences) < 1e-6


def test_panoptica_agrees(figures):
    ours, theirs = figures
    compared = 0
    for case, row in zip(ours, theirs, strict=True):
        if "tp" not in row:
            continue
        lesions = case.regions["tumor"].lesions
        truth = [lesion for lesion in lesions if lesion.side == "reference"]
        guesses = [lesion for lesion in lesions if lesion.side == "prediction"]
        found = sum(lesion.found["iou_half"] for lesion in truth)
        assert (len(truth), len(guesses)) == (row["reference"], row["prediction"])
        assert (found, len(guesses) - found, len(truth) - found) == (row["tp"], row["fp"], row["fn"])
        quality = summarise_panoptic([case], "tumor")
        assert quality.pq.value == pytest.approx(row["pq"], abs=1e-9)
        assert quality.rq.value == pytest.approx(row["rq"], abs=1e-9)
        if found:
            assert quality.sq.value == pytest.approx(row["sq"], abs=1e-9)
        compared += 1
    assert compared > 180
