"""The same work on many cases by all cores at once, in the order of the cases."""

import os
import time

import pytest
from LiverTumorSegLib.cores import cores
from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.workers import WORTH_IT, on_all_cores


def double(case):
    if case.name == "bad":
        raise InputError("Case bad is bad.")
    return case.name * 2


def meet(case):
    """Wait until as many workers are at work as there are cores, or four; return this one's process."""
    folder, together = case.images[0].parent / "met", min(4, cores())
    folder.mkdir(exist_ok=True)
    (folder / case.name).touch()
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < together and time.monotonic() < end:
        time.sleep(0.05)
    return os.getpid(), len(list(folder.iterdir())) >= together


@pytest.mark.skipif(cores() < 2, reason="there is one core")
def test_large_cases_are_worked_on_by_all_cores_at_once_and_small_ones_here(tmp_path):
    large = [Case(name, "", (tmp_path / name,), None) for name in "abcd"]
    for case in large:
        with case.images[0].open("wb") as file:
            file.truncate(WORTH_IT // 4)
    answers = list(on_all_cores(meet, large))
    assert all(met for _, met in answers)
    processes = {process for process, _ in answers}
    assert os.getpid() not in processes
    assert len(processes) == min(4, cores())
    for case in large:
        case.images[0].write_bytes(b"small")
    assert {process for process, _ in on_all_cores(meet, large)} == {os.getpid()}


def test_work_on_all_cores_keeps_the_order_and_its_errors(monkeypatch):
    monkeypatch.setattr("LiverTumorSegTraining.data.workers.WORTH_IT", 0)
    assert list(on_all_cores(double, [Case(name, "", (), None) for name in ("a", "b", "c")])) == ["aa", "bb", "cc"]
    with pytest.raises(InputError, match="Case bad is bad"):
        list(on_all_cores(double, [Case(name, "", (), None) for name in ("a", "bad", "c")]))
