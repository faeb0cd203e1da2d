"""Review a result, or segment a scan, in the browser: python3 scripts/review.py SCAN_OR_RESULT (see --help)."""

import sys

from bootstrap import enter

enter("review")

from LiverTumorSegReview.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
