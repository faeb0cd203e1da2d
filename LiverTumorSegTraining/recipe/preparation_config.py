"""The section of a recipe that says what is done once to every case."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from LiverTumorSegTraining.recipe.section import Section


class PreparationConfig(Section):
    """What is done once to every case; the same values go into the bundle."""

    spacing_mm: tuple[float, float, float] = Field((2.0, 2.0, 2.0), description="spacing along x, y, z")
    resize: tuple[int, int, int] | None = Field(
        None, description="resize each field of view to z, y, x voxels; 0 leaves an axis to spacing_mm"
    )
    crop: Literal["none", "liver"] = Field("none", description="keep the whole scan, or the labelled organ's box only")
    field_of_view: Literal["auto", "whole_scan", "liver_box", "crop"] = Field(
        "auto",
        description="what inference shows the network: the whole scan; the liver's box, found by the localiser; or a "
        "scan that the user cut to the organ. auto: as crop says",
    )
    crop_margin_mm: float = Field(15.0, ge=0, description="margin around the box of crop: liver")
    window_hu: tuple[float, float] | None = Field((-150.0, 250.0), description="clip to these HU; null for MR")
    clip_percentiles: tuple[float, float] | None = Field(None, description="clip to these percentiles, for MR")
    channel_windows: dict[str, tuple[float, float]] = Field(
        {}, description="window of a channel by its name, such as {CT: [-150, 250]}; the others as the keys above say"
    )
    denoise: Literal["none", "median", "gaussian"] = Field("none", description="noise reduction before clipping")
    normalisation: Literal["unit", "zscore"] = Field("unit", description="to [0, 1], or mean 0 and deviation 1")
    mean: float | None = Field(None, description="fixed mean of zscore; of each scan when null")
    sd: float | None = Field(None, gt=0, description="fixed deviation of zscore; of each scan when null")
    liver_hu: float | None = Field(None, description="bring the liver that the localiser finds to this; null: do not")
    cache: Path | None = Field(None, description="folder of prepared cases; beside the run when null")

    @model_validator(mode="after")
    def _in_order(self) -> PreparationConfig:
        for name in ("window_hu", "clip_percentiles"):
            pair = getattr(self, name)
            if pair is not None and pair[0] >= pair[1]:
                raise ValueError(f"{name} is {list(pair)}: the first value must be below the second")
        for channel, (low, high) in self.channel_windows.items():
            if low >= high:
                raise ValueError(f"channel_windows of {channel} is {[low, high]}: the first value must be the smaller")
        if min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm is {list(self.spacing_mm)}: each value must be above 0")
        if self.resize is not None and (min(self.resize) < 0 or not any(self.resize)):
            raise ValueError(
                f"resize is {list(self.resize)}: each value must be at least 1, or 0 for an axis of spacing_mm"
            )
        return self
