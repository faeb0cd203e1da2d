"""Work on another scan is neither shown nor written over: folders, checksums, grids, what lies beside a case."""

import base64
import contextlib
import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.output.segfile import write_segmentation
from LiverTumorSegLib.scan.imageio import input_sha256, read_case
from LiverTumorSegReview.case_files import CaseFiles, find_case
from LiverTumorSegReview.keeping import Keeping
from LiverTumorSegReview.reading import start_reading
from LiverTumorSegReview.storage import autosave, open_session, read_other_result, save, take_autosave


def a_scan(folder: Path, shape=(20, 24, 28), tumor_hu=60) -> Path:
    """Write a CT with a liver and a lesion; return its path."""
    labels = labels_of(shape)
    image = sitk.GetImageFromArray(np.choose(labels, (-80, 110, tumor_hu)).astype(np.int16))
    image.SetSpacing((2.0, 2.0, 2.5))
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(folder / "ct.nii.gz"))
    return folder / "ct.nii.gz"


def labels_of(shape=(20, 24, 28)):
    labels = np.zeros(shape, np.uint8)
    labels[2:18, 2:22, 2:26] = 1
    labels[4:8, 4:8, 4:8] = 2
    return labels


def segmented(files: CaseFiles, checksum=True) -> CaseFiles:
    """Write what a run writes; without the checksum as versions did that did not write it."""
    image = sitk.ReadImage(str(files.scan))
    labelmap = sitk.GetImageFromArray(labels_of(image.GetSize()[::-1]))
    labelmap.CopyInformation(image)
    sha256 = {"sha256": input_sha256(files.scan)} if checksum else {}
    metadata = {"LiverTumorSeg_input_sha256": sha256["sha256"]} if checksum else {}
    files.folder.mkdir(parents=True, exist_ok=True)
    write_segmentation(files.of("seg.nrrd"), labelmap, LIVER_TUMOR, metadata)
    report = {"input": {"path": str(files.scan), **sha256}, "threshold": 0.5}
    files.of("report.json").write_text(json.dumps(report), encoding="utf-8")
    return files


def reviewed(files: CaseFiles) -> CaseFiles:
    """Save a review that rejects the lesion, and keep unsaved work beside it."""
    session = open_session(files, read_case(files.scan).image)
    session.judge(1, "reject")
    save(files, session)
    session.judge(1, "unsure")
    autosave(files, session)
    return files


def refusal_of(files: CaseFiles) -> str:
    with pytest.raises(InputError) as refused:
        start_reading(files).result()
    return str(refused.value)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return the folder that the program is started in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["ct.nii.gz", "CT"])
def test_scans_of_one_name_have_folders_of_their_own(here, name):
    folders = set()
    for patient in ("a", "b"):
        scan = here / patient / name
        (scan if name == "CT" else scan.parent).mkdir(parents=True)
        if name != "CT":
            scan.write_bytes(b"")
        folders.add(find_case(scan).folder)
        assert find_case(Path(patient) / name).folder in folders, "by whatever path the scan is named"
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {Path("results/review")}


def test_the_result_of_another_patient_is_not_found(here):
    ours, theirs = a_scan(here / "a"), a_scan(here / "b", tumor_hu=50)
    reviewed(segmented(find_case(ours)))
    found = find_case(theirs)
    assert (found.has_result, found.has_autosave) == (False, False)
    again = find_case(ours)
    assert (again.has_result, again.has_autosave) == (True, True)
    assert start_reading(again).result().sha256 == input_sha256(ours)
    case = read_case(ours)
    session = open_session(again, case.image, case.sha256)
    assert session.verdicts.lesion(1).verdict == "reject"
    assert "findings" not in session.provenance


@pytest.mark.parametrize("checksum", [True, False])
def test_a_folder_of_an_earlier_version_is_found_by_its_own_scan_only(here, checksum):
    ours, theirs = a_scan(here / "a"), a_scan(here / "b", tumor_hu=50)
    earlier = CaseFiles("ct", Path("a/ct.nii.gz"), Path("results/review/ct"))
    reviewed(segmented(earlier, checksum))
    found = find_case(ours)
    assert found.folder == earlier.folder
    start_reading(found).result()
    assert not find_case(theirs).has_result


