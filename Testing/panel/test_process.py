"""The child process: read without blocking, ended with everything it started, whatever its output."""

import re
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from slicer_boot import MODULE_FOLDER

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print('{"event": "child", "pid": %d}' % child.pid, flush=True)
STUBBORN
time.sleep(60)
"""


@pytest.fixture
def start(application, tmp_path):
    """Return a function that starts Python code as an inference process."""
    from LiverTumorSegPanel.inferenceProcess import InferenceProcess

    started = []

    def begin(code):
        process = InferenceProcess([sys.executable, "-c", code], MODULE_FOLDER, tmp_path)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.tree.stop(0)


def collect(process, until, seconds=20):
    """Poll until the condition on (events, exit code) holds."""
    events, exitCode, deadline = [], None, time.monotonic() + seconds
    while not until(events, exitCode):
        new, exitCode = process.poll()
        events += new
        time.sleep(0.02)
        assert time.monotonic() < deadline
    return events, exitCode


@pytest.mark.parametrize("stubborn", [False, True])
def test_the_whole_family_is_ended(start, stubborn):
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    process = start(FAMILY.replace("STUBBORN", ignore if stubborn else ""))
    ((event,), _code) = collect(process, lambda events, _code: events)
    if stubborn:
        time.sleep(0.2)  # the signal is set just after the event
    began = time.monotonic()
    process.tree.stop(patience=0.5)
    assert time.monotonic() - began < 2
    assert not process.tree.isAlive()
    assert not psutil.pid_exists(process.pid) or psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert not psutil.pid_exists(event["pid"]) or psutil.Process(event["pid"]).status() == psutil.STATUS_ZOMBIE


@contextmanager
def withoutPsutil(monkeypatch):
    """Block psutil, which is not in Slicer's Python."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "psutil", None)
        yield


LAUNCHER = """
import subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print('{"event": "child", "pid": %d}' % child.pid, flush=True)
sys.exit(child.wait())
"""
"""As Slicer's launcher: the signal ends it, while the interpreter behind it goes on."""


def test_a_launcher_that_ends_first_does_not_leave_its_interpreter_behind(start, monkeypatch):
    process = start(LAUNCHER)
    ((event,), _code) = collect(process, lambda events, _code: events)
    child = psutil.Process(event["pid"])
    with withoutPsutil(monkeypatch):
        process.tree.terminate()
        process._process.wait(timeout=5)
        assert process.tree.isAlive(), "the interpreter still runs"
    assert child.is_running()
    with withoutPsutil(monkeypatch):
        process.tree.stop(patience=0.2)
        assert not process.tree.isAlive()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_cancel_is_over_only_when_the_interpreter_is(phantomPanel, application, monkeypatch):
    """The panel says "Cancelled" once nothing of the run is left, in spite of a child that ignores the signal."""
    from LiverTumorSegPanel import segmentationRun

    monkeypatch.setattr(segmentationRun, "segmentCommand", lambda _request: [sys.executable, "-c", LAUNCHER])
    pids = []
    take = segmentationRun.SegmentationRun._take
    monkeypatch.setattr(
        segmentationRun.SegmentationRun,
        "_take",
        lambda self, event: pids.append(event["pid"]) if event["event"] == "child" else take(self, event),
    )
    phantomPanel.ui.segmentButton.click()
    phantomPanel.wait(lambda: pids)
    child = psutil.Process(pids[0])
    with withoutPsutil(monkeypatch):
        phantomPanel.ui.cancelButton.click()
        phantomPanel.wait(lambda: phantomPanel.run is None, seconds=3)
    assert "Cancelled" in phantomPanel.ui.statusLabel.text
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (1, [], r"ended by the system \(code 1\): most often memory ran out"),
        (-9, [], r"ended by the system \(signal 9\): most often memory ran out"),
        (137, ["some line"], r"ended by the system \(code 137\)"),
        (1, ["Traceback (most recent call last):", "ValueError: no"], r"error of the program \(ValueError: no\)"),
        (0, [], "without a result"),
    ],
)
def test_an_end_without_a_reason_is_put_into_words(application, code, log, words):
    from LiverTumorSegPanel.segmentationRun import unexpectedEnd

    lines = ["command", *(f"{1.0:7.1f} s  {line}" for line in log)]
    assert re.search(words, unexpectedEnd(code, lines))


def test_every_line_is_read_and_only_json_objects_are_events(start):
    process = start(
        "import sys\n"
        "sys.stderr.write('a warning\\n')\n"
        "print('plain'); print('[1, 2]'); print('{\"no\": \"event\"}'); print('{\"event\": 3}'); print('{broken')\n"
        'for i in range(3000): print(\'{"event": "progress", "fraction": %f, "message": "\\u809d"}\' % (i / 3000))\n'
        'sys.stdout.write(\'{"event": "last"}\')\n'
        "sys.exit(3)\n"
    )
    events, code = collect(process, lambda _events, exitCode: exitCode is not None)
    assert code == 3
    assert len(events) == 3001
    assert events[0]["message"] == "肝"
    assert events[-1]["event"] == "last"
    assert any("plain" in line for line in process.log)
    assert any("a warning" in line for line in process.log)


def test_arguments_are_never_a_shell_string(application):
    from LiverTumorSegPanel.inferenceProcess import RunRequest, segmentCommand

    request = RunRequest(
        Path("; rm -rf ~/x y.nrrd"),
        Path("out"),
        (Path("/a b"), Path("/c")),
        Path("/l"),
        "cuda:1",
        "best",
        "CT",
        True,
    )
    command = segmentCommand(request)
    assert command[1:4] == ["-m", "LiverTumorSegLib", "; rm -rf ~/x y.nrrd"]
    assert command[command.index("--model") : command.index("--model") + 3] == ["--model", "/a b", "/c"]
    assert command[-3:] == ["--force", "--probabilities", "--json-progress"]
    assert "--modality" not in segmentCommand(RunRequest(Path("x"), Path("y"), modality="PT"))
