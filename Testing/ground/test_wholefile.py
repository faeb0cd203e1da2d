"""A file appears whole or not at all: also on a full disk, under a kill, and beside an older one of its name."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.wholefile import whole_file, write_image, write_text

posix = pytest.mark.skipif(os.name == "nt", reason="limits and modes of POSIX")


def on_a_full_disk(work: str, folder, megabyte: float = 0.1) -> str:
    """Run Python in a process whose files cannot grow beyond a size: its writes fail as on a full disk."""
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({int(megabyte * 2**20)},) * 2)\n"
    code = "from pathlib import Path\nfrom LiverTumorSegLib.wholefile import *\n" + limits + textwrap.dedent(work)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        raise ZeroDivisionError(partial.write_text("half of the new"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.seg.nrrd", ".seg.nrrd"), ("1.2.840.10008.5.nii.gz", ".nii.gz"), ("Müller v. 2.png", ".png")],
)
def test_the_partial_file_lies_beside_and_keeps_the_suffixes(tmp_path, name, suffix):
    with whole_file(tmp_path / name) as partial:
        assert partial.parent == tmp_path
        assert "".join(partial.suffixes[-suffix.count(".") :]) == suffix
        assert partial.name.isascii()
        partial.write_bytes(b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"a\.txt cannot be written \(No such file or directory\)"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")


@posix
def test_a_read_only_folder_is_one_sentence(tmp_path):
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(UsageError, match="Permission denied"):
            write_text(tmp_path / "a.txt", "x")
    finally:
        tmp_path.chmod(0o755)


@posix
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    """One process for all formats: ITK's NIfTI writer says nothing of what it could not write."""
    work = """
    import os, numpy, SimpleITK
    from LiverTumorSegLib.errors import UsageError
    noise = numpy.random.default_rng(0).integers(0, 255, (40, 100, 100)).astype("uint8")
    image = SimpleITK.GetImageFromArray(noise)
    for name in ("a.txt", "a.nrrd", "a.seg.nrrd", "a.mha", "a.nii", "a.nii.gz"):
        try:
            write_text(Path(name), "x" * 10**6) if name == "a.txt" else write_image(Path(name), image)
            print(name, "was written")
        except UsageError as error:
            print(error)
    """
    told = on_a_full_disk(work, tmp_path).splitlines()
    assert [line.split("(")[0] for line in told] == [
        f"{name} cannot be written " for name in ("a.txt", "a.nrrd", "a.seg.nrrd", "a.mha", "a.nii", "a.nii.gz")
    ]
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom LiverTumorSegLib.wholefile import whole_file\n"
        "with whole_file(Path('a.txt')) as partial:\n"
        "    partial.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@posix
def test_a_name_that_is_no_text_can_be_written(tmp_path):
    path = tmp_path / os.fsdecode(b"Bauch_M\xfcller.nii.gz")
    write_image(path, sitk.GetImageFromArray(np.ones((3, 3, 3), np.uint8)))
    write_text(tmp_path / "names.txt", f"{path.name}\n")
    assert path.stat().st_size > 0
    assert (tmp_path / "names.txt").read_text() == "Bauch_M\\udcfcller.nii.gz\n"


def test_a_process_killed_while_it_tries_the_room_leaves_nothing(tmp_path):
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from LiverTumorSegLib.wholefile import require_room\n"
        "os.fsync = lambda number: os._exit(9)\n"
        "require_room(Path(sys.argv[1]), 1 << 16)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 9
    assert not list(tmp_path.iterdir())
