"""What a reader waits for in the panel: run by ``scripts/benchmark.py --panel``, which names two CTs; no test."""

import json
import os
import time
from pathlib import Path

import numpy as np
import psutil
from scipy import ndimage

from reading_session import clickAt, labelsNow

MOVES = 40
ANSWERS = ("at a score of", "No lesion shows")


def test_what_a_reader_waits_for(panel, slicer, temporaryFolder, monkeypatch):
    told = json.loads(os.environ["LIVERTUMORSEG_MEASURE"])
    monkeypatch.delenv("LIVERTUMORSEG_MODELS", raising=False)
    panel.open()
    panel.wait(lambda: panel.widget.segmentSection.models.torch is not None)
    panel.ui.deviceComboBox.setCurrentIndex(panel.ui.deviceComboBox.findData("cpu"))
    run(panel, slicer, told["small"])  # the panel learns how fast this computer is
    planned, said, measured = run(panel, slicer, told["scan"])
    figures = {
        "volume": list(panel.volume.GetImageData().GetDimensions()),
        "plan": {"said": said, **planned},
        "run": measured,
        "plan_error": {name: round(planned[name] / measured[name] - 1, 3) for name in measured},
        "slider_ms": slide(panel),
        "place_s": find(panel, slicer),
    }
    Path(told["output"]).write_text(json.dumps(figures), encoding="utf-8")


def run(panel, slicer, path):
    """Segment a CT; return what was planned (seconds, MiB), the words, and what it took."""
    from LiverTumorSegPanel import runPlan

    panel.volume = slicer.util.loadVolume(path)
    panel.ui.inputSelector.setCurrentNode(panel.volume)
    section, ui = panel.widget.segmentSection, panel.ui
    plan, kind = runPlan.planFor(panel.volume, section.models, "standard"), section.models.deviceKind()
    pace, said = runPlan._paces().get(kind, 1.0), ui.planLabel.text
    started, peak = time.monotonic(), 0.0
    ui.segmentButton.click()
    child = psutil.Process(section.run.process.pid)

    def isOver():
        nonlocal peak
        if section.run is None:
            return True
        try:
            peak = max(peak, sum(each.memory_info().rss for each in (child, *child.children(recursive=True))))
        except psutil.NoSuchProcess:
            return False
        return False

    panel.wait(isOver, 3600)
    seconds = time.monotonic() - started
    panel.node = panel.widget.resultSection.node
    assert panel.node is not None, ui.findingsLabel.text
    planned = {"seconds": round(plan.seconds * pace, 1), "peak_mb": round(plan.bytes / 2**20)}
    return planned, said, {"seconds": round(seconds, 1), "peak_mb": round(peak / 2**20)}


def slide(panel):
    """Drag the slider from one end to the other; return milliseconds a move, with all that Qt does after it."""
    slider, took = panel.ui.sensitivitySlider, []
    slider.sliderPressed.emit()
    for position in np.linspace(slider.minimum, slider.maximum, MOVES).round().astype(int).tolist():
        started = time.perf_counter()
        slider.value = position
        panel.app.processEvents()
        took.append(1000 * (time.perf_counter() - started))
    panel.ui.sensitivitySlider.value = round(np.mean((slider.minimum, slider.maximum)))
    slider.sliderReleased.emit()
    panel.ui.defaultSensitivityButton.click()
    first, *later = took
    return {"first": round(first, 1), "median": round(float(np.median(later)), 1), "max": round(max(later), 1)}


def find(panel, slicer):
    """Click into the liver, far from its border; return seconds of the first answer and of three more."""
    organ = labelsNow(panel) > 0
    depth = ndimage.distance_transform_edt(organ[::4, ::4, ::4])
    places = [np.array(place) * 4 for place in np.argwhere(depth > 0.6 * depth.max())]
    took = []
    for place in places[:: max(1, len(places) // 4)][:4]:
        started = time.monotonic()
        clickAt(slicer, panel, place)
        panel.wait(lambda: any(each in panel.ui.placeLabel.text for each in ANSWERS), 600)
        took.append(round(time.monotonic() - started, 2))
    return {"cold": took[0], "warm": took[1:]}
