"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from LiverTumorSegLib.errors import CancelledError, InputError, LiverTumorSegError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.model.bundle import Bundle, load_bundle
from LiverTumorSegLib.model.tiles import NonFiniteOutputError, cpu_has_bfloat16
from LiverTumorSegLib.wholefile import write_text
from torch import Tensor, nn

from LiverTumorSegTraining.data.description import in_agreement
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.samples.mining import hard_places
from LiverTumorSegTraining.samples.monai_augmentation import MonaiAugmentation
from LiverTumorSegTraining.samples.prefetch import Prefetch
from LiverTumorSegTraining.samples.sampling import Batch, PatchSampler
from LiverTumorSegTraining.training.averaging import WeightAverage
from LiverTumorSegTraining.training.before_after import write_before_after
from LiverTumorSegTraining.training.before_start import check_start
from LiverTumorSegTraining.training.continuity import check_same_recipe, check_same_split
from LiverTumorSegTraining.training.display import Advance, Display
from LiverTumorSegTraining.training.distributed import Processes
from LiverTumorSegTraining.training.losses import SegmentationLoss, automatic_class_weights
from LiverTumorSegTraining.training.memory import told_when_short
from LiverTumorSegTraining.training.model import bundle_of, network_of
from LiverTumorSegTraining.training.optimiser import optimiser_of
from LiverTumorSegTraining.training.overlays import draw_overlay
from LiverTumorSegTraining.training.provenance import PROVENANCE, read_provenance, run_provenance
from LiverTumorSegTraining.training.records import RunRecords
from LiverTumorSegTraining.training.run_files import (
    BEST,
    CHECKPOINT,
    RESOLVED,
    best_score_of,
    forget_metrics_after,
    read_checkpoint,
    write_checkpoint,
)
from LiverTumorSegTraining.training.schedule import learning_rate
from LiverTumorSegTraining.training.stop_request import StopRequest
from LiverTumorSegTraining.training.training_data import TrainingData, load_training_data
from LiverTumorSegTraining.training.validation import Figures, Segmented, figures_in_words, score, validate
from LiverTumorSegTraining.training.validation_loss import ValidationLoss
from LiverTumorSegTraining.training.warm_start import freeze, start

CALIBRATION_SAMPLES = 24
"""A network without normalisation starts with the statistics of so many."""
BAD_STEPS_IN_A_ROW = 3
SMALLEST_BFLOAT16_GRID = 2


class DivergedError(LiverTumorSegError):
    """The loss was not finite several steps in a row, or what the averaged network says is not."""


