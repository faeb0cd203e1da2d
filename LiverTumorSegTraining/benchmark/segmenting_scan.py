"""The scan that every candidate segments: the public chest CT, cut to the size of a clinical abdomen CT."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

SIZE, SPACING_MM = (512, 512, 300), (0.8, 0.8, 1.0)
QUICK_SIZE, QUICK_SPACING_MM = (192, 192, 96), (1.0, 1.0, 1.5)
AIR_HU = -1000


def write_volume(source: Path, target: Path, *, quick: bool) -> dict[str, list[float]]:
    """Resample a scan to the benchmark's grid and write it as int16 HU.

    Parameters
    ----------
    source : Path
        A CT that shows the whole liver; its lowest slices are used.
    target : Path
        The file to write.
    quick : bool
        A coarse small grid, for trying the benchmark out.

    Returns
    -------
    dict
        ``size`` and ``spacing_mm`` of the grid (x, y, z).
    """
    size, spacing = (QUICK_SIZE, QUICK_SPACING_MM) if quick else (SIZE, SPACING_MM)
    image = sitk.DICOMOrient(sitk.ReadImage(str(source), sitk.sitkFloat32), "LPS")
    extent = [count * step for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    # Centred in plane; along the body from the lowest slice, where the liver is.
    offset = [(extent[axis] - size[axis] * spacing[axis]) / 2 for axis in (0, 1)] + [0.0]
    origin = [start + move for start, move in zip(image.GetOrigin(), offset, strict=True)]
    resampled = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing, image.GetDirection(), AIR_HU, sitk.sitkFloat32
    )
    sitk.WriteImage(sitk.Cast(sitk.Round(resampled), sitk.sitkInt16), str(target))
    return {"size": list(size), "spacing_mm": list(spacing)}
