"""Several processes train the network that one would have trained."""

import os
import subprocess
import sys

import pytest
import torch
from LiverTumorSegLib.errors import UsageError

from LiverTumorSegTraining.training.cli import main
from LiverTumorSegTraining.training.distributed import Processes
from LiverTumorSegTraining.training.run_files import read_metrics

STEPS = 5
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def train(presets, data, run, name, processes):
    arguments = ["--config", presets / "tiny" / f"{name}.yaml", "--data", data, "--output", run]
    arguments += ["--optimiser.steps", STEPS, "--run.amp", "never", "--sampling.batch_size", 3, "--network.dropout", 0]
    arguments += ["--loss.class_weights", "auto", "--data.validation_fraction", 0.34, "--run.overlays", "false"]
    arguments = [str(argument) for argument in arguments]
    if processes == 1:
        torch.set_num_threads(1)
        assert main(arguments) == 0
    else:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, *TORCHRUN, "-m", "LiverTumorSegTraining.training.cli", *arguments]
        subprocess.run(command, env=environment, check=True, timeout=400)
    return [entry["loss"] for entry in read_metrics(run) if "loss" in entry]


@pytest.mark.parametrize(("name", "layout"), [("attention_unet_3d", "pairs"), ("brats_attention_3d", "brats")])
def test_two_processes_equal_one(name, layout, make, presets, tmp_path):
    data = make[layout](tmp_path / "data")
    one = train(presets, data, tmp_path / "one", name, 1)
    two = train(presets, data, tmp_path / "two", name, 2)
    assert len(one) == len(two) == STEPS
    # Three samples over two processes: shares of unequal size count as they should. Of the first step only rounding
    # differs; AdamW, which divides by the size of the gradient, makes more of it with every further one.
    differences = [abs(a - b) for a, b in zip(one, two, strict=True)]
    assert differences[0] < 1e-5
    assert max(differences) < 1e-3


def test_what_cannot_be_shared_is_refused(tiny, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="4 processes share it"):
        Processes(tiny())
    with pytest.raises(UsageError, match="norm batch"):
        Processes(tiny(sampling__batch_size=4, network__norm="batch"))
