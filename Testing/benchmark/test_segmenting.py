"""The benchmark's way of measuring: the peer really runs, memory and time are those of the child."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError

pytest.importorskip("psutil", reason="psutil belongs to the cli packages")

from LiverTumorSegTraining.benchmark.child import run_child
from LiverTumorSegTraining.benchmark.cli import main
from LiverTumorSegTraining.benchmark.volume import AIR_HU, QUICK_SIZE, write_volume

ROOT = Path(__file__).resolve().parents[2]


def test_child_is_measured_from_outside():
    fill = "block = bytearray(200 * 2**20); block[::4096] = b'x' * len(block[::4096])"
    code = f"import time; {fill}; print('ready', flush=True); time.sleep(0.5)"
    run = run_child(["-c", code], threads=1)
    assert run.wall_s >= 0.5
    assert 200 <= run.peak_rss_mb < 400
    assert run.lines[0][1].strip() == "ready"
    assert run.lines[0][0] <= run.wall_s - 0.4


def test_child_gets_its_threads_and_the_tuned_allocator():
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['THP_MEM_ALLOC_ENABLE'])"
    assert run_child(["-c", code], threads=3).lines[0][1].split() == ["3", "1"]


def test_failed_child_says_why():
    with pytest.raises(LiverTumorSegError, match="no such thing"):
        run_child(["-c", "raise ValueError('no such thing')"], threads=1)


def test_volume_keeps_the_lowest_slices_on_the_wanted_grid(tmp_path):
    values = np.full((60, 50, 50), 40, np.int16)
    values[:5] = 300  # the lowest 15 mm
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((3.0, 3.0, 3.0))
    sitk.WriteImage(sitk.DICOMOrient(image, "RAS"), str(tmp_path / "source.nii.gz"))
    about = write_volume(tmp_path / "source.nii.gz", tmp_path / "scan.nii.gz", quick=True)
    made = sitk.ReadImage(str(tmp_path / "scan.nii.gz"))
    assert made.GetSize() == tuple(about["size"]) == QUICK_SIZE
    assert made.GetPixelID() == sitk.sitkInt16
    array = sitk.GetArrayFromImage(made)
    assert array[2, 96, 96] == 300
    assert array[-1, 96, 96] == 40
    assert array[2, 0, 0] == AIR_HU


def test_peer_runs_and_writes_labels_on_the_input_grid(tmp_path, monkeypatch):
    pytest.importorskip("monai", reason="the peer is MONAI, which belongs to the train packages")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "LiverTumorSeg"), str(ROOT)]))
    image = sitk.Image(40, 40, 30, sitk.sitkInt16)
    image.SetSpacing((1.5, 1.5, 2.0))
    paths = [str(tmp_path / name) for name in ("scan.nii.gz", "labels.nii.gz", "seconds.json")]
    sitk.WriteImage(image, paths[0])
    run_child(["-m", "LiverTumorSegTraining.benchmark.peer", *paths], threads=2)
    labels = sitk.ReadImage(paths[1])
    assert (labels.GetSize(), labels.GetSpacing()) == (image.GetSize(), image.GetSpacing())
    seconds = json.loads(Path(paths[2]).read_text(encoding="utf-8"))
    assert seconds["total"] == pytest.approx(sum(value for name, value in seconds.items() if name != "total"))


def test_missing_output_is_wrong_usage():
    with pytest.raises(SystemExit) as stop:
        main(["--quick"])
    assert stop.value.code == 2
    assert "LiverTumorSegTraining" in sys.modules
