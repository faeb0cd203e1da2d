"""What counts as finished before: the same bytes of every channel, the same models, the same options, every file."""

import dataclasses
import json
from argparse import Namespace
from types import SimpleNamespace

import pytest
import SimpleITK as sitk
from density_models import density_bundle
from LiverTumorSegLib.batch import worker_plan as worker_plan_room
from LiverTumorSegLib.batch.case import CaseWork
from LiverTumorSegLib.batch.jobs import Job, job_of, options_line, options_of
from LiverTumorSegLib.batch.worker_plan import UNMEASURED, memory_of_a_worker, worker_plan
from LiverTumorSegLib.memory import Memory
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.models import FINE, LOCALISER, models_folder
from LiverTumorSegLib.pipeline.inference import Segmenter
from LiverTumorSegLib.request import build_parser
from LiverTumorSegLib.scan.channels import CaseFiles


class Told:
    """Keeps the sentences."""

    def __init__(self):
        self.errors, self.summaries = [], []

    def error(self, case, message, exit_code):
        self.errors.append(message)

    def result(self, case, files, summary):
        self.summaries.append(summary)

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture(scope="module")
def bundles():
    return density_bundle("liver-tumor", 4.0), density_bundle("localiser", 6.0)


@pytest.fixture
def do(bundles, small_scan, tmp_path):
    """Return a function that does the scan with these options and returns what became of it."""
    output = tmp_path / "out"
    output.mkdir()

    def run(*arguments, path=small_scan, told=None):
        options = build_parser().parse_args([str(path), "--output", str(output), "--quality", "quick", *arguments])
        segmenter = Segmenter(*bundles, "cpu", "quick", options.threshold, maps=options.maps)
        work = CaseWork(segmenter, options, lambda: False)
        return work.do(CaseFiles((path,), "case"), told or Told(), skip=True)

    run.output = output
    return run


def test_the_same_is_left_and_another_option_is_not(do):
    assert [do().status, do().status] == ["done", "finished before"]
    for option in (["--force"], ["--modality", "CT"], ["--threshold", "0.3"], ["--probabilities"]):
        assert [do(*option).status, do(*option).status] == ["done", "finished before"], option
    # The last run was asked for more than this one; all its files must be there nevertheless.
    assert do().status == "finished before"
    (do.output / "case.tumor-probability.nrrd").unlink()
    assert do().status == "done"
    assert do("--probabilities").status == "done"


def test_the_sentence_names_the_whole_organ_as_the_tables_do(do):
    told = Told()
    do(told=told)
    volumes = json.loads((do.output / "case.report.json").read_text(encoding="utf-8"))["volumes_ml"]
    assert told.summaries[0].startswith(f"liver {volumes['liver']:.1f} ml, tumor {volumes['tumor']:.1f} ml, 2 lesions")


def test_extras_that_a_scan_without_a_liver_lacks_are_not_asked_for_again(do, small_scan, tmp_path):
    empty = sitk.ReadImage(str(small_scan))
    empty = sitk.Minimum(empty, -35)
    sitk.WriteImage(empty, str(tmp_path / "empty.nii.gz"))
    options = ("--probabilities", "--maps")
    states = [do(*options, path=tmp_path / "empty.nii.gz").status for _ in range(2)]
    assert states == ["done", "finished before"]
    assert not (do.output / "case.tumor-probability.nrrd").exists()


def test_an_extra_that_failed_is_tried_again(do, monkeypatch):
    from LiverTumorSegLib.output import casefiles

    def broken(*arguments):
        raise RuntimeError("no space")

    with monkeypatch.context() as during:
        during.setattr(casefiles, "write_image", broken)
        assert do("--probabilities").status == "done"
    assert [do("--probabilities").status, do("--probabilities").status] == ["done", "finished before"]


def test_memory_that_runs_out_is_an_outcome(do, monkeypatch):
    from LiverTumorSegLib.batch import case

    def scarce(*arguments):
        raise MemoryError

    monkeypatch.setattr(case, "read_channels", scarce)
    outcome = do()
    assert (outcome.status, outcome.exit_code) == ("failed", 5)
    assert "Not enough memory to read this scan" in outcome.reason


