"""Segment liver and tumours: python3 scripts/segment.py INPUT... --output DIR (see --help)."""

import sys

from bootstrap import enter

enter("runtime")

from LiverTumorSegLib.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
