"""The training recipe: one YAML file, checked before anything is read or trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of the recipe; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Which cases, which labels, which split."""

    layout: Literal["pairs"] = "pairs"
    labels: list[str] = ["liver", "tumor"]
    validation: list[str] = Field(default=[], description="patients held out: case names up to the first underscore")
    exclude: list[str] = Field(default=[], description="cases left out entirely")
    case_weights: dict[str, float] = Field(default={}, description="relative sampling weight of a patient; 1 when absent")


class PreparationConfig(Section):
    """What is done once to every case; the same values go into the bundle."""

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    window_hu: tuple[float, float] | None = (-150.0, 250.0)
    clip_percentiles: tuple[float, float] | None = None
    denoise: Literal["none", "median", "gaussian"] = "none"
    normalisation: Literal["unit", "zscore"] = "unit"
    mean: float | None = None
    sd: float | None = None


class SamplingConfig(Section):
    """How patches are drawn."""

    patch_size: tuple[int, int, int] = (64, 64, 64)
    batch_size: int = Field(2, ge=1)
    tumor_fraction: float = Field(0.4, ge=0, le=1, description="patches centred in a tumour")
    liver_fraction: float = Field(0.35, ge=0, le=1, description="patches centred in the liver; the rest lies anywhere")


class AugmentationConfig(Section):
    """Random changes of each patch."""

    rotation_degrees: float = Field(15, ge=0, le=180)
    scale: tuple[float, float] = (0.8, 1.25)
    flip_axes: list[Literal["x", "y", "z"]] = ["x", "y", "z"]
    shift_hu: float = Field(25, ge=0)
    contrast: tuple[float, float] = (0.8, 1.25)
    noise_sd_hu: float = Field(20, ge=0)
    blur_voxels: float = Field(1.0, ge=0)
    thick_slice_probability: float = Field(0.2, ge=0, le=1)


class SyntheticConfig(Section):
    """Tumours made on the fly in healthy liver."""

    probability: float = Field(0.5, ge=0, le=1, description="patches that receive synthetic tumours")
    distractor_probability: float = Field(0.3, ge=0, le=1, description="patches that receive cysts or fluid outside the liver")


class NetworkConfig(Section):
    """Arguments of `LiverTumorSegLib.network.UNet`; channels and classes follow from the data."""

    dims: Literal[2, 3] = 3
    features: list[int] = [32, 64, 128, 192]
    blocks: list[int] = [1, 1, 1, 1]
    residual: bool = True
    attention: Literal["none", "gate", "spatial"] = "gate"
    dropout: float = Field(0.0, ge=0, lt=1)
    deep_supervision: bool = False
    stem: Literal["full", "half"] = "half"
    norm: Literal["instance", "batch"] = "instance"
    decoder_convolutions: int = Field(1, ge=1)


class OptimiserConfig(Section):
    """AdamW and its schedule."""

    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warm_up: float = Field(0.05, ge=0, lt=1, description="part of the run in which the rate rises from 0")
    steps: int = Field(10_000, ge=1)
    gradient_clip: float = Field(12.0, gt=0)
    ema: float = Field(0.998, ge=0, lt=1)


class RunConfig(Section):
    """Seed, checkpoints, validation."""

    seed: int = 1
    checkpoint_minutes: float = Field(2.0, gt=0)
    validation_minutes: float = Field(20.0, gt=0)


class Config(Section):
    """The whole recipe."""

    id: str
    task: Literal["localiser", "liver-tumor", "other"] = "liver-tumor"
    init_from: Path | None = None
    data: DataConfig = DataConfig()
    preparation: PreparationConfig = PreparationConfig()
    sampling: SamplingConfig = SamplingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    synthetic: SyntheticConfig = SyntheticConfig()
    network: NetworkConfig = NetworkConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    run: RunConfig = RunConfig()


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a recipe; `overrides` maps "section.key" to a value."""
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        target = content
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return Config(**content)
