"""The report of a case: JSON, lesion table, overview picture, HTML page."""

import csv
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.findings import Finding
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.labels import label_table
from LiverTumorSegLib.output.picture import write_case_picture
from LiverTumorSegLib.output.report import build_report, write_lesions_csv
from LiverTumorSegLib.output.report_html import ReportCase, write_html_report
from LiverTumorSegLib.pipeline.lesions import measure_lesions
from LiverTumorSegLib.pipeline.volumes import volumes_ml

KEYS = {"input", "findings", "model", "device", "quality", "seconds", "peak_rss_mb", "volumes_ml", "lesions"}


def scan(tumors: bool = True) -> tuple[sitk.Image, sitk.Image]:
    """Return a small CT with a liver on the patient's right, and its labels (LPS axes, 2 x 2 x 3 mm)."""
    z, y, x = np.mgrid[:40, :60, :80]
    liver = ((x - 22) / 16) ** 2 + ((y - 28) / 18) ** 2 + ((z - 20) / 13) ** 2 < 1
    labels = np.where(liver, 1, 0).astype(np.uint8)
    if tumors:
        labels[((x - 20) ** 2 + (y - 26) ** 2 + (z - 20) ** 2) < 36] = 2
        labels[((x - 30) ** 2 + (y - 32) ** 2 + (z - 18) ** 2) < 5] = 2
    body = ((x - 40) / 38) ** 2 + ((y - 30) / 28) ** 2 < 1
    values = np.where(body, -60, -1000) + (labels == 1) * 150 + (labels == 2) * 90
    images = []
    for array in (values.astype(np.int16), labels):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 3.0))
        image.SetOrigin((-80.0, -60.0, 500.0))
        images.append(image)
    return images[0], images[1]


def report_of(image: sitk.Image, labelmap: sitk.Image, **changes) -> dict:
    result = {
        "labelmap": labelmap,
        "labels": ("liver", "tumor"),
        "lesions": measure_lesions(labelmap, image),
        "findings": (Finding("noise", "warning", "The scan is <b>noisy</b>."),),
        "seconds": {"localise": 0.5, "total": 1.5},
        "device": "cpu",
        "provenance": {"model": {"id": "liver-tumor", "version": "1", "sha256": "ab" * 32}},
    }
    case = SimpleNamespace(image=image, path=Path("Ťest 肝/scan.nii.gz"), sha256="cd" * 32, series=())
    return build_report(case, SimpleNamespace(**{**result, **changes}), quality="standard")


def pixels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)


