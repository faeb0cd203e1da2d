"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from LiverTumorSegLib.bundle import Bundle, load_bundle
from LiverTumorSegLib.errors import InputError, LiverTumorSegError
from LiverTumorSegLib.network import UNet
from LiverTumorSegTraining.config import Config
from LiverTumorSegTraining.dataset import find_cases, split
from LiverTumorSegTraining.losses import deep_supervision
from LiverTumorSegTraining.preparation import intensity_of, prepare
from LiverTumorSegTraining.progress import TrainingProgress
from LiverTumorSegTraining.sampling import Batch, PatchSampler
from LiverTumorSegTraining.validation import validate

CHECKPOINT = "checkpoint.pt"
BAD_STEPS_IN_A_ROW = 3


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
    """

    def __init__(
        self, config: Config, root: Path, run: Path, resume: bool = False, max_minutes: float | None = None
    ) -> None:
        self.config, self.run, self.max_minutes = config, Path(run), max_minutes
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        training, validation = split(find_cases(root, config.data), config.data)
        self.sampler = PatchSampler([prepare(case, config) for case in training], config)
        self.validation = [prepare(case, config) for case in validation]
        torch.manual_seed(config.run.seed)
        classes = len(config.data.labels) + 1
        self.network = UNet(in_channels=1, classes=classes, **config.network.model_dump())
        if config.init_from is not None:
            report_warm_start(self.network, load_bundle(config.init_from))
        self.network = self.network.to(self.device)
        if config.network.dims == 3:
            self.network = self.network.to(memory_format=torch.channels_last_3d)
        self.average = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), config.optimiser.learning_rate, weight_decay=config.optimiser.weight_decay
        )
        self.step, self.minutes, self.bad_steps, self.bad_in_a_row = 0, 0.0, 0, 0
        self.run.mkdir(parents=True, exist_ok=True)
        if resume:
            self._load_checkpoint()
        (self.run / "config.yaml").write_text(yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False))

    def train(self) -> None:
        """Train to the end of the recipe, the time limit or Ctrl-C, whichever comes first; the checkpoint is then whole."""
        optimiser = self.config.optimiser
        started, minutes_before = time.monotonic(), self.minutes
        saved = validated = started
        stop = StopRequest()
        with ThreadPoolExecutor(1) as pool, TrainingProgress(self.run, optimiser.steps) as progress:
            following = pool.submit(self.sampler.batch, self.step)
            while self.step < optimiser.steps and self._done() < 1 and not stop.requested:
                batch = following.result()
                following = pool.submit(self.sampler.batch, self.step + 1)
                rate = self._set_learning_rate()
                loss = self._one_step(batch)
                self.step += 1
                now = time.monotonic()
                self.minutes = minutes_before + (now - started) / 60
                progress.step(self.step, self.minutes, loss, rate)
                if now - saved > self.config.run.checkpoint_minutes * 60:
                    self.save_checkpoint()
                    saved = time.monotonic()
                if self.validation and now - validated > self.config.run.validation_minutes * 60:
                    progress.validation(self.step, validate(self.bundle(), self.validation))
                    validated = time.monotonic()
            self.save_checkpoint()
            if self.validation:
                progress.validation(self.step, validate(self.bundle(), self.validation))

    def bundle(self) -> Bundle:
        """Return the averaged network as a bundle in memory."""
        config = self.config
        return Bundle(
            id=config.id, version="0", task=config.task, network=self.network.arguments, labels=tuple(config.data.labels),
            spacing_mm=config.preparation.spacing_mm, patch_size=config.sampling.patch_size, intensity=intensity_of(config),
            weights={name: tensor.cpu() for name, tensor in self.average.items()},
        )  # fmt: skip

    def _done(self) -> float:
        """Return the part of the run behind us, 0..1: by steps or by time, whichever is further."""
        by_time = self.minutes / self.max_minutes if self.max_minutes else 0.0
        return max(self.step / self.config.optimiser.steps, by_time)

    def _set_learning_rate(self) -> float:
        optimiser, done = self.config.optimiser, self._done()
        rise = min(done / optimiser.warm_up, 1.0) if optimiser.warm_up else 1.0
        if rise < 1:
            rise = max(rise, 0.01)
        rate = optimiser.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _one_step(self, batch: Batch) -> float:
        """Take one optimiser step; a non-finite one is skipped and counted."""
        torch.manual_seed(self.config.run.seed * 1_000_003 + self.step)  # dropout repeats after a resume
        image = batch.image.to(self.device)
        if image.ndim == 5:
            image = image.to(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)):
            logits = self.network.train()(image)
        loss = deep_supervision(logits, batch.label.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.gradient_clip)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            self._count_bad_step(batch)
            return float("nan")
        self.bad_in_a_row = 0
        self.optimiser.step()
        # Early on the average must follow quickly.
        decay = min(self.config.optimiser.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - decay)
                else:
                    self.average[name].copy_(tensor)
        return float(loss.detach())

    def _count_bad_step(self, batch: Batch) -> None:
        self.bad_steps += 1
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= BAD_STEPS_IN_A_ROW:
            raise LiverTumorSegError(
                f"The loss was not finite {BAD_STEPS_IN_A_ROW} steps in a row, last on {', '.join(batch.cases)}: check these "
                "cases with verify_dataset, or lower optimiser.learning_rate."
            )

    def save_checkpoint(self) -> None:
        """Write the checkpoint whole or not at all; the one before it is kept."""
        path = self.run / CHECKPOINT
        partial = path.with_suffix(".part")
        with partial.open("wb") as stream:
            torch.save(self._state(), stream)
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            path.replace(path.with_suffix(".previous.pt"))
        partial.replace(path)

    def _state(self) -> dict[str, Any]:
        # Batches and dropout follow from seed and step alone, so no generator state is needed.
        return {
            "network": self.network.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(),
            "step": self.step, "minutes": self.minutes, "bad_steps": self.bad_steps,
        }  # fmt: skip

    def _load_checkpoint(self) -> None:
        path = self.run / CHECKPOINT
        if not path.exists():
            raise InputError(f"--resume was given, but {self.run} holds no {CHECKPOINT}: start without --resume.")
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = state["average"]
        self.step, self.minutes, self.bad_steps = state["step"], state["minutes"], state["bad_steps"]


class StopRequest:
    """Turns the first Ctrl-C (or SIGTERM) into a request to stop after the step; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def report_warm_start(network: UNet, bundle: Bundle) -> list[str]:
    """Load the weights of a bundle that fit by name and shape; return the names that do not."""
    state = network.state_dict()
    fitting = {name: tensor.float() for name, tensor in bundle.weights.items()
               if name in state and state[name].shape == tensor.shape}  # fmt: skip
    network.load_state_dict(fitting, strict=False)
    return sorted(set(state) - set(fitting))


def bfloat16_is_fast(device: torch.device) -> bool:
    """Return whether bfloat16 runs in hardware there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def weights_of(tensors: dict[str, Tensor]) -> int:
    """Return the number of parameters."""
    return sum(tensor.numel() for tensor in tensors.values())
