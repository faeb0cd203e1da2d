"""The speed measurement of training runs both candidates on the same network."""

import pytest

from LiverTumorSegTraining.benchmark import training
from LiverTumorSegTraining.benchmark.comparison import OURS

pytest.importorskip("monai", reason="MONAI comes with the train extra")


def test_small_measurement():
    report = training.run(quick=True, rounds=1, threads=1, say=lambda text: None)
    assert set(report["ratios"]) == {"monai"}
    ours, theirs = report["figures"][OURS], report["figures"]["monai"]
    assert ours["parameters"] == theirs["parameters"]
    assert all(figures["samples_per_second"] > 0 for figures in (ours, theirs))
