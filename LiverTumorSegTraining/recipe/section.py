"""What the parts of a recipe have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the recipe; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
