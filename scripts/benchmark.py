"""Measure speed and memory beside the peers: python3 scripts/benchmark.py --output FILE [--quick]."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.benchmark.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
