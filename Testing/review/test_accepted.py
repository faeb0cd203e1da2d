"""Accepted lesions as DICOM SEG, SR and page: read back they are those lesions, with their measures, and no others."""

from dataclasses import replace

import numpy as np
import pytest
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.grid import Grid
from LiverTumorSegLib.review.accepted import write_accepted_dicom, write_accepted_page
from LiverTumorSegLib.review.figures import measure_session
from LiverTumorSegLib.review.verdicts import judge, open_verdicts
from LiverTumorSegLib.scan.imageio import read_case

highdicom = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:The string .* is unlikely to represent the intended person name")
MODEL = {"id": "liver-tumor", "version": "1.2.3"}
LESIONS = (np.s_[3:8, 6:14, 10:20], np.s_[4:7, 20:25, 24:30], np.s_[9:11, 10:13, 28:32])


@pytest.fixture
def judged(tmp_path, make_ct, dicom_series):
    """A case read from DICOM with lesion 1 accepted, 2 rejected, 3 not looked at."""
    dicom_series(tmp_path / "scan", make_ct(size=(40, 32, 12), spacing=(4, 4.5, 3)))
    case = read_case(tmp_path / "scan")
    labels = np.zeros(case.image.GetSize()[::-1], np.uint8)
    labels[2:11, 3:28, 6:36] = 1
    for box in LESIONS:
        labels[box] = 2
    verdicts, labels = judge(open_verdicts(labels), labels, 1, "accept")
    verdicts, labels = judge(verdicts, labels, 2, "reject")
    return case, labels, verdicts, measure_session(verdicts, labels, case.image)


def test_dicom_objects_hold_the_accepted_lesion_only(judged, tmp_path):
    case, labels, verdicts, figures = judged
    grid = Grid.of(case.image)
    seg, sr = write_accepted_dicom(tmp_path, "x", labels, verdicts, figures, grid, case.dicom_files, MODEL)
    assert {path.name for path in tmp_path.iterdir()} == {"scan", "x.seg.dcm", "x.sr.dcm"}
    segmentation = highdicom.seg.segread(seg)
    names = [segmentation.get_segment_description(n).segment_label for n in (1, 2)]
    assert (segmentation.number_of_segments, names) == (2, ["liver", "lesion 1"])
    assert segmentation.get_segment_description(2).algorithm_type.value == "SEMIAUTOMATIC"
    volume = segmentation.get_volume(combine_segments=True)
    assert np.count_nonzero(volume.array == 2) == 5 * 8 * 10
    assert np.count_nonzero(volume.array) == np.count_nonzero(labels)
    points = np.argwhere(volume.array == 2).mean(0) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    assert points == pytest.approx(figures[0].lesion.centroid_lps_mm, abs=0.01)
    document = highdicom.sr.srread(sr)
    organ, group = document.content.get_volumetric_roi_measurement_groups()
    (volume_ml,) = [m.value for m in organ.get_measurements()]
    voxel_ml = np.prod(case.image.GetSpacing()) / 1000
    assert volume_ml == pytest.approx((np.count_nonzero(labels) - 400) * voxel_ml)
    assert group.tracking_identifier == "lesion 1"
    reference = group.referenced_segment
    assert reference.referenced_sop_instance_uid == segmentation.SOPInstanceUID
    assert reference.referenced_segment_numbers == [2]
    assert group.finding_type.value == "108369006"
    told = {
        (m.name.meaning, m.derivation and m.derivation.meaning): (m.value, m.unit.value)
        for m in group.get_measurements()
    }
    lesion = figures[0].lesion
    assert told == {
        ("Volume", None): (pytest.approx(lesion.volume_ml, abs=1e-4), "ml"),
        ("Long axis", None): (pytest.approx(lesion.diameter_mm, abs=1e-4), "mm"),
        ("Short axis", None): (pytest.approx(lesion.perpendicular_mm, abs=1e-4), "mm"),
        ("Attenuation Coefficient", "Mean"): (pytest.approx(lesion.mean_hu, abs=1e-4), "[hnsf'U]"),
        ("Attenuation Coefficient", "Standard Deviation"): (pytest.approx(lesion.sd_hu, abs=1e-4), "[hnsf'U]"),
    }
    assert document.StudyInstanceUID == segmentation.StudyInstanceUID
    referenced = {
        item.ReferencedSOPInstanceUID
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert len(referenced) == len(case.dicom_files) + 1


def test_the_page_holds_the_accepted_lesion_only(judged, tmp_path):
    case, labels, verdicts, figures = judged
    write_accepted_page(
        tmp_path / "a.html", "CT", case.image, labels, verdicts, figures, {"model": {**MODEL, "sha256": "ab"}}
    )
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 1
    assert "accepted 1 of 3" in text
    assert f"tumour {figures[0].lesion.volume_ml:.1f} ml" in text
    assert "1.2.3" in text


def test_what_cannot_be_exported_is_one_sentence_and_leaves_nothing(judged, tmp_path):
    case, labels, verdicts, figures = judged
    grid = Grid.of(case.image)
    unjudged, unjudged_labels = judge(verdicts, labels, 1, "unsure")
    with pytest.raises(InputError, match="No lesion is accepted"):
        write_accepted_dicom(tmp_path, "x", unjudged_labels, unjudged, figures, grid, case.dicom_files, MODEL)
    with pytest.raises(InputError, match="No lesion is accepted"):
        write_accepted_page(tmp_path / "a.html", "CT", case.image, unjudged_labels, unjudged, figures)
    beside = replace(grid, origin_mm=(grid.origin_mm[0] + 2.0, *grid.origin_mm[1:]))
    with pytest.raises(InputError, match="does not lie where its DICOM slices are"):
        write_accepted_dicom(tmp_path, "x", labels, verdicts, figures, beside, case.dicom_files, MODEL)
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]


def test_a_scan_without_lesions_may_be_reported(judged, tmp_path):
    case, labels, _verdicts, _figures = judged
    healthy = np.where(labels > 0, 1, 0).astype(np.uint8)
    verdicts = open_verdicts(healthy)
    grid = Grid.of(case.image)
    seg, sr = write_accepted_dicom(tmp_path, "h", healthy, verdicts, (), grid, case.dicom_files, MODEL)
    assert highdicom.seg.segread(seg).number_of_segments == 1
    (organ,) = highdicom.sr.srread(sr).content.get_volumetric_roi_measurement_groups()
    assert (organ.tracking_identifier, organ.finding_type.meaning) == ("liver", "Liver")