def test_a_scan_that_moved_finds_its_work_by_its_checksum(here):
    ours = a_scan(here / "a")
    first = reviewed(segmented(find_case(ours)))
    theirs = a_scan(here / "c", tumor_hu=50)
    moved = here / "b" / "ct.nii.gz"
    moved.parent.mkdir()
    ours.rename(moved)
    assert find_case(moved).folder == first.folder
    start_reading(find_case(moved)).result()
    assert not find_case(theirs).has_result


@pytest.mark.parametrize("checksum", [True, False])
def test_one_output_folder_for_two_scans_of_one_name_is_refused(here, checksum):
    ours, theirs = a_scan(here / "a"), a_scan(here / "b", tumor_hu=50)
    segmented(find_case(ours, output=here / "out"), checksum)
    start_reading(find_case(ours, output=here / "out")).result()
    words = refusal_of(find_case(theirs, output=here / "out"))
    assert "was made from another scan" in words
    assert "--output" in words


def test_a_relative_path_that_means_another_scan_here_is_refused(here, monkeypatch):
    a_scan(here / "a"), a_scan(here / "b", tumor_hu=50)
    monkeypatch.chdir(here / "a")
    segmented(find_case(Path("ct.nii.gz"), output=here / "out"))
    monkeypatch.chdir(here / "b")
    assert "was made from another scan" in refusal_of(find_case(here / "out" / "ct.seg.nrrd"))


def test_a_scan_that_changed_since_is_refused_until_the_reader_names_it(here):
    scan = a_scan(here / "a")
    files = reviewed(segmented(find_case(scan)))
    a_scan(here / "a", tumor_hu=61)
    assert "has changed since" in refusal_of(find_case(scan))
    named = find_case(files.of("seg.nrrd"), scan)
    case = start_reading(named).result()
    session = open_session(named, case.image, case.sha256)
    assert [each["code"] for each in session.provenance["findings"]] == ["another_file"]
    save(named, session)
    start_reading(find_case(files.of("seg.nrrd"), scan)).result()


def test_a_result_on_another_grid_is_refused_not_resampled(here):
    ours, larger = a_scan(here / "a"), a_scan(here / "b", (22, 26, 30))
    files = segmented(find_case(ours))
    with pytest.raises(InputError, match="28 x 24 x 20 voxels instead of 30 x 26 x 22"):
        open_session(files, read_case(larger).image)
    moved = read_case(ours).image
    moved.SetOrigin((1.0, 0.0, 0.0))
    with pytest.raises(InputError, match="does not lie on the grid of the scan"):
        open_session(files, moved)
    assert "name its own scan with --scan" in refusal_of(find_case(files.of("seg.nrrd"), larger))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def cropped(image: sitk.Image) -> sitk.Image:
    """Return an image without its last slices, rows and columns of both sides."""
    return image[2:26, 2:22, 1:19]


def crop_in_place(*paths: Path) -> None:
    for path in paths:
        sitk.WriteImage(cropped(sitk.ReadImage(str(path))), str(path))


@pytest.mark.parametrize("again", [False, True])
def test_a_scan_that_was_cropped_in_place_is_refused_and_its_review_stays(here, again):
    """Also where the cropped scan was segmented again, beside the review of the whole one."""
    scan = a_scan(here / "a")
    files = reviewed(segmented(find_case(scan)))
    crop_in_place(scan)
    if again:
        segmented(files)
    before = contents(files.folder)
    for named in (find_case(scan), find_case(files.of("seg.nrrd")), find_case(files.of("seg.nrrd"), scan)):
        words = refusal_of(named)
        assert ("is the review of another scan" in words) == again
        assert again or "--scan" in words
    assert contents(files.folder) == before


