"""The notebook runs from the first cell to the last, outside the repository, and is kept with its outputs."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from LiverTumorSegLib.errors import InputError

from LiverTumorSegTraining.demo.samples import SAMPLES, fetch

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "Resources" / "Notebooks" / "train_predict_look.ipynb"
CACHE = ROOT / "results" / ".cache"


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Return an empty folder with the sample scans, for processes that see the package installed and no repository."""
    try:
        for sample in SAMPLES:
            fetch(sample, CACHE, offline=False, say=print)
    except InputError as error:
        pytest.skip(f"the samples are neither cached nor to be had: {error}")
    folder, installed = tmp_path / "empty", tmp_path / "installed"
    shutil.copytree(CACHE, folder / "samples", ignore=shutil.ignore_patterns("*.whl"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(installed), f"livertumorseg @ {ROOT.as_uri()}"], check=True)
    settings = {"PYTHONPATH": installed, "NOTEBOOK_STEPS": 5, "OMP_NUM_THREADS": 1, "IPYTHONDIR": tmp_path / "ipython"}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    return folder


def test_the_notebook_runs_in_an_empty_folder(elsewhere):
    nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient")
    nbformat = pytest.importorskip("nbformat", reason="notebooks are read by nbformat")
    pytest.importorskip("ipykernel", reason="notebooks need a kernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = "print({name.split('.')[0] for name, module in sys.modules.items() if INSTALLED in str(module)})"
    where = f"import sys\nINSTALLED = {str(elsewhere.parent / 'installed')!r}\n{where}"
    notebook.cells.append(nbformat.v4.new_code_cell(where))
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(elsewhere)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3
    assert ast.literal_eval(outputs[-1].text) == {"LiverTumorSegLib", "LiverTumorSegTraining"}
    assert {path.name for path in elsewhere.iterdir()} == {"samples", "train_predict_look"}


def test_the_notebook_is_kept_executed():
    nbformat = pytest.importorskip("nbformat", reason="notebooks are read by nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
