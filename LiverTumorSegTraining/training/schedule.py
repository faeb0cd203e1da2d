"""The learning rate over a run."""

from __future__ import annotations

import math

from LiverTumorSegTraining.recipe.config import OptimiserConfig


def learning_rate(optimiser: OptimiserConfig, done: float) -> float:
    """Return the rate when the part `done` (0..1) of the run is behind: warm-up, then cosine or poly to 0."""
    done = min(max(done, 0.0), 1.0)
    rise = max(min(done / optimiser.warm_up, 1.0), 0.01) if optimiser.warm_up else 1.0
    fall = (1 - done) ** 0.9 if optimiser.schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))
    return optimiser.learning_rate * rise * fall
