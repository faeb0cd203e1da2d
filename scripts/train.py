"""Train a network after a recipe: python3 scripts/train.py --config PRESET.yaml --data DATASET --output RUN."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.training.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
