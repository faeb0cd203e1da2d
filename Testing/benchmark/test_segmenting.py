"""The benchmark's way of measuring: the peer really runs, memory and time are those of the child."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import LiverTumorSegError

pytest.importorskip("psutil", reason="psutil belongs to the cli packages")

from LiverTumorSegTraining.benchmark.child import run_child
from LiverTumorSegTraining.benchmark.cli import main
from LiverTumorSegTraining.benchmark.comparison import OURS, Measurement, compare, measurement_of
from LiverTumorSegTraining.benchmark.segmenting_scan import AIR_HU, QUICK_SIZE, write_volume


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


def test_child_counts_its_own_processor_time():
    code = "import time; start = time.process_time()\nwhile time.process_time() - start < 0.4: pass"
    run = run_child(["-c", code], threads=1)
    assert 0.3 <= run.cpu_s <= run.wall_s + 0.1


def test_peer_runs_and_writes_labels_on_the_input_grid(tmp_path):
    pytest.importorskip("monai", reason="the peer is MONAI, which belongs to the train packages")
    image = sitk.Image(40, 40, 30, sitk.sitkInt16)
    image.SetSpacing((1.5, 1.5, 2.0))
    paths = [str(tmp_path / name) for name in ("scan.nii.gz", "labels.nii.gz")]
    sitk.WriteImage(image, paths[0])
    peer = run_child(["-m", "LiverTumorSegTraining.benchmark.segmenting_peer", *paths], threads=2)
    labels = sitk.ReadImage(paths[1])
    assert (labels.GetSize(), labels.GetSpacing()) == (image.GetSize(), image.GetSpacing())
    measured = measurement_of(peer)
    stages = {name: value for name, value in measured.seconds.items() if name not in ("total", "wall")}
    assert measured.seconds["total"] == pytest.approx(sum(stages.values()))
    assert measured.seconds["total"] < measured.seconds["wall"]
    assert measured.cpu_seconds > 0


def test_candidates_run_in_turns_and_medians_are_compared():
    order = []
    totals = {OURS: iter([2.0, 9.0, 3.0]), "peer": iter([12.0, 6.0, 60.0])}

    def candidate(name):
        def run():
            order.append(name)
            total = next(totals[name])
            return Measurement({"total": total, "wall": total + 1}, total / 2, 100 * total, {"run": len(order)})

        return run

    report = compare({n: candidate(n) for n in totals}, rounds=3, threads=2, say=lambda text: None)
    assert order == [OURS, "peer"] * 3
    assert report["seconds"] == {OURS: {"total": 3.0, "wall": 4.0}, "peer": {"total": 12.0, "wall": 13.0}}
    assert report["ratios"] == {"peer": 4.0}
    assert report["cpu_ratios"] == {"peer": 4.0}
    assert report["peak_rss_mb"] == {OURS: 900.0, "peer": 6000.0}
    assert report["figures"]["peer"] == {"run": 6}


def test_missing_output_is_wrong_usage():
    with pytest.raises(SystemExit) as stop:
        main(["--quick"])
    assert stop.value.code == 2
    assert "LiverTumorSegTraining" in sys.modules
