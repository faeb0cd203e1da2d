"""The benchmark of a folder of scans: its scans, what it counts of worker processes, and both candidates for real."""

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("psutil", reason="psutil belongs to the cli packages")

from LiverTumorSegTraining.benchmark import folder
from LiverTumorSegTraining.benchmark.child import run_child
from LiverTumorSegTraining.benchmark.comparison import OURS
from LiverTumorSegTraining.benchmark.segmenting_scan import AIR_HU


def test_scans_differ_in_noise_alone(tmp_path):
    image = sitk.GetImageFromArray(np.where(np.arange(4000).reshape(10, 20, 20) % 2, 60, AIR_HU).astype(np.int16))
    image.SetSpacing((0.8, 0.8, 1.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    (tmp_path / "scans").mkdir()
    folder.write_scans(tmp_path / "scan.nii.gz", tmp_path / "scans", 2)
    first, second = (sitk.ReadImage(str(path)) for path in sorted((tmp_path / "scans").iterdir()))
    assert first.GetSpacing() == second.GetSpacing() == pytest.approx(image.GetSpacing())
    a, b = sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second)
    assert (a != b).any()
    assert ((a == AIR_HU) == (sitk.GetArrayFromImage(image) == AIR_HU)).all()
    assert abs(a[a > AIR_HU].mean() - 60) < 2


def test_what_a_child_starts_is_counted_with_it():
    work = "import time; b = bytearray(150 * 2**20); b[::4096] = b'x' * len(b[::4096]); t = time.process_time()\n"
    work += "while time.process_time() - t < 1.0: pass\n"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True); print('done')"
    run = run_child(["-c", code], threads=1)
    assert run.cpu_s >= 0.8
    assert run.peak_rss_mb >= 150


@pytest.mark.skipif("not config.getoption('--soak')", reason="takes minutes: asked for by --soak")
def test_both_ways_find_the_same_livers(shared_data):
    source = shared_data / "liver" / "3mm_whole" / "hcc005_portal.nii.gz"
    figures = folder.run(quick=True, rounds=1, threads=2, say=print, quality="quick", scan=source)
    assert figures["figures"][OURS] == figures["figures"][folder.PEER]
    assert figures["figures"][OURS]["results"] == folder.SCANS
    assert figures["figures"][OURS]["liver_ml"] > 0
    assert set(figures["ratios"]) == set(figures["cpu_ratios"]) == {folder.PEER}
