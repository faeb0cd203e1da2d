"""A fixed set of whole scans with made-up tumours: numbers for small and faint lesions, which real labels lack.

The tumours are drawn with the training's own brush (`samples.synthetic`), but from other distributions and seeds:
sizes in equal shares, a contrast that knows nothing of the phase. A liver's own tumours would be in the way, so that
only scans whose label holds none are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER, TUMOR

from LiverTumorSegTraining.benchmark.accuracy import Labelled
from LiverTumorSegTraining.samples.synthetic import TumorAppearance, add_tumors

SEED = 20261130
RADII_MM = ((2.5, 5.0), (5.0, 10.0), (10.0, 20.0))
TUMORS = (1, 7)
"""So many tumours a scan: from the first to one below the second."""


def synthetic_scans(healthy: Iterable[Labelled], count: int) -> Iterator[Labelled]:
    """Yield `count` scans with made-up tumours, the livers taking turns; the same ones at every call.

    Parameters
    ----------
    healthy : iterable of Labelled
        Scans; those whose reference holds tumour are left out.
    count : int
        How many.

    Raises
    ------
    InputError
        If no scan has a liver without tumour.
    """
    livers = [
        scan for scan in healthy if (scan.reference == LIVER.value).any() and not (scan.reference == TUMOR.value).any()
    ]
    if not livers:
        raise InputError("No scan of the data set has a liver without tumour: made-up ones have no place.")
    for number in range(count):
        yield _with_tumors(livers[number % len(livers)], number)


def _with_tumors(scan: Labelled, number: int) -> Labelled:
    rng = np.random.default_rng([SEED, number])
    spacing_zyx = np.asarray(scan.image.GetSpacing()[::-1])
    values = sitk.GetArrayFromImage(scan.image)
    looks = [_appearance(rng) for _ in range(int(rng.integers(*TUMORS)))]
    changed, reference = add_tumors(
        values.astype(np.float32), scan.reference, spacing_zyx, rng, float(spacing_zyx[0]), looks
    )
    image = sitk.GetImageFromArray(np.round(changed).astype(values.dtype))
    image.CopyInformation(scan.image)
    return Labelled(f"{scan.name} + {number}", image, reference)


def _appearance(rng: np.random.Generator) -> TumorAppearance:
    radius = float(rng.uniform(*RADII_MM[rng.integers(len(RADII_MM))]))
    contrast = float(rng.uniform(15, 70)) * (-1 if rng.random() < 0.8 else 1)
    return TumorAppearance(
        radius_mm=radius,
        contrast_hu=contrast,
        edge_mm=float(rng.uniform(0.3, 3.0)),
        irregularity=float(rng.uniform(0.0, 0.6)),
        texture_hu=float(rng.uniform(0, 18)),
        rim_hu=float(rng.uniform(-20, 40)) if rng.random() < 0.4 else 0.0,
        core_hu=float(rng.uniform(-40, 0)) if radius > 7 and rng.random() < 0.5 else 0.0,
        mass_effect=float(rng.uniform(0, 0.4)),
    )
