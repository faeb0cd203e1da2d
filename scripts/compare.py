"""Follow one patient over time: python3 scripts/compare.py BASELINE FOLLOWUP... --output DIR (see --help)."""

import sys

from bootstrap import enter

enter("runtime")

from LiverTumorSegLib.followup.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
