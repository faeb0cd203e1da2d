"""Follow-up on phantoms with known change: every lesion paired right, volumes within 5 %."""

import base64
import dataclasses
import io

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.followup.changes import choose_targets, measure_changes
from LiverTumorSegLib.followup.cli import compare, main
from LiverTumorSegLib.followup.pictures import make_view, track_picture
from LiverTumorSegLib.followup.registration import IDENTITY, align_livers
from LiverTumorSegLib.followup.response import assess
from LiverTumorSegLib.followup.timepoints import TimePoint
from LiverTumorSegLib.followup.tracking import follow

from LiverTumorSegTraining.evaluation.phantoms import ball

SHAPE = (60, 150, 170)
SPACING = (2.5, 1.4, 1.4)
LIVER = [((75.0, 100.0, 90.0), (52.0, 60.0, 62.0)), ((85.0, 80.0, 140.0), (35.0, 32.0, 60.0))]


def scan(name, lesions, shift_mm=(0.0, 0.0, 0.0), degrees=0.0, spacing=SPACING):
    """Draw a two-lobed liver with ball lesions {key: (centre [z, y, x] mm, radius mm)}, moved and turned about z."""
    shape = tuple(round(n * s / t) for n, s, t in zip(SHAPE, SPACING, spacing, strict=True))
    angle = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    pivot = np.array(LIVER[0][0])
    axes = [np.arange(n) * s for n, s in zip(shape, spacing, strict=True)]
    where = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) - pivot - np.array(shift_mm)
    where = where @ turn + pivot
    labels = np.zeros(shape, dtype=np.uint8)
    for centre, radii in LIVER:
        labels[(((where - centre) / radii) ** 2).sum(axis=-1) <= 1.0] = 1
    for centre, radius in lesions:
        labels[((where - np.array(centre)) ** 2).sum(axis=-1) <= radius**2] = 2
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin((-100.0, -80.0, 30.0))
    return TimePoint(name, image)


A, B, C, D = (70.0, 90.0, 60.0), (80.0, 120.0, 110.0), (95.0, 80.0, 150.0), (50.0, 110.0, 85.0)


def tracked(points):
    alignments = [IDENTITY, *(align_livers(points[0], point) for point in points[1:])]
    tracks = follow(points, alignments)
    targets = choose_targets(points[0])
    changes = measure_changes(points, tracks, targets, alignments)
    return tracks, changes, assess(points, tracks, targets, alignments), alignments


def ball_ml(radius):
    return 4.0 / 3.0 * np.pi * radius**3 / 1000.0


MOVES = [((0.0, 0.0, 0.0), 0.0), ((0.0, 15.0, 0.0), 0.0), ((-10.0, 5.0, 10.0), 6.0)]


@pytest.mark.parametrize(("shift", "degrees"), MOVES, ids=["still", "shift of 15 mm", "shift of 15 mm and turn"])
def test_shrunk_new_and_vanished_lesions(shift, degrees):
    before = scan("before", [(A, 16.0), (B, 12.0), (C, 9.0)])
    after = scan("after", [(A, 11.0), (B, 15.0), (D, 8.0)], shift, degrees, spacing=(2.0, 1.5, 1.5))
    _, changes, (assessment,), alignments = tracked([before, after])
    assert alignments[1].liver_dice > 0.97
    events = {change.event: change for change in changes}
    assert len(changes) == 4
    assert sorted(change.event for change in changes) == ["followed", "followed", "new", "vanished"]
    large = changes[0]
    assert large.volumes_ml == pytest.approx((ball_ml(16.0), ball_ml(11.0)), rel=0.05)
    assert large.volume_change == pytest.approx((11.0 / 16.0) ** 3 - 1.0, abs=0.05)
    assert changes[1].volumes_ml == pytest.approx((ball_ml(12.0), ball_ml(15.0)), rel=0.05)
    assert events["vanished"].volumes_ml == pytest.approx((ball_ml(9.0), 0.0), rel=0.05)
    assert events["new"].volumes_ml == pytest.approx((0.0, ball_ml(8.0)), rel=0.05)
    assert large.diameters_mm == pytest.approx((32.0, 22.0), abs=1.5)
    assert assessment.new_lesions == (events["new"].track.number,)
    # The new lesion alone is progression, if a reader confirms it.
    assert (assessment.category, assessment.category_without_new) == ("progressive disease", "stable disease")
    assert "reader" in assessment.wording


