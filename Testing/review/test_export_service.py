"""The process that writes exports: all files of an export or none."""

import signal

import pytest
from LiverTumorSegLib.errors import CancelledError, UsageError
from LiverTumorSegLib.export_service import _stop, main, put_all


def test_all_files_or_none(tmp_path):
    source, target = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    files = [source / name for name in ("a.seg.dcm", "b.sr.dcm")]
    files[0].write_bytes(b"one")
    target.mkdir()
    (target / "a.seg.dcm").write_bytes(b"before")
    with pytest.raises(UsageError, match=r"b\.sr\.dcm"):
        put_all(files, target)
    assert [(path.name, path.read_bytes()) for path in target.iterdir()] == [("a.seg.dcm", b"before")]
    files[1].write_bytes(b"two")
    put_all(files, target / "new")
    assert sorted(path.name for path in (target / "new").iterdir()) == ["a.seg.dcm", "b.sr.dcm"]


def test_a_job_that_is_not_there_is_one_sentence(tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main([str(tmp_path)]) == 2
        assert signal.getsignal(signal.SIGTERM) is _stop
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "job.json cannot be read" in capsys.readouterr().out
    with pytest.raises(CancelledError):
        _stop(15, None)
