"""A batch of 1,000 scans in one go: nothing is lost, nothing is done twice, and the memory stays flat."""

import json
import statistics
from collections import Counter

import pytest
import SimpleITK as sitk

from .conftest import rows

psutil = pytest.importorskip("psutil", reason="psutil belongs to the cli packages")
WARM, WINDOW, GROWTH = 50, 25, 1.05
"""Scans after which a batch holds what it needs, scans over which its memory is taken, and what it may grow."""


@pytest.mark.skipif("not config.getoption('--soak')", reason="takes many minutes: asked for by --soak")
@pytest.mark.timeout(7200)
def test_memory_is_flat_and_every_output_is_there_once(request, start, small_scan, tmp_path):
    count, folder, output = request.config.getoption("--soak"), tmp_path / "scans", tmp_path / "out"
    folder.mkdir()
    image = sitk.ReadImage(str(small_scan))
    names = [f"scan{number:05d}" for number in range(count)]
    for number, name in enumerate(names):
        image[number % 38, number // 38 % 28, 0] = -900
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    process = start(folder, "--output", output, "--workers", 2, "--json-progress")
    results, held, processes = Counter(), [], set()
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "result":
            results[event["case"]] += 1
            supervisor = psutil.Process(process.pid)
            family = [supervisor, *supervisor.children()]
            processes |= {one.pid for one in family}
            held.append(sum(one.memory_info().rss for one in family) / 2**20)
    assert process.wait(60) == 0
    assert results == dict.fromkeys(names, 1)
    assert {name: row["status"] for name, row in rows(output).items()} == dict.fromkeys(names, "done")
    endings = ("lesions.csv", "png", "report.json", "seg.nrrd")
    whole = {f"{name}.{ending}" for name in names for ending in endings} | {"summary.csv", "summary.html"}
    assert {path.name for path in output.iterdir()} == whole
    segmentations = {path.read_bytes() for path in output.glob("*.seg.nrrd")}
    assert len(segmentations) == count, "each names its own input"
    assert len(processes) == 3, "a worker was lost"
    early, late = statistics.median(held[WARM : WARM + WINDOW]), statistics.median(held[-WINDOW:])
    print(f"{early:.0f} MiB after {WARM} scans, {late:.0f} MiB after {count}")
    assert late <= GROWTH * early
