"""The command line of scripts/train.py: the recipe, every key of it as an option, and what to do with it."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

import yaml
from LiverTumorSegLib.command import exit_code, renamed_option
from LiverTumorSegLib.errors import UsageError

from LiverTumorSegTraining.recipe.config import Config, load_config
from LiverTumorSegTraining.recipe.config_errors import allowed, recipe_keys


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each key of the recipe is an option of its own, listed by --help with its default."""
    parser = argparse.ArgumentParser(
        prog="train.py", allow_abbrev=False,
        usage="train.py --config PRESET.yaml --data DATASET --output RUN [options]",
        description="Train a network after a recipe (Resources/Presets/*.yaml).",
        epilog="Values are YAML: --optimiser.learning_rate 3e-4 --sampling.patch_size '[64, 64, 64]' --data.mix null",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=48, width=119),
    )  # fmt: skip
    parser.add_argument("--config", type=Path, required=True, help="recipe, a YAML file")
    parser.add_argument("--data", type=Path, required=True, help="data set: a folder or a CSV of paths")
    parser.add_argument("--output", type=Path, required=True, help="run folder; made when absent")
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's checkpoint")
    parser.add_argument("--max-minutes", type=float, help="stop then, with a usable model")
    parser.add_argument("--folds", type=int, help="cross-validation with that many folds, one after the other")
    parser.add_argument("--fold", type=int, metavar="K", help="train only fold K of --folds, the others elsewhere")
    parser.add_argument("--trials", type=int, help="hyper-parameter search with that many trials over search.space")
    parser.add_argument(
        "--study", help="Optuna storage URL shared by several machines; an SQLite file in the run folder"
    )
    parser.add_argument("--synthetic-pictures", type=int, metavar="N",
                        help="only write pictures of N synthetic tumours into the run folder")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    groups = {}
    for key, field in recipe_keys(Config).items():
        section = key.split(".")[0] if "." in key else "recipe"
        if section not in groups:
            groups[section] = parser.add_argument_group(section)
        default = "needed" if field.is_required() else f"default {_yaml(field.get_default(call_default_factory=True))}"
        text = f"{field.description} ({allowed(field)}; {default})".replace("%", "%%")
        groups[section].add_argument(option_of(key), dest=key, metavar="V", default=argparse.SUPPRESS, help=text)
    return parser


def option_of(key: str) -> str:
    """Return the option of a key: keys of a section as they stand in a recipe, others in the style of all options."""
    return f"--{key}" if "." in key else f"--{key.replace('_', '-')}"


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def parse(arguments: list[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return the options and the overrides {"section.key": value}.

    Raises
    ------
    UsageError
        If an option is unknown; the nearest one is named.
    """
    parser = build_parser()
    options, unknown = parser.parse_known_args(arguments)
    wrong = [word for word in unknown if word.startswith("--")] or unknown
    if wrong:
        name = wrong[0].split("=")[0]
        renamed = renamed_option(parser, name)
        if renamed is not None:
            raise UsageError(f"There is no option {name}: it is {renamed}.")
        names = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(name, names, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists all."
        raise UsageError(f"There is no option {name}{hint}")
    overrides = {}
    for key in recipe_keys(Config):
        if hasattr(options, key):
            text = getattr(options, key)
            try:
                overrides[key] = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise UsageError(
                    f"{option_of(key)} {text!r} is not a YAML value: {' '.join(str(error).split())}"
                ) from error
    return options, overrides


def main(arguments: list[str] | None = None) -> int:
    """Train; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments

    def run(_: argparse.Namespace) -> None:
        options, overrides = parse(given)
        _run(load_config(options.config, overrides), options)

    return exit_code(run, argparse.Namespace(debug="--debug" in given))


def _run(config: Config, options: argparse.Namespace) -> None:
    _check_folds(config, options)
    # Each way imports what it needs: --help must not wait for torch.
    if options.synthetic_pictures:
        from LiverTumorSegTraining.samples.synthetic_pictures import draw_synthetic_tumors

        print(draw_synthetic_tumors(config, options.data, options.output, options.synthetic_pictures))  # noqa: T201
    elif options.trials:
        from LiverTumorSegTraining.training.search import search

        folds = options.folds or 1
        summary = search(
            config, options.data, options.output, options.trials, options.study, options.max_minutes, folds
        )  # fmt: skip
        print(f"Best of {len(summary['trials'])} trials: {summary['best']} with {summary['score']:.3f}")  # noqa: T201
    elif (options.folds or 1) > 1:
        from LiverTumorSegTraining.training.cross_validation import cross_validate

        figures = cross_validate(
            config, options.data, options.output, options.folds, options.resume, options.max_minutes, options.fold
        )  # fmt: skip
        if figures is None:
            print("Some folds are not finished: train them, or copy their folders here, then the same with --resume.")  # noqa: T201
            return
        summary = figures
        for name, mean in summary["mean"].items():
            if mean is not None:
                print(f"{name}: {mean:.3f} (sd {summary['sd'][name] or 0:.3f}) over {options.folds} folds")  # noqa: T201
    else:
        from LiverTumorSegTraining.training.loop import Trainer

        Trainer(config, options.data, options.output, options.resume, options.max_minutes).train()


def _check_folds(config: Config, options: argparse.Namespace) -> None:
    """Refuse what would train another fold than was asked for."""
    if options.folds is not None and options.folds < 1:
        raise UsageError(f"--folds is {options.folds}: it must be 2 or more (1 is no cross-validation).")
    if options.fold is None:
        return
    if options.trials:
        raise UsageError("--fold does not go with --trials: a trial trains every fold; leave --fold out.")
    if (options.folds or 1) == 1:
        folds = config.data.folds if config.data.folds > 1 else "N"
        raise UsageError(
            f"--fold {options.fold} needs --folds: give --folds {folds} --fold {options.fold} for one fold of a "
            f"cross-validation, or --data.fold {options.fold} (beside --data.folds or --data.splits) for a single run."
        )


if __name__ == "__main__":
    sys.exit(main())
