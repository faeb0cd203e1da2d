"""The command line as a child process, as a person and the Slicer panel start it."""

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import LiverTumorSegLib
import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.__main__ import main
from LiverTumorSegLib.output.segfile import read_segmentation

CORE = Path(LiverTumorSegLib.__file__).parent


@pytest.fixture(scope="module")
def scan(make_phantom, tmp_path_factory):
    path = tmp_path_factory.mktemp("scans") / "patient.nii.gz"
    sitk.WriteImage(make_phantom()[0], str(path))
    return path


def environment(models, core=CORE):
    return os.environ | {
        "LIVERTUMORSEG_MODELS": str(models),
        "PYTHONPATH": str(core.parent),
        "PYTHONIOENCODING": "utf-8",
    }


def command(*arguments):
    return [sys.executable, "-m", "LiverTumorSegLib", "--device", "cpu", *map(str, arguments)]


def run(models, *arguments, core=CORE, cwd=None):
    return subprocess.run(
        command(*arguments), env=environment(models, core), capture_output=True, text=True, encoding="utf-8", cwd=cwd,
        timeout=300, check=False,
    )  # fmt: skip


def events(output):
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def here(models, monkeypatch, capsys):
    """Return a function that runs the same main in this process: no second start of torch."""
    monkeypatch.setenv("LIVERTUMORSEG_MODELS", str(models))

    def run_here(*arguments):
        code = main(["--device", "cpu", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_here


def test_a_case_gives_all_files_and_json_lines(models, scan, tmp_path):
    done = run(models, scan, "--output", tmp_path, "--json-progress", "--probabilities")
    assert done.returncode == 0, done.stderr
    told = events(done.stdout)
    assert told[0] == {"event": "start", "case": "patient.nii.gz", "cases": 1}
    result = told[-1]
    assert result["event"] == "result"
    fractions = [event["fraction"] for event in told if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    names = {path.name for path in tmp_path.iterdir()}
    endings = ("seg.nrrd", "report.json", "lesions.csv", "png", "tumor-probability.nrrd")
    assert names == {f"patient.{ending}" for ending in endings}
    labelmap, values = read_segmentation(Path(result["segmentation"]))
    assert values == {"liver": 1, "tumor": 2}
    image = sitk.ReadImage(str(scan))
    assert labelmap.GetSize() == image.GetSize()
    report = json.loads((tmp_path / "patient.report.json").read_text(encoding="utf-8"))
    wanted = {"input", "findings", "model", "localiser", "device", "quality", "seconds", "peak_rss_mb", "volumes_ml"}
    assert wanted | {"lesions", "version"} <= set(report)
    assert set(report["input"]) == {"path", "geometry", "sha256", "series"}
    assert report["model"]["id"] == "density-liver-tumor"
    voxels = sitk.GetArrayViewFromImage(labelmap)
    millilitre = np.prod(image.GetSpacing()) / 1000
    assert report["volumes_ml"]["tumor"] == pytest.approx((voxels == 2).sum() * millilitre, rel=1e-6)
    assert report["volumes_ml"]["liver"] == pytest.approx((voxels > 0).sum() * millilitre, rel=1e-6)
    with (tmp_path / "patient.lesions.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == len(report["lesions"]) == 2


def test_words_for_a_person_and_nifti_on_request(here, scan, tmp_path):
    code, _, words = here(scan, "--output", tmp_path, "--format", "nii.gz", "--quality", "quick")
    assert code == 0
    assert "2 lesions" in words
    assert (tmp_path / "patient.nii.gz").exists()


def test_two_models_are_averaged_and_named(here, models, scan, tmp_path):
    fine = models / "liver-tumor"
    code, _, _ = here(scan, "--output", tmp_path, "--model", fine, fine, "--json-progress")
    assert code == 0
    report = json.loads((tmp_path / "patient.report.json").read_text(encoding="utf-8"))
    assert len(report["models"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["missing.nii.gz"], 3, "missing.nii.gz"),
        (["SCAN", "--quality", "superb"], 2, "--quality"),
        (["SCAN", "--threshold", "7"], 2, "--threshold"),
        (["SCAN", "--device", "cuda:99"], 2, "--device"),
        (["SCAN", "--model", "nowhere"], 4, "no model folder"),
        (["SCAN", "--modality", "MR"], 3, "MR"),
        (["SCAN", "SCAN"], 2, "Two inputs are called"),
        (["SCAN", "--dicom-seg"], 3, "is not DICOM"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(here, scan, tmp_path, arguments, code, sentence):
    arguments = [str(scan) if argument == "SCAN" else argument for argument in arguments]
    exit_code, output, words = here(*arguments, "--output", tmp_path / "out", "--json-progress")
    assert exit_code == code, words
    told = events(output)[-1]
    assert told["event"] == "error"
    assert told["exit_code"] == code
    assert sentence in told["message"]
    assert "Traceback" not in words
    assert list((tmp_path / "out").glob(".part-*")) == []


def test_a_refusal_tells_its_findings_first(here, scan, tmp_path):
    code, output, _ = here(scan, "--modality", "MR", "--output", tmp_path, "--json-progress")
    assert code == 3
    told = [event for event in events(output) if event["event"] in ("finding", "error")]
    assert told[0]["code"] == "modality"
    assert told[0]["overridable"] is True
    assert told[-1]["event"] == "error"


def test_one_bad_case_does_not_stop_the_others(here, scan, tmp_path):
    code, _, _ = here("missing.nii.gz", scan, "--output", tmp_path, "--json-progress")
    assert code == 3
    assert (tmp_path / "patient.seg.nrrd").exists()


def test_an_output_folder_that_is_a_file_is_named(here, scan, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, words = here(scan, "--output", tmp_path / "file")
    assert code == 2
    assert "output folder" in words


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for children")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_within_two_seconds_and_leaves_nothing(models, scan, tmp_path, number):
    process = subprocess.Popen(
        command(scan, "--output", tmp_path, "--json-progress", "--quality", "best"),
        env=environment(models), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    for line in process.stdout:
        if "tile" in line:
            break
    process.send_signal(number)
    since = time.monotonic()
    rest = process.stdout.read()
    assert process.wait(60) == 130
    # Two seconds are the promise on an idle machine.
    assert time.monotonic() - since < 10
    assert json.loads(rest.splitlines()[-1])["event"] == "error"
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_and_long_paths_are_only_names(models, scan, tmp_path):
    folder = tmp_path / "Ťest 肝 é" / ("long " * 18).strip() / ("path " * 18).strip()
    folder.mkdir(parents=True)
    assert len(str(folder)) > 200
    source = folder / "; rm -rf x.nii.gz"
    shutil.copy(scan, source)
    done = run(models, source, "--output", folder / "výsledek", "--json-progress")
    assert done.returncode == 0, done.stderr
    assert (folder / "výsledek" / "; rm -rf x.seg.nrrd").exists()
    assert source.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode 555")
def test_it_runs_from_a_read_only_folder(models, scan, tmp_path):
    installed = tmp_path / "installed" / "LiverTumorSegLib"
    shutil.copytree(CORE, installed, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [installed.parent, *installed.parent.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = run(models, scan, "--output", tmp_path / "out", "--quality", "quick", core=installed, cwd=installed)
        assert done.returncode == 0, done.stderr
    finally:
        for path in [installed.parent, *installed.parent.rglob("*")]:
            path.chmod(stat.S_IRWXU)


def test_the_network_is_never_used(models, scan, tmp_path):
    """Every socket fails in this process, and the run does not notice."""
    program = (
        "import socket, runpy, sys\n"
        "def refuse(*a, **k): raise OSError('the network was used')\n"
        "socket.socket.connect = refuse\nsocket.create_connection = refuse\nsocket.getaddrinfo = refuse\n"
        "sys.argv = ['LiverTumorSegLib', *sys.argv[1:]]\n"
        "runpy.run_module('LiverTumorSegLib', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(scan), "--output", str(tmp_path), "--device", "cpu", "--quality", "quick"],
        env=environment(models), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
