"""A liver with three made-up lesions, whose sizes are known, for a reader's session and its page."""

import numpy as np


def labels_of_three() -> np.ndarray:
    """Return a liver box with lesions of 64, 27 and 8 voxels, numbers 1, 2, 3; uint8 [z, y, x]: 1 liver, 2 tumour."""
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[2:18, 2:22, 2:26] = 1
    labels[4:8, 4:8, 4:8] = 2
    labels[10:13, 10:13, 10:13] = 2
    labels[14:16, 18:20, 20:22] = 2
    return labels
