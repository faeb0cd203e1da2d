"""A model that nnU-Net trained gives here what nnU-Net's own predictor gives; nothing in its checkpoint is run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.__main__ import main as segment
from LiverTumorSegLib.errors import InputError, ModelError
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.tiles import predict_logits
from LiverTumorSegLib.output.segfile import read_segmentation
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.pipeline.nnunet_way import nnunet_input, nnunet_plan, nnunet_probabilities, probability_slices
from LiverTumorSegLib.pipeline.quality import QUALITIES
from nnunet_scans import CASE, KINDS, LATTICE, scan

from LiverTumorSegTraining.export.export_model import main as export
from LiverTumorSegTraining.export.import_model import import_model, main

DATA = Path(__file__).parent / "nnunet"
TOLERANCE = 1e-4


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def bundle(kind, tmp_path):
    return import_model(DATA / kind, "fold_0", tmp_path / "model")


def probabilities(bundle, images):
    """Return class probabilities (classes, z, y, x) before they are rounded to 255 steps, background first."""
    shown = nnunet_input(images, bundle)
    logits = predict_logits([bundle.build()], shown.array, nnunet_plan(bundle, QUALITIES["best"]), torch.device("cpu"))
    whole = np.zeros((len(bundle.labels) + 1, *reversed(shown.grid.size)), np.float32)
    whole[0] = 1
    part = whole[(slice(None), *shown.box)]
    part[:] = np.stack([one.numpy() for one in probability_slices(logits, shown, part.shape[1:])], 1)
    return whole, logits, shown


def test_probabilities_are_those_of_nnunets_own_predictor(kind, bundle):
    images, _ = scan(kind, CASE)
    expected = np.load(DATA / kind / "expected.npz")
    ours, logits, shown = probabilities(bundle, images)
    theirs = expected["probabilities"] / 65535
    difference, differing = np.abs(ours[1:][LATTICE] - theirs).max(), int((ours.argmax(0) != expected["labels"]).sum())
    print(f"{kind}: probabilities differ by {difference:.1e} at most, {differing} of {ours[0].size} labels")
    assert difference <= TOLERANCE
    assert ((theirs > 0.05) & (theirs < 0.95)).mean() > 0.001, "a network that is sure everywhere proves little"
    assert differing / expected["labels"].size <= TOLERANCE
    rounded = nnunet_probabilities(logits, shown, shown.grid)
    assert np.abs(rounded / 255 - ours[1:]).max() <= 0.51 / 255


def test_the_description_is_that_of_the_plans(kind, bundle):
    plans = json.loads((DATA / kind / "plans.json").read_text())
    settings = plans["configurations"]["3d_fullres"]
    axes = np.argsort(plans["transpose_forward"])
    assert np.allclose(bundle.spacing_mm[::-1], np.array(settings["spacing"])[axes])
    assert bundle.patch_size == tuple(np.array(settings["patch_size"])[axes])
    assert bundle.channels == tuple(KINDS[kind]["channels"].values())
    assert bundle.mirroring == (0, 1, 2)
    assert (bundle.conventions, bundle.field_of_view) == ("nnunet", "whole_scan")
    if kind == "plain":
        # nnU-Net's "tumour" is the product's tumor: its lesions are measured.
        assert (bundle.task, bundle.labels) == ("liver-tumor", ("liver", "tumor"))
        assert bundle.intensity.window_hu is not None
    else:
        assert (bundle.task, bundle.labels) == ("other", ("brain", "lesion", "vessel"))
        assert plans["transpose_forward"] != [0, 1, 2], "the weights' axes are to be turned"
        assert bundle.intensity.within_body


def test_the_command_lines_import_and_segment(tmp_path, capsys):
    assert main([str(DATA / "residual"), "--output", str(tmp_path / "model")]) == 0
    assert "1 brain, 2 lesion, 3 vessel" in capsys.readouterr().out
    assert "Isensee" in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    images, _ = scan("residual", CASE)
    files = [tmp_path / f"case_{number:04d}.nii.gz" for number in range(2)]
    for image, file in zip(images, files, strict=True):
        sitk.WriteImage(image, str(file))
    told = ["--model", str(tmp_path / "model"), "--quality", "best", "--device", "cpu"]
    assert segment([*map(str, files), "--output", str(tmp_path / "out"), *told]) == 0
    labels, names = read_segmentation(tmp_path / "out" / "case.seg.nrrd")
    expected = np.load(DATA / "residual" / "expected.npz")["labels"]
    whole = sitk.Resample(labels, images[0], sitk.Transform(), sitk.sitkNearestNeighbor)
    assert names == {"brain": 1, "lesion": 2, "vessel": 3}
    # Probabilities of 255 steps tie where nnU-Net's own nearly do.
    assert (sitk.GetArrayFromImage(whole) != expected).mean() <= 2 * TOLERANCE


def test_a_scan_is_turned_to_the_axes_the_network_knows(tmp_path):
    images, _ = scan("plain", CASE)
    wanted = "RAS"
    bundle = import_model(DATA / "plain", "fold_0", tmp_path / "model", orientation=wanted)
    segmenter = Segmenter(bundle, device="cpu", quality="quick")
    assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(images[0].GetDirection()) == wanted
    stored = segmenter.segment(images[0]).labelmap
    other = segmenter.segment(sitk.DICOMOrient(images[0], "LIP")).labelmap
    assert np.array_equal(sitk.GetArrayFromImage(sitk.DICOMOrient(other, wanted)), sitk.GetArrayFromImage(stored))


class Harm:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def damaged(tmp_path, change):
    folder = tmp_path / "result"
    shutil.copytree(DATA / "plain", folder)
    change(folder)
    return folder


def with_code(folder):
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "logging": Harm()}, path)


def test_a_checkpoint_that_holds_code_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="could run code"):
        import_model(damaged(tmp_path, with_code), "fold_0", tmp_path / "model")
    assert not Path("harm").exists()


def changed(file, *keys, value):
    def change(folder):
        content = json.loads((folder / file).read_text())
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        (folder / file).write_text(json.dumps(content))

    return change


SETTINGS = ("configurations", "3d_fullres")
REFUSED = {
    "cascade": (changed("plans.json", *SETTINGS, "previous_stage", value="3d_lowres"), "second stage of a cascade"),
    "2d": (changed("plans.json", *SETTINGS, "patch_size", value=[64, 64]), "only 3D ones"),
    "regions": (changed("dataset.json", "labels", value={"background": 0, "whole": [1, 2], "tumour": 2}), "regions"),
    "gap": (changed("dataset.json", "labels", value={"background": 0, "liver": 1, "tumour": 3}), "without a gap"),
    "class": (changed("plans.json", *SETTINGS, "architecture", "network_class_name", value="a.Primus"), "is a Primus"),
    "scheme": (changed("plans.json", *SETTINGS, "normalization_schemes", value=["RGBTo01Normalization"]), "RGBTo01"),
    "resampling": (changed("plans.json", *SETTINGS, "resampling_fn_data_kwargs", "order", value=1), "way of its own"),
    "plans": (lambda folder: (folder / "plans.json").unlink(), "There is no plans.json"),
    "configuration": (changed("plans.json", "configurations", value={}), "no configuration"),
    "network": (
        changed("plans.json", *SETTINGS, "architecture", "arch_kwargs", "features_per_stage", value=[6, 12, 18]),
        "do not fit",
    ),
    "checkpoint": (lambda folder: (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"PK\3\4"), "damaged"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_a_bundle_cannot_hold_is_refused_in_words(tmp_path, name):
    change, words = REFUSED[name]
    with pytest.raises((InputError, ModelError), match=words):
        import_model(damaged(tmp_path, change), "fold_0", tmp_path / "model")


def test_plans_of_older_versions_describe_the_same_network(tmp_path, bundle, kind):
    def old(folder):
        plans = json.loads((folder / "plans.json").read_text())
        settings = plans["configurations"]["3d_fullres"]
        told = settings.pop("architecture")
        arguments = told["arch_kwargs"]
        depths = arguments.get("n_conv_per_stage") or arguments["n_blocks_per_stage"]
        settings |= {
            "UNet_class_name": told["network_class_name"].rsplit(".", 1)[-1],
            "UNet_base_num_features": arguments["features_per_stage"][0],
            "unet_max_num_features": max(arguments["features_per_stage"]),
            "n_conv_per_stage_encoder": depths,
            "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"],
            "conv_kernel_sizes": arguments["kernel_sizes"],
            "pool_op_kernel_sizes": arguments["strides"],
        }
        (folder / "plans.json").write_text(json.dumps(plans))

    folder = tmp_path / "old"
    shutil.copytree(DATA / kind, folder)
    old(folder)
    assert import_model(folder, "fold_0", tmp_path / "again").network == bundle.network


def test_several_folds_become_an_ensemble(tmp_path, capsys):
    folder = tmp_path / "result"
    shutil.copytree(DATA / "plain", folder)
    shutil.copytree(folder / "fold_0", folder / "fold_1")
    assert main([str(folder), "--output", str(tmp_path / "model")]) == 0
    assert "averages the 2 networks" in capsys.readouterr().out
    assert [load_bundle(tmp_path / "model" / f"fold_{n}").labels for n in (0, 1)] == [("liver", "tumor")] * 2


def test_it_is_not_exported_as_what_cannot_hold_its_preparation(tmp_path, bundle, capsys):
    assert export([str(tmp_path / "model"), "--output", str(tmp_path / "out"), "--format", "torchscript"]) == 2
    assert "imported from nnU-Net" in capsys.readouterr().err
