"""Scans side by side in real worker processes, and what is left of a batch whose workers are killed."""

import json
import os
import signal

import pytest

from .conftest import rows

psutil = pytest.importorskip("psutil", reason="psutil belongs to the cli packages")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children() if child.is_running()]


def events_of(process):
    for line in process.stdout:
        yield json.loads(line)


def test_killed_workers_cost_no_scan(start, scans_of, tmp_path):
    names, output = ("a", "b", "c", "d"), tmp_path / "out"
    process = start(scans_of(*names), "--output", output, "--workers", 2, "--json-progress")
    killed, told = [], []
    for event in events_of(process):
        told.append(event)
        if not killed and event["event"] == "progress" and event["fraction"] > 0:
            # One of them is in the middle of this scan; which one is not told.
            killed = workers_of(process)
            for worker in killed:
                worker.send_signal(signal.SIGKILL)
    assert killed
    assert process.wait(60) == 0
    assert {name: row["status"] for name, row in rows(output).items()} == dict.fromkeys(names, "done")
    assert sorted(event["case"] for event in told if event["event"] == "result") == list(names)
    assert "Waiting for another try" in {event.get("message") for event in told}
    endings = ("lesions.csv", "png", "report.json", "seg.nrrd")
    results = {f"{name}.{ending}" for name in names for ending in endings}
    assert {path.name for path in output.iterdir()} == results | {"summary.csv", "summary.html"}


def test_a_scan_that_ends_every_worker_is_named_and_the_others_are_done(start, scans_of, tmp_path):
    output = tmp_path / "out"
    process = start(scans_of("a", "killer", "z"), "--output", output, "--workers", 1, "--json-progress")
    lost, sentences = set(), []
    for event in events_of(process):
        # Which job a progress tells of is known; whichever process does this one dies of it.
        if event["event"] == "progress" and event["case"] == "killer" and event["message"] == "Reading the scan":
            for worker in workers_of(process):
                worker.send_signal(signal.SIGKILL)
                lost.add(worker.pid)
        if event["event"] == "error":
            sentences.append(event["message"])
    assert process.wait(60) == 5
    assert len(lost) == 2
    states = {name: row["status"] for name, row in rows(output).items()}
    assert states == {"a": "done", "killer": "failed", "z": "done"}
    assert sentences == [rows(output)["killer"]["reason"]]
    assert "killer.nii.gz was lost twice (SIGKILL)" in sentences[0]
    assert sentences[0] in (output / "summary.html").read_text(encoding="utf-8")
    assert not list(output.glob(".part-*"))


def test_a_stopped_batch_leaves_whole_results_and_goes_on_from_there(start, scans_of, tmp_path):
    output = tmp_path / "out"
    folder = scans_of("a", "b", "c", "d")
    process = start(folder, "--output", output, "--workers", 1, "--json-progress")
    for event in events_of(process):
        if event["event"] == "result":
            process.send_signal(signal.SIGINT)
            break
    process.stdout.read()
    assert process.wait(60) == 130
    assert not list(output.glob(".*"))
    before = {path.name for path in output.glob("*.report.json")}
    assert 1 <= len(before) < 4
    states = {name: row["status"] for name, row in rows(output).items()}
    assert list(states) == ["a", "b", "c", "d"]
    assert {f"{name}.report.json" for name, state in states.items() if state != "not done"} == before
    again = start(folder, "--output", output, "--workers", 1)
    assert again.wait(300) == 0
    states = {name: row["status"] for name, row in rows(output).items()}
    assert {f"{name}.report.json" for name, state in states.items() if state == "finished before"} == before
    assert list(states) == ["a", "b", "c", "d"]


def test_a_second_run_that_is_stopped_at_once_keeps_the_table(start, scans_of, tmp_path):
    output, folder = tmp_path / "out", scans_of("a", "b")
    assert start(folder, "--output", output, "--workers", 1).wait(300) == 0
    before = rows(output)
    scans_of("a", "b", "c")
    process = start(folder, "--output", output, "--workers", 1, "--json-progress")
    assert json.loads(process.stdout.readline())["event"] == "start"
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(60) == 130
    after = rows(output)
    assert {name: row["status"] for name, row in after.items()} == {
        "a": "finished before", "b": "finished before", "c": "not done",
    }  # fmt: skip
    assert [after[name]["tumor_ml"] for name in "ab"] == [before[name]["tumor_ml"] for name in "ab"] != ["", ""]
    assert after["c"]["reason"] == "The run was ended before: the same command does the rest."


def test_workers_end_with_their_supervisor(start, scans_of, tmp_path):
    process = start(scans_of("a", "b", "c", "d"), "--output", tmp_path / "out", "--workers", 1, "--json-progress")
    for event in events_of(process):
        if event["event"] == "progress":
            break
    workers = workers_of(process)
    assert workers
    process.kill()
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
