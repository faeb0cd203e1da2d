"""What a run will cost in memory and time, told before it starts: from sizes alone, no voxel is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..findings import Finding
from ..grid import Grid, canonical_grid
from ..memory import Memory
from ..model.cost import COSTS, LARGEST_TILE_VOXELS, MEGABYTE, NetworkSize, tile_voxels_in
from .quality import Quality

BODY_MM = (360.0, 250.0)
"""Of a usual patient, left to right and front to back: what the localiser looks at."""
ORGAN_MM = (255.0, 209.0, 182.0)
"""Median box of 31 livers with the margin that the fine network sees, x, y, z."""
RESERVE = 0.1
"""Part of the free memory that is left to others."""


@dataclass(frozen=True)
class Plan:
    """What a run will cost.

    Attributes
    ----------
    bytes : int
        Most memory held at any time, as the run will be done.
    seconds : float
        On the computer on which the coefficients were measured: to be multiplied with the pace of this one.
    memory : Memory or None
        Of this computer.
    tile_voxels : int or None
        Largest tile of the fine network, where it is smaller than it would be with more memory.
    """

    bytes: int
    seconds: float
    memory: Memory | None
    tile_voxels: int | None = None

    @property
    def fits(self) -> bool:
        """Whether there is memory enough, as far as that is known."""
        return self.memory is None or self.bytes <= (1 - RESERVE) * self.memory.available

    def finding(self) -> Finding | None:
        """Return what a person should hear before the run starts; None when there is room."""
        if self.memory is None or (self.fits and self.tile_voxels is None):
            return None
        needed, free = (f"{value / 2**30:.1f} GB" for value in (self.bytes, self.memory.available))
        if self.fits:
            words = (
                f"Only {free} of memory is free, so the liver is looked at in smaller parts: the result is the same, "
                "but takes longer."
            )
            return Finding("memory_plan", "info", words)
        words = (
            f"This run needs about {needed} of memory, but only {free} is free: it may become very slow, or be ended "
            "by the system. Close other programs, or crop the scan to the abdomen."
        )
        return Finding("memory_plan", "warning", words)


def memory_findings(plan: Plan | None) -> tuple[Finding, ...]:
    """Return what a plan has to say about memory: at most one finding."""
    finding = plan.finding() if plan is not None else None
    return () if finding is None else (finding,)


def plan_run(
    grid: Grid,
    voxel_bytes: int,
    fine: NetworkSize | None,
    localiser: NetworkSize | None,
    quality: Quality,
    device: str,
    memory: Memory | None = None,
    models: int = 1,
) -> Plan | None:
    """Return what segmenting a scan will cost, and what will be done where memory is short.

    Parameters
    ----------
    grid : Grid
        Of the scan.
    voxel_bytes : int
        Of one of its voxels.
    fine, localiser : NetworkSize or None
        The models.
    quality : Quality
        What the fine model may cost.
    device : str
        A key of `COSTS`; another has no plan.
    memory : Memory, optional
        Of this computer.
    models : int
        How many fine models are averaged.

    Returns
    -------
    Plan or None
        None where model or device are of a kind that was not measured.
    """
    if fine is None or localiser is None:
        return None
    looking, seeing = localiser.cost(device), fine.cost(device)
    if looking is None or seeing is None:
        return None
    cost = COSTS[device]
    scan, organ = math.prod(grid.size), _organ_voxels(grid)
    held = MEGABYTE * cost.start_megabytes + scan * voxel_bytes
    tile, body = _localiser_voxels(grid, localiser)
    find = held + MEGABYTE * looking.megabytes + tile * looking.bytes_a_voxel
    held += MEGABYTE * cost.kept_megabytes
    box = _box_voxels(grid, fine, quality)
    looks = len(quality.looks(fine.mirroring))
    averaged = looks > 1
    limit = None
    whole = min(box, LARGEST_TILE_VOXELS if fine.norm == "none" else math.prod(fine.patch_zyx))
    if memory is not None and fine.norm == "none":
        fitting = tile_voxels_in((1 - RESERVE) * memory.available - held, seeing, averaged)
        limit = fitting if fitting < whole else None
    segment = held + MEGABYTE * seeing.megabytes + min(whole, limit or whole) * seeing.bytes_of(averaged)
    write = held + MEGABYTE * cost.kept_megabytes + scan * cost.bytes_a_scan_voxel + organ * cost.bytes_an_organ_voxel
    seconds = cost.start_seconds + scan / 1e6 * cost.seconds_a_scan_megavoxel
    seconds += body / 1e6 * looking.seconds_a_megavoxel
    seconds += models * looks * box / 1e6 * seeing.seconds_a_megavoxel
    return Plan(round(max(find, segment, write)), seconds, memory, limit)


def with_what_is_held(memory: Memory | None, grid: Grid, voxel_bytes: int, device: str) -> Memory | None:
    """Return the memory as it was before this process, which has read its scan, was started."""
    if memory is None or device not in COSTS:
        return memory
    held = round(MEGABYTE * COSTS[device].start_megabytes) + math.prod(grid.size) * voxel_bytes
    return Memory(memory.total, min(memory.available + held, memory.total))


def tile_limit(fine: NetworkSize | None, looks: int, device: str, memory: Memory | None) -> int:
    """Return the largest tile of the fine network for which there is memory now.

    Parameters
    ----------
    fine : NetworkSize or None
        The model.
    looks : int
        How many looks are averaged.
    device : str
        Kind of device.
    memory : Memory or None
        As it is before the network runs.
    """
    cost = fine.cost(device) if fine is not None else None
    if cost is None or memory is None:
        return LARGEST_TILE_VOXELS
    return tile_voxels_in((1 - RESERVE) * memory.available, cost, looks > 1)


def _extent_mm(grid: Grid) -> np.ndarray:
    """Return how far a scan reaches along the patient's axes x, y, z."""
    canonical = canonical_grid(grid, (1.0, 1.0, 1.0))
    return np.asarray(canonical.size, float)


def _localiser_voxels(grid: Grid, localiser: NetworkSize) -> tuple[float, float]:
    """Return the voxels of the localiser's largest tile, and of all it looks at."""
    extent = _extent_mm(grid)
    seen = np.minimum(extent, (*BODY_MM, extent[2])) / localiser.spacing_mm
    whole = float(np.prod(seen))
    if localiser.norm == "none":
        return min(whole, LARGEST_TILE_VOXELS), whole
    return float(np.prod(np.minimum(seen, localiser.patch_zyx[::-1]))), whole


def _box_voxels(grid: Grid, fine: NetworkSize, quality: Quality) -> float:
    """Return the voxels of the organ's box as the fine network sees it."""
    extent = np.minimum(_extent_mm(grid), ORGAN_MM)
    return float(np.prod(extent / quality.spacing_mm(fine.spacing_mm)))


def _organ_voxels(grid: Grid) -> float:
    """Return the scan's own voxels in the organ's box."""
    return float(np.prod(np.minimum(_extent_mm(grid), ORGAN_MM)) / np.prod(grid.spacing_mm))
