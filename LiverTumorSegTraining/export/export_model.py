"""From a training run to a model folder that segment.py and the Slicer panel run."""

from __future__ import annotations

import argparse
import dataclasses
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from LiverTumorSegLib.command import exit_code, parse_options
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.model.bundle import DESCRIPTION as MODEL_DESCRIPTION
from LiverTumorSegLib.model.bundle import Bundle, load_bundle, save_bundle
from LiverTumorSegLib.model.modelfile import SUFFIX, pack_model
from LiverTumorSegLib.model.precision import BITS

from LiverTumorSegTraining.export.calibration import calibrated, fit_calibration, held_out_reliability
from LiverTumorSegTraining.export.model_card import write_model_card
from LiverTumorSegTraining.recipe.config import Config, load_config
from LiverTumorSegTraining.training.cross_validation import FINISHED
from LiverTumorSegTraining.training.model import bundle_of
from LiverTumorSegTraining.training.provenance import read_provenance
from LiverTumorSegTraining.training.run_files import (
    BEST,
    CHECKPOINT,
    LOSS_CURVE,
    RESOLVED,
    read_checkpoint,
    read_metrics,
)


def export_model(
    run: Path,
    output: Path,
    *,
    id: str | None = None,
    version: str = "1.0.0",
    training: dict[str, Any] | None = None,
    tumor_threshold: float = 0.5,
    best: bool = False,
    calibrate_on: Path | None = None,
    bits: int = 16,
    mirroring: bool = True,
    spacing_mm: tuple[float, float, float] | None = None,
) -> Bundle:
    """Write the averaged network of a run as a bundle with its loss curve and a MODEL_CARD.md.

    Parameters
    ----------
    run : Path
        Folder that train.py wrote.
    output : Path
        Model folder to write.
    id, version : str
        Name (of the recipe when None) and version of the model.
    training : dict
        Provenance added to what the run knows: "data", "licence", "attribution", "limits" and whatever else the card
        should say.
    tumor_threshold : float
        Probability from which a voxel is called tumour.
    best : bool
        Take the checkpoint with the best validation instead of the last.
    calibrate_on : Path, optional
        The run's data set: the probability of tumour is calibrated on its held-out patients, and `tumor_threshold`,
        which is that of the network as it was trained, moves along.
    bits : {32, 16, 8}
        In how many the weights are stored.
    mirroring : bool
        Whether quality best averages flips along the axes that the training flipped.
    spacing_mm : tuple of float, optional
        x, y, z of the grid that the model runs at; that of its training when None.

    Returns
    -------
    Bundle
        As read back from `output`.

    Raises
    ------
    InputError
        If `run` holds no recipe or no checkpoint.
    UsageError
        If the training saw nothing like `spacing_mm`.
    """
    run = Path(run)
    if not (run / RESOLVED).exists():
        raise InputError(f"{run} is no training run: it holds no {RESOLVED}. Give the --output folder of train.py.")
    config = load_config(run / RESOLVED)
    state = read_checkpoint(run / (BEST if best else CHECKPOINT), torch.device("cpu"))
    metrics = read_metrics(run)
    provenance = _provenance(config, state, metrics, read_provenance(run)) | (training or {})
    bundle = dataclasses.replace(
        bundle_of(config, state["average"]),
        id=id or config.id,
        version=version,
        training=provenance,
        tumor_threshold=tumor_threshold,
    )
    if not mirroring:
        bundle = dataclasses.replace(bundle, mirroring=())
    if spacing_mm is not None:
        bundle = _at_spacing(bundle, config.augmentation.scale, spacing_mm)
    if calibrate_on is not None:
        reliability = list(held_out_reliability(bundle, config, calibrate_on, provenance["held_out_patients"]))
        bundle = calibrated(bundle, fit_calibration(reliability))
    saved = save_bundle(bundle, output, bits)
    if (run / LOSS_CURVE).exists():
        shutil.copyfile(run / LOSS_CURVE, Path(output) / LOSS_CURVE)
    write_model_card(saved, config, Path(output), bits)
    return saved


def _at_spacing(bundle: Bundle, enlargement: tuple[float, float], spacing_mm: tuple[float, float, float]) -> Bundle:
    """Return the model on another grid than that of its training, within what its augmentation showed it."""
    if bundle.resize:
        raise UsageError("--spacing does not go with a recipe that resizes the field of view: leave it out.")
    smallest, largest = ([mm / factor for mm in bundle.spacing_mm] for factor in reversed(enlargement))
    if not all(low <= mm <= high for low, mm, high in zip(smallest, spacing_mm, largest, strict=True)):
        seen = " and ".join(_words(grid) for grid in (smallest, largest))
        raise UsageError(
            f"--spacing is {_words(spacing_mm)}, but the training (augmentation.scale) saw grids between {seen}: "
            "give one of these, or train on another grid (preparation.spacing_mm)."
        )
    training = bundle.training | {"trained_spacing_mm": list(bundle.spacing_mm)}
    return dataclasses.replace(bundle, spacing_mm=spacing_mm, training=training)


def _words(spacing_mm: Sequence[float]) -> str:
    return " x ".join(f"{mm:.3g}" for mm in spacing_mm) + " mm"


