"""Measure a data set and propose a recipe for it: python3 scripts/plan.py DATASET --output recipe.yaml."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.training.plan_cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
