"""The notebook runs from the first cell to the last, and is kept with its outputs."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "Resources" / "Notebooks" / "train_predict_look.ipynb"


def test_the_notebook_runs(monkeypatch, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient")
    nbformat = pytest.importorskip("nbformat", reason="notebooks are read by nbformat")
    pytest.importorskip("ipykernel", reason="notebooks need a kernel")
    for name, value in (("NOTEBOOK_STEPS", "5"), ("OMP_NUM_THREADS", "1"), ("IPYTHONDIR", str(tmp_path))):
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3


def test_the_notebook_is_kept_executed():
    nbformat = pytest.importorskip("nbformat", reason="notebooks are read by nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
