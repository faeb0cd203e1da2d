"""The CT of a saved segmentation: found by its report or by its name, used where it fits, and told of where not."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.followup.cli import compare, main
from LiverTumorSegLib.followup.inputs import ScanInput, linked_image, open_scan

LIVER_HU, TUMOR_HU = 110, 60


@pytest.fixture
def saved(tmp_path):
    """Write a CT and its labels under names, in a folder of their own; return the path of the labels."""

    def save(segmentation, image, tumor_hu=TUMOR_HU, size=40):
        labels = np.zeros((size,) * 3, np.uint8)
        labels[5:35, 5:35, 5:35] = 1
        labels[10:20, 10:20, 10:20] = 2
        for name, array in (
            (segmentation, labels),
            (image, np.array([-100, LIVER_HU, tumor_hu], np.int16)[labels] if image else None),
        ):
            if name:
                written = sitk.GetImageFromArray(array)
                written.SetSpacing((1.5, 1.5, 2.0))
                (tmp_path / name).parent.mkdir(exist_ok=True)
                sitk.WriteImage(written, str(tmp_path / name))
        return tmp_path / segmentation

    return save


def load(path, image=None):
    return open_scan(ScanInput(path, image, None, path.parent.name))


@pytest.mark.parametrize(
    ("segmentation", "image"),
    [
        ("CT.seg.nrrd", "CT.nrrd"),
        ("CT.seg.nrrd", "CT.nii.gz"),
        ("CT liver 2.seg.nrrd", "CT.nrrd"),
        ("1.5 mm liver liver 12.nii.gz", "1.5 mm liver.nrrd"),
        ("CT.nrrd", None),
        ("CT liver.seg.nrrd", None),
    ],
)
def test_a_ct_is_found_by_its_name(saved, segmentation, image):
    path = saved(f"a/{segmentation}", f"a/{image}" if image else None)
    assert linked_image(path) == (path.parent / image if image else None)


def test_the_report_goes_before_the_name(saved, tmp_path):
    path = saved("a/CT.seg.nrrd", "a/CT.nrrd")
    own = path.parent / "CT.nrrd"
    for given, found in ((tmp_path / "gone" / "scan.nrrd", None), (own, own), (tmp_path / "moved" / "CT.nrrd", own)):
        (path.parent / "CT.report.json").write_text(json.dumps({"input": {"path": str(given)}}))
        assert linked_image(path) == found
    (path.parent / "CT.report.json").write_text("{")
    assert linked_image(path) == own


def test_densities_are_those_of_the_ct_and_none_without(saved, tmp_path, capsys):
    before, after = saved("a/CT.seg.nrrd", None), saved("b/CT liver 1.seg.nrrd", "b/CT.nrrd", tumor_hu=35)
    found = compare([load(before), load(after)])
    (change,) = found.changes
    assert change.mean_hu == (None, pytest.approx(35, abs=1))
    (warning,) = [text for text in found.warnings() if "no CT" in text]
    assert warning.startswith("a: ")
    assert any(text.startswith("No date is known of a, b: ") for text in found.warnings())
    pytest.importorskip("jinja2")
    assert main([str(before), str(after), "--names", "a", "b", "--output", str(tmp_path / "out")]) == 0
    assert "note: a: no CT" in capsys.readouterr().out
    assert "<td>\u2014 \u2192 35</td>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "out" / "followup.json").read_text(encoding="utf-8"))
    assert told["tracks"][0]["mean_hu"] == [None, 35]


def test_what_does_not_fit_is_left_out_unless_it_was_named(saved, tmp_path):
    path = saved("a/CT.seg.nrrd", "a/CT.nrrd")
    saved("other.seg.nrrd", "a/CT.nrrd", size=44)
    assert load(path).image is None
    (tmp_path / "a" / "CT.nrrd").write_bytes(b"NRRD0004\nno more")
    assert load(path).image is None
    saved("other.seg.nrrd", "a/CT.nrrd", size=44)
    with pytest.raises(InputError, match="grid of the scan"):
        load(path, tmp_path / "a" / "CT.nrrd")
