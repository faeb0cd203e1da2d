"""Agreement with surface-distance and panoptica on 200 random pairs, and with picai_eval on 60 probability maps.

Those packages pin old libraries, so they live in environments of their own, named by the environment variables
LIVERTUMORSEG_ORACLES and LIVERTUMORSEG_PICAI (the paths of their Pythons). docs/evaluation.md says how to make them.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from LiverTumorSegTraining.evaluation.case_scores import score_case
from LiverTumorSegTraining.evaluation.lesion_confidence import (
    case_detections,
    confidences,
    lesion_candidates,
    lesion_confidence,
)
from LiverTumorSegTraining.evaluation.lesion_summary import summarise_panoptic
from LiverTumorSegTraining.evaluation.phantoms import degrade, random_pair
from LiverTumorSegTraining.evaluation.regions import LIVER_TUMOR

PAIRS = 200
ORACLES = os.environ.get("LIVERTUMORSEG_ORACLES")

PICAI = os.environ.get("LIVERTUMORSEG_PICAI")
WORKER = Path(__file__).with_name("oracle_worker.py")


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    if not ORACLES or not Path(ORACLES).is_file():
        pytest.skip("LIVERTUMORSEG_ORACLES names no Python of an environment with surface-distance and panoptica")
    folder = tmp_path_factory.mktemp("oracles")
    pairs = [random_pair(seed) for seed in range(PAIRS)]
    arrays = {}
    for number, pair in enumerate(pairs):
        arrays[f"reference_{number}"] = pair.reference == 2
        arrays[f"prediction_{number}"] = pair.prediction == 2
        arrays[f"spacing_{number}"] = np.array(pair.spacing_mm)
    np.savez_compressed(folder / "pairs.npz", **arrays)
    subprocess.run([ORACLES, str(WORKER), str(folder / "pairs.npz"), str(folder / "figures.json")], check=True)
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


@pytest.mark.skipif(
    not PICAI or not Path(PICAI).is_file(),
    reason="LIVERTUMORSEG_PICAI names no Python of an environment with picai_eval",
)
def test_picai_eval_agrees(tmp_path, record_property):
    arrays, cases = {}, []
    for number in range(60):
        pair = random_pair(number)
        reference = (pair.reference == 2) & (number % 4 > 0)
        probability = degrade(pair.reference, number)[1]
        labels = lesion_candidates(probability)
        confidence = np.r_[0.0, confidences(probability, labels)].astype(np.float32)
        arrays |= {f"reference_{number}": reference, f"map_{number}": confidence[labels]}
        name = str(number)
        cases.append(case_detections(name, name, reference, None, probability, (0, 0, 0), pair.spacing_mm))
    np.savez_compressed(tmp_path / "detections.npz", **arrays)
    subprocess.run([PICAI, str(WORKER), str(tmp_path / "detections.npz"), str(tmp_path / "figures.json")], check=True)
    theirs = json.loads((tmp_path / "figures.json").read_text())
    ours = lesion_confidence(cases)
    assert [[len(case.true), len(case.false)] for case in cases] == theirs["counts"]
    assert ours.lesions > 100
    differences = {
        "ap": abs(ours.average_precision.value - theirs["ap"]),
        "auroc": abs(ours.patient_auroc.value - theirs["auroc"]),
    }
    record_property("differences", differences)
    print(f"AP {theirs['ap']:.4f}, AUROC {theirs['auroc']:.4f}: {differences}")
    assert 0.02 < theirs["ap"] < 0.98
    assert max(differences.values()) < 1e-9
