"""Models for other programs give the bundle's own output."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from LiverTumorSegLib.errors import ModelError, UsageError
from LiverTumorSegLib.model.bundle import load_bundle, save_bundle
from LiverTumorSegLib.model.modelfile import unpack_model
from LiverTumorSegLib.pipeline.inference import Segmenter

from LiverTumorSegTraining.export import formats
from LiverTumorSegTraining.export.export_model import main
from LiverTumorSegTraining.export.formats import description, export_format, stride_of
from LiverTumorSegTraining.training.model import bundle_of, network_of


def bundle(tiny, name, **changes):
    config = tiny(name, **changes)
    torch.manual_seed(3)
    return bundle_of(config, network_of(config).state_dict())


@pytest.mark.parametrize("format", ["torchscript", "onnx", "monai_bundle"])
@pytest.mark.parametrize("name", ["attention_unet_3d", "brats_attention_3d", "lits_resunet_2d"])
def test_the_output_is_the_bundles_own(tiny, tmp_path, name, format):
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="ONNX is checked with onnxruntime")
    model = bundle(tiny, name)
    if format == "monai_bundle" and name == "lits_resunet_2d":
        with pytest.raises(UsageError, match="3D only"):
            export_format(model, tmp_path, format)
        return
    difference = export_format(model, tmp_path, format)
    print(f"{name} as {format}: probabilities differ by {difference:.1e} at most")
    assert difference <= 1e-3
    told = json.loads((tmp_path / "description.json").read_text())
    assert told["labels"] == list(model.labels)
    assert told["stride"] == stride_of(model) == description(model)["stride"]
    assert told["intensity"]["normalisation"] == model.intensity.normalisation


def test_a_model_that_differs_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differs by"):
        export_format(bundle(tiny, "attention_unet_3d"), tmp_path, "torchscript")


def test_from_a_model_folder_through_the_command_line(tiny, tmp_path, capsys):
    save_bundle(bundle(tiny, "unet_3d_128"), tmp_path / "model")
    assert main([str(tmp_path / "model"), "--output", str(tmp_path / "out"), "--format", "torchscript"]) == 0
    assert "torchscript of unet-3d-128 written" in capsys.readouterr().out
    loaded = torch.jit.load(str(tmp_path / "out" / "model.ts"))
    probability = loaded(torch.rand(1, 1, 32, 48, 32))
    assert probability.shape == (1, 3, 32, 48, 32)
    torch.testing.assert_close(probability.sum(1), torch.ones(1, 32, 48, 32))


def test_one_file_through_the_command_line(tiny, tmp_path, capsys):
    saved = save_bundle(bundle(tiny, "unet_3d_128"), tmp_path / "model")
    assert main([str(tmp_path / "model"), "--output", str(tmp_path / "out"), "--format", "ltsmodel"]) == 0
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == f"{saved.id}-{saved.version}.ltsmodel"
    assert str(path) in capsys.readouterr().out
    assert load_bundle(unpack_model(path, tmp_path / "models")).sha256 == saved.sha256


def test_monai_runs_the_bundle_from_file_to_file(make, tiny, tmp_path):
    from monai.bundle import ConfigParser

    changes = {"preparation__spacing_mm": [4, 4, 3], "sampling__patch_size": [32, 48, 64]}
    model = dataclasses.replace(bundle(tiny, "attention_unet_3d", **changes), task="other", field_of_view="whole_scan")
    export_format(model, tmp_path / "bundle", "monai_bundle")
    image, _ = make["scan"](1, size=(32, 48, 64))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    parser = ConfigParser()
    parser.read_config(str(tmp_path / "bundle" / "configs" / "inference.json"))
    parser.read_meta(str(tmp_path / "bundle" / "configs" / "metadata.json"))
    parser["bundle_root"] = str(tmp_path / "bundle")
    parser["images"] = [[str(tmp_path / "scan.nii.gz")]]
    parser["device"] = "$torch.device('cpu')"
    # What MONAI's evaluator does with these parts; it itself needs a package more.
    parts = [parser.get_parsed_content(name) for name in ("dataset", "inferer", "network", "postprocessing")]
    dataset, inferer, network, after = parts
    (item,) = dataset
    item["pred"] = inferer(item["image"][None], network)[0]
    after(item)
    (written,) = (tmp_path / "bundle" / "eval").rglob("*.nii.gz")
    theirs = sitk.ReadImage(str(written))
    assert theirs.GetSize() == image.GetSize()
    ours = Segmenter(model, device="cpu").segment(image, force=True).labelmap
    # One tile, no resampling: what is left are probabilities that are nearly equal.
    differing = np.mean(sitk.GetArrayFromImage(ours) != sitk.GetArrayFromImage(theirs))
    print(f"MONAI's own run of the bundle: {differing:.2%} of the voxels differ")
    assert differing < 0.01


def test_what_a_monai_bundle_cannot_measure_is_refused(tiny, tmp_path):
    model = bundle(tiny, "attention_unet_3d", preparation__liver_hu=90, preparation__field_of_view="liver_box")
    with pytest.raises(UsageError, match="goes by the liver's density"):
        export_format(model, tmp_path, "monai_bundle")
    assert not list(tmp_path.iterdir()) or not (tmp_path / "models").exists()
    export_format(model, tmp_path, "torchscript")
    assert json.loads((tmp_path / "description.json").read_text())["intensity"]["liver_hu"] == 90