class Trainer:
    """Trains one network after a recipe.

    Parameters
    ----------
    config : Config
        The recipe.
    root : Path
        The data set.
    run : Path
        Folder for checkpoint, metrics and the resolved recipe; made when absent.
    resume : bool
        Go on from the checkpoint of `run`.
    max_minutes : float or None
        Stop then, with a usable model; the learning rate reaches its end at that moment.
    data : TrainingData, optional
        Already prepared cases, instead of those of `root`.
    """

    def __init__(
        self,
        config: Config,
        root: Path,
        run: Path,
        resume: bool = False,
        max_minutes: float | None = None,
        data: TrainingData | None = None,
    ) -> None:
        self.run, self.max_minutes = Path(run), max_minutes
        check_start(config, self.run, resume)
        if resume:
            check_same_recipe(config, self.run)
        # A model that cannot be read is to be known before the data set is.
        parent = load_bundle(config.init_from) if config.init_from is not None else None
        self.processes = Processes(config)
        self.device = self.processes.device
        self.display = Display(quiet=not self.processes.first)
        self.run.mkdir(parents=True, exist_ok=True)
        if data is None:
            data = load_training_data(Path(root), config, self.run, self.processes, self.display)
        if resume:
            check_same_split(self.run, data)
        self.data = data
        config = self.config = in_agreement(config, Path(root))
        self.sampler = PatchSampler(self.data.training, config, self.data.mixed, self._hard_places(parent))
        self.augment = MonaiAugmentation(config.augmentation, config.run.seed)
        with told_when_short(config, self.device):
            self.network = self._new_network(parent, resume)
        self.average = WeightAverage(self.network, config.optimiser.ema)
        self.parallel = self.processes.wrap(self.network)
        self.mixed_precision = config.run.amp == "auto" and bfloat16_is_fast(self.device, config)
        self.optimiser = optimiser_of(self.network, config.optimiser)
        weights = self._class_weights()
        self.loss = SegmentationLoss(config.loss, weights, self.processes.add_up)
        self.validation_loss = ValidationLoss(data.validation, config, weights) if data.validation else None
        self.step, self.minutes = 0, 0.0
        self.bad_steps = 0
        self.bad_cases: list[list[str]] = []
        self.best_score, self.validations_without_gain, self.validated_step = -math.inf, 0, -1
        self.recent_losses: list[float] = []
        self.on_validation: Callable[[int, float], None] = lambda step, score: None
        if resume:
            self._load_checkpoint()
        if self.processes.first:
            forget_metrics_after(self.run, self.step if resume else -1)
            content = json.loads(config.model_dump_json())
            write_text(self.run / RESOLVED, yaml.safe_dump(content, sort_keys=False))
            before = read_provenance(self.run) if resume else {}
            write_json(self.run / PROVENANCE, run_provenance(config, Path(root), data, weights, parent, before))

    def train(self) -> None:
        """Train to the end of the recipe, the time limit, early stopping or Ctrl-C; the checkpoint is then whole.

        Raises
        ------
        CancelledError
            After Ctrl-C or SIGTERM, when all is saved.
        DivergedError
            When the loss was not finite several steps in a row, or the output on held-out cases is not.
        OutOfMemoryError
            When a step needs more memory than there is.
        """
        settings, steps = self.config.run, self.config.optimiser.steps
        started, minutes_before = time.monotonic(), self.minutes
        saved = validated = started
        with (
            told_when_short(self.config, self.device),
            StopRequest() as stop,
            Prefetch(self._sample, self.step, steps, settings.workers) as batches,
            RunRecords(self.run, self.config, self.step, not self.processes.first) as records,
            self.display.stage("training", steps) as advance,
        ):
            records.losses = self.recent_losses
            advance(self.step, "first samples", self._done())
            if settings.validate_before and self.step == 0:
                self._validate(records)
            stopped = self._agree_on_time(minutes_before, started, stop)
            while self.step < steps and self._done() < 1 and not stopped and not self._no_gain():
                rate = learning_rate(self.config.optimiser, self._done())
                loss = self._one_step(batches.next(), rate)
                self.step += 1
                stopped = self._agree_on_time(minutes_before, started, stop)
                records.step(self.step, self.minutes, loss, rate)
                advance(self.step, f"loss {loss:.3f}", self._done())
                now = time.monotonic()
                if now - saved > settings.checkpoint_minutes * 60:
                    self.save_checkpoint()
                    saved = time.monotonic()
                (validation_due,) = self.processes.agree(now - validated > settings.validation_minutes * 60)
                if self.data.validation and validation_due:
                    self._validate(records)
                    validated = time.monotonic()
            self.save_checkpoint()
            # A person who pressed Ctrl-C does not wait for a validation.
            if not stopped:
                if self.validated_step < self.step:
                    self._validate(records)
                if settings.validate_before and self.processes.first:
                    write_before_after(self.run)
        self.display.say(self._last_words(stopped))
        self.processes.leave()
        if stopped:
            raise CancelledError(
                f"Stopped after step {self.step}; the model of {self.run} is whole, go on with --resume."
            )

    def bundle(self) -> Bundle:
        """Return the averaged network as a bundle in memory."""
        return bundle_of(self.config, self.average.state)

    def save_checkpoint(self, name: str = CHECKPOINT) -> None:
        """Write the checkpoint whole or not at all; the one before it is kept."""
        if self.processes.first:
            write_checkpoint(self.run / name, self._state(), keep_previous=name == CHECKPOINT)

    def _sample(self, step: int) -> list[Batch]:
        """Return this process's share of the batches of a step."""
        parts = range(self.config.optimiser.accumulate)
        return [self.sampler.batch(step, part, self.processes.rank, self.processes.world) for part in parts]

    def _one_step(self, batches: list[Batch], rate: float) -> float:
        """Take one optimiser step and return its loss; a step that is not finite is skipped and counted."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Dropout repeats after a resume.
        torch.manual_seed(self.config.run.seed * 1_000_003 + self.step)
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for part, batch in enumerate(batches):
            loss = self._loss_of(batch, part)
            # The processes' gradients are averaged, but belong to parts of one loss: the sum is wanted.
            (loss * (self.processes.world / len(batches))).backward()
            total += float(loss.detach()) / len(batches)
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        norm = nn.utils.clip_grad_norm_(trained, self.config.optimiser.gradient_clip)
        if not (math.isfinite(total) and bool(torch.isfinite(norm))):
            self._count_bad_step(batches)
            return math.nan
        self.bad_cases.clear()
        self.optimiser.step()
        self.average.update(self.network, self.step)
        return total

    def _loss_of(self, batch: Batch, part: int) -> Tensor:
        image = batch.image.to(self.device, non_blocking=True)
        first = part * self.config.sampling.batch_size + self.processes.rank
        places = [first + number * self.processes.world for number in range(len(image))]
        image = self.augment(image, self.step, places)
        if image.ndim == 5:
            image = image.to(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
            logits = self.parallel.train()(image)
        return self.loss(logits, batch.label.to(self.device, non_blocking=True))

    def _count_bad_step(self, batches: list[Batch]) -> None:
        self.bad_steps += 1
        self.bad_cases.append(sorted({name for batch in batches for name in batch.cases}))
        if len(self.bad_cases) >= BAD_STEPS_IN_A_ROW:
            names = sorted({name for cases in self.bad_cases for name in cases})
            raise DivergedError(
                f"The loss was not finite {BAD_STEPS_IN_A_ROW} steps in a row, on {', '.join(names)}: check these "
                "cases with verify_dataset, or lower optimiser.learning_rate."
            )

    def _validate(self, records: RunRecords) -> None:
        self.validated_step = self.step
        if self.data.validation and self.processes.first:
            with self.display.stage("validation", len(self.data.validation)) as advance:
                figures = self._figures(advance)
            loss = self.validation_loss(self._averaged(), self.device) if self.validation_loss is not None else None
            records.validation(self.step, figures, loss)
            self.display.say(f"validation at step {self.step}: {figures_in_words(figures, loss)}")
            self.validations_without_gain += 1
            if score(figures) > self.best_score:
                self.best_score, self.validations_without_gain = score(figures), 0
                if self.step:
                    self.save_checkpoint(BEST)
            self.on_validation(self.step, score(figures))
        (without_gain,) = self.processes.agree(self.validations_without_gain)
        self.validations_without_gain = int(without_gain)

    def _figures(self, advance: Advance) -> Figures:
        cases = self.data.validation
        try:
            return validate(self.bundle(), cases, self.config, self.device, self._show, advance)
        except NonFiniteOutputError as error:
            raise DivergedError(
                f"The network's output on held-out cases is not finite at step {self.step}: lower "
                "optimiser.learning_rate."
            ) from error

    def _averaged(self) -> nn.Module:
        return self.bundle().build().to(self.device)

    def _show(self, segmented: Segmented) -> None:
        if self.config.run.overlays:
            draw_overlay(segmented, self.config.data.labels, self.config.preparation.window_hu, self.run)

    def _no_gain(self) -> bool:
        patience = self.config.run.early_stopping
        return bool(patience) and self.validations_without_gain >= patience

    def _agree_on_time(self, minutes_before: float, started: float, stop: StopRequest) -> bool:
        """Set the minutes trained, the same in every process, and return whether somebody asked to stop."""
        minutes = minutes_before + (time.monotonic() - started) / 60
        self.minutes, requested = self.processes.agree(minutes, float(stop.requested))
        return bool(requested)

    def _done(self) -> float:
        """Return the part of the run behind us, 0..1: by steps or by time, whichever is further."""
        by_time = self.minutes / self.max_minutes if self.max_minutes else 0.0
        return max(self.step / self.config.optimiser.steps, by_time)

    def _last_words(self, stopped: bool) -> str:
        why = "Stopped" if stopped else "Early stopping" if self._no_gain() else "Finished"
        bad = f", {self.bad_steps} steps skipped because they were not finite" if self.bad_steps else ""
        return f"{why} after step {self.step}, {self.minutes:.1f} minutes{bad}. The run is in {self.run}."

    def _new_network(self, parent: Bundle | None, resume: bool) -> nn.Module:
        config = self.config
        torch.manual_seed(config.run.seed)
        network = network_of(config)
        if not resume:
            started = start(network, parent, self._calibration_images)
            if started is not None and self.processes.first:
                write_text(self.run / "warm_start.txt", f"{started}\n")
                self.display.say(f"Warm start from {config.init_from}: {started}")
        freeze(network, config.optimiser.freeze)
        placed = self.processes.synchronise_norms(network).to(self.device)
        if config.network.dims == 3:
            # The stubs of torch know this argument for tensors only.
            placed.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return placed

    def _hard_places(self, parent: Bundle | None) -> list[np.ndarray]:
        if parent is None or not self.config.sampling.hard_fraction:
            return []
        cases = [*self.data.training, *self.data.mixed]
        with self.display.stage("looking for hard places", len(cases)) as advance:
            return hard_places(parent, cases, self.config, self.device, advance)

    def _calibration_images(self) -> Tensor:
        patches = [self.sampler.patch(0, place)[0] for place in range(CALIBRATION_SAMPLES)]
        images = torch.from_numpy(np.stack(patches))
        return images[:, :, 0] if self.config.network.dims == 2 else images

    def _class_weights(self) -> list[float] | None:
        given = self.config.loss.class_weights
        if given != "auto":
            return given
        return automatic_class_weights([prepared.label for prepared in self.data.training], self.config.classes)

    def _state(self) -> dict[str, Any]:
        # Samples and dropout follow from seed and step alone, so no generator state is needed.
        return {
            "network": self.network.state_dict(),
            "average": self.average.state,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "bad_steps": self.bad_steps,
            "best_score": self.best_score,
            "validations_without_gain": self.validations_without_gain,
            "recent_losses": list(self.recent_losses),
        }

    def _load_checkpoint(self) -> None:
        state = read_checkpoint(self.run / CHECKPOINT, self.device)
        try:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(
                f"The checkpoint of {self.run} belongs to another network or optimiser than the recipe describes: "
                f"resume with {RESOLVED} of that folder, or start a new run."
            ) from error
        self.average.state = state["average"]
        self.step, self.minutes, self.bad_steps = state["step"], state["minutes"], state["bad_steps"]
        # The best model may be newer than the checkpoint, as after the validation that ends a run.
        self.best_score = max(state.get("best_score", -math.inf), best_score_of(self.run, self.device))
        self.validations_without_gain = state.get("validations_without_gain", 0)
        self.recent_losses = state.get("recent_losses", [])


def bfloat16_is_fast(device: torch.device, config: Config) -> bool:
    """Return whether bfloat16 runs in hardware there, and is right for the recipe's network."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # oneDNN's weight gradient of a bfloat16 convolution over a grid of 2 x 2 x 2 is garbage, often NaN (torch 2.13).
    stride = 2 ** (len(config.network.features) - 1 + (config.network.stem == "half"))
    coarsest = min(-(-length // stride) for length in config.sampling.patch_size)
    supported = device.type == "cpu" and cpu_has_bfloat16()
    return supported and coarsest > SMALLEST_BFLOAT16_GRID
