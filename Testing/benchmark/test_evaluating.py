"""The speed measurement runs and its candidates agree; the figures themselves belong to a quiet machine."""

import json

import pytest

from LiverTumorSegTraining.benchmark import evaluating as benchmark

pytest.importorskip("monai", reason="MONAI comes with the train extra")


def test_small_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "_QUICK_SHAPE", (60, 128, 128))
    monkeypatch.delenv(benchmark.ORACLES, raising=False)
    report = benchmark.run(tmp_path / "speed.json", quick=True)
    assert json.loads((tmp_path / "speed.json").read_text()) == report
    assert report["lesions"] == 50
    assert set(report["ratios"]) == {"monai"}
    assert "surface-distance" in report["omitted"]
    assert all(value > 0 for value in report["peak_rss_mb"].values())
    ours, theirs = report["figures"]["ours"], report["figures"]["monai"]
    assert ours["tumor"]["dice"] == pytest.approx(theirs["tumor"]["dice"], abs=1e-6)
