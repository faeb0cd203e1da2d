"""Exported corrections: they pair, they load, and nothing of the header goes along."""

import gzip
import json

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.review.training_pair import write_training_pair
from LiverTumorSegLib.review.verdicts import follow_edit, judge, open_verdicts


@pytest.fixture
def session(three_lesions):
    """Return a CT with a talkative header, the labelmap before and after a reader's work, and the verdicts."""
    values = np.choose(three_lesions, (-100, 110, 60)).astype(np.float32)
    values += np.random.default_rng(0).integers(-9, 9, values.shape)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((3.0, 3.0, 4.0))
    image.SetOrigin((-20.0, 5.0, 100.0))
    image.SetMetaData("0010|0010", "Doe^Jane")
    image.SetMetaData("0033|1001", "private")
    image.SetMetaData("ITK_FileNotes", "Doe^Jane")
    verdicts, labels = judge(open_verdicts(three_lesions), three_lesions, 1, "accept")
    verdicts, labels = judge(verdicts, labels, 2, "reject")
    labels = labels.copy()
    labels[14:16, 4:6, 4:6] = 2
    verdicts = follow_edit(verdicts, labels)
    verdicts, labels = judge(verdicts, labels, 4, "accept")
    return image, three_lesions, labels, verdicts


def test_the_pair_holds_what_was_decided(session, tmp_path):
    image, original, labels, verdicts = session
    model = {"model": {"id": "liver-tumor", "version": "0.3.0"}, "threshold": 0.3, "input": {"path": "/home/doe"}}
    pair = write_training_pair(tmp_path / "new", image, labels, verdicts, "p-017", original, model)
    label = sitk.ReadImage(str(pair.label))
    stored = sitk.GetArrayFromImage(label)
    assert label.GetSpacing() == pytest.approx(image.GetSpacing())
    assert label.GetOrigin() == pytest.approx(image.GetOrigin())
    assert (stored[4:8, 4:8, 4:8] == 2).all(), "accepted"
    assert (stored[10:13, 10:13, 10:13] == 1).all(), "rejected"
    assert (stored[14:16, 18:20, 20:22] == 255).all(), "not looked at: unknown"
    assert (stored[14:16, 4:6, 4:6] == 2).all(), "drawn and accepted"
    ct = sitk.ReadImage(str(pair.image))
    assert ct.GetPixelID() == sitk.sitkInt16
    assert np.array_equal(sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(image))
    log = json.loads(pair.log.read_text(encoding="utf-8"))
    assert {k: log[k] for k in ("model", "threshold")} == {k: model[k] for k in ("model", "threshold")}
    assert [(x["number"], x["verdict"], x["drawn_by_hand"]) for x in log["lesions"]] == [
        (1, "accept", False),
        (2, "reject", False),
        (3, "", False),
        (4, "accept", True),
    ]
    assert log["tumor_added_ml"] == pytest.approx(8 * 0.036)
    assert log["tumor_removed_ml"] == pytest.approx(27 * 0.036)
    assert log["organ_added_ml"] == log["organ_removed_ml"] == 0


def test_nothing_of_the_header_goes_along(session, tmp_path):
    image, original, labels, verdicts = session
    pair = write_training_pair(tmp_path, image, labels, verdicts, None, original, {"input": {"path": "Doe"}})
    for path in (pair.image, pair.label, pair.log):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for word in (b"Doe", b"Jane", b"private", str(tmp_path).encode()):
            assert word not in content
        assert "Doe" not in path.name
    header = gzip.decompress(pair.image.read_bytes())[:352]
    assert set(header[148:252]) == {0}, "description and auxiliary file of a NIfTI header are empty"
    assert set(header[4:34]) == {0}


def test_the_pairs_are_found_and_a_second_export_replaces_the_first(session, tmp_path):
    pytest.importorskip("LiverTumorSegTraining")
    from LiverTumorSegTraining.data.layouts import pairs
    from LiverTumorSegTraining.data.patients import patients_of

    image, _, labels, verdicts = session
    first = write_training_pair(tmp_path, image, labels, verdicts, "p-017")
    verdicts, labels = judge(verdicts, labels, 3, "accept")
    again = write_training_pair(tmp_path, image, labels, verdicts, "p-017")
    assert again == first
    write_training_pair(tmp_path, image + 1, labels, verdicts, "p-017")
    cases = pairs.find(tmp_path, ["CT"])
    assert pairs.matches(tmp_path)
    assert len(cases) == 2
    assert patients_of([case.name for case in cases]) == ["p-017", "p-017"]
    write_training_pair(tmp_path, image + 2, labels, verdicts, "anna")
    write_training_pair(tmp_path, image + 3, labels, verdicts, "anna")
    alone = write_training_pair(tmp_path, image + 4, labels, verdicts)
    cases = pairs.find(tmp_path, ["CT"])
    assert sorted(patients_of([case.name for case in cases])) == ["anna", "anna", alone.name, "p-017", "p-017"]
    assert all(case.label is not None and case.images[0].is_file() for case in cases)
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(again.label))) != 255).all()


def test_what_cannot_be_exported_is_one_sentence(session, tmp_path):
    image, _, labels, verdicts = session
    with pytest.raises(UsageError, match="pseudonym"):
        write_training_pair(tmp_path, image, labels, verdicts, "Doe, Jane")
    with pytest.raises(InputError, match="no liver"):
        write_training_pair(tmp_path, image, np.zeros_like(labels), verdicts)
    with pytest.raises(InputError, match="size of the scan"):
        write_training_pair(tmp_path, image, labels[1:], verdicts)
    assert not list(tmp_path.iterdir())
