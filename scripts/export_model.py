"""Write a training run as a model folder: python3 scripts/export_model.py RUN --output MODEL_DIR."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.export.export_model import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