@pytest.mark.parametrize(("shift", "degrees"), MOVES[1:], ids=["shift of 15 mm", "shift of 15 mm and turn"])
def test_a_split_is_one_lesion_in_two_pieces(shift, degrees):
    before = scan("before", [(A, 18.0), (C, 9.0)])
    pieces = [((A[0], A[1] - 9.5, A[2]), 7.5), ((A[0], A[1] + 9.5, A[2]), 6.5)]
    after = scan("after", [*pieces, (C, 9.0)], shift, degrees)
    _, changes, (assessment,), _ = tracked([before, after])
    assert [change.event for change in changes] == ["split", "followed"]
    assert changes[0].parts == (1, 2)
    assert changes[0].volumes_ml[1] == pytest.approx(ball_ml(7.5) + ball_ml(6.5), rel=0.05)
    assert assessment.new_lesions == ()
    # RECIST 1.1 adds the pieces of a target.
    assert assessment.sum_mm == pytest.approx(15.0 + 13.0 + 18.0, abs=3.0 * SPACING[1])


def test_a_fusion_is_one_track_measured_once():
    one, two = (A[0], A[1] - 12.0, A[2]), (A[0], A[1] + 12.0, A[2])
    before = scan("before", [(one, 9.0), (two, 8.0), (C, 7.0)])
    after = scan("after", [(one, 14.0), (two, 13.0), (C, 7.0)], (5.0, -10.0, 8.0), 4.0)
    _, changes, (assessment,), _ = tracked([before, after])
    assert sorted(change.event for change in changes) == ["followed", "fused"]
    fused = next(change for change in changes if change.event == "fused")
    assert fused.parts == (2, 1)
    assert assessment.category == "progressive disease"


def test_three_dates_with_a_lesion_that_comes_back():
    points = [
        scan("one", [(A, 14.0), (C, 8.0)]),
        scan("two", [(A, 9.0)], (6.0, 0.0, -6.0)),
        scan("three", [(A, 13.0), (C, 6.0)], (-8.0, 4.0, 0.0), -4.0),
    ]
    tracks, changes, assessments, _ = tracked(points)
    assert len(tracks) == 2
    assert [change.event for change in changes] == ["followed", "came back"]
    # Against the smallest sum so far, not the baseline: RECIST 1.1's nadir.
    assert [assessment.category for assessment in assessments] == ["partial response", "progressive disease"]


def test_complete_response_and_no_targets():
    before, after = scan("before", [(A, 12.0)]), scan("after", [])
    assert tracked([before, after])[2][0].category == "complete response"
    tiny = scan("tiny", [(A, 4.0)])
    (found,) = tracked([tiny, before])[2]
    assert (found.target_response, found.category) == (None, "non-CR/non-PD")


def test_livers_that_do_not_lie_on_each_other_give_no_response():
    """A lesion that is not found in another organ has not gone: never a complete response."""
    before, after = scan("before", [(A, 12.0)]), scan("after", [])
    tracks, _, _, alignments = tracked([before, after])
    apart = [alignments[0], dataclasses.replace(alignments[1], liver_dice=0.31)]
    (assessment,) = assess([before, after], tracks, choose_targets(before), apart)
    assert assessment.category == "not evaluable"
    assert "registration failed" in assessment.wording
    (assessment,) = assess([before, after], tracks, choose_targets(before), alignments)
    assert assessment.category == "complete response"


def test_a_small_piece_beside_a_whole_liver_is_not_compared(tmp_path):
    before, after = scan("before", [(A, 12.0)]), scan("after", [])
    piece = sitk.GetArrayFromImage(after.labelmap)
    piece[..., 60:] = 0
    piece[14:] = 0
    other = sitk.GetImageFromArray(piece)
    other.CopyInformation(after.labelmap)
    assert compare([before, TimePoint("after", other)]).assessments[0].category == "not evaluable"


