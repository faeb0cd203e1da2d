"""Options, refusals, cancelling and the device ladder of the Segmenter."""

import dataclasses
import json
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.errors import CancelledError, InputError, ModelError, OutOfMemoryError, UsageError
from LiverTumorSegLib.model import devices, tiles
from LiverTumorSegLib.model.bundle import load_bundle, save_bundle
from LiverTumorSegLib.model.devices import Rung, choose_device, climb
from LiverTumorSegLib.model.models import localiser_for
from LiverTumorSegLib.model.network import UNet
from LiverTumorSegLib.model.normalisation import Intensity
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.pipeline.quality import QUALITIES


@pytest.fixture
def scan(make_phantom):
    return make_phantom()[0]


def labels_of(result):
    return sitk.GetArrayFromImage(result.labelmap)


def test_progress_rises_to_one_with_words(density_bundles, scan):
    told = []
    Segmenter(*density_bundles, device="cpu").segment(
        scan, progress=lambda fraction, words: told.append((fraction, words))
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert any("tile" in words for _, words in told)


@pytest.mark.parametrize("after", [1, 3, 8])
def test_cancel_stops_within_two_seconds(density_bundles, scan, after):
    calls, since = [], []

    def cancelled():
        calls.append(1)
        if len(calls) == after:
            since.append(time.monotonic())
        return len(calls) >= after

    with pytest.raises(CancelledError):
        Segmenter(*density_bundles, device="cpu").segment(scan, cancelled=cancelled)
    assert time.monotonic() - since[0] < 2


def test_qualities_agree_on_an_easy_scan(density_bundles, scan):
    results = [labels_of(Segmenter(*density_bundles, device="cpu", quality=q).segment(scan)) for q in QUALITIES]
    for other in results[1:]:
        assert (results[0] != other).mean() < 1e-3


def test_a_model_that_gains_nothing_by_flips_is_looked_through_once_and_that_is_said(density_bundles, scan):
    fine, localiser = density_bundles
    still = Segmenter(dataclasses.replace(fine, mirroring=()), localiser, device="cpu", quality="best").segment(scan)
    standard, best = (Segmenter(fine, localiser, device="cpu", quality=q).segment(scan) for q in ("standard", "best"))
    probability = [sitk.GetArrayFromImage(result.tumor_probability) for result in (still, standard, best)]
    assert np.array_equal(probability[0], probability[1])
    said = [[finding.message for finding in result.findings if finding.code == "quality"] for result in (still, best)]
    assert said == [[f"Model {fine.id!r} gains nothing by several looks: best gives what standard gives."], []]


def test_a_lower_threshold_never_shrinks_the_tumour(density_bundles, scan):
    volumes = [
        (labels_of(Segmenter(*density_bundles, device="cpu", threshold=t).segment(scan)) == 2).sum()
        for t in (0.9, 0.5, 0.1)
    ]
    assert volumes == sorted(volumes)
    assert volumes[0] < volumes[2]


def test_an_ensemble_of_one_model_twice_is_that_model(density_bundles, scan):
    fine, localiser = density_bundles
    alone = Segmenter(fine, localiser, device="cpu").segment(scan)
    twice = Segmenter([fine, fine], localiser, device="cpu").segment(scan)
    assert (labels_of(alone) != labels_of(twice)).mean() < 1e-4
    assert [model["id"] for model in twice.provenance["models"]] == [fine.id, fine.id]


def test_a_model_that_resizes_the_box_keeps_the_input_grid(density_bundles, scan):
    fine, localiser = density_bundles
    resized = dataclasses.replace(fine, resize=(64, 64, 64), patch_size=(64, 64, 64))
    result = Segmenter(resized, localiser, device="cpu").segment(scan)
    assert result.labelmap.GetSize() == scan.GetSize()
    plain = labels_of(Segmenter(fine, localiser, device="cpu").segment(scan))
    assert (
        2 * ((labels_of(result) > 0) & (plain > 0)).sum() / ((labels_of(result) > 0).sum() + (plain > 0).sum()) > 0.95
    )


def test_without_a_localiser_the_whole_scan_is_searched(density_bundles, make_phantom):
    image, labels, _ = make_phantom()
    found = labels_of(Segmenter(density_bundles[0], device="cpu").segment(image))
    assert 2 * ((found > 0) & (labels > 0)).sum() / ((found > 0).sum() + (labels > 0).sum()) > 0.97


def test_maps_show_attention_and_are_unsure_at_borders_only(density_bundles, make_phantom):
    image, labels, _ = make_phantom()
    fine, localiser = density_bundles
    network = UNet(**fine.network | {"attention": "gate"})
    state = network.state_dict()
    state.update(fine.weights)
    state["decoder.0.attention.psi.bias"].fill_(-200.0)  # a gate that is shut everywhere
    shut = dataclasses.replace(fine, network=network.arguments, weights=state, sha256="shut")
    maps = Segmenter([fine, shut], localiser, device="cpu", maps=True).segment(image).maps
    assert sitk.GetArrayViewFromImage(maps["attention"]).max() == 0
    maps = Segmenter(fine, localiser, device="cpu", maps=True).segment(image).maps
    assert set(maps) == {"uncertainty"}
    unsure = sitk.GetArrayFromImage(
        sitk.Resample(maps["uncertainty"], image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    )
    from scipy import ndimage

    inner = ndimage.binary_erosion(labels == 1, iterations=4)
    border = ndimage.binary_dilation(labels == 2) & ~ndimage.binary_erosion(labels == 2)
    assert unsure[inner].mean() < 30 < unsure[border].mean()


def test_models_with_other_labels_are_not_averaged(density_bundles):
    fine, localiser = density_bundles
    other = dataclasses.replace(fine, labels=("liver", "cyst"))
    with pytest.raises(ModelError, match="cannot be averaged"):
        Segmenter([fine, other], localiser, device="cpu")
    with pytest.raises(ModelError, match="not a localiser"):
        Segmenter(fine, fine, device="cpu")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"quality": "superb"}, "--quality is 'superb'"),
        ({"threshold": 1.5}, "--threshold is 1.5"),
        ({"device": "tpu"}, "--device is 'tpu'"),
        ({"device": "cuda:99"}, "--device is 'cuda:99'"),
    ],
)
def test_a_wrong_option_is_named(density_bundles, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        Segmenter(*density_bundles, **({"device": "cpu"} | options))


def test_the_number_of_channels_is_checked(density_bundles, scan):
    with pytest.raises(InputError, match="needs 1 images"):
        Segmenter(*density_bundles, device="cpu").segment([scan, scan])


def test_few_nan_voxels_are_replaced_and_said_many_are_refused(density_bundles, make_phantom):
    image, _, grid = make_phantom()
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    segmenter = Segmenter(*density_bundles, device="cpu")
    clean = labels_of(segmenter.segment(grid.image(values)))
    values[0, 0, :5] = np.nan
    result = segmenter.segment(grid.image(values))
    assert np.array_equal(labels_of(result), clean)
    assert any("NaN" in finding.message for finding in result.findings)
    values[20:40, 40:70, 40:70] = np.inf
    with pytest.raises(InputError, match="NaN"):
        segmenter.segment(grid.image(values))


def test_an_mr_is_refused_unless_forced(density_bundles, scan):
    segmenter = Segmenter(*density_bundles, device="cpu")
    with pytest.raises(InputError, match=r"MR.*--force"):
        segmenter.segment(scan, modality="MR")
    assert labels_of(segmenter.segment(scan, modality="MR", force=True)).any()


@pytest.mark.parametrize("failing", [1, 2])
def test_out_of_memory_moves_down_the_ladder_with_the_same_labels(density_bundles, scan, monkeypatch, failing):
    """The CPU stands for each rung; the first `failing` of them run out of memory."""
    cpu = torch.device("cpu")
    expected = labels_of(Segmenter(*density_bundles, device="cpu").segment(scan))
    monkeypatch.setattr(devices, "ladder", lambda device: iter([Rung(cpu, cpu)] * 3))
    real, calls = tiles.predict_probabilities, []

    def scarce(*arguments, **options):
        calls.append(1)
        if len(calls) <= failing:
            raise torch.OutOfMemoryError("injected")
        return real(*arguments, **options)

    monkeypatch.setattr("LiverTumorSegLib.pipeline.inference.predict_probabilities", scarce)
    result = Segmenter(*density_bundles, device="cpu").segment(scan)
    assert np.array_equal(labels_of(result), expected)
    assert sum(finding.code == "memory" for finding in result.findings) == failing


def test_no_rung_left_is_one_sentence():
    def work(rung):
        raise torch.OutOfMemoryError("injected")

    told = []
    with pytest.raises(OutOfMemoryError, match="not enough memory"):
        climb(torch.device("cpu"), work, told.append)
    assert len(told) == 1


def test_another_runtime_error_is_not_taken_for_memory():
    def work(rung):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        climb(torch.device("cpu"), work, lambda sentence: None)


def test_auto_falls_back_with_a_sentence_when_the_gpu_has_no_kernels(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "probe", lambda device: "no kernel image is available")
    device, note = choose_device("auto")
    assert device.type == "cpu"
    assert "no kernel image" in note


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_agrees_with_the_cpu(density_bundles, scan):
    cpu = labels_of(Segmenter(*density_bundles, device="cpu").segment(scan))
    gpu = labels_of(Segmenter(*density_bundles, device="cuda").segment(scan))
    for value in (1, 2):
        assert 2 * ((cpu == value) & (gpu == value)).sum() / ((cpu == value).sum() + (gpu == value).sum()) >= 0.999


@pytest.mark.parametrize("view", ["whole_scan", "crop"])
def test_the_localiser_runs_only_for_bundles_that_see_the_livers_box(density_bundles, scan, view):
    fine, localiser = density_bundles
    seen = Segmenter(dataclasses.replace(fine, field_of_view=view), localiser, device="cpu").segment(scan)
    alone = Segmenter(fine, device="cpu").segment(scan)
    assert "localiser" not in seen.provenance
    assert "localise" not in seen.seconds
    assert np.array_equal(labels_of(seen), labels_of(alone))
    assert "localise" in Segmenter(fine, localiser, device="cpu").segment(scan).seconds


def test_models_of_other_fields_of_view_are_not_averaged(density_bundles):
    fine, localiser = density_bundles
    with pytest.raises(ModelError, match="fields of view"):
        Segmenter([fine, dataclasses.replace(fine, field_of_view="whole_scan")], localiser, device="cpu")


def test_older_bundles_are_shown_what_they_were(density_bundles, tmp_path):
    fine, localiser = density_bundles
    assert fine.field_of_view == "liver_box"
    assert localiser.field_of_view == "whole_scan"
    mr = dataclasses.replace(fine, field_of_view="", intensity=Intensity(window_hu=None, normalisation="zscore"))
    assert mr.field_of_view == "whole_scan"
    assert localiser_for(mr) is None
    save_bundle(dataclasses.replace(fine, field_of_view="crop"), tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["field_of_view"] == "crop"
    del content["field_of_view"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert load_bundle(tmp_path).field_of_view == "liver_box"
    (tmp_path / "model.json").write_text(json.dumps(content | {"field_of_view": "knee"}))
    with pytest.raises(ModelError, match="field_of_view is 'knee'"):
        load_bundle(tmp_path)


def test_a_model_may_go_by_the_livers_density(density_bundles, make_phantom, scan):
    fine, localiser = density_bundles
    level = dataclasses.replace(fine, intensity=Intensity(liver_hu=85.0))
    expected = Segmenter(fine, localiser, device="cpu").segment(scan)
    values, labels = sitk.GetArrayFromImage(scan), make_phantom()[1]
    # The organ takes up contrast medium, its surroundings do not.
    enhanced = sitk.GetImageFromArray(values + 70 * (labels > 0).astype(values.dtype))
    enhanced.CopyInformation(scan)
    found = Segmenter(level, localiser, device="cpu").segment(enhanced)
    reference = labels_of(expected)
    assert (labels_of(found) != reference).sum() < 0.01 * (reference > 0).sum()
    without = labels_of(Segmenter(fine, localiser, device="cpu").segment(enhanced))
    assert (without == 2).sum() > 2 * (reference == 2).sum()
    alone = Segmenter(level, device="cpu")
    with pytest.raises(ModelError, match="goes by the liver's density: it needs a localiser"):
        alone.segment(enhanced)
    told = labels_of(alone.segment(enhanced, liver_hu=155.0))
    assert (told == 2).sum() < 1.2 * (reference == 2).sum()
