"""A phantom whose labels follow from density alone, and real bundles whose weights are set by hand to read them off.

So the whole way of a scan can be tested on any grid, in a second, with a known answer.
"""

from __future__ import annotations

import numpy as np
import torch
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.model.network import UNet
from LiverTumorSegLib.model.normalisation import Intensity
from scipy.spatial.transform import Rotation

# Tumours are dense here: so the mixed voxels between liver and body do not look like tumour.
BODY_HU, LIVER_HU, TUMOR_HU, AIR_HU = -35, 85, 185, -1000


def density_bundle(task: str, spacing_mm: float) -> Bundle:
    """Return a bundle that calls voxels background below 25 HU, liver up to 135 HU, tumour above."""
    localiser = task == "localiser"
    network = UNet(
        features=(8, 8),
        blocks=(1, 1),
        classes=2 if localiser else 3,
        residual=False,
        attention="none",
        stem="full",
        norm="batch",
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        state = network.state_dict()
        for name, tensor in state.items():
            if (
                name.endswith(("0.0.weight", "1.0.weight", "first.0.weight", "second.0.weight"))
                or name == "stem.0.weight"
            ):
                tensor[0, 0][(1,) * (tensor.ndim - 2)] = 1.0  # hand the first channel on
            if "running" not in name and tensor.ndim == 1 and name.endswith("1.weight"):
                tensor.fill_(1.0)  # the scale of a normalisation
        # The decoder joins [upsampled, skip]: take the skip.
        final = state["decoder.0.convs.0.0.weight"]
        final.zero_()
        final[0, 8, 1, 1, 1] = 1.0
        x0, x1 = (25 + 150) / 400, (135 + 150) / 400
        steep = 60.0
        if localiser:
            state["head.weight"][1, 0] = steep
            state["head.bias"][1] = -steep * x0
        else:
            # Upper envelope of three lines: 0 below x0, liver to x1, tumour above.
            state["head.weight"][1, 0], state["head.bias"][1] = steep, -steep * x0
            state["head.weight"][2, 0], state["head.bias"][2] = 2 * steep, -steep * (x0 + x1)
        network.load_state_dict(state)
    return Bundle(
        id=f"density-{task}",
        version="1",
        task=task,
        network=network.arguments,
        labels=("liver",) if localiser else ("liver", "tumor"),
        spacing_mm=(spacing_mm,) * 3,
        patch_size=(48, 48, 48),
        intensity=Intensity(),
        weights=network.state_dict(),
        sha256=task,
    )


def phantom(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return HU and labels [z, y, x] of a body with a liver and two tumours, sampled at the grid's voxel centres."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.size], indexing="ij"), -1)
    point = grid.point_mm(index).transpose(2, 1, 0, 3)

    def inside(centre, radii):
        return (((point - centre) / radii) ** 2).sum(-1) < 1

    labels = np.zeros(point.shape[:3], np.uint8)
    liver = inside((-40, 0, 0), (65, 55, 50))
    labels[liver] = 1
    labels[inside((-55, 10, 5), (16, 14, 18)) | inside((-20, -15, -15), (9, 9, 9))] = 2
    values = np.full(labels.shape, AIR_HU, np.int16)
    values[inside((0, 0, 0), (140, 95, 400))] = BODY_HU
    values[labels == 1] = LIVER_HU
    values[labels == 2] = TUMOR_HU
    return values, labels


def phantom_grid(rotation=(0, 0, 0), spacing=(2.0, 2.0, 2.5), flips=(False, False, False), order=(0, 1, 2)) -> Grid:
    """Return a grid of 300 x 220 x 180 mm about the origin, its axes permuted, flipped (left-handed too), rotated."""
    extent = np.array([300.0, 220.0, 180.0])[list(order)]
    size = np.maximum(np.round(extent / spacing).astype(int), 8)
    axes = np.eye(3)[:, list(order)] * np.array([-1 if flip else 1 for flip in flips])
    direction = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix() @ axes
    origin = -direction @ ((size - 1) / 2 * np.asarray(spacing))
    return Grid(
        tuple(int(n) for n in size),
        tuple(float(s) for s in spacing),
        tuple(float(v) for v in origin),
        tuple(float(v) for v in direction.ravel()),
    )
