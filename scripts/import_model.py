"""Write an nnU-Net v2 result as a model folder: python3 scripts/import_model.py NNUNET_RESULT --output MODEL_DIR."""

import sys

from bootstrap import enter

enter("train")

from LiverTumorSegTraining.export.import_model import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
