"""What networks and scans cost in memory and time: one table of measured coefficients, by kind of device.

Measured on the shipped models; a network of another family, or a device that nobody has measured, is not in it.
Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEGABYTE = 1e6
LARGEST_TILE_VOXELS = 8_000_000
"""One pass over so many voxels needs about a gigabyte; the box of nearly every liver is smaller."""
SMALLEST_TILE_VOXELS = 1_500_000
"""Little more than what the margins of a tile take: below that nearly all work would be done several times."""
MEASURED_FEATURES = 32
"""Of the first stage of the networks below; what a pass keeps of a voxel goes with it."""


@dataclass(frozen=True)
class PassCost:
    """What one pass of a network over a tile costs.

    Attributes
    ----------
    megabytes : float
        However small the tile.
    bytes_a_voxel : float
        Of the tile.
    averaged_bytes_a_voxel : float
        More where several looks are averaged.
    seconds_a_megavoxel : float
        A look, on the computer that was measured.
    """

    megabytes: float
    bytes_a_voxel: float
    averaged_bytes_a_voxel: float
    seconds_a_megavoxel: float

    def bytes_of(self, averaged: bool) -> float:
        """Return what a voxel of a tile takes, where several looks are averaged or not."""
        return self.bytes_a_voxel + (self.averaged_bytes_a_voxel if averaged else 0.0)


@dataclass(frozen=True)
class DeviceCost:
    """What a run costs on one kind of device.

    Attributes
    ----------
    start_megabytes, start_seconds : float
        The process with its libraries, before a scan is read.
    kept_megabytes : float
        What stays of a network that has run.
    bytes_a_scan_voxel : float
        Beside the scan itself: labelmap, and what writing it takes.
    bytes_an_organ_voxel : float
        For each voxel of the scan in the box of the organ: probabilities, cleaning, measuring.
    seconds_a_scan_megavoxel : float
        Reading, checking, measuring, writing.
    passes : dict of str to PassCost
        By the normalisation of the network.
    """

    start_megabytes: float
    start_seconds: float
    kept_megabytes: float
    bytes_a_scan_voxel: float
    bytes_an_organ_voxel: float
    seconds_a_scan_megavoxel: float
    passes: dict[str, PassCost]


COSTS: dict[str, DeviceCost] = {
    "cpu": DeviceCost(
        405, 5.0, 90, 2.0, 12.0, 0.06, {"instance": PassCost(130, 530, 90, 3.3), "none": PassCost(0, 134, 90, 1.0)}
    ),
    "cpu bfloat16": DeviceCost(
        405, 5.0, 90, 2.0, 12.0, 0.06, {"instance": PassCost(130, 330, 90, 1.5), "none": PassCost(0, 80, 90, 0.5)}
    ),
}
"""Measured with the shipped models on two cores in single precision; the row of CPUs that multiply bfloat16 was set
after figures of version 0.3.0."""


@dataclass(frozen=True)
class NetworkSize:
    """What the plan needs to know of a model.

    Attributes
    ----------
    spacing_mm : tuple of float
        It was trained at, x, y, z.
    patch_zyx : tuple of int
        Its training patch.
    norm : str
        Its normalisation.
    features : int
        Of its first stage.
    mirroring : tuple of int
        Axes it may be flipped along.
    """

    spacing_mm: tuple[float, float, float]
    patch_zyx: tuple[int, int, int]
    norm: str
    features: int
    mirroring: tuple[int, ...] = (0, 1, 2)

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> NetworkSize | None:
        """Return what a ``model.json`` says; None for a network of another kind than those that were measured."""
        network = description.get("network") or {}
        alike = network.get("dims") == 3 and network.get("stem") == "half" and not description.get("resize")
        if not alike or description.get("conventions", "own") != "own":
            return None
        x, y, z = (float(value) for value in description["spacing_mm"])
        depth, height, width = (int(value) for value in description["patch_size"])
        mirroring = tuple(int(axis) for axis in description.get("mirroring", cls.mirroring))
        features = int(network["features"][0])
        return cls((x, y, z), (depth, height, width), str(network["norm"]), features, mirroring)

    def cost(self, device: str) -> PassCost | None:
        """Return what a pass costs on a kind of device, where that was measured."""
        known = COSTS[device].passes.get(self.norm) if device in COSTS else None
        if known is None:
            return None
        share = self.features / MEASURED_FEATURES
        return PassCost(
            known.megabytes,
            share * known.bytes_a_voxel,
            known.averaged_bytes_a_voxel,
            share * known.seconds_a_megavoxel,
        )


def tile_voxels_in(room: float, cost: PassCost, averaged: bool) -> int:
    """Return the largest tile that a pass has room for, between the smallest and the largest ever taken.

    Parameters
    ----------
    room : float
        Bytes.
    cost : PassCost
        Of the network.
    averaged : bool
        Whether several looks are averaged.
    """
    voxels = (room - MEGABYTE * cost.megabytes) / cost.bytes_of(averaged)
    return int(min(max(voxels, SMALLEST_TILE_VOXELS), LARGEST_TILE_VOXELS))
