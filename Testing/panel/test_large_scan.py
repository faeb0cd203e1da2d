"""What a click costs the main thread on a CT of 512 x 512 x 300 voxels, in processor time."""

import time

import numpy as np
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

SHAPE, SPACING = (300, 512, 512), (0.8, 0.8, 1.0)
LIVER = np.s_[60:242, 120:381, 90:408]
"""The median box of a liver."""
LESIONS = 30


@pytest.fixture
def large(panel, slicer):
    """A result with many lesions, and a probability that falls off around them."""
    from LiverTumorSegLib.grid import Grid
    from LiverTumorSegLib.labels import LIVER_TUMOR
    from LiverTumorSegPanel.resultRecords import attributesOfReport
    from LiverTumorSegPanel.segmentationImport import Labelmap, commitSegmentation
    from LiverTumorSegPanel.volumeExport import coreGrid, gridOf

    panel.open()
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(volume, np.full(SHAPE, 60, np.int16))
    volume.SetSpacing(*SPACING)
    size = [part.stop - part.start for part in LIVER]
    axes = np.ogrid[tuple(slice(0, n) for n in size)]
    organ = sum(((axis - n / 2) / (n / 2)) ** 2 for axis, n in zip(axes, size, strict=True)) < 1
    scores, random = np.zeros(size, np.uint8), np.random.default_rng(0)
    for middle in random.permutation(np.argwhere(organ[::8, ::8, ::8]) * 8)[:LESIONS]:
        box = tuple(slice(max(0, at - 25), min(n, at + 25)) for at, n in zip(middle, size, strict=True))
        distance = sum((axis - at) ** 2 for axis, at in zip(np.ogrid[box], middle, strict=True))
        scores[box] = np.maximum(scores[box], (240 * np.exp(-distance / random.uniform(40, 300))).astype(np.uint8))
    scores *= organ
    labels = np.zeros(SHAPE, np.uint8)
    labels[LIVER] = np.where(scores > 127, 2, organ)
    node = commitSegmentation(
        volume,
        Labelmap(labels, LIVER_TUMOR, gridOf(volume)),
        "CT liver 1",
        attributesOfReport({"threshold": 0.5, "model": {"id": "m", "version": "1"}}),
    )
    start, stop = (np.array([getattr(part, end) for part in LIVER[::-1]]) for end in ("start", "stop"))
    grid: Grid = coreGrid(volume).crop(start, stop)
    panel.widget._onResult(node, volume, grid.image(scores))
    panel.volume, panel.node = volume, node
    return panel


def spent(function):
    """Return the processor seconds of this thread."""
    started = time.thread_time()
    function()
    return time.thread_time() - started


def test_each_move_of_the_slider_shows_its_lesions_for_a_fraction_of_what_letting_go_costs(large):
    panel, slider = large, large.ui.sensitivitySlider
    slider.sliderPressed.emit()
    seconds, shown = [], set()

    def move(position):
        slider.value = position
        panel.app.processEvents()

    for position in np.linspace(slider.minimum, slider.maximum, 21).round().astype(int).tolist():
        seconds.append(spent(lambda to=position: move(to)))
        shown.add(panel.ui.sensitivityLabel.text)
    moved, released = float(np.median(seconds[1:])), spent(slider.sliderReleased.emit)
    print(f"first {1000 * seconds[0]:.0f} ms, then median {1000 * moved:.0f} ms, at the end {1000 * released:.0f} ms")
    assert len(shown) > 10, "the figures follow"
    # Milliseconds on a given processor are for scripts/benchmark.py --panel.
    assert moved < released / 4


def test_an_export_does_not_wait_for_the_disk(large, application, tmp_path):
    from LiverTumorSegPanel.exportProcess import ExportProcess

    panel, section = large, large.widget.resultSection
    seconds = [
        spent(lambda: ExportProcess(section.session, section._export._moduleFolder, "table")) for _again in range(3)
    ]
    print(f"taken in {1000 * min(seconds):.0f} ms")
    assert min(seconds) < 0.15
    application.qt.QFileDialog.answer = str(tmp_path / "table.csv")
    panel.ui.exportButton.click()
    assert section._export.isWriting
    panel.slicer.util.arrayFromVolume(panel.volume)[:] = 0  # what was taken stays as it was
    panel.slicer.util.arrayFromVolumeModified(panel.volume)
    panel.wait(lambda: not section._export.isWriting)
    assert panel.ui.exportLabel.text == "Written: table.csv."
    assert ",60.0," in (tmp_path / "table.csv").read_text(encoding="utf-8")
