"""The speed measurement of the evaluation runs and its candidates agree; its figures belong to a quiet machine."""

import pytest

from LiverTumorSegTraining.benchmark import evaluating
from LiverTumorSegTraining.benchmark.comparison import OURS

pytest.importorskip("monai", reason="MONAI comes with the train extra")


def test_small_measurement(monkeypatch):
    monkeypatch.setattr(evaluating, "_QUICK_SHAPE", (60, 128, 128))
    monkeypatch.delenv(evaluating.ORACLES, raising=False)
    report = evaluating.run(quick=True, rounds=1, threads=1, say=lambda text: None)
    assert report["lesions"] == 50
    assert set(report["ratios"]) == set(report["cpu_ratios"]) == {"monai"}
    assert "surface-distance" in report["omitted"]
    assert all(value > 50 for value in report["peak_rss_mb"].values())
    ours, theirs = report["figures"][OURS], report["figures"]["monai"]
    assert ours["tumor"]["dice"] == pytest.approx(theirs["tumor"]["dice"], abs=1e-6)
