"""Small scans with a liver in them and bundles that read them off by density, for batches in real worker processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import LiverTumorSegLib
import pytest
import SimpleITK as sitk
from density_models import density_bundle, phantom, phantom_grid
from LiverTumorSegLib.model.bundle import save_bundle

ROOT = Path(LiverTumorSegLib.__file__).parents[1]


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return a models folder with both density bundles under the names of the shipped ones."""
    folder = tmp_path_factory.mktemp("models")
    save_bundle(density_bundle("liver-tumor", 8.0), folder / "liver-tumor")
    save_bundle(density_bundle("localiser", 8.0), folder / "liver-localiser")
    return folder


@pytest.fixture(scope="session")
def small_scan(tmp_path_factory):
    """Return the path of a CT of 38 x 28 x 22 voxels of 8 mm with a liver and two tumours."""
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    grid = phantom_grid(spacing=(8.0, 8.0, 8.0))
    sitk.WriteImage(grid.image(phantom(grid)[0]), str(path))
    return path


@pytest.fixture
def scans_of(small_scan, tmp_path):
    """Return a function that makes a folder of scans with these names, no two alike."""

    def make(*names):
        folder = tmp_path / "scans"
        folder.mkdir(exist_ok=True)
        image = sitk.ReadImage(str(small_scan))
        for number, name in enumerate(names):
            image[number % image.GetSize()[0], 0, 0] = -900 - number // image.GetSize()[0]
            sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
        return folder

    return make


@pytest.fixture
def start(models):
    """Return a function that starts the command line as a person does."""

    def run(*arguments, command=("-m", "LiverTumorSegLib"), stderr=None, **changes):
        return subprocess.Popen(
            [sys.executable, *command, "--device", "cpu", "--quality", "quick", *map(str, arguments)],
            env={**os.environ, "LIVERTUMORSEG_MODELS": str(models), "PYTHONPATH": str(ROOT), **changes},
            stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8",
        )  # fmt: skip

    return run


def rows(output: Path) -> dict[str, dict[str, str]]:
    """Return the table of a batch, a row a case."""
    with (output / "summary.csv").open(newline="", encoding="utf-8") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}