def _provenance(
    config: Config, state: dict[str, Any], metrics: list[dict[str, Any]], started_from: dict[str, Any]
) -> dict[str, Any]:
    # What the run did after this checkpoint is not told of it.
    metrics = [entry for entry in metrics if entry.get("step", 0) <= state["step"]]
    losses = [entry["loss"] for entry in metrics if entry.get("loss") is not None]
    validations = [entry for entry in metrics if "validation" in entry]
    provenance: dict[str, Any] = {
        "steps": state["step"],
        "hours": round(state["minutes"] / 60, 3),
        "batch_size": config.sampling.batch_size,
        "held_out_patients": started_from.get("split", {}).get("validation", list(config.data.validation)),
        **started_from,
    }
    if losses:
        provenance["loss_first"], provenance["loss_last"] = losses[0], losses[-1]
    if validations:
        provenance["validation_step"] = validations[-1]["step"]
        # JSON knows no NaN: a figure that is not defined (Dice of nothing) becomes null.
        provenance["validation"] = {
            case: {
                name: None if value is None or not math.isfinite(value) else value for name, value in figures.items()
            }
            for case, figures in validations[-1]["validation"].items()
        }
    return provenance


def main(arguments: list[str] | None = None) -> int:
    """Export; return the exit code."""
    parser = argparse.ArgumentParser(prog="export_model.py", description="Write a training run as a model folder.")
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder that train.py wrote; of a cross-validation all folds"
    )
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")
    parser.add_argument(
        "--format", default="bundle", choices=("bundle", "ltsmodel", "torchscript", "onnx", "monai_bundle"),
        help="bundle: for segment.py and Slicer; ltsmodel: the same in one file, to send and to drop on Slicer; the "
        "others for other programs. All but the first also from a model folder",
    )  # fmt: skip
    parser.add_argument("--id", help="name of the model; the recipe's when left out")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument(
        "--training", type=Path, help="YAML or JSON file with provenance: data, licence, attribution, limits"
    )
    parser.add_argument("--tumor-threshold", type=float, default=0.5, help="probability from which a voxel is tumour")
    parser.add_argument(
        "--best", action="store_true", help="the checkpoint with the best validation instead of the last"
    )
    parser.add_argument(
        "--calibrate", type=Path, metavar="DATA",
        help="data set of the run: calibrate the tumour's probability on its held-out patients",
    )  # fmt: skip
    parser.add_argument(
        "--no-mirroring", dest="mirroring", action="store_false",
        help="quality best averages no flips: for a model that gains nothing by them",
    )  # fmt: skip
    parser.add_argument(
        "--spacing", type=float, nargs=3, metavar=("X", "Y", "Z"), dest="spacing_mm",
        help="grid in mm that the model runs at, where one beside that of its training does better",
    )  # fmt: skip
    parser.add_argument(
        "--bits", type=int, default=16, choices=BITS,
        help="in how many the weights are stored: 8 halve the file; the network computes as ever",
    )  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(_run, parse_options(parser, arguments))


def _run(options: argparse.Namespace) -> None:
    if options.format == "ltsmodel":
        _export_file(options)
        return
    if options.format != "bundle":
        _export_format(options)
        return
    runs = fold_folders(options.run) or [options.run]
    for run in runs:
        output = options.output / run.name if len(runs) > 1 else options.output
        bundle = _exported(options, run, output)
        print(f"Model {bundle.id} {bundle.version} written to {output} (SHA-256 {bundle.sha256[:12]})")  # noqa: T201
    if len(runs) > 1:
        print(f"segment.py --model {options.output} averages the {len(runs)} networks.")  # noqa: T201


def _exported(options: argparse.Namespace, run: Path, output: Path) -> Bundle:
    return export_model(
        run,
        output,
        id=options.id,
        version=options.version,
        training=read_training(options.training),
        tumor_threshold=options.tumor_threshold,
        best=options.best,
        calibrate_on=options.calibrate,
        bits=options.bits,
        mirroring=options.mirroring,
        spacing_mm=tuple(options.spacing_mm) if options.spacing_mm else None,
    )


def _export_file(options: argparse.Namespace) -> None:
    with _model_folder(options) as folder:
        bundle = load_bundle(folder)
        path = options.output / f"{bundle.id}-{bundle.version}{SUFFIX}"
        options.output.mkdir(parents=True, exist_ok=True)
        pack_model(folder, path)
    print(f"Model {bundle.id} {bundle.version} written to {path} (SHA-256 {bundle.sha256[:12]})")  # noqa: T201


def _export_format(options: argparse.Namespace) -> None:
    from LiverTumorSegTraining.export.formats import export_format

    with _model_folder(options) as folder:
        bundle = load_bundle(folder)
    difference = export_format(bundle, options.output, options.format)
    print(f"{options.format} of {bundle.id} written to {options.output}; differs by {difference:.1g} from the bundle.")  # noqa: T201


@contextmanager
def _model_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Give the model folder that was named, or that of the run that was."""
    if (options.run / MODEL_DESCRIPTION).exists():
        yield options.run
        return
    with tempfile.TemporaryDirectory() as folder:
        _exported(options, options.run, Path(folder))
        yield Path(folder)


def fold_folders(run: Path) -> list[Path]:
    """Return the folds of a cross-validation, by number; empty for a run of its own.

    Raises
    ------
    InputError
        If a fold is not finished.
    """
    if (run / RESOLVED).exists():
        return []
    numbers = (path.name.removeprefix("fold_") for path in run.glob("fold_*"))
    # A copy such as fold_1_old is no fold.
    folds = [run / f"fold_{number}" for number in sorted((n for n in numbers if n.isdecimal()), key=int)]
    unfinished = [fold.name for fold in folds if not (fold / FINISHED).exists()]
    if unfinished:
        raise InputError(f"{run}: {', '.join(unfinished)} is not finished: go on with train.py --folds --resume.")
    return folds


def read_training(path: Path | None) -> dict[str, Any]:
    """Return the provenance in a YAML or JSON file; nothing of no file. UsageError when it cannot be read."""
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"--training {path} cannot be read as YAML or JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"--training {path} must hold names and values, such as data: ... and licence: ...")
    return content


if __name__ == "__main__":
    sys.exit(main())
