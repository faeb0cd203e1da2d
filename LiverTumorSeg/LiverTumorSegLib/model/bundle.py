"""A model folder: `model.safetensors` (weights) and `model.json` (all that is needed to run them).

Nothing in a bundle can execute: weights are safetensors, the rest is JSON, and every byte of the weights is checked
against the SHA-256 in `model.json` before it is used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..errors import ModelError
from ..jsonfile import write_json
from ..labels import Label, label_table
from ..wholefile import whole_file
from .families import Network, build_network
from .modelfile import DESCRIPTION, WEIGHTS
from .normalisation import Intensity
from .precision import restored, stored

SCHEMA_VERSION = 3
"""1 knew networks and conventions of our own only, 2 no weights in 8 bits; what needs no more is still written so."""
TASKS = ("localiser", "liver-tumor", "other")
FIELDS_OF_VIEW = ("whole_scan", "liver_box", "crop")
CONVENTIONS = ("own", "nnunet")
_SINCE_2 = ("channel_intensities", "conventions", "orientation", "mirroring")


@dataclass(frozen=True)
class Bundle:
    """A model that can be run.

    Attributes
    ----------
    id, version : str
        Name and version of the model.
    task : {"localiser", "liver-tumor", "other"}
        What the pipeline uses it for.
    network : dict
        Its family and arguments (`families.build_network`).
    labels : tuple of str
        Class names, background left out; the first is value 1.
    channels : tuple of str
        Input channels, in order.
    spacing_mm : tuple of float
        Canonical spacing x, y, z the network was trained at.
    patch_size : tuple of int
        Training patch [z, y, x], voxels; tiles of inference have this size.
    resize : tuple of int or None
        When given, the field of view is resized to this [z, y, x] instead of resampled to `spacing_mm`; 0 leaves
        an axis to `spacing_mm`.
    intensity : Intensity
        From voxel values to network input.
    channel_intensities : tuple of Intensity
        One for each channel, where they differ; empty when all are as `intensity`.
    field_of_view : {"whole_scan", "liver_box", "crop"}
        What the network is shown: the whole scan; the box of the liver, found by the localiser (CT only); or a scan
        that somebody cut to the organ. Models that do not say so are liver boxes if they segment liver tumours in CT.
    tumor_threshold : float
        Probability from which a voxel is called tumour.
    conventions : {"own", "nnunet"}
        How a scan is sampled, cut into tiles and put together again: as everything trained here, or as nnU-Net does
        (`pipeline.nnunet_way`).
    orientation : str
        With nnU-Net's conventions: the axes the network wants, three letters such as "RAS" that say where x, y and z
        point to; empty for the axes as a scan is stored, which is what nnU-Net itself does.
    mirroring : tuple of int
        Axes (0 z, 1 y, 2 x of what the network sees) that may be flipped and averaged.
    training : dict
        Provenance: data, licence, hours, metrics.
    weights : dict of str to Tensor
        The state of the network.
    sha256 : str
        Of the weights file.
    """

    id: str
    version: str
    task: str
    network: dict[str, Any]
    labels: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    patch_size: tuple[int, ...]
    intensity: Intensity
    channels: tuple[str, ...] = ("CT",)
    resize: tuple[int, int, int] | None = None
    field_of_view: str = ""
    tumor_threshold: float = 0.5
    channel_intensities: tuple[Intensity, ...] = ()
    conventions: str = "own"
    orientation: str = ""
    mirroring: tuple[int, ...] = (0, 1, 2)
    training: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.field_of_view:
            boxed = self.task == "liver-tumor" and self.intensity.window_hu is not None and len(self.channels) == 1
            object.__setattr__(self, "field_of_view", "liver_box" if boxed else "whole_scan")

    @property
    def label_table(self) -> tuple[Label, ...]:
        """The labels with their codes and colours."""
        return label_table(self.labels)

    def intensity_of(self, channel: int) -> Intensity:
        """Return how the values of a channel become network input."""
        return self.channel_intensities[channel] if self.channel_intensities else self.intensity

    def intensity_at(self, liver_hu: float | None) -> Intensity:
        """Return how voxel values become network input, in a scan whose liver has this density.

        Raises
        ------
        ModelError
            If the model goes by that density and nothing tells it.
        """
        if self.intensity.liver_hu is None:
            return self.intensity
        if liver_hu is None:
            raise ModelError(
                f"Model {self.id!r} goes by the liver's density: it needs a localiser that finds the liver."
            )
        return self.intensity.at(liver_hu)

    def build(self) -> Network:
        """Return the network with these weights, in evaluation mode, float32.

        Raises
        ------
        ModelError
            If the weights do not fit the network described.
        """
        try:
            network = build_network(self.network)
            network.load_state_dict(
                {
                    name: tensor.float() if tensor.is_floating_point() else tensor
                    for name, tensor in self.weights.items()
                }
            )
        except (TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"Model {self.id!r}: its weights do not fit the network its {DESCRIPTION} describes ({reason}) "
                "Export or copy the model again."
            ) from error
        return network.eval()


def load_bundle(folder: Path | str) -> Bundle:
    """Read and verify a model folder.

    Raises
    ------
    ModelError
        If a file is missing, truncated, altered, of a newer schema or inconsistent; the message says which.
    """
    folder = Path(folder)
    description = _read_description(folder)
    weights_file = folder / WEIGHTS
    try:
        payload = weights_file.read_bytes()
    except OSError as error:
        raise ModelError(f"There is no readable {WEIGHTS} in {folder}: copy the whole model folder.") from error
    digest = hashlib.sha256(payload).hexdigest()
    if digest != description.pop("sha256"):
        raise ModelError(
            f"The weights of model {folder.name!r} are damaged or were exchanged: the SHA-256 of {weights_file} "
            f"is not the one in its {DESCRIPTION}. Get the model folder again from where it came."
        )
    try:
        weights = restored(load(payload))
    except (SafetensorError, KeyError) as error:
        raise ModelError(f"{weights_file} is not a safetensors file ({error}). Get the model folder again.") from error
    bundle = Bundle(**description, weights=weights, sha256=digest)
    bundle.build()
    return bundle


def save_bundle(bundle: Bundle, folder: Path | str, bits: int = 16) -> Bundle:
    """Write a model folder; each file appears whole or not at all.

    Parameters
    ----------
    bundle : Bundle
        With weights; its `sha256` is not used.
    folder : Path
        Made when absent.
    bits : {32, 16, 8}
        In how many floating-point weights are stored (`precision`).

    Returns
    -------
    Bundle
        As `load_bundle` reads it back.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    payload = save(stored(bundle.weights, bits))
    description = _describe(bundle, bits)
    description["sha256"] = hashlib.sha256(payload).hexdigest()
    with whole_file(folder / WEIGHTS) as partial:
        partial.write_bytes(payload)
    write_json(folder / DESCRIPTION, description)
    return load_bundle(folder)


