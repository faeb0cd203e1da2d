"""Fetch two sample CTs, segment them and write a report: python3 scripts/demo.py [--offline] [--output DIR]."""

import sys

from bootstrap import enter

enter("runtime", offline="--offline" in sys.argv)

from LiverTumorSegTraining.demo.run import main  # noqa: E402

sys.exit(main())
