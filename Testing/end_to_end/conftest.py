"""The density phantom and bundles of `density_models` as fixtures."""

from __future__ import annotations

import pytest
from density_models import density_bundle, phantom, phantom_grid
from LiverTumorSegLib.model.bundle import Bundle, save_bundle


@pytest.fixture(scope="session")
def density_bundles() -> tuple[Bundle, Bundle]:
    """The fine bundle and the localiser."""
    return density_bundle("liver-tumor", 2.0), density_bundle("localiser", 3.0)


@pytest.fixture(scope="session")
def models(density_bundles, tmp_path_factory):
    """Return a models folder that holds both bundles under the names of the shipped ones."""
    folder = tmp_path_factory.mktemp("models")
    fine, localiser = density_bundles
    save_bundle(fine, folder / "liver-tumor")
    save_bundle(localiser, folder / "liver-localiser")
    return folder


@pytest.fixture(scope="session")
def make_phantom():
    """Return a function from grid options to (image, labels, grid)."""

    def make(**options):
        grid = phantom_grid(**options)
        values, labels = phantom(grid)
        return grid.image(values), labels, grid

    return make
