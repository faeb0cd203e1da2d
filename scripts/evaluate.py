"""Score predictions: python3 scripts/evaluate.py --references DIR --predictions DIR --output DIR (see --help)."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.evaluation.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
