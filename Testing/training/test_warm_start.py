"""Warm start and fine-tuning: what fits is loaded, the rest named; old data is mixed in, the change reported."""

import json

import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.errors import UsageError
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.output.segfile import write_segmentation

from LiverTumorSegTraining.export.export_model import export_model
from LiverTumorSegTraining.training.loop import Trainer
from LiverTumorSegTraining.training.model import network_of
from LiverTumorSegTraining.training.warm_start import freeze, warm_start


@pytest.fixture(scope="module")
def model(pairs, tiny, tmp_path_factory):
    """A bundle whose network is the one of the fine-tuning recipe."""
    folder = tmp_path_factory.mktemp("old")
    Trainer(
        tiny("fine_tune", fine_tune=False, optimiser__freeze=[], run__validate_before=False), pairs, folder / "run"
    ).train()
    export_model(folder / "run", folder / "model")
    return folder / "model"


def test_all_of_the_same_network_is_loaded(model, tiny):
    network, bundle = network_of(tiny("fine_tune")), load_bundle(model)
    started = warm_start(network, bundle)
    assert not started.left
    assert not started.adapted
    assert all(torch.equal(tensor, bundle.weights[name].float()) for name, tensor in network.state_dict().items())


def test_other_classes_and_channels(model, tiny):
    changes = {"synthetic__probability": 0, "synthetic__distractor_probability": 0, "task": "other"}
    changes |= {"preparation__field_of_view": "whole_scan", "preparation__liver_hu": None}
    config = tiny("fine_tune", data__labels=["a", "b", "c"], data__channels=["CT", "PET"], **changes)
    network, bundle = network_of(config).eval(), load_bundle(model)
    started = warm_start(network, bundle)
    assert started.left == ("head.bias", "head.weight")
    assert started.adapted == ("stem.0.weight",)
    assert "head.weight" in str(started)
    # The same image in both channels gives the features that it gave alone.
    x = torch.rand(1, 1, 16, 16, 16)
    old = bundle.build()
    torch.testing.assert_close(network.stem(x.repeat(1, 2, 1, 1, 1)), old.stem(x), atol=1e-4, rtol=1e-4)


def test_nothing_fits(model, tiny):
    with pytest.raises(UsageError, match="no weight of model"):
        warm_start(torch.nn.ModuleDict({"other": torch.nn.Linear(2, 2)}), load_bundle(model))


def test_freezing(tiny):
    network = network_of(tiny("fine_tune"))
    assert freeze(network, ["stem", "encoder.0"]) > 0
    assert not network.stem[0].weight.requires_grad
    assert network.encoder[1][0].first[0].weight.requires_grad
    with pytest.raises(UsageError, match="names 'steem', which the network does not have"):
        freeze(network, ["steem"])
    with pytest.raises(UsageError, match="nothing is left"):
        freeze(network, [name for name, _ in network.named_parameters()])


def test_fine_tuning_on_corrections_from_slicer(model, pairs, make, tiny, tmp_path):
    corrections = tmp_path / "corrections"
    corrections.mkdir()
    for number in (7, 8, 9):
        image, label = make["scan"](number)
        sitk.WriteImage(image, str(corrections / f"scan{number}.nrrd"))
        write_segmentation(corrections / f"scan{number}.seg.nrrd", label[8:44, 6:40, 3:22], LIVER_TUMOR)
    config = tiny("fine_tune", init_from=str(model), data__mix=str(pairs), data__validation=["scan9"])
    run = tmp_path / "run"
    trainer = Trainer(config, corrections, run)
    frozen = trainer.network.stem[0].weight.clone()
    trainer.train()
    assert torch.equal(frozen, trainer.network.stem[0].weight)
    assert {prepared.case.name[:4] for prepared in trainer.data.mixed} == {"case"}
    change = json.loads((run / "before_after.json").read_text())
    assert change["before"]["step"] == 0
    assert change["after"]["step"] == config.optimiser.steps
    assert "| scan9 | liver dice |" in (run / "before_after.md").read_text()
    assert "weights loaded; none left over" in (run / "warm_start.txt").read_text()
