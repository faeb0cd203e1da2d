"""The child process: read without blocking, ended with everything it started, whatever its output."""

import sys
import time
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


def test_without_psutil_the_process_group_is_ended(start, monkeypatch):
    process = start(FAMILY.replace("STUBBORN", ""))
    ((event,), _code) = collect(process, lambda events, _code: events)
    monkeypatch.setitem(sys.modules, "psutil", None)
    process.tree.stop(patience=0.5)
    monkeypatch.undo()
    deadline = time.monotonic() + 2
    while psutil.pid_exists(event["pid"]) and psutil.Process(event["pid"]).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
        Path("/tmp/; rm -rf ~/x y.nrrd"),
        Path("/tmp/out"),
        (Path("/a b"), Path("/c")),
        Path("/l"),
        "cuda:1",
        "best",
        "CT",
        True,
    )
    command = segmentCommand(request)
    assert command[1:4] == ["-m", "LiverTumorSegLib", "/tmp/; rm -rf ~/x y.nrrd"]
    assert command[command.index("--model") : command.index("--model") + 3] == ["--model", "/a b", "/c"]
    assert command[-2:] == ["--force", "--json-progress"]
    assert "--modality" not in segmentCommand(RunRequest(Path("x"), Path("y"), modality="PT"))
