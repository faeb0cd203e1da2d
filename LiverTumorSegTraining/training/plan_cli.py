"""The command line of scripts/plan.py."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegTraining.data.dataset import find_cases
from LiverTumorSegTraining.data.description import describe
from LiverTumorSegTraining.data.fingerprint import fingerprint, table
from LiverTumorSegTraining.data.verify import expected_data


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a data set and write a recipe; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="plan.py", description="Measure a data set and propose a recipe for scripts/train.py --config."
    )
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder, or a CSV of paths")
    parser.add_argument("--output", type=Path, metavar="RECIPE.yaml", help="recipe to write")
    parser.add_argument("--memory", type=float, default=8.0, metavar="GB", help="for one training step (default 8)")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    from rich.console import Console

    if options.memory <= 0:
        raise UsageError("--memory must be above 0 GB.")
    data = expected_data(options.dataset)
    cases = find_cases(options.dataset, data)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with console.status("reading") as status:
        prints = fingerprint(cases, data, lambda done, of: status.update(f"read {done} of {of} cases"))
    for what, figures in table(prints, data):
        console.print(f"{what:28} {figures}")
    from LiverTumorSegTraining.training.plan import propose

    description = describe(options.dataset)
    is_ct = len(data.channels) == 1 and not (description is not None and description.is_mr)
    name = options.output.stem if options.output else options.dataset.resolve().stem
    recipe = propose(prints, data, is_ct and data.channels == ["CT"], options.memory, name)
    content = json.loads(recipe.model_dump_json(exclude_unset=True))
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
    if options.output is None:
        console.print("\n" + text)
        return
    first = f"# Proposed by plan.py for {len(cases)} cases and {options.memory:g} GB a step.\n"
    write_text(options.output, first + text)
    console.print(f"Recipe written to {options.output}")


if __name__ == "__main__":
    import sys

    sys.exit(main())
