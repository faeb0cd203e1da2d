"""A process that writes what leaves a reader's session, so that the program the reader sits at does not wait for it.

``python -m LiverTumorSegLib.export_service FOLDER`` reads the session from a private folder, writes there and puts the
finished files into the folder that was asked for: all of them or none.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .command import as_sentence, speak_any_text
from .errors import CancelledError, LiverTumorSegError, OutOfMemoryError, UsageError
from .grid import Grid
from .jsonfile import write_json
from .messages import JsonMessages
from .review.accepted import write_accepted_dicom, write_accepted_page
from .review.figures import LesionFigures, SessionFigures
from .review.lesion_rows import row_of, write_rows
from .review.region import Labels
from .review.training_pair import write_training_pair
from .review.verdicts import Verdicts, restored_verdicts
from .wholefile import whole_file

JOB, SCAN, LABELS = "job.json", "scan.nrrd", "labels.npy"
ORIGINAL, PROBABILITY = "original.npy", "probability.npz"
"""Files of the private folder; the last two need not be there."""

KINDS = ("table", "page", "dicom", "training")


@dataclass(frozen=True)
class Job:
    """What is to be written, in JSON types.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    folder : str
        Where the files go.
    name : str
        Of a file for "table" and "page", its beginning for "dicom".
    title : str
        Heading of the page.
    verdicts : mapping
        As ``stored_verdicts`` gives them.
    rows : list of mapping
        What is known of the lesions, as ``row_of`` gives it.
    provenance : mapping
        ``model`` (id, version, sha256), ``threshold``, ``quality``.
    dicom_files : list of str
        The slices of the scan, for "dicom".
    """

    kind: str
    folder: str
    name: str
    title: str
    verdicts: Mapping[str, Any]
    rows: list[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    dicom_files: list[str] = field(default_factory=list)

    @property
    def made_by(self) -> dict[str, Any]:
        """Return the provenance as the log of a training pair tells it: the model by name and version alone."""
        model = self.provenance["model"]
        return {**self.provenance, "model": f"{model['id']} {model['version']}"}

    def write(self, private: Path) -> None:
        """Leave the job in the private folder."""
        write_json(private / JOB, asdict(self))


def run_job(private: Path, messages: JsonMessages) -> list[str]:
    """Write what the job in a private folder asks for and return the names of the files.

    Raises
    ------
    LiverTumorSegError
        One sentence; nothing was put into the folder that was asked for.
    """
    job = Job(**json.loads((private / JOB).read_text(encoding="utf-8")))
    messages.progress(job.kind, 0.1, "Reading")
    image, labels = sitk.ReadImage(str(private / SCAN)), _labels(private / LABELS)
    verdicts = restored_verdicts(dict(job.verdicts), labels)
    written = private / "written"
    written.mkdir()
    if job.kind == "training":
        messages.progress(job.kind, 0.4, "Writing")
        original = _labels(private / ORIGINAL) if (private / ORIGINAL).exists() else None
        pair = write_training_pair(written, image, labels, verdicts, original=original, provenance=job.made_by)
        files = [pair.image, pair.label, pair.log]
    else:
        messages.progress(job.kind, 0.3, "Measuring")
        figures = _measured(private, image, labels, verdicts, job)
        messages.progress(job.kind, 0.6, "Writing")
        files = _write(written, job, image, labels, verdicts, figures)
    messages.progress(job.kind, 0.9, "Writing")
    put_all(files, Path(job.folder))
    return [file.name for file in files]


def put_all(files: list[Path], folder: Path) -> None:
    """Copy files into a folder: each appears whole, and none before all of them are there.

    Raises
    ------
    UsageError
        When the folder or the disk does not take them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be made ({error.strerror}): name another one.") from error
    with ExitStack() as all_or_none:
        for file in files:
            shutil.copyfile(file, all_or_none.enter_context(whole_file(folder / file.name)))


def leave_labels(path: Path, labels: Labels) -> None:
    """Leave a labelmap in the private folder."""
    with path.open("xb") as stream:
        np.save(stream, labels, allow_pickle=False)


def leave_probability(path: Path, image: sitk.Image) -> None:
    """Leave the kept probability in the private folder."""
    with path.open("xb") as stream:
        np.savez(stream, voxels=sitk.GetArrayViewFromImage(image), **asdict(Grid.of(image)))


def _labels(path: Path) -> Labels:
    return np.asarray(np.load(path, allow_pickle=False), np.uint8)


def _probability(path: Path) -> sitk.Image:
    with np.load(path, allow_pickle=False) as stored:
        keys = ("size", "spacing_mm", "origin_mm", "direction")
        return Grid(*(tuple(stored[key].tolist()) for key in keys)).image(stored["voxels"])


def _measured(
    private: Path, image: sitk.Image, labels: Labels, verdicts: Verdicts, job: Job
) -> tuple[LesionFigures, ...]:
    """Return the figures, with the distance to the surface that is left out while a reader works."""
    probability = _probability(private / PROBABILITY) if (private / PROBABILITY).exists() else None
    figures = SessionFigures(sitk.GetArrayViewFromImage(image), Grid.of(image))
    figures.measure(verdicts, labels, probability, gaps=True)
    figures.adopt(verdicts, {int(row["number"]): row for row in job.rows})
    return figures.measure(verdicts, labels, probability, gaps=True)


def _write(
    written: Path,
    job: Job,
    image: sitk.Image,
    labels: Labels,
    verdicts: Verdicts,
    figures: tuple[LesionFigures, ...],
) -> list[Path]:
    path = written / job.name
    if job.kind == "table":
        write_rows(path, [row_of(each) for each in figures])
        return [path]
    if job.kind == "page":
        write_accepted_page(path, job.title, image, labels, verdicts, figures, job.provenance)
        return [path]
    model = job.provenance["model"]
    grid, slices = Grid.of(image), job.dicom_files
    return list(write_accepted_dicom(written, job.name, labels, verdicts, figures, grid, slices, model))


def _stop(_number: int, _frame: object) -> None:
    raise CancelledError("Cancelled.")


def main(arguments: list[str]) -> int:
    """Do the job in a private folder; what happens is told as JSON lines. Return the exit code."""
    speak_any_text()
    signal.signal(signal.SIGTERM, _stop)  # half a file is taken away before the end
    messages = JsonMessages()
    try:
        messages.written(run_job(Path(arguments[0]), messages))
        return 0
    except LiverTumorSegError as error:
        failure = error
    except OSError as error:
        failure = as_sentence(error)
    except MemoryError:
        failure = OutOfMemoryError("Not enough memory: close other programs.")
    messages.error(None, str(failure), failure.exit_code)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
