"""A liver to draw into."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def liver():
    """Return a ball of liver in fat: HU, float32, and label, uint8, [z, y, x]."""
    rng = np.random.default_rng(1)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, 48)] * 3, indexing="ij")
    label = (x**2 + y**2 + z**2 < 0.7).astype(np.uint8)
    return (np.where(label, 110, -60) + rng.normal(0, 10, label.shape)).astype(np.float32), label