def test_json_has_every_key_and_the_whole_organ_as_liver(tmp_path):
    image, labelmap = scan()
    write_json(tmp_path / "a.report.json", report_of(image, labelmap))
    report = json.loads((tmp_path / "a.report.json").read_text(encoding="utf-8"))
    assert set(report) >= KEYS | {"version"}
    values = sitk.GetArrayFromImage(labelmap)
    assert report["volumes_ml"]["liver"] == pytest.approx((values > 0).sum() * 12 / 1000)
    assert report["volumes_ml"]["tumor"] == pytest.approx((values == 2).sum() * 12 / 1000)
    assert report["input"]["geometry"] == {
        "size": [80, 60, 40],
        "spacing": [2, 2, 3],
        "origin": [-80, -60, 500],
        "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    }
    assert report["input"]["path"].endswith("scan.nii.gz")
    assert [lesion["id"] for lesion in report["lesions"]] == [1, 2]
    assert report["peak_rss_mb"] > 50


def test_csv_has_one_row_a_lesion(tmp_path):
    image, labelmap = scan()
    lesions = measure_lesions(labelmap, image)
    write_lesions_csv(tmp_path / "a.csv", lesions)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["1", "2"]
    assert float(rows[0]["volume_ml"]) == pytest.approx(lesions[0].volume_ml, abs=1e-3)
    assert float(rows[0]["centroid_s_mm"]) == pytest.approx(560, abs=0.1)
    assert rows[0]["mean_probability"] == ""


def test_csv_without_lesions_is_its_header(tmp_path):
    write_lesions_csv(tmp_path / "a.csv", ())
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1


def test_volumes_of_any_label_table_are_by_name():
    _, labelmap = scan()
    volumes = volumes_ml(labelmap, label_table(["oedema", "core", "enhancing"]))
    assert list(volumes) == ["oedema", "core", "enhancing"]
    assert volumes["enhancing"] == 0


def test_picture_does_not_depend_on_how_the_voxels_are_stored(tmp_path):
    image, labelmap = scan()
    write_case_picture(tmp_path / "a.png", image, labelmap, measure_lesions(labelmap, image), title="case")
    turned = [sitk.DICOMOrient(item, "RSP") for item in (image, labelmap)]
    flipped = [sitk.Flip(item, (True, False, True)) for item in turned]
    write_case_picture(tmp_path / "b.png", *flipped, measure_lesions(flipped[1], flipped[0]), title="case")
    difference = np.abs(pixels(tmp_path / "a.png") - pixels(tmp_path / "b.png")).max(axis=2)
    assert (difference > 32).mean() < 0.002


def test_picture_shows_the_patients_right_on_the_left(tmp_path):
    image, labelmap = scan()
    write_case_picture(tmp_path / "a.png", image, labelmap, measure_lesions(labelmap, image))
    picture = pixels(tmp_path / "a.png")
    axial = picture[:, : picture.shape[1] // 4]
    red = (axial[..., 0] > 180) & (axial[..., 1] < 110)
    columns = np.flatnonzero(red.any(axis=0))
    assert columns.size
    # The field spans x = -80..80 mm or less; the liver sits at its right (small x), so left of the field's middle.
    assert columns.mean() < 0.5 * axial.shape[1]


def test_the_picture_of_an_mr_takes_its_own_window_and_says_what_it_is(tmp_path):
    image, labelmap = scan()
    mr = sitk.Cast(image + 1000, sitk.sitkFloat32)
    pictures = {}
    for name, grey, window, modality in (
        ("own window", mr, None, "FLAIR"),
        ("ten times as bright", mr * 10, None, "FLAIR"),
        ("as a CT", mr * 10, (-150.0, 250.0), "FLAIR"),
        ("called MR", mr, None, "MR"),
    ):
        write_case_picture(tmp_path / "a.png", grey, labelmap, (), "case", window=window, modality=modality)
        pictures[name] = pixels(tmp_path / "a.png")
    planes = {
        name: picture[picture.shape[0] // 4 : -60, : picture.shape[1] // 2] for name, picture in pictures.items()
    }
    assert np.abs(planes["own window"] - planes["ten times as bright"]).max() <= 2
    assert np.abs(planes["own window"] - planes["as a CT"]).mean() > 20
    assert np.array_equal(planes["own window"], planes["called MR"])
    assert not np.array_equal(pictures["own window"], pictures["called MR"])


@pytest.mark.parametrize("empty", ["no tumour", "no liver"])
def test_picture_of_a_case_without_findings(tmp_path, empty):
    image, labelmap = scan(tumors=False)
    if empty == "no liver":
        labelmap = labelmap * 0
    assert write_case_picture(tmp_path / "a.png", image, labelmap, ())
    assert pixels(tmp_path / "a.png").shape[1] == 1600


def test_picture_is_left_out_without_matplotlib(tmp_path, monkeypatch):
    image, labelmap = scan(tumors=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not write_case_picture(tmp_path / "a.png", image, labelmap, ())
    assert not list(tmp_path.iterdir())


def test_html_is_one_file_that_loads_nothing(tmp_path):
    image, labelmap = scan()
    report = report_of(image, labelmap)
    write_case_picture(tmp_path / "a.png", image, labelmap, measure_lesions(labelmap, image))
    empty = report_of(image, labelmap * 0)
    cases = [
        ReportCase("with <tumour>", report, tmp_path / "a.png", "Where it is from.", {"Liver Dice": 0.9312}),
        ReportCase("empty", empty),
    ]
    write_html_report(tmp_path / "report.html", cases, title="Two cases")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)', page))
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)', page))
    assert "with &lt;tumour&gt;" in page
    assert "&lt;b&gt;noisy" in page
    assert "0.931" in page
    assert "No tumour was found" in page
    assert "research use only" in page
    assert page.count("<section") == page.count("</section>") == 2
