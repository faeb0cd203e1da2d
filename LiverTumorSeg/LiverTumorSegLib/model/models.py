"""Where the shipped models lie."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ModelError

FINE, LOCALISER = "liver-tumor", "liver-localiser"
VARIABLE = "LIVERTUMORSEG_MODELS"


def models_folder() -> Path:
    """Return the folder of the shipped models: $LIVERTUMORSEG_MODELS, the module's own, or the source tree's.

    Raises
    ------
    ModelError
        If there is none.
    """
    module = Path(__file__).resolve().parents[2]
    given = os.environ.get(VARIABLE)
    places = [Path(given)] if given else [folder / "Resources" / "Models" for folder in (module, module.parent)]
    for place in places:
        if place.is_dir():
            return place
    raise ModelError(f"There are no shipped models in {' or '.join(map(str, places))}: name a folder with --model.")
