"""List every problem of a data set before training on it: python3 scripts/verify_dataset.py DATASET."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.data.verify import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
