"""A computer whose memory ends, for real: the system refuses any further bytes, and only the large scan is lost."""

import subprocess
import sys

import numpy as np
import pytest

from .conftest import rows

nibabel = pytest.importorskip("nibabel", reason="nibabel belongs to the packages")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of Linux")

ROOM = 700
"""MiB that each process may take beyond its libraries; the large scan has 900."""
FULL_MACHINE = f"""
import re, resource, sys
from pathlib import Path
from LiverTumorSegLib.__main__ import main
held = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (held + ({ROOM} << 20),) * 2)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def segment(start):
    """Return a function that runs the command line and its workers on a machine without more memory than that."""

    def run(*arguments):
        process = start(*arguments, command=["-c", FULL_MACHINE], MALLOC_ARENA_MAX="1", stderr=subprocess.PIPE)
        _, words = process.communicate(timeout=300)
        return process.returncode, words

    return run


def write_large(path):
    """Write a CT of 512 x 512 x 1,800 voxels, all of them 0, that takes no room on the disk."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((512, 512, 1800))
    header.set_sform(np.diag([0.8, 0.8, 0.9, 1.0]), 1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with path.open("wb") as stream:
        header.write_to(stream)
        stream.truncate(352 + 2 * 512 * 512 * 1800)


def test_the_scan_is_named_and_the_batch_goes_on(segment, scans_of, tmp_path):
    folder, output = scans_of("a", "z"), tmp_path / "out"
    write_large(folder / "large.nii")
    code, words = segment(folder, "--output", output, "--workers", 1)
    assert code == 5, words
    table = rows(output)
    assert {name: row["status"] for name, row in table.items()} == {"a": "done", "large": "failed", "z": "done"}
    assert "ot enough memory" in table["large"]["reason"]
    assert "crop the scan" in table["large"]["reason"]
    assert "Traceback" not in words
    assert {path.name.split(".")[0] for path in output.iterdir()} == {"a", "z", "summary"}


def test_one_scan_ends_in_one_sentence(segment, tmp_path):
    write_large(tmp_path / "large.nii")
    code, words = segment(tmp_path / "large.nii", "--output", tmp_path / "out")
    assert code == 5, words
    assert "ot enough memory" in words.strip().splitlines()[-1]
    assert "Traceback" not in words
    assert not list((tmp_path / "out").glob("*"))