@pytest.mark.parametrize("earlier_version", [False, True])
@pytest.mark.parametrize("change", [None, {"box": [[0, 20], [0, 24], [0, 28]]}, {"box": [[1, 3]]}, "?"])
def test_stored_work_of_another_shape_than_its_labelmap_is_refused(here, change, earlier_version):
    """The labelmaps were cropped with the scan and the verdicts were not: they would lie elsewhere."""
    scan = a_scan(here / "a")
    files = reviewed(segmented(find_case(scan)))
    for kind in ("reviewed", "autosave"):
        path = files.of(f"{kind}.json")
        stored = json.loads(path.read_text(encoding="utf-8"))
        if earlier_version:
            del stored["size"]
        if isinstance(change, dict):
            mask = np.ones([stop - start for start, stop in change["box"]], bool)
            packed = base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode()
            stored["beyond_organ"] = {**change, "mask": packed}
        elif change:
            stored["threshold"] = change
        path.write_text(json.dumps(stored), encoding="utf-8")
    crop_in_place(scan, *files.folder.glob("*.seg.nrrd"))
    if earlier_version and change is None:
        return  # nothing in it tells
    named = find_case(files.of("seg.nrrd"), scan)
    case = start_reading(named).result()
    before = contents(files.folder)
    with pytest.raises(InputError, match=r"ct\.reviewed\.json does not fit .*move both to another folder"):
        open_session(named, case.image)
    files.of("reviewed.seg.nrrd").rename(here / "moved.seg.nrrd")
    session = open_session(named, case.image)
    with pytest.raises(InputError, match=r"ct\.autosave\.json does not fit"):
        take_autosave(named, session)
    assert not session.can_undo
    assert {**contents(files.folder), "ct.reviewed.seg.nrrd": (here / "moved.seg.nrrd").read_bytes()} == before


@pytest.mark.parametrize("readable", [True, False])
def test_unsaved_work_that_cannot_be_taken_is_offered_on(here, readable):
    """Answered for, it would be written over by the next autosave."""
    files = reviewed(segmented(find_case(a_scan(here / "a"))))
    if not readable:
        files.of("autosave.json").write_text("{}", encoding="utf-8")
    session = open_session(files, read_case(files.scan).image)
    desk = DeskOf(session)
    Keeping(desk, files, None).answer_autosave(True)
    assert (desk.state.autosave_found, "autosave.json" in desk.state.message) == (not readable, not readable)
    assert session.verdicts.lesion(1).verdict == ("unsure" if readable else "reject")
    Keeping(desk, files, None).answer_autosave(False)
    assert (desk.state.autosave_found, files.has_autosave) == (False, False)


class DeskOf:
    """A desk that shows nothing."""

    def __init__(self, session):
        self.session, self.state = session, SimpleNamespace(autosave_found=True, message="")

    def show(self):
        assert not self.state.autosave_found, "while work is offered the page takes nothing"

    @contextlib.contextmanager
    def said(self):
        try:
            yield
        except InputError as error:
            self.state.message = str(error)


@pytest.mark.parametrize("kind", ["reviewed", "accepted", "autosave"])
@pytest.mark.parametrize(("shape", "checksum"), [((20, 24, 28), True), ((22, 26, 30), False)])
def test_a_review_of_another_scan_is_neither_shown_nor_written_over(here, kind, shape, checksum):
    ours, theirs = a_scan(here / "a"), a_scan(here / "b", shape, tumor_hu=50)
    other = reviewed(segmented(find_case(theirs), checksum))
    files = find_case(ours)
    files.folder.mkdir(parents=True)
    for path in other.folder.glob(f"*.{kind}.*"):
        shutil.copy(path, files.folder)
    for each in (files, segmented(files)):  # before it is segmented, and beside a new result
        words = refusal_of(each)
        assert f"ct.{kind}.seg.nrrd is the review of another scan" in words
        assert "move it to another folder" in words


def test_only_another_result_of_the_same_scan_is_compared(here):
    ours, theirs = a_scan(here / "a"), a_scan(here / "b", tumor_hu=50)
    files = segmented(find_case(ours))
    session = open_session(files, read_case(ours).image)
    second = segmented(replace(files, folder=files.folder / "second"))
    assert np.array_equal(read_other_result(second.of("seg.nrrd"), session), labels_of())
    with pytest.raises(InputError, match="was made from another scan"):
        read_other_result(segmented(find_case(theirs)).of("seg.nrrd"), session)
    larger = segmented(find_case(a_scan(here / "c", (22, 26, 30))), checksum=False)
    with pytest.raises(InputError, match="grid of the scan"):
        read_other_result(larger.of("seg.nrrd"), session)


def test_a_damaged_result_is_no_other_scan_and_opening_says_what_is_wrong(here):
    files = segmented(find_case(a_scan(here / "a")))
    files.of("seg.nrrd").write_bytes(b"NRRD0004\n")
    case = start_reading(files).result()
    with pytest.raises(InputError, match=r"ct\.seg\.nrrd"):
        open_session(files, case.image)
