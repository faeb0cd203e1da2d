"""Where a model comes from: cases with hashes and split, packages, the parent model, what was resolved."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from LiverTumorSegLib import __version__
from LiverTumorSegLib.model.bundle import Bundle

from LiverTumorSegTraining.data.preparation import PreparedCase
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.training_data import TrainingData

PROVENANCE = "provenance.json"
PACKAGES = ("torch", "monai", "numpy", "scipy", "SimpleITK", "nibabel", "safetensors", "pydantic")


def run_provenance(
    config: Config,
    root: Path,
    data: TrainingData,
    class_weights: list[float] | None,
    parent: Bundle | None,
    before: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return what a run started from, as JSON types.

    Parameters
    ----------
    config : Config
        The recipe.
    root : Path
        The data set; only its name is kept, for a path may tell who trained.
    data : TrainingData
        The prepared cases.
    class_weights : list of float or None
        Weights of the cross entropy after "auto" was resolved, background first.
    parent : Bundle or None
        The model that the weights started from.
    before : mapping
        What was recorded when a run that goes on began: its parent stays, named again or not.

    Returns
    -------
    dict
        "data_set", "split" {"training", "validation": patients}, "cases", "mixed_in", "class_weights",
        "field_of_view", "parent_model", "packages".
    """
    split: dict[str, Any] = {
        "training": sorted({prepared.case.patient for prepared in data.training}),
        "validation": sorted({prepared.case.patient for prepared in data.validation}),
    }
    if config.data.folds > 1:
        split |= {"fold": config.data.fold, "folds": config.data.folds}
    provenance: dict[str, Any] = {
        "data_set": Path(root).resolve().name,
        "split": split,
        "cases": [
            _case(prepared, part)
            for part, cases in (("training", data.training), ("validation", data.validation), ("mixed in", data.mixed))
            for prepared in cases
        ],
        "class_weights": class_weights,
        "field_of_view": config.field_of_view,
        "packages": versions(),
    }
    if config.data.mix is not None:
        provenance["mixed_in"] = Path(config.data.mix).resolve().name
    if parent is not None:
        provenance["parent_model"] = parent_model(parent)
    elif "parent_model" in before:
        provenance["parent_model"] = before["parent_model"]
    return provenance


def parent_model(bundle: Bundle) -> dict[str, Any]:
    """Return what must be said of the model that another one started from: name, hash, licence, attribution."""
    told = ("licence", "attribution", "data", "parent_model")
    return {"id": bundle.id, "version": bundle.version, "sha256": bundle.sha256} | {
        name: bundle.training[name] for name in told if name in bundle.training
    }


def versions() -> dict[str, str]:
    """Return the versions of this package, Python and the libraries whose numbers count."""
    found = {"LiverTumorSeg": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _case(prepared: PreparedCase, part: str) -> dict[str, Any]:
    case, files = prepared.case, prepared.sha256
    return {
        "case": case.name,
        "patient": case.patient,
        "part": part,
        "images": list(files[: len(case.images)]),
        "label": files[len(case.images)] if case.label is not None else None,
    }


def read_provenance(run: Path) -> dict[str, Any]:
    """Return what a run recorded at its start; empty for runs of older versions."""
    try:
        content = json.loads((run / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
