"""What a child process reads is written beside the main thread: real threads, files and processes."""

import sys
import threading
import time
from functools import partial

import numpy as np
import psutil
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

import SimpleITK as sitk


@pytest.fixture
def start(application, tmp_path):
    """A function that starts a child which tells what lies in its folder, after these writers."""
    from LiverTumorSegPanel.handoverProcess import HandoverProcess

    program = "import json, os; print(json.dumps({'event': 'seen', 'files': sorted(os.listdir('.'))}))"
    return lambda *writers: HandoverProcess([sys.executable, "-c", program], tmp_path, tmp_path, writers)


def outcome(process):
    """Poll to the end; return the events and the exit code."""
    events, deadline = [], time.monotonic() + 60
    while time.monotonic() < deadline:
        found, code = process.poll()
        events += found
        if code is not None:
            return events, code
    raise AssertionError("it does not end")


def test_the_child_starts_when_everything_is_written(start, tmp_path):
    goesOn = threading.Event()
    process = start(lambda: goesOn.wait(60), (tmp_path / "late").touch)
    assert process.poll() == ([], None)
    assert process.pid is None
    goesOn.set()
    events, code = outcome(process)
    assert code == 0
    assert events == [{"event": "seen", "files": ["late"]}]


def test_a_folder_that_takes_nothing_is_one_sentence_and_starts_nothing(start, tmp_path):
    process = start((tmp_path / "gone" / "scan.nrrd").touch)
    (event,), code = outcome(process)
    assert event["event"] == "error"
    assert "does not take what has to be handed over (No such file or directory)" in event["message"]
    assert code != 0
    assert process.pid is None


def test_stopped_while_writing_nothing_more_is_written_and_nothing_started(start, tmp_path):
    begun, others = threading.Event(), psutil.Process().children()
    process = start(lambda: begun.set() or time.sleep(0.2), (tmp_path / "late").touch)
    assert begun.wait(60)
    process.stop()
    assert not list(tmp_path.iterdir())
    assert set(psutil.Process().children()) <= set(others)


@pytest.mark.parametrize("kind", ["int16", "uint8", "float32", "float64", "uint16", "int32"])
def test_a_taken_image_is_read_as_it_was(application, tmp_path, kind):
    from LiverTumorSegLib.grid import Grid
    from LiverTumorSegPanel.volumeExport import TakenImage

    turned = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, -1.0)  # left-handed, oblique
    grid = Grid((4, 5, 6), (0.7, 0.71, 1 / 3), (-123.456789012, 1e-7, 987.6), turned)
    voxels = np.random.default_rng(0).integers(0, 200, (6, 5, 4)).astype(kind)
    TakenImage(voxels, grid).write(tmp_path / "image.nrrd")
    image = sitk.ReadImage(str(tmp_path / "image.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(image), voxels)
    assert sitk.GetArrayViewFromImage(image).dtype == voxels.dtype
    assert np.allclose(image.GetSpacing(), grid.spacing_mm, atol=1e-12)
    assert image.GetOrigin() == grid.origin_mm
    assert np.allclose(image.GetDirection(), turned, atol=1e-12)


def test_writing_leaves_the_main_thread_its_lock(application, tmp_path):
    """Numpy writes without Python's lock: meanwhile this thread gets on as it does alone."""
    from LiverTumorSegLib.grid import Grid
    from LiverTumorSegPanel.volumeExport import TakenImage

    shape = (300, 512, 512)
    image = TakenImage(np.ones(shape, np.int16), Grid(shape[::-1], (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())))
    writer = threading.Thread(target=partial(image.write, tmp_path / "large.nrrd"))
    writer.start()
    turns = 0
    while writer.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 5
