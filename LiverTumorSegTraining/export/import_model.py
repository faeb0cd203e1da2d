"""From an nnU-Net v2 result folder to a model folder that segment.py and the Slicer panel run."""

from __future__ import annotations

import argparse
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import InputError, ModelError, UsageError
from LiverTumorSegLib.model.bundle import Bundle, save_bundle
from LiverTumorSegLib.wholefile import write_text
from torch import Tensor

from LiverTumorSegTraining.export.export_model import read_training
from LiverTumorSegTraining.export.model_card import CARD, imported_card
from LiverTumorSegTraining.export.nnunet_plans import DATASET, NnunetModel, read_json, read_model

CHECKPOINT = "checkpoint_final.pth"
ATTRIBUTION = "Trained with nnU-Net v2 (Isensee et al., Nature Methods 18, 203-211, 2021)."
_NUMPY = [
    *(np.dtype, np.ndarray, np.float64, np.float32, np.int64),
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "bool")),
]
"""Numbers in a checkpoint's log: the only things beside tensors and plain values that are read."""

_AXIS = {"R": "L", "P": "A", "I": "S"}


def import_model(
    folder: Path,
    fold: str,
    output: Path,
    *,
    configuration: str = "",
    checkpoint: str = CHECKPOINT,
    orientation: str = "",
    id: str = "",
    training: dict[str, Any] | None = None,
) -> Bundle:
    """Write one fold of an nnU-Net v2 result folder as a bundle with a MODEL_CARD.md.

    Parameters
    ----------
    folder : Path
        Holds plans.json, dataset.json and fold_*.
    fold : str
        Name of the fold's folder, such as "fold_0".
    output : Path
        Model folder to write.
    configuration : str
        Of the plans; the one the checkpoint was trained with when empty.
    checkpoint : str
        Name of the file in the fold's folder.
    orientation : str
        Three letters, such as "RAS" or "LPS": how the files that the network was trained on are stored. Empty: a scan
        is shown as it is stored itself, as nnU-Net does.
    id : str
        Name of the model; of the data set when empty.
    training : dict
        Provenance added to what the folder knows.

    Returns
    -------
    Bundle
        As read back from `output`.

    Raises
    ------
    InputError, ModelError
        If files are missing or damaged, the checkpoint holds more than weights, or the network is one that a bundle
        cannot hold.
    """
    path = folder / fold / checkpoint
    state = read_checkpoint(path)
    told = state.get("init_args") or {}
    configuration = configuration or str(told.get("configuration") or folder.name.rsplit("__", 1)[-1])
    model = read_model(folder, configuration)
    name = id or str(read_json(folder / DATASET).get("name") or folder.parent.name or folder.name)
    mirroring = state.get("inference_allowed_mirroring_axes") or ()
    bundle = Bundle(
        id=name,
        version=f"nnunet-{configuration}-{fold}",
        task=model.task,
        network=model.network,
        labels=model.product_labels,
        spacing_mm=model.spacing_mm,
        patch_size=model.patch_size,
        intensity=model.intensities[0],
        channel_intensities=model.intensities if len(set(model.intensities)) > 1 else (),
        channels=model.channels,
        field_of_view="whole_scan",
        conventions="nnunet",
        orientation=orientation,
        mirroring=tuple(sorted(model.transpose[axis] for axis in mirroring)),
        training={
            "data": read_json(folder / DATASET).get("description") or f"{name}, {_count(folder)} training cases",
            "licence": read_json(folder / DATASET).get("licence") or "not stated: ask who trained it",
            "attribution": [ATTRIBUTION],
            "trainer": str(state.get("trainer_name", "not stated")),
            "configuration": configuration,
            "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            **(training or {}),
        },
        weights=weights_of(state["network_weights"], model),
    )
    bundle.build()
    saved = save_bundle(bundle, output, bits=32)
    write_text(output / CARD, imported_card(saved))
    return saved


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of an nnU-Net checkpoint: tensors and plain values; nothing in it is run.

    Raises
    ------
    InputError
        If there is no such file.
    ModelError
        If it is damaged or holds objects.
    """
    if not path.is_file():
        raise InputError(f"There is no {path.name} in {path.parent}: name another one with --checkpoint or --folds.")
    try:
        with torch.serialization.safe_globals([*_NUMPY, *_numpy_makers()]):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than weights and numbers, and is not opened: it could run code on this computer."
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ModelError(f"{path} is damaged or no checkpoint: copy it again.") from error
    if not isinstance(state, dict) or not isinstance(state.get("network_weights"), dict):
        raise ModelError(f"{path} is no checkpoint of nnU-Net v2: it has no network_weights.")
    return state


def _numpy_makers() -> list[Any]:
    """Return the functions by which numpy's numbers and arrays are read back, under the names of numpy 1 and 2."""
    makers: list[Any] = [np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]]
    places = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [(maker, f"{place}.{maker.__name__}") for maker in makers for place in places]


