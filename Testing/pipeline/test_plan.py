"""What a run is said to cost is what it costs: peak memory of real runs of the shipped models on a drawn patient."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.memory import Memory, machine_memory
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.cost import COSTS, LARGEST_TILE_VOXELS, SMALLEST_TILE_VOXELS, NetworkSize
from LiverTumorSegLib.pipeline import inference
from LiverTumorSegLib.pipeline.plan import plan_run
from LiverTumorSegLib.pipeline.quality import QUALITIES

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "Resources" / "Models"
GIGABYTE = 2**30
BETWEEN = pytest.mark.skipif("not config.getoption('--soak')", reason="between the others: asked for by --soak")
SIZES = {
    "a short scan of thick slices": ((200, 150, 60), (1.8, 1.8, 3.0)),
    "a coarse abdomen": ((220, 170, 100), (1.6, 1.6, 3.0)),
    "an abdomen": ((512, 512, 150), (0.8, 0.8, 2.0)),
    "chest to pelvis in thin slices": ((512, 512, 400), (0.8, 0.8, 1.5)),
}


def patient(size, spacing):
    """Draw a CT in which the shipped localiser finds a liver of 1.7 litres: fat, muscle, spine, liver, spleen."""
    step = 2.0
    count = [max(8, round(n * s / step)) for n, s in zip(size, spacing, strict=True)]
    x, y, z = ((np.arange(n) - (n - 1) / 2) * step for n in count)

    def inside(centre, radii):
        squares = [((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, radii, strict=True)]
        return squares[2][:, None, None] + squares[1][None, :, None] + squares[0][None, None, :] < 1

    values = np.full(count[::-1], -1000, np.int16)
    values[inside((0, 0, 0), (165, 115, 2000))] = -95
    values[inside((0, 0, 0), (150, 100, 1800))] = 55
    values[inside((0, -5, 0), (138, 88, 1700))] = -95
    values[inside((0, 70, 0), (40, 25, 1800)) & (values < 55)] = 55
    values[inside((0, 70, 0), (20, 20, 2000))] = 250
    values[inside((-62, -5, 0), (75, 72, 70)) | inside((-5, -35, 20), (60, 35, 35))] = 110
    values[inside((95, 30, 20), (28, 32, 48))] = 125
    values[inside((-75, 10, 5), (14, 14, 14))] = 50
    values += np.random.default_rng(0).integers(-12, 13, values.shape, dtype=np.int16)
    coarse = sitk.GetImageFromArray(values)
    coarse.SetSpacing((step,) * 3)
    return sitk.Resample(
        coarse, size, sitk.Transform(), sitk.sitkLinear, (0.0, 0.0, 0.0), spacing, (1, 0, 0, 0, 1, 0, 0, 0, 1), -1000
    )


@pytest.fixture(scope="module")
def shipped():
    """What the plan knows of the shipped models: fine, localiser."""
    found = [json.loads((MODELS / name / "model.json").read_text()) for name in ("liver-tumor", "liver-localiser")]
    return [NetworkSize.of(description) for description in found]


@pytest.fixture(scope="module")
def kind():
    import torch
    from LiverTumorSegLib.model.tiles import kind_of

    return kind_of(torch.device("cpu"))


def grid_of(size, spacing):
    return Grid(size, spacing, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the coefficients were measured on Linux")
@pytest.mark.parametrize("name", [pytest.param(name, marks=BETWEEN if "abdomen" in name else ()) for name in SIZES])
def test_peak_memory_of_a_real_run_is_predicted_within_30_percent(name, shipped, kind, tmp_path, record_property):
    size, spacing = SIZES[name]
    sitk.WriteImage(patient(size, spacing), str(tmp_path / "scan.nrrd"))
    arguments = ["scan.nrrd", "--output", "out", "--device", "cpu", "--probabilities", "--json-progress"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "LiverTumorSeg")}
    command = [sys.executable, "-m", "LiverTumorSegLib", *arguments]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "out" / "scan.report.json").read_text())
    assert report["volumes_ml"]["liver"] > 1000, "the fine stage ran"
    plan = plan_run(grid_of(size, spacing), 2, *shipped, QUALITIES["standard"], kind)
    measured = report["peak_rss_mb"] * 2**20
    record_property("predicted_over_measured", round(plan.bytes / measured, 3))
    print(f"{name}: predicted {plan.bytes / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
    assert plan.bytes == pytest.approx(measured, rel=0.3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="psutil and /proc/meminfo agree on Linux")
def test_memory_of_the_machine_is_what_psutil_says():
    found, expected = machine_memory(), psutil.virtual_memory()
    assert found.total <= expected.total
    assert found.available == pytest.approx(min(expected.available, found.available), rel=0.1)
    assert 0 < found.available <= found.total


def test_a_container_has_the_memory_that_it_may_take(tmp_path, monkeypatch):
    from LiverTumorSegLib import memory

    limits = {
        "memory.max": "2000000000\n",
        "memory.current": "900000000\n",
        "memory.stat": "anon 1\ninactive_file 300000000\n",
    }
    for name, text in limits.items():
        (tmp_path / name).write_text(text)
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 16000000 kB\nMemFree: 1 kB\nMemAvailable: 8000000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    assert memory._linux() == Memory(2_000_000_000, 1_400_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._linux() == Memory(16_000_000 << 10, 8_000_000 << 10)


@pytest.mark.parametrize("kind", COSTS)
def test_larger_scans_and_better_quality_cost_more(kind, shipped):
    small, large = (grid_of((512, 512, n), (0.8, 0.8, 1.0)) for n in (120, 600))
    fine, localiser = dataclasses.replace(shipped[0], mirroring=(0, 1, 2)), shipped[1]
    quick, standard, best = (plan_run(large, 2, fine, localiser, QUALITIES[q], kind) for q in QUALITIES)
    still = plan_run(large, 2, dataclasses.replace(fine, mirroring=()), localiser, QUALITIES["best"], kind)
    assert still == standard
    assert quick.seconds < standard.seconds < best.seconds
    assert quick.bytes <= standard.bytes <= best.bytes
    assert plan_run(small, 2, *shipped, QUALITIES["standard"], kind).bytes < standard.bytes
    assert plan_run(large, 4, *shipped, QUALITIES["standard"], kind).bytes > standard.bytes
    twice = plan_run(large, 2, *shipped, QUALITIES["standard"], kind, models=2)
    assert twice.seconds > standard.seconds


def test_axes_are_those_of_the_patient(shipped):
    upright = grid_of((512, 400, 120), (0.8, 0.8, 2.5))
    turned = Grid((120, 512, 400), (2.5, 0.8, 0.8), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0))
    one, other = (plan_run(grid, 2, *shipped, QUALITIES["standard"], "cpu") for grid in (upright, turned))
    assert one.bytes == pytest.approx(other.bytes, rel=0.02)


@pytest.mark.parametrize("device", ["cuda", "mps", ""])
def test_what_was_never_measured_has_no_plan(device, shipped):
    grid = grid_of((512, 512, 300), (0.8, 0.8, 1.0))
    assert plan_run(grid, 2, *shipped, QUALITIES["standard"], device) is None
    assert plan_run(grid, 2, None, shipped[1], QUALITIES["standard"], "cpu") is None
    strange = dataclasses.replace(shipped[0], norm="batch")
    assert plan_run(grid, 2, strange, shipped[1], QUALITIES["standard"], "cpu") is None


@pytest.mark.parametrize("part", [{"dims": 2}, {"stem": "full"}], ids=str)
def test_networks_of_another_kind_have_no_size(part):
    description = json.loads((MODELS / "liver-tumor" / "model.json").read_text())
    assert NetworkSize.of(description) is not None
    assert NetworkSize.of({**description, "network": {**description["network"], **part}}) is None
    assert NetworkSize.of({**description, "conventions": "nnunet"}) is None
    assert NetworkSize.of({}) is None


@pytest.mark.parametrize(
    ("free_gb", "grade", "words"),
    [(16.0, None, ""), (0.85, "info", "in smaller parts"), (0.3, "warning", "Close other programs")],
)
def test_what_is_said_and_done_when_memory_is_short(free_gb, grade, words, shipped):
    # Slices of a short scan: what the localiser needs fits where a whole look of the fine network does not.
    grid = grid_of((300, 260, 60), (1.0, 1.0, 1.5))
    fine = dataclasses.replace(shipped[0], spacing_mm=(0.8, 0.8, 0.8))
    memory = Memory(16 * GIGABYTE, round(free_gb * GIGABYTE))
    plan = plan_run(grid, 2, fine, shipped[1], QUALITIES["standard"], "cpu", memory)
    finding = plan.finding()
    assert (finding.grade if finding else None) == grade
    assert words in (finding.message if finding else "")
    assert (plan.tile_voxels is not None) == (free_gb < 1)
    if plan.fits:
        assert plan.bytes <= 0.9 * memory.available


@pytest.fixture
def little_memory(monkeypatch):
    """A computer whose memory is nearly full, and whose processor needs single precision."""
    monkeypatch.setattr(inference, "machine_memory", lambda: Memory(8 * GIGABYTE, GIGABYTE // 5))
    monkeypatch.setattr(inference, "kind_of", lambda device: device.type)


def test_the_command_line_says_so_before_the_network_runs(little_memory, tmp_path, capsys):
    sitk.WriteImage(patient(*SIZES["a short scan of thick slices"]), str(tmp_path / "scan.nrrd"))
    out = tmp_path / "out"
    arguments = [
        str(tmp_path / "scan.nrrd"),
        "--output",
        str(out),
        "--device",
        "cpu",
        "--quality",
        "quick",
        "--json-progress",
    ]
    assert main(arguments) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    codes = [event.get("code") for event in events]
    said = codes.index("memory_plan")
    assert codes.count("memory_plan") == 1
    first_look = next(n for n, event in enumerate(events) if "Looking" in event.get("message", ""))
    assert said < first_look
    assert "memory_plan" in [
        finding["code"] for finding in json.loads((out / "scan.report.json").read_text())["findings"]
    ]


def test_both_networks_then_run_in_smaller_tiles(little_memory):
    segmenter = inference.Segmenter(load_bundle(MODELS / "liver-tumor"), device="cpu")
    array = np.zeros((1, 190, 190, 190), np.float32)
    assert np.prod(array.shape) <= LARGEST_TILE_VOXELS
    for bundle in (segmenter.bundles[0], load_bundle(MODELS / "liver-localiser")):
        assert np.prod(segmenter._plan(bundle, array).patch_size) <= 1.1 * SMALLEST_TILE_VOXELS


def test_with_memory_enough_it_looks_once(monkeypatch):
    monkeypatch.setattr(inference, "machine_memory", lambda: Memory(16 * GIGABYTE, 12 * GIGABYTE))
    segmenter = inference.Segmenter(load_bundle(MODELS / "liver-tumor"), device="cpu")
    array = np.zeros((1, 190, 190, 190), np.float32)
    assert len(segmenter._plan(segmenter.bundles[0], array).windows(array.shape[1:])) == 1
