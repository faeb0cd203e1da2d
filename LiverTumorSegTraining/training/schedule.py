"""The learning rate over a run."""

from __future__ import annotations

import math

from LiverTumorSegTraining.recipe.config import OptimiserConfig

LATE = 0.2
"""Part of the run in which a late schedule falls: until then a run can be stopped or prolonged without loss."""


def learning_rate(optimiser: OptimiserConfig, done: float) -> float:
    """Return the rate when the part `done` (0..1) of the run is behind: warm-up, then its fall to 0."""
    done = min(max(done, 0.0), 1.0)
    rise = max(min(done / optimiser.warm_up, 1.0), 0.01) if optimiser.warm_up else 1.0
    if optimiser.schedule == "poly":
        fall = (1 - done) ** 0.9
    elif optimiser.schedule == "late":
        fall = min((1 - done) / LATE, 1.0)
    else:
        fall = 0.5 * (1 + math.cos(math.pi * done))
    return optimiser.learning_rate * rise * fall
