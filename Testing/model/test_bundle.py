import dataclasses
import hashlib
import json

import pytest
import torch
from LiverTumorSegLib.errors import ModelError
from LiverTumorSegLib.model.bundle import DESCRIPTION, WEIGHTS, Bundle, load_bundle, save_bundle
from LiverTumorSegLib.model.network import UNet
from LiverTumorSegLib.model.normalisation import Intensity
from safetensors.torch import load_file, save_file


def tiny_bundle(seed: int = 0, **changes) -> Bundle:
    torch.manual_seed(seed)
    network = UNet(features=(8, 8), blocks=(1, 1), norm="batch")
    values = {
        "id": "tiny",
        "version": "1",
        "task": "liver-tumor",
        "network": network.arguments,
        "labels": ("liver", "tumor"),
        "spacing_mm": (2.0, 2.0, 2.0),
        "patch_size": (16, 16, 16),
        "intensity": Intensity(),
        "weights": network.state_dict(),
        "training": {"data": "noise", "licence": "CC0"},
    }
    return Bundle(**(values | changes))


@pytest.fixture
def folder(tmp_path):
    save_bundle(tiny_bundle(), tmp_path / "tiny")
    return tmp_path / "tiny"


def test_round_trip_keeps_description_and_weights(folder):
    original, loaded = tiny_bundle(), load_bundle(folder)
    for entry in dataclasses.fields(Bundle):
        if entry.name not in ("weights", "sha256"):
            assert getattr(loaded, entry.name) == getattr(original, entry.name), entry.name
    x = torch.randn(1, 1, 16, 16, 16)
    assert torch.allclose(loaded.build()(x), original.build()(x), atol=0.02)
    assert loaded.build().training is False


def test_full_precision_is_exact(tmp_path):
    original = tiny_bundle()
    loaded = save_bundle(original, tmp_path / "full", bits=32)
    assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in original.weights.items())


def test_8_bits_halve_the_file_and_each_weight_is_within_half_a_step(folder, tmp_path):
    original = tiny_bundle()
    loaded = save_bundle(original, tmp_path / "small", bits=8)
    assert json.loads((tmp_path / "small" / DESCRIPTION).read_text())["schema_version"] == 3
    assert (tmp_path / "small" / WEIGHTS).stat().st_size < 0.65 * (folder / WEIGHTS).stat().st_size
    assert loaded.weights.keys() == original.weights.keys()
    for name, weight in original.weights.items():
        error = (loaded.weights[name] - weight).abs()
        if weight.ndim > 1:
            assert (error.flatten(1).amax(1) <= 0.51 / 127 * weight.flatten(1).abs().amax(1)).all(), name
        else:
            assert error.max() < 1e-3, name
    x = torch.randn(1, 1, 16, 16, 16)
    exact = original.build()(x)
    assert (loaded.build()(x) - exact).norm() < 0.03 * exact.norm()
    again = save_bundle(loaded, tmp_path / "again", bits=8)
    assert all(torch.allclose(again.weights[name], weight) for name, weight in loaded.weights.items())


def test_a_scale_without_its_weight_is_refused(folder):
    weights = load_file(folder / WEIGHTS)
    name, _ = weights.popitem()
    save_file({f"{name}:scale": torch.ones(8), **weights}, folder / WEIGHTS)
    change(sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())(folder)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_bundle(folder)


def damage_truncate(folder):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def damage_flip_a_bit(folder):
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)


def damage_swap(folder):
    other = folder.parent / "other"
    save_bundle(tiny_bundle(seed=1), other)
    (other / WEIGHTS).replace(folder / WEIGHTS)


def change(**entries):
    def damage(folder):
        path = folder / DESCRIPTION
        content = json.loads(path.read_text())
        content.update(entries)
        path.write_text(json.dumps(content))

    return damage


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_truncate, "damaged or were exchanged"),
        (damage_flip_a_bit, "damaged or were exchanged"),
        (damage_swap, "damaged or were exchanged"),
        (lambda folder: (folder / WEIGHTS).unlink(), "no readable model.safetensors"),
        (lambda folder: (folder / DESCRIPTION).unlink(), "no model.json in"),
        (lambda folder: (folder / DESCRIPTION).write_text("{"), "cannot be read"),
        (lambda folder: (folder / DESCRIPTION).write_text("[]"), "no schema_version"),
        (change(schema_version=99), "newer version of LiverTumorSeg"),
        (change(surprise=1), "does not know"),
        (change(task="cooking"), "inconsistent"),
        (change(spacing_mm=[1, 0, 1]), "inconsistent"),
        (change(labels=["liver"]), "inconsistent"),
        (change(network={"dims": 3, "classes": 3, "features": [8, 16], "blocks": [1, 1]}), "do not fit the network"),
        (change(network={"dims": 3, "classes": 3, "depth": 3}), "do not fit the network"),
        (change(tumor_threshold=1.5), "inconsistent"),
    ],
)
def test_a_damaged_folder_is_one_clear_sentence(folder, damage, sentence):
    damage(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        load_bundle(folder)
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)


def test_a_missing_entry_is_named(folder):
    path = folder / DESCRIPTION
    content = json.loads(path.read_text())
    del content["patch_size"]
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"misses.*patch_size"):
        load_bundle(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no model folder.*nowhere"):
        load_bundle(tmp_path / "nowhere")


def test_a_pickle_in_disguise_is_refused(folder):
    torch.save({"weight": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(folder)
