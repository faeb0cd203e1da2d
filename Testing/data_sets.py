"""Tiny labelled scans, made up or cut out of real ones, in the layouts that people have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

# Networks this small gain nothing from more threads, and on a busy machine they lose much.
torch.set_num_threads(1)

PRESETS = Path(__file__).parents[1] / "Resources" / "Presets"
SPACING_MM = (4.0, 4.0, 3.0)


def as_image(array: np.ndarray, spacing=SPACING_MM, origin=(-100.0, -90.0, 40.0)) -> sitk.Image:
    """Return an image of [z, y, x]."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def scan(seed: int, size=(24, 48, 56), tumor=True) -> tuple[sitk.Image, sitk.Image]:
    """Return a CT of a body in air with a liver and a dark tumour, and its label."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    body = x**2 / 0.85 + y**2 / 0.8 < 1
    shift = rng.uniform(-0.08, 0.08, 3)
    liver = ((x + 0.3 + shift[0]) / 0.45) ** 2 + ((y + shift[1]) / 0.45) ** 2 + ((z + shift[2]) / 0.75) ** 2 < 1
    lesion = ((x + 0.35 + shift[0]) / 0.17) ** 2 + ((y - 0.05) / 0.17) ** 2 + (z / 0.3) ** 2 < 1
    label = liver.astype(np.uint8)
    if tumor:
        label[lesion & liver] = 2
    values = np.where(body, -40, -1000) + rng.normal(0, 12, size)
    values[label == 1] += 150
    values[label == 2] += 80
    return as_image(values.astype(np.int16)), as_image(label)


def brain(seed: int, size=(24, 40, 40)) -> tuple[dict[str, sitk.Image], sitk.Image]:
    """Return MR-like channels and a label with the values 0 1 2 4."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    head = x**2 + y**2 + z**2 < 0.85
    distance = np.sqrt((x - 0.2) ** 2 + (y + 0.1) ** 2 + z**2)
    label = np.zeros(size, np.uint8)
    label[distance < 0.5], label[distance < 0.32], label[distance < 0.18] = 2, 4, 1
    images = {}
    for number, name in enumerate(("flair", "t1", "t1ce")):
        values = head * (400.0 + 80 * number) + (label > 0) * 250 + (label == 4) * 200 * number
        images[name] = as_image((values + head * rng.normal(0, 15, size)).astype(np.float32), (4.0, 4.0, 4.0))
    return images, as_image(label, (4.0, 4.0, 4.0))


def write_pairs(folder: Path, count: int = 3, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        image, label = scan(number)
        sitk.WriteImage(image, str(folder / f"case{number}_portal.nii.gz"))
        sitk.WriteImage(label, str(folder / f"case{number}_portal_label.nii.gz"))
    return folder


def write_msd(folder: Path, count: int = 3) -> Path:
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    entries = []
    for number in range(count):
        image, label = scan(number)
        name = f"liver_{number}.nii.gz"
        sitk.WriteImage(image, str(folder / "imagesTr" / name))
        sitk.WriteImage(label, str(folder / "labelsTr" / name))
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    labels = {"0": "background", "1": "liver", "2": "tumor"}
    content = {"name": "Liver", "modality": {"0": "CT"}, "labels": labels, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_lits(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, label = scan(number)
        sitk.WriteImage(image, str(folder / f"volume-{number}.nii"))
        sitk.WriteImage(label, str(folder / f"segmentation-{number}.nii"))
    return folder


def write_brats_2023(folder: Path, count: int = 3) -> Path:
    """Write cases as BraTS names and numbers them from 2023 on: enhancing tumour is 3."""
    words = {"flair": "t2f", "t1": "t1n", "t1ce": "t1c"}
    for number in range(count):
        images, label = brain(number)
        name = f"BraTS-GLI-{number:05d}-000"
        (folder / name).mkdir(parents=True)
        for channel, image in images.items():
            sitk.WriteImage(image, str(folder / name / f"{name}-{words[channel]}.nii.gz"))
        values = sitk.GetArrayFromImage(label)
        values[values == 4] = 3
        sitk.WriteImage(as_image(values, (4.0, 4.0, 4.0)), str(folder / name / f"{name}-seg.nii.gz"))
    return folder


def write_brats(folder: Path, count: int = 3, leave_out: str = "") -> Path:
    for number in range(count):
        images, label = brain(number)
        name = f"BraTS20_Training_{number:03d}"
        (folder / name).mkdir(parents=True)
        for channel, image in images.items():
            if channel != leave_out:
                sitk.WriteImage(image, str(folder / name / f"{name}_{channel}.nii.gz"))
        sitk.WriteImage(label, str(folder / name / f"{name}_seg.nii.gz"))
    return folder


def write_nnunet(folder: Path, count: int = 3) -> Path:
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for number in range(count):
        image, label = scan(number)
        sitk.WriteImage(image, str(folder / "imagesTr" / f"liver_{number:03d}_0000.nii.gz"))
        sitk.WriteImage(label, str(folder / "labelsTr" / f"liver_{number:03d}.nii.gz"))
    labels = {"background": 0, "liver": 1, "tumor": 2}
    content = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": count, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_organs(folder: Path, count: int = 3) -> Path:
    """Write an nnU-Net set of four classes in an order of its own, the spleen bright, with an ignore label."""
    write_nnunet(folder, count)
    for number in range(count):
        image_path = folder / "imagesTr" / f"liver_{number:03d}_0000.nii.gz"
        label_path = folder / "labelsTr" / f"liver_{number:03d}.nii.gz"
        values, label = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (image_path, label_path))
        label = np.choose(label, [0, 2, 1]).astype(np.uint8)
        label[2:14, 26:42, 36:50], label[2:6, 10:14, 40:44], label[20:, :4, :4] = 3, 4, 5
        values[label == 3] += 300
        sitk.WriteImage(as_image(values), str(image_path))
        sitk.WriteImage(as_image(label), str(label_path))
    content = json.loads((folder / "dataset.json").read_text())
    content["labels"] = {"background": 0, "cancer": 1, "liver": 2, "spleen": 3, "left_kidney": 4, "ignore": 5}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def write_csv(folder: Path, count: int = 3) -> Path:
    pairs = write_pairs(folder, count)
    lines = ["case,patient,image,label,fold"]
    lines += [f"scan{n},p{n},case{n}_portal.nii.gz,case{n}_portal_label.nii.gz,{n % 2}" for n in range(count)]
    (pairs / "cases.csv").write_text("\n".join(lines) + "\n")
    return pairs / "cases.csv"


WRITERS = {
    "pairs": write_pairs,
    "msd": write_msd,
    "lits": write_lits,
    "brats": write_brats,
    "brats_2023": write_brats_2023,
    "organs": write_organs,
    "nnunet": write_nnunet,
    "csv": write_csv,
}


@pytest.fixture(scope="session")
def make():
    """Return the functions that write data sets, by layout, and `scan`, `brain`, `as_image`."""
    return {**WRITERS, "scan": scan, "brain": brain, "image": as_image}


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    """Three made-up cases."""
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="session")
def presets() -> Path:
    return PRESETS


@pytest.fixture(scope="session")
def tiny(presets):
    """Return a function from preset and overrides to its tiny recipe."""
    from LiverTumorSegTraining.recipe.config import load_config

    def recipe(name="attention_unet_3d", **changes):
        overrides = {key.replace("__", "."): value for key, value in changes.items()}
        return load_config(presets / "tiny" / f"{name}.yaml", overrides)

    return recipe
