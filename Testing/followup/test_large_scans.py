"""Two scans of 512 x 512 x 600 voxels with 50 lesions are followed within 2 GB and 25 seconds of processor time."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from LiverTumorSegTraining.benchmark.child import run_child
from LiverTumorSegTraining.evaluation.phantoms import large_pair

ROOT = Path(__file__).parents[2]
MOST_MB, MOST_S = 2048, 25.0


@pytest.mark.skipif("not config.getoption('--soak')", reason="takes a minute: asked for by --soak")
@pytest.mark.parametrize("images", [False, True], ids=["labels", "labels and CTs"])
def test_memory_and_time_of_a_comparison(images, tmp_path, monkeypatch):
    pair = large_pair()
    for name, labels in (("before", pair.reference), ("after", np.roll(pair.prediction, 6, axis=0))):
        grey = np.take(np.array([-80, 110, 60], np.int16), labels)
        for kind, array in (("", labels), ("_ct", grey)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(pair.spacing_mm[::-1])
            sitk.WriteImage(image, str(tmp_path / f"{name}{kind}.nii.gz"), True, 1)
    monkeypatch.syspath_prepend(str(ROOT / "LiverTumorSeg"))
    arguments = ["-m", "LiverTumorSegLib.followup", str(tmp_path / "before.nii.gz"), str(tmp_path / "after.nii.gz")]
    if images:
        arguments += ["--images", str(tmp_path / "before_ct.nii.gz"), str(tmp_path / "after_ct.nii.gz")]
    run = run_child([*arguments, "--output", str(tmp_path / "out")], threads=2)
    print(f"{run.peak_rss_mb:.0f} MiB, {run.cpu_s:.1f} s of processor time, {run.wall_s:.1f} s")
    found = json.loads((tmp_path / "out" / "followup.json").read_text())
    assert len(found["scans"][0]["lesions"]) == 50
    assert run.peak_rss_mb < MOST_MB
    assert run.cpu_s < MOST_S
