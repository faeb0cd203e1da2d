"""The command line of scripts/train.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from LiverTumorSegLib.errors import LiverTumorSegError
from LiverTumorSegTraining.config import load_config


def main(arguments: list[str] | None = None) -> int:
    """Train; return the exit code."""
    parser = argparse.ArgumentParser(prog="train.py", description="Train a network after a recipe.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--max_minutes", type=float)
    known, rest = parser.parse_known_args(arguments)
    overrides = {rest[i].removeprefix("--"): yaml.safe_load(rest[i + 1]) for i in range(0, len(rest) - 1, 2)}
    from LiverTumorSegTraining.loop import Trainer

    try:
        config = load_config(known.config, overrides)
        Trainer(config, known.data, known.output, known.resume, known.max_minutes).train()
    except LiverTumorSegError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
