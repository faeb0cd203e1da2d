"""Where the shipped models lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import ModelError
from .bundle import DESCRIPTION, Bundle, load_bundle

FINE, LOCALISER = "liver-tumor", "liver-localiser"
VARIABLE = "LIVERTUMORSEG_MODELS"


def members_of(folder: Path) -> list[Path]:
    """Return the model folders of an ensemble, fold_0, fold_1 and so on in one folder; the folder itself otherwise."""
    if (folder / DESCRIPTION).exists():
        return [folder]
    members = [path.parent for path in folder.glob(f"fold_*/{DESCRIPTION}")]
    return sorted(members, key=lambda path: (len(path.name), path.name)) or [folder]


def localiser_for(bundle: Bundle, folder: Path | None = None) -> Bundle | None:
    """Return the localiser that a model needs, None for one that is not shown the liver's box.

    Parameters
    ----------
    bundle : Bundle
        The fine network.
    folder : Path, optional
        Model folder of the localiser; the shipped one when None.
    """
    if bundle.field_of_view != "liver_box":
        return None
    return load_bundle(folder if folder is not None else models_folder() / LOCALISER)


def require_together(bundles: Sequence[Bundle], localiser: Bundle | None) -> None:
    """Refuse models that cannot be averaged, and a localiser that is none, with a ModelError."""
    if not bundles:
        raise ModelError("No model was given: name at least one model folder.")
    told = {(bundle.labels, bundle.channels, bundle.field_of_view) for bundle in bundles}
    if len(told) > 1:
        names = ", ".join(bundle.id for bundle in bundles)
        raise ModelError(
            f"The models {names} cannot be averaged: they have different labels, channels or fields of view."
        )
    if localiser is not None and localiser.task != "localiser":
        raise ModelError(f"Model {localiser.id!r} is a {localiser.task} model, not a localiser.")


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
