"""Small livers with tumours for the algebra of a reader's session."""

import numpy as np
import pytest
from lesion_labels import labels_of_three
from scipy import ndimage

SHAPE = (14, 16, 18)


def random_labels(seed: int) -> np.ndarray:
    """Return a liver with a few ragged tumours in it, uint8 [z, y, x]: 0, 1 liver, 2 tumour."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    labels[ndimage.gaussian_filter(rng.random(SHAPE), 3) > 0.47] = 1
    spots = ndimage.gaussian_filter(rng.random(SHAPE), 1.0) > 0.62
    labels[spots & (labels > 0)] = 2
    return labels


@pytest.fixture(scope="session")
def liver_labels():
    """Return the function ``random_labels``."""
    return random_labels


@pytest.fixture
def three_lesions() -> np.ndarray:
    """Return the labels of ``labels_of_three``."""
    return labels_of_three()
