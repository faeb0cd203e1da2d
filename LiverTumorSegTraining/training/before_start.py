"""What a run is refused for before anything is read, written or lost."""

from __future__ import annotations

from pathlib import Path

from LiverTumorSegLib.errors import UsageError

from LiverTumorSegTraining.data.dataset import find_cases, list_cases
from LiverTumorSegTraining.data.splits import read_splits, split_by_file
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.run_files import BEST, CHECKPOINT, PREVIOUS


def check_start(config: Config, run: Path, resume: bool) -> None:
    """Refuse a run that would overwrite another one, or fine-tune nothing.

    Parameters
    ----------
    config : Config
        The recipe.
    run : Path
        The run folder.
    resume : bool
        Whether the run goes on from the checkpoint in it.

    Raises
    ------
    UsageError
        If `run` holds a checkpoint and is not to be resumed, is a file, or the recipe needs a model to start from.
    """
    if run.exists() and not run.is_dir():
        raise UsageError(f"--output {run} is a file: name a folder for the run.")
    held = [name for name in (CHECKPOINT, PREVIOUS, BEST) if (run / name).exists()]
    if held and not resume:
        raise UsageError(
            f"{run} already holds a run ({', '.join(held)}), which would be lost: go on with it by --resume, "
            "or name another --output."
        )
    needs = {
        "fine-tunes a trained model": config.fine_tune,
        "freezes parts of a trained network": bool(config.optimiser.freeze),
        "draws samples where a trained model errs (sampling.hard_fraction)": config.sampling.hard_fraction > 0,
    }
    why = next((reason for reason, needed in needs.items() if needed), None)
    if config.init_from is None and why is not None:
        raise UsageError(f"The recipe {why}, but names none: give its model folder with --init-from.")


def check_start_of_folds(config: Config, folders: list[Path], resume: bool) -> None:
    """Refuse as `check_start` does, for all folds before the first one trains."""
    for folder in folders:
        check_start(config, folder, resume)


def check_splits_of_folds(config: Config, root: Path, folds: int) -> None:
    """Refuse a cross-validation whose splits file lacks a fold or has a wrong one, before the first one trains.

    Raises
    ------
    UsageError
        If the file of `data.splits` has fewer folds than are asked for.
    InputError
        If one of them names unknown cases, trains on none, or puts a patient on both sides.
    """
    path = config.data.splits
    if path is None:
        return
    found = len(read_splits(path).folds)
    if found < folds:
        raise UsageError(
            f"--folds is {folds}, but the splits file {path} has {found}: give --folds {found}, or by --data.splits a "
            "file of as many folds."
        )
    cases = find_cases(root, config.data)
    left_out = {case.name for case in list_cases(root, config.data)} - {case.name for case in cases}
    for fold in range(folds):
        split_by_file(cases, path, fold, left_out)
