"""The training recipe: one YAML file, checked before anything is read or trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.labelnames import canonical_name
from LiverTumorSegLib.labels import IGNORE, LIVER, TUMOR
from pydantic import Field, ValidationError, model_validator

from LiverTumorSegTraining.recipe.config_errors import explain
from LiverTumorSegTraining.recipe.preparation_config import PreparationConfig
from LiverTumorSegTraining.recipe.section import Section


class DataConfig(Section):
    """Which cases, which labels, which split."""

    layout: Literal["auto", "pairs", "msd", "lits", "brats", "nnunet", "dicom", "csv"] = Field(
        "auto", description="how the data set is laid out; auto looks at the folder"
    )
    channels: list[str] = Field(["CT"], min_length=1, description="input channels, in the order the network sees them")
    labels: list[str] = Field(["liver", "tumor"], min_length=1, description="names of the label values 1, 2, ...")
    label_map: dict[int, int] = Field({}, description="value in the files: value to train on, such as {4: 3}")
    patient_pattern: str | None = Field(
        None,
        description="regular expression that finds the patient in a case name (its first group that matches, if any)",
    )
    splits: Path | None = Field(
        None, description="file of training and held-out case names, as nnU-Net's splits_final.json; fold chooses one"
    )
    validation: list[str] = Field([], description="patients held out")
    validation_fraction: float = Field(0.0, ge=0, lt=1, description="part of the patients held out when none is named")
    folds: int = Field(1, ge=1, description="number of cross-validation folds; 1 is no cross-validation")
    fold: int = Field(0, ge=0, description="fold that is held out when folds is above 1")
    exclude: list[str] = Field([], description="cases or patients left out entirely")
    exclude_bad: bool = Field(
        False, description="leave out cases that verify_dataset finds wrong, instead of refusing"
    )
    missing_labels: Literal["refuse", "exclude", "liver_only"] = Field(
        "exclude", description="cases without annotation: stop, leave out, or use incomplete ones for the liver only"
    )
    incomplete: list[str] = Field([], description="cases whose tumours were not annotated, only the liver")
    case_weights: dict[str, float] = Field({}, description="relative sampling weight of a patient; 1 when absent")
    mix: Path | None = Field(None, description="second data set mixed in (old data while fine-tuning)")
    mix_fraction: float = Field(0.5, ge=0, lt=1, description="part of the samples drawn from data.mix")

    @model_validator(mode="after")
    def _values_exist(self) -> DataConfig:
        for value, trained_as in self.label_map.items():
            if not 0 <= value <= IGNORE:
                raise ValueError(
                    f"label_map names the value {value}, but a label file holds whole numbers from 0 to {IGNORE}: "
                    "renumber the files"
                )
            if not 0 <= trained_as <= len(self.labels) and trained_as != IGNORE:
                raise ValueError(
                    f"label_map trains the value {value} as {trained_as}, but data.labels "
                    f"[{', '.join(self.labels)}] are the values 1 to {len(self.labels)}: map it to one of these, to 0 "
                    f"(background) or to {IGNORE} (unknown)"
                )
        return self


class SamplingConfig(Section):
    """How samples are drawn."""

    kind: Literal["patches", "subvolumes", "slices", "volumes"] = Field(
        "patches", description="3D patches, contiguous slices with their full plane, 2D axial slices, whole volumes"
    )
    patch_size: tuple[int, ...] = Field((64, 64, 64), description="z, y, x in voxels; y, x for slices")
    batch_size: int = Field(2, ge=1, description="samples of one step, over all processes")
    tumor_fraction: float = Field(0.4, ge=0, le=1, description="part of the samples centred in a tumour")
    liver_fraction: float = Field(0.35, ge=0, le=1, description="part centred in the liver; the rest lies anywhere")
    hard_fraction: float = Field(0.0, ge=0, le=1, description="part centred where the model of init_from errs")


class AugmentationConfig(Section):
    """Random changes of each sample."""

    rotation_degrees: float = Field(15, ge=0, le=180, description="largest rotation in plane; half of it out of plane")
    scale: tuple[float, float] = Field((0.8, 1.25), description="smallest and largest enlargement")
    flip_axes: list[Literal["x", "y", "z"]] = Field(["x", "y", "z"], description="axes flipped in half of the samples")
    shift_hu: float = Field(25, ge=0, description="largest shift of all values")
    contrast: tuple[float, float] = Field((0.8, 1.25), description="smallest and largest contrast factor")
    noise_sd_hu: float = Field(20, ge=0, description="largest deviation of added noise")
    blur_voxels: float = Field(1.0, ge=0, description="largest deviation of a Gaussian blur; 0 is none")
    thick_slice_probability: float = Field(
        0.2, ge=0, le=1, description="part of the samples made to look thick-sliced"
    )
    monai: list[Literal["bias_field", "gamma", "gibbs", "dropout", "histogram"]] = Field(
        [], description="further MONAI transforms, each in a fifth of the samples, on the GPU when there is one"
    )

    @model_validator(mode="after")
    def _in_order(self) -> AugmentationConfig:
        for name in ("scale", "contrast"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} is [{low:g}, {high:g}]: it must be two positive values, the smaller first")
        return self


class SyntheticConfig(Section):
    """Tumours made on the fly in healthy liver."""

    probability: float = Field(0.5, ge=0, le=1, description="part of the samples that receive synthetic tumours")
    distractor_probability: float = Field(
        0.3, ge=0, le=1, description="part that receives cysts, fluid outside the liver"
    )


class LossConfig(Section):
    """What is minimised."""

    name: Literal["dice_ce", "cross_entropy", "focal_tversky"] = Field("dice_ce", description="the loss")
    class_weights: list[float] | Literal["auto"] | None = Field(
        None, description="of cross entropy, background first; auto: from the class frequencies of the training cases"
    )
    small_lesions: float = Field(
        1.0,
        ge=1,
        le=20,
        description="weight in cross entropy of the smallest pieces of every class after the first, falling with the "
        "diameter to 1 at 16 voxels",
    )
    tversky_alpha: float = Field(0.3, gt=0, lt=1, description="weight of false positives; misses have the rest")
    tversky_gamma: float = Field(
        0.75, gt=0, le=3, description="exponent of focal Tversky; below 1 stresses hard classes"
    )


class NetworkConfig(Section):
    """Arguments of `LiverTumorSegLib.model.network.UNet`; channels and classes follow from the data."""

    dims: Literal[2, 3] = Field(3, description="axial slices or volumes")
    features: list[int] = Field([32, 64, 128, 192], min_length=2, description="channels of each stage, finest first")
    blocks: list[int] = Field([1, 1, 1, 1], min_length=2, description="encoder blocks of each stage")
    residual: bool = Field(True, description="residual encoder blocks")
    attention: Literal["none", "gate", "spatial"] = Field("gate", description="what multiplies the skip connections")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability that a whole channel is dropped")
    deep_supervision: bool = Field(False, description="a loss at the coarser decoder stages too")
    stem: Literal["full", "half"] = Field("half", description="grid of the trunk: full resolution or half")
    norm: Literal["instance", "batch", "none"] = Field(
        "instance", description="normalisation layers; none: a bias, calibrated on the first samples"
    )
    decoder_convolutions: int = Field(1, ge=1, description="convolutions of each decoder stage")
    detail: Literal["branch", "subvoxel"] = Field(
        "branch", description="beside a half-resolution stem: a thin full-resolution branch, or a sub-voxel head"
    )

    @model_validator(mode="after")
    def _as_many(self) -> NetworkConfig:
        if len(self.features) != len(self.blocks) or min(*self.features, *self.blocks) < 1:
            raise ValueError(f"features {self.features} and blocks {self.blocks} must be as many positive numbers")
        return self


class OptimiserConfig(Section):
    """The optimiser and its schedule."""

    kind: Literal["adamw", "muon", "sgd"] = Field(
        "adamw", description="AdamW; Muon for convolutions with AdamW for the rest; SGD with Nesterov momentum 0.99"
    )
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    schedule: Literal["cosine", "poly", "late"] = Field(
        "cosine", description="how the rate falls: cosine, (1 - t)^0.9, or not before the last fifth of the run"
    )
    weight_decay: float = Field(1e-2, ge=0, description="decoupled weight decay (L2 for sgd)")
    warm_up: float = Field(0.05, ge=0, lt=1, description="part of the run in which the rate rises from 0")
    steps: int = Field(10_000, ge=1, description="optimiser steps of the whole run")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are summed before one step")
    gradient_clip: float = Field(12.0, gt=0, description="largest gradient norm")
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights that are validated and exported")
    freeze: list[str] = Field([], description="parts of the network that are not trained, such as [stem, encoder]")


class RunConfig(Section):
    """Seed, checkpoints, validation, records."""

    @model_validator(mode="before")
    @classmethod
    def _older(cls, content: Any) -> Any:
        """Read recipes of versions up to 0.3, which chose where to validate: it is the product's inference now."""
        if isinstance(content, dict) and content.get("validation") in ("prepared", "whole_scan"):
            return {key: value for key, value in content.items() if key != "validation"}
        return content

    seed: int = Field(1, ge=0, description="everything random follows from it")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    amp: Literal["auto", "never"] = Field("auto", description="bfloat16 where the hardware has it, or never")
    workers: int = Field(1, ge=1, le=64, description="threads that prepare samples ahead")
    checkpoint_minutes: float = Field(2.0, gt=0, description="time between checkpoints")
    validation_minutes: float = Field(20.0, gt=0, description="time between validations")
    validation_quality: Literal["quick", "standard", "best"] = Field(
        "standard", description="held-out scans go through segment.py's inference with this --quality"
    )
    validate_before: bool = Field(
        False, description="also validate before the first step, and report before and after"
    )
    early_stopping: int = Field(0, ge=0, description="validations without improvement after which to stop; 0: never")
    overlays: bool = Field(True, description="pictures of validation cases: scan, truth, prediction")
    tensorboard: Literal["auto"] | bool = Field(
        "auto", description="TensorBoard event files in the run folder; auto: where the package is installed"
    )
    mlflow: bool = Field(False, description="also record to MLflow, where MLFLOW_TRACKING_URI points")
    log_every: int = Field(20, ge=1, description="steps whose mean loss makes one line of metrics.jsonl")


