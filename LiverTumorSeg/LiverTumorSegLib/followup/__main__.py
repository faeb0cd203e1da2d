"""``python -m LiverTumorSegLib.followup``: what scripts/compare.py runs, and the panel as a child process."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
