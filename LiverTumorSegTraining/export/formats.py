"""A model for other programs: TorchScript, ONNX, a MONAI bundle; each is run once and compared before it counts."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from LiverTumorSegLib.errors import ModelError, UsageError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.wholefile import whole_file
from torch import Tensor, nn

from LiverTumorSegTraining.export.monai_bundle import write_monai_configs

FORMATS = ("bundle", "torchscript", "onnx", "monai_bundle")
TOLERANCE = 1e-3
DESCRIPTION = "description.json"


class Probabilities(nn.Module):
    """The network with class probabilities as output; with `patient_axes` it takes (N, C, x, y, z), not z, y, x."""

    def __init__(self, network: nn.Module, patient_axes: bool = False) -> None:
        super().__init__()
        self.network, self.patient_axes = network, patient_axes

    def forward(self, image: Tensor) -> Tensor:
        """Map normalised input to probabilities of the same grid."""
        if self.patient_axes:
            image = image.permute(0, 1, 4, 3, 2)
        probability = self.network(image).softmax(1)
        return probability.permute(0, 1, 4, 3, 2) if self.patient_axes else probability


def export_format(bundle: Bundle, folder: Path, format: str) -> float:
    """Write a bundle in another format and return the largest difference of its output from the bundle's own.

    Parameters
    ----------
    bundle : Bundle
        The model.
    folder : Path
        Made when absent.
    format : {"torchscript", "onnx", "monai_bundle"}
        TorchScript and ONNX take (N, C, z, y, x) on the canonical grid, normalised as description.json says, sides
        that are multiples of its `stride`; the MONAI bundle has the steps before and after in its inference.json.

    Raises
    ------
    UsageError
        If a package is missing or the format cannot hold the model.
    ModelError
        If what was written does not give the same output.
    """
    if bundle.conventions != "own":
        raise UsageError(
            f"Model {bundle.id!r} was imported from nnU-Net, whose preparation of a scan {format} does not "
            "hold: export it with nnU-Net itself."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for_monai = format == "monai_bundle"
    if for_monai and bundle.network["dims"] != 3:
        raise UsageError("A MONAI bundle is written for networks in 3D only: use --format torchscript or onnx.")
    if for_monai and bundle.intensity.liver_hu is not None:
        raise UsageError(
            f"Model {bundle.id!r} goes by the liver's density, which nothing in a MONAI bundle measures: use --format "
            "torchscript or onnx, and bring the liver's median to intensity.liver_hu before the network."
        )
    if for_monai and bundle.channel_intensities:
        raise UsageError(
            f"Model {bundle.id!r} has windows of their own for single channels, which is written for no MONAI bundle: "
            "use --format torchscript or onnx."
        )
    module = Probabilities(bundle.build(), for_monai).eval()
    example, other = (_input(bundle, factor, for_monai) for factor in (1, 2))
    if format == "onnx":
        run = _write_onnx(module, example, folder / "model.onnx")
    else:
        name = Path("models") / "model.ts" if for_monai else Path("model.ts")
        (folder / name).parent.mkdir(exist_ok=True)
        run = _write_torchscript(module, example, folder / name)
    if for_monai:
        write_monai_configs(bundle, folder)
    write_json(folder / DESCRIPTION, description(bundle))
    with torch.inference_mode():
        difference = max(float((run(x) - module(x)).abs().max()) for x in (example, other))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"The {format} model differs by {difference:.2g} from the bundle it was made of, more than {TOLERANCE:g}: "
            "do not use it; report this network."
        )
    return difference


def description(bundle: Bundle) -> dict[str, Any]:
    """Return what a program must know to feed the network and to read its output."""
    content = {
        field.name: getattr(bundle, field.name)
        for field in dataclasses.fields(bundle)
        if field.name not in ("weights", "training")
    }
    axes = "N, C, y, x (axial slices)" if bundle.network["dims"] == 2 else "N, C, z, y, x"
    return content | {
        "intensity": dataclasses.asdict(bundle.intensity),
        "channel_intensities": [dataclasses.asdict(one) for one in bundle.channel_intensities],
        "input": f"{axes}; canonical grid (x to the patient's left, y to the back, z up)",
        "output": "probability of background, then of each label",
        "stride": stride_of(bundle),
        "licence": bundle.training.get("licence", "not stated"),
    }


def stride_of(bundle: Bundle) -> int:
    """Return the number of voxels of which every side of an input must be a multiple."""
    return int(2 ** (len(bundle.network["features"]) - 1 + (bundle.network["stem"] == "half")))


def _input(bundle: Bundle, factor: int, patient_axes: bool) -> Tensor:
    """Return a random input of two or three strides a side, longer along the first axis with a larger factor."""
    stride = stride_of(bundle)
    side = [2 * stride] * bundle.network["dims"]
    side[0] = stride * (1 + factor)
    x = torch.rand(1, bundle.network["in_channels"], *side, generator=torch.Generator().manual_seed(factor))
    return x.permute(0, 1, 4, 3, 2).contiguous() if patient_axes else x


def _write_torchscript(module: nn.Module, example: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        # Every size the trace takes for a constant is seen by running it on another size.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module, example, check_trace=False)
        with whole_file(path) as partial:
            traced.save(str(partial))
        loaded: Callable[[Tensor], Tensor] = torch.jit.load(str(path), map_location="cpu")
    return loaded


def _write_onnx(module: nn.Module, example: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    try:
        import onnx  # noqa: F401  # what the exporter needs
        import onnxruntime
    except ImportError as error:
        raise UsageError("--format onnx needs the packages onnx and onnxruntime: install them.") from error
    sides = "zyx"[5 - example.ndim :]
    axes = {0: "n"} | dict(enumerate(sides, start=2))
    with warnings.catch_warnings(), whole_file(path) as partial:
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), str(partial), dynamo=False, opset_version=17, input_names=["image"],
            output_names=["probability"], dynamic_axes={"image": axes, "probability": axes},
        )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(session.run(None, {"image": x.numpy()})[0]))

    return run
