"""What segmenting one scan gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import SimpleITK as sitk

from ..findings import Finding
from .lesions import Lesion


@dataclass(frozen=True)
class Result:
    """What was found in one scan.

    Attributes
    ----------
    labelmap : sitk.Image
        uint8 on exactly the input's grid; for the shipped models 1 liver without tumour, 2 tumour.
    labels : tuple of str
        Names of the values 1..n.
    tumor_probability : sitk.Image or None
        uint8, 255 times the probability, on the part of the input's grid that holds the liver.
    maps : dict of str to sitk.Image
        "uncertainty" and "attention" on the same part, uint8, when asked for.
    lesions : tuple of Lesion
        Largest first.
    findings : tuple of Finding
        What a reader should know.
    seconds : dict of str to float
        Of each stage, and "total".
    device : str
        Where the network ran in the end.
    provenance : dict
        Models with version and SHA-256, threshold, quality.
    """

    labelmap: sitk.Image
    labels: tuple[str, ...]
    tumor_probability: sitk.Image | None
    maps: dict[str, sitk.Image]
    lesions: tuple[Lesion, ...]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    device: str
    provenance: dict[str, Any]