class SearchConfig(Section):
    """Hyper-parameter search."""

    space: dict[str, list[Any]] = Field(
        {"optimiser.learning_rate": [1e-4, 3e-3, "log"], "sampling.batch_size": [1, 2, 4]},
        description="key: [low, high, log or linear], or a list of choices",
    )


class Config(Section):
    """The whole recipe."""

    id: str = Field(description="name of the model")
    task: Literal["localiser", "liver-tumor", "other"] = Field(
        "liver-tumor", description="what the pipeline uses it for"
    )
    init_from: Path | None = Field(None, description="bundle whose weights the network starts from")
    fine_tune: bool = Field(False, description="the recipe goes on from a trained model: init_from must name it")
    data: DataConfig = DataConfig()
    preparation: PreparationConfig = PreparationConfig()
    sampling: SamplingConfig = SamplingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    synthetic: SyntheticConfig = SyntheticConfig()
    loss: LossConfig = LossConfig()
    network: NetworkConfig = NetworkConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    run: RunConfig = RunConfig()
    search: SearchConfig = SearchConfig()

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return len(self.data.labels) + 1

    @property
    def field_of_view(self) -> str:
        """What inference shows the network: "whole_scan", "liver_box" or "crop"."""
        if self.preparation.field_of_view != "auto":
            return self.preparation.field_of_view
        if self.preparation.crop == "none":
            return "whole_scan"
        return "liver_box" if self.single_ct else "crop"

    @property
    def single_ct(self) -> bool:
        """Whether the input is one channel in HU, as the localiser and the synthetic tumours need it."""
        return len(self.data.channels) == 1 and self.preparation.window_hu is not None

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        problems = [message for wrong, message in self._rules() if wrong]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _rules(self) -> list[tuple[bool, str]]:
        sampling, network = self.sampling, self.network
        view = self.field_of_view
        makes_tumors = self.synthetic.probability > 0 or self.synthetic.distractor_probability > 0
        weights = self.loss.class_weights
        return [
            (
                len(sampling.patch_size) != network.dims or min(sampling.patch_size) < 1,
                f"patch_size {list(sampling.patch_size)} must be {network.dims} numbers above 0 (network.dims)",
            ),
            (
                (sampling.kind == "slices") != (network.dims == 2),
                "sampling.kind slices and network.dims 2 belong together",
            ),
            (
                sampling.kind == "volumes" and self.preparation.resize != sampling.patch_size,
                "sampling.kind volumes needs preparation.resize equal to sampling.patch_size",
            ),
            (
                not set(self.preparation.channel_windows) <= set(self.data.channels),
                f"preparation.channel_windows names {', '.join(self.preparation.channel_windows)}, but data.channels "
                f"is {', '.join(self.data.channels)}",
            ),
            (
                bool(self.preparation.channel_windows) and self.preparation.window_hu is not None,
                "preparation.channel_windows needs preparation.window_hu null: that is the window of all channels",
            ),
            (
                sampling.tumor_fraction + sampling.liver_fraction > 1,
                "sampling.tumor_fraction and sampling.liver_fraction together are above 1",
            ),
            (
                makes_tumors and not (self.single_ct and self.task != "other"),
                "synthetic tumours need one CT channel with a window_hu and a liver task: set "
                "synthetic.probability and synthetic.distractor_probability to 0",
            ),
            (
                self.task == "liver-tumor"
                and [canonical_name(name) for name in self.data.labels[:2]] != [LIVER.name, TUMOR.name],
                f"task liver-tumor needs data.labels to begin with liver, tumor, not {', '.join(self.data.labels)}: "
                "put further classes behind them (data.label_map renumbers the files' values), or set task other",
            ),
            (
                self.task == "localiser" and canonical_name(self.data.labels[0]) != LIVER.name,
                f"task localiser needs data.labels to begin with liver, not {self.data.labels[0]}: put further organs "
                "behind it (data.label_map renumbers the files' values), or set task other",
            ),
            (
                len({canonical_name(name) for name in self.data.labels}) < len(self.data.labels),
                f"data.labels {', '.join(self.data.labels)} names one thing twice",
            ),
            (
                isinstance(weights, list) and (len(weights) != self.classes or min(weights) < 0),
                f"loss.class_weights needs {self.classes} values of at least 0, background first",
            ),
            (
                view == "liver_box" and not self.single_ct,
                "preparation.field_of_view liver_box needs the localiser, which knows one CT channel only: "
                "set it to crop or whole_scan",
            ),
            (
                self.preparation.liver_hu is not None and view != "liver_box",
                "preparation.liver_hu needs preparation.field_of_view liver_box: the localiser finds the liver",
            ),
            (
                view == "whole_scan" and self.preparation.crop != "none",
                "preparation.crop cuts the scans to the organ, but field_of_view whole_scan shows the network more "
                "than it was trained on",
            ),
            (
                self.data.splits is None and self.data.fold >= self.data.folds,
                f"data.fold is {self.data.fold}: it must be below data.folds {self.data.folds}",
            ),
        ]


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a recipe; `overrides` maps "section.key" to a value. A line `base: OTHER.yaml` lays it over another recipe.

    Raises
    ------
    UsageError
        If the file cannot be read, a key is unknown or a value is out of range: one readable sentence for each.
    """
    content = _read(Path(path))
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        target = content
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise UsageError(f"--{key}: {section} is a single value in {path.name}, not a section.")
        target[name] = value
    return parse_config(content, Path(path).name)


def _read(path: Path, named_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the content of a recipe, laid over that of its `base` where it names one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"The recipe {path} cannot be read: {error.strerror}. Give a YAML file with --config."
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"The recipe {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"The recipe {path} must hold names and values, such as id: my-model.")
    base = content.pop("base", None)
    if base is None:
        return content
    if path in named_by:
        raise UsageError(f"The recipe {path} is, through base, its own base: remove that line.")
    return _laid_over(_read(path.parent / str(base), (*named_by, path)), content)


def _laid_over(base: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `content`; sections are joined, everything else is replaced."""
    joined = dict(base)
    for key, value in content.items():
        old = joined.get(key)
        joined[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return joined


def parse_config(content: dict[str, Any], source: str) -> Config:
    """Return the checked recipe of a mapping; `source` is named in errors."""
    try:
        return Config(**content)
    except ValidationError as error:
        raise UsageError(f"{source}: " + " ".join(explain(error, Config))) from error