def weights_of(weights: dict[str, Tensor], model: NnunetModel) -> dict[str, Tensor]:
    """Return a checkpoint's weights by the names and in the axes of `NnunetUNet`.

    nnU-Net stores a tensor under several names, and its axes may be those of a transposed scan.
    """
    back = [model.transpose.index(axis) for axis in range(3)]
    kept: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        plain = name.removeprefix("module.").removeprefix("_orig_mod.")
        if ".all_modules." in plain or plain.startswith("decoder.encoder."):
            continue
        order = [0, 1, *(2 + axis for axis in back)]
        kept[plain] = tensor.permute(order).contiguous() if tensor.ndim == 5 else tensor
    return kept


def fold_names(folder: Path, wanted: list[str], checkpoint: str) -> list[str]:
    """Return the folders of the folds that are asked for, else of all that hold the checkpoint, by number.

    Raises
    ------
    InputError
        If there is none.
    """
    if wanted:
        return [name if name.startswith("fold_") else f"fold_{name}" for name in wanted]
    found = sorted(path.parent.name for path in folder.glob(f"fold_*/{checkpoint}"))
    numbered = [name for name in found if name != "fold_all"] or found
    if not numbered:
        raise InputError(
            f"{folder} has no fold_*/{checkpoint}: give the nnU-Net results that hold plans.json and fold_0, "
            "or name the file with --checkpoint."
        )
    return numbered


def _count(folder: Path) -> str:
    return str(read_json(folder / DATASET).get("numTraining", "an unknown number of"))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="import_model.py", description="Write a model that nnU-Net v2 trained as a model folder."
    )
    parser.add_argument(
        "results", type=Path, metavar="NNUNET_RESULT", help="folder with plans.json, dataset.json, fold_0"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="MODEL_DIR", help="model folder to write")
    parser.add_argument(
        "--folds", nargs="+", default=[], metavar="F", help="0 1 2 ... or all; every fold that is there"
    )
    parser.add_argument("--configuration", default="", help="of the plans; what the checkpoint says when left out")
    parser.add_argument("--checkpoint", default=CHECKPOINT, metavar="FILE", help=f"default: {CHECKPOINT}")
    parser.add_argument(
        "--orientation", default="", metavar="XYZ",
        help="how the training files are stored, such as RAS or LPS; left out: each scan as it is stored",
    )  # fmt: skip
    parser.add_argument("--id", default="", help="name of the model; the data set's when left out")
    parser.add_argument("--training", type=Path, help="YAML or JSON file with provenance: data, licence, attribution")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    orientation = options.orientation.upper()
    if orientation and sorted(_AXIS.get(letter, letter) for letter in orientation) != ["A", "L", "S"]:
        raise UsageError(f"--orientation is {options.orientation!r}; it must be three letters such as RAS or LPS.")
    names = fold_names(options.results, options.folds, options.checkpoint)
    for name in names:
        output = options.output / name if len(names) > 1 else options.output
        bundle = import_model(
            options.results, name, output, configuration=options.configuration, checkpoint=options.checkpoint,
            orientation=orientation, id=options.id, training=read_training(options.training),
        )  # fmt: skip
        labels = ", ".join(f"{value} {label}" for value, label in enumerate(bundle.labels, 1))
        print(f"Model {bundle.id} {bundle.version} ({labels}) written to {output}")  # noqa: T201
    if len(names) > 1:
        print(f"segment.py --model {options.output} averages the {len(names)} networks.")  # noqa: T201