def test_a_kill_between_two_moves_leaves_no_report_beside_newer_files(do, monkeypatch):
    from LiverTumorSegLib.output import casefiles

    class KilledError(BaseException):
        pass

    do()
    replace = type(do.output).replace

    def stop(self, target):
        if target.name == "case.seg.nrrd" and target.parent == do.output:
            raise KilledError
        return replace(self, target)

    def killed(*options):
        with monkeypatch.context() as during:
            during.setattr(casefiles.Path, "replace", stop)
            with pytest.raises(KilledError):
                do(*options)

    killed("--threshold", "0.3")
    assert not (do.output / "case.report.json").exists()
    killed()
    # The files of both runs are known as the program's own; one that was drawn since is not.
    kept = (do.output / "case.seg.nrrd").read_bytes()
    (do.output / "case.seg.nrrd").write_bytes(b"drawn by hand")
    assert "case.seg.nrrd (changed since a run wrote it)" in do().reason
    (do.output / "case.seg.nrrd").write_bytes(kept)
    assert do().status == "done"
    assert {path.name for path in do.output.iterdir()} == {
        f"case.{ending}" for ending in ("seg.nrrd", "report.json", "lesions.csv", "png")
    }


def test_a_new_result_takes_the_earlier_one_away_and_nothing_else(do):
    do("--probabilities", "--maps", "--format", "nii.gz")
    of_others = ("case.reviewed.seg.nrrd", "case.autosave.json", "case.tumor.stl", "case2.uncertainty.nrrd")
    for name in of_others:
        (do.output / name).write_text("a reader's")
    report = do.output / "case.report.json"
    listed = json.loads(report.read_text(encoding="utf-8"))
    assert set(listed["asked"]["files"]) > {"case.tumor-probability.nrrd", "case.uncertainty.nrrd", "case.nii.gz"}
    # A report that somebody wrote by hand removes no other file.
    listed["asked"]["files"] |= dict.fromkeys(("../scan.txt", "case2.uncertainty.nrrd"), "0")
    report.write_text(json.dumps(listed), encoding="utf-8")
    (do.output.parent / "scan.txt").write_text("a reader's")
    assert do("--threshold", "0.3").status == "done"
    made = {f"case.{ending}" for ending in ("seg.nrrd", "report.json", "lesions.csv", "png")}
    assert {path.name for path in do.output.iterdir()} == made | set(of_others)
    assert (do.output.parent / "scan.txt").exists()
    assert do("--threshold", "0.3").status == "finished before"


def test_jobs_and_options_survive_the_way_to_a_worker(small_scan, tmp_path):
    job = Job(3, CaseFiles((small_scan, tmp_path / "b\udcfc.nrrd"), "näme"), True)
    assert job_of(job.line()) == job
    assert "\n" not in job.line()
    options = build_parser().parse_args(["x", "--output", "o", "--model", "m", "--threshold", "0.25"])
    again = options_of(options_line(options))
    assert isinstance(again, Namespace)
    assert (again.model, again.localiser, again.threshold) == (options.model, None, 0.25)


def test_workers_fit_cores_memory_and_cases(bundles, monkeypatch):
    """A worker of the shipped models counts as the plan of a large scan says, with the next scan beside it."""
    shipped = Segmenter(*(load_bundle(models_folder() / name) for name in (FINE, LOCALISER)), "cpu")
    large = shipped.cost(worker_plan_room.LARGE_SCAN, 2).bytes + 512 * 512 * 800 * 2
    assert memory_of_a_worker(shipped, 2) == large < 2.5 * 2**30
    assert memory_of_a_worker(Segmenter(*bundles, "cpu"), 2) == UNMEASURED
    monkeypatch.setattr(worker_plan_room, "cores", lambda: 8)
    for rooms, workers in ((0.5, 1), (1.1, 1), (2.5, 2), (100, 8)):
        free = Memory(2**40, int(rooms * large / 0.9))
        monkeypatch.setattr(worker_plan_room, "machine_memory", lambda free=free: free)
        plan = worker_plan(100, shipped)
        assert (plan.workers, plan.threads, plan.jobs) == (workers, 8 // workers, 2), rooms
    assert dataclasses.astuple(worker_plan(1, shipped)) == (1, 8, 1)
    assert worker_plan(100, shipped, wanted=7).workers == 7
    shipped.device = SimpleNamespace(type="cuda")
    assert dataclasses.astuple(worker_plan(100, shipped)) == (1, 8, 3)
