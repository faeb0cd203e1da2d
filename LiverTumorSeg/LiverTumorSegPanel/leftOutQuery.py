"""Print as JSON what a run over a folder of scans would leave out.

Run as a script in a child process: looking through the folders of many patients takes seconds on a slow disk.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from LiverTumorSegLib.scan.collection import scans_in


def leftOut(scans: Path, results: Path | None, channels: list[str]) -> list[tuple[str, str]]:
    """Return the path in the folder of scans, and the kind, of each file or folder that is left out."""
    found = scans_in(scans, channels, results).left_out
    return [(scans.name if path == scans else path.relative_to(scans).as_posix(), found[path]) for path in found]


if __name__ == "__main__":
    scansFolder, resultsFolder, *channelNames = sys.argv[1:]
    told = leftOut(Path(scansFolder), Path(resultsFolder) if resultsFolder else None, channelNames)
    sys.stdout.write(json.dumps({"event": "left out", "paths": told}) + "\n")
