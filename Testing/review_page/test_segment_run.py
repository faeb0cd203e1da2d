"""Segmenting from the page: the real command line as a child process, to its end and cancelled."""

import asyncio
import os

import pytest
import SimpleITK as sitk
from LiverTumorSegLib.scan.imageio import read_case
from LiverTumorSegReview.case_files import find_case
from LiverTumorSegReview.segment_run import SegmentRun
from LiverTumorSegReview.storage import open_session


@pytest.fixture
def files(tmp_path, make_ct):
    sitk.WriteImage(make_ct(), str(tmp_path / "scan.nii.gz"))
    return find_case(tmp_path / "scan.nii.gz", output=tmp_path / "out")


def test_a_scan_is_segmented_and_opened(files):
    told = []
    refused = asyncio.run(SegmentRun(files, "quick", lambda fraction, words: told.append(fraction)).run())
    assert refused is None
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert files.has_result
    session = open_session(files, read_case(files.scan).image)
    assert session.volumes_ml()["liver"] >= 0
    assert session.provenance["model"]["id"] == "liver-tumor"


def test_a_refusal_is_one_sentence(files):
    files.scan.write_bytes(b"")
    refused = asyncio.run(SegmentRun(files, "quick", lambda fraction, words: None).run())
    assert "is empty (0 bytes)" in refused
    assert not files.has_result


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_cancelling_leaves_nothing_behind(files):
    async def cancelled() -> tuple[str | None, int]:
        begun = asyncio.Event()
        run = SegmentRun(files, "best", lambda fraction, words: begun.set())
        running = asyncio.create_task(run.run())
        await begun.wait()
        group = os.getpgid(run.pid)
        await run.cancel()
        return await running, group

    refused, group = asyncio.run(cancelled())
    assert refused == ""
    assert not list(files.folder.glob("*")), "nothing half written"
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