def test_interpolated_labels_are_named_and_not_segmented(tmp_path, capsys):
    first = scan("first", [(A, 12.0)]).labelmap
    paths = [tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"]
    sitk.WriteImage(first, str(paths[0]))
    sitk.WriteImage(sitk.DiscreteGaussian(sitk.Cast(first, sitk.sitkFloat32), 2.0), str(paths[1]))
    assert main([*map(str, paths), "--output", str(tmp_path / "out")]) == 3
    told = capsys.readouterr().err
    assert "label values must be whole numbers" in told
    assert "without interpolation" in told
    assert not (tmp_path / "out" / "segmentations").exists()


def test_at_most_two_targets_of_ten_mm():
    point = scan("scan", [(A, 16.0), (B, 12.0), (C, 9.0), (D, 4.0)])
    assert choose_targets(point) == (1, 2)
    assert choose_targets(scan("scan", [(D, 4.0)])) == ()


def test_a_scan_without_liver_and_tumour_is_refused():
    empty = sitk.Image((20, 20, 20), sitk.sitkUInt8)
    with pytest.raises(InputError, match="neither liver nor tumour"):
        TimePoint("empty", empty)


def test_ball_is_exact_enough_for_these_tests():
    assert np.count_nonzero(ball(SHAPE, A, 12.0, SPACING)) * np.prod(SPACING) / 1000.0 == pytest.approx(
        ball_ml(12.0), rel=0.02
    )


def test_an_uncertain_ct_is_followed_only_when_forced(tmp_path, capsys):
    """A CT longer than a person is refused, and segmented with --force."""
    rng = np.random.default_rng(0)
    noise = sitk.GetImageFromArray(rng.integers(-100, 200, (260, 16, 16)).astype(np.int16))
    noise.SetSpacing((9.9, 9.9, 9.9))
    paths = [tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"]
    for path in paths:
        sitk.WriteImage(noise, str(path))
    arguments = [*map(str, paths), "--output", str(tmp_path / "out"), "--device", "cpu", "--quality", "quick"]
    assert main(arguments) == 3
    assert "more than a person" in capsys.readouterr().err
    assert not (tmp_path / "out" / "segmentations" / "1" / "first.seg.nrrd").exists()
    # Whether anything in noise is taken for a liver, and can be followed, is not the question here.
    main([*arguments, "--force"])
    assert "could not be segmented" not in capsys.readouterr().err
    assert (tmp_path / "out" / "segmentations" / "1" / "first.seg.nrrd").is_file()


def test_specks_are_not_counted_as_new_lesions():
    before, after = scan("a", [(A, 12.0)]), scan("b", [(A, 12.0), (C, 2.0), (B, 4.0)])
    tracks, changes, (assessment,), _ = tracked([before, after])
    born = {track.number: after.lesions[track.seen(1)[0] - 1].diameter_mm for track in tracks if min(track.parts) == 1}
    assert len(born) == 2
    assert min(born.values()) < 5.0 <= max(born.values())
    assert assessment.new_lesions == tuple(number for number, diameter in born.items() if diameter >= 5.0)
    assert "1 below 5 mm not counted as new. 1 lesion without a partner" in assessment.wording
    # They are followed and listed all the same.
    assert sorted(change.event for change in changes) == ["followed", "new", "new"]


def test_the_picture_of_a_lesion_shows_its_two_diameters():
    """A lesion of 40 x 24 mm, turned: both lines are white, as long as measured, and the title names them."""
    image_module = pytest.importorskip("PIL.Image", reason="pictures are read by Pillow")
    pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
    point = scan("dated", [])
    _, y, x = (np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True))
    y, x = (y - 90.0)[:, None], (x - 70.0)[None]
    ellipse = ((x + y) / 20.0) ** 2 / 2 + ((x - y) / 12.0) ** 2 / 2 <= 1.0
    labels = sitk.GetArrayFromImage(point.labelmap)
    labels[24:30, ellipse] = 2
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(point.labelmap)
    point = TimePoint("dated", image)
    (lesion,) = point.lesions
    assert (lesion.diameter_mm, lesion.perpendicular_mm) == pytest.approx((40.0, 24.0), abs=1.5)
    (track,) = follow([point], [IDENTITY])
    view = make_view(point)
    (drawn,) = view.diameters((1,))
    assert (drawn.longest_mm, drawn.perpendicular_mm) == (lesion.diameter_mm, lesion.perpendicular_mm)
    uri = track_picture(track, [point], [view], [IDENTITY])
    picture = np.asarray(image_module.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("L"))
    panel = picture[-260:-10, 10:-10]
    rows, columns = np.nonzero(panel > 200)
    # 90 mm are shown across the panel; the longest diameter goes from one corner of the lesion to the other.
    mm = 90.0 / 265.0
    assert np.hypot(np.ptp(rows), np.ptp(columns)) * mm == pytest.approx(40.0, abs=3.0)
    across = np.abs((rows - rows.mean()) - (columns - columns.mean())) / np.sqrt(2.0) * mm
    assert across.max() == pytest.approx(12.0, abs=2.0)