def _describe(bundle: Bundle, bits: int) -> dict[str, Any]:
    """Return the content of model.json, sha256 left out; an older version can read what needs nothing newer."""
    fields = {entry.name: entry for entry in dataclasses.fields(bundle) if entry.name not in ("weights", "sha256")}
    newer = {name for name in _SINCE_2 if getattr(bundle, name) != fields[name].default}
    version = 2 if newer or "family" in bundle.network else 1
    version = SCHEMA_VERSION if bits < 16 else version
    content = {name: getattr(bundle, name) for name in fields if name not in _SINCE_2 or name in newer}
    content["intensity"] = dataclasses.asdict(bundle.intensity)
    if bundle.channel_intensities:
        content["channel_intensities"] = [dataclasses.asdict(one) for one in bundle.channel_intensities]
    return {"schema_version": version, **content}


def _read_description(folder: Path) -> dict[str, Any]:
    """Return the checked content of model.json as arguments of `Bundle` (weights left out)."""
    path = folder / DESCRIPTION
    if not folder.is_dir():
        raise ModelError(f"There is no model folder {folder}: give a folder with {DESCRIPTION} and {WEIGHTS}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"There is no {DESCRIPTION} in {folder}: copy the whole model folder.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): copy the model folder again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise ModelError(f"{path} does not describe a model: it has no schema_version. Export the model again.")
    if content["schema_version"] > SCHEMA_VERSION:
        raise ModelError(
            f"Model {folder.name!r} was made by a newer version of LiverTumorSeg (schema {content['schema_version']}, "
            f"this one reads up to {SCHEMA_VERSION}): update LiverTumorSeg."
        )
    del content["schema_version"]
    known = {entry.name: entry for entry in dataclasses.fields(Bundle) if entry.name != "weights"}
    unknown = sorted(set(content) - set(known))
    needed = {
        name
        for name, entry in known.items()
        if entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    } | {"sha256"}
    missing = sorted(needed - set(content))
    if unknown or missing:
        detail = f"does not know {unknown}" if unknown else f"misses {missing}"
        raise ModelError(f"{path} {detail}: export the model again with this version.")
    return _typed(path, content)


def _typed(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    try:
        content["intensity"] = _intensity(content["intensity"])
        content["channel_intensities"] = tuple(map(_intensity, content.get("channel_intensities", ())))
        for name in ("labels", "channels", "spacing_mm", "patch_size", "resize", "mirroring"):
            if content.get(name) is not None:
                content[name] = tuple(content[name])
        if content["task"] not in TASKS:
            raise ValueError(f"task is {content['task']!r}, not one of {TASKS}")
        if content.get("field_of_view", "whole_scan") not in FIELDS_OF_VIEW:
            raise ValueError(f"field_of_view is {content['field_of_view']!r}, not one of {FIELDS_OF_VIEW}")
        if content.get("conventions", "own") not in CONVENTIONS:
            raise ValueError(f"conventions is {content['conventions']!r}, not one of {CONVENTIONS}")
        if len(content["channel_intensities"]) not in (0, len(content.get("channels", ("CT",)))):
            raise ValueError("channel_intensities are not one for each channel")
        if not set(content.get("mirroring", ())) <= {0, 1, 2}:
            raise ValueError(f"mirroring is {content['mirroring']}")
        if len(content["spacing_mm"]) != 3 or min(content["spacing_mm"]) <= 0:
            raise ValueError(f"spacing_mm is {content['spacing_mm']}")
        if not 0 < content.get("tumor_threshold", 0.5) < 1:
            raise ValueError(f"tumor_threshold is {content['tumor_threshold']}, not between 0 and 1")
        if content["network"].get("classes") != len(content["labels"]) + 1:
            raise ValueError("the network's classes are not background plus its labels")
        if len(content["patch_size"]) != content["network"].get("dims") or min(content["patch_size"]) < 1:
            raise ValueError(f"patch_size is {content['patch_size']}")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} is inconsistent ({error}): export the model again.") from error
    return content


def _intensity(steps: dict[str, Any]) -> Intensity:
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in steps.items()}
    return Intensity(**plain)
