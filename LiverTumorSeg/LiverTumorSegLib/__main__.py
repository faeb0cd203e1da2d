"""The headless command line; the Slicer panel starts the same one as a child process."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# To be set before torch is loaded: huge pages halve the time of page faults, passive waiting is kind to other jobs.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import SimpleITK as sitk

from . import __version__
from .errors import CancelledError, InputError, LiverTumorSegError, OutOfMemoryError, UsageError
from .findings import RefusedError, refuse
from .jsonfile import write_json
from .labels import TUMOR, label_table
from .messages import BarMessages, JsonMessages, Messages
from .model.bundle import load_bundle
from .model.models import FINE, localiser_for, members_of, models_folder
from .output.picture import write_case_picture
from .output.report import build_report, write_lesions_csv
from .output.segfile import write_segmentation
from .output.summary import Outcome, finished_report, write_summary
from .pipeline.inference import QUALITIES, Segmenter
from .pipeline.postprocess import Postprocessing
from .pipeline.result import Result
from .scan.channels import CaseFiles, group_inputs, read_channels
from .scan.collection import scans_in
from .scan.imageio import CaseImage, case_name, read_case, sha256_of
from .wholefile import write_image


def main(arguments: list[str] | None = None) -> int:
    """Segment the scans named on the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    messages: Messages = JsonMessages() if options.json_progress else BarMessages()
    try:
        with _stop_request() as stop:
            return _run(options, messages, stop)
    except LiverTumorSegError as error:
        return _failed(None, error, messages, options.debug)
    finally:
        messages.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segment.py",
        description="Segment the liver and its tumours in CT scans. Research use only; not a medical device.",
        epilog="Exit codes: 0 done, 2 wrong usage, 3 bad input, 4 bad model, 5 out of memory, 130 cancelled.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="NIfTI, NRRD, MetaImage, a DICOM folder or one DICOM file, or a folder of many scans (finished ones "
        "are skipped); a model with n channels takes n files, a case folder or a 4D file",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the results, made when absent"
    )
    parser.add_argument(
        "--model",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="model folders, or one that holds fold_0, fold_1, ...; several are averaged",
    )
    parser.add_argument(
        "--localiser", type=Path, metavar="DIR", help="model folder of the localiser, for models that need one"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--quality", default="standard", help=f"{', '.join(QUALITIES)} (default: standard)")
    parser.add_argument("--threshold", type=float, metavar="P", help="tumour probability from which a voxel is tumour")
    parser.add_argument(
        "--opening-mm", type=float, default=0.0, metavar="MM", help="morphological opening of the tumour"
    )
    parser.add_argument(
        "--closing-mm", type=float, default=0.0, metavar="MM", help="morphological closing of the tumour"
    )
    parser.add_argument(
        "--smallest-lesion-mm3", type=float, default=None, metavar="V", help="smaller lesions are dropped"
    )
    parser.add_argument("--series", metavar="UID", help="DICOM series, by UID or number, when a folder holds several")
    parser.add_argument("--modality", help="CT, MR ... when the file does not say")
    parser.add_argument("--format", default="seg.nrrd", choices=("seg.nrrd", "nii.gz"), help="of the segmentation")
    parser.add_argument("--dicom-seg", action="store_true", help="also write NAME.seg.dcm (DICOM input)")
    parser.add_argument("--probabilities", action="store_true", help="also write NAME.tumor-probability.nrrd")
    parser.add_argument("--maps", action="store_true", help="also write NAME.uncertainty.nrrd and NAME.attention.nrrd")
    parser.add_argument("--force", action="store_true", help="segment in spite of findings that may be passed over")
    parser.add_argument("--json-progress", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _run(options: argparse.Namespace, messages: Messages, stop: list[bool]) -> int:
    segmenter = _segmenter(options)
    output = options.output
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The output folder {output} cannot be made ({error.strerror}): name another one.") from error
    channels = segmenter.bundles[0].channels
    collections = [scans_in(path, channels) for path in options.inputs]
    inputs = [
        path
        for given, found in zip(options.inputs, collections, strict=True)
        for path in ([given] if found is None else found)
    ]
    many = {path for found in collections if found is not None for path in found}
    # A folder that stands for a case of several channels is not among the files of that case.
    many |= {path for folder in many if folder.is_dir() for path in folder.iterdir()}
    groups = group_inputs(inputs, channels)
    worst = 0
    taken: set[str] = set()
    outcomes: list[Outcome] = []
    for files in groups:
        name = files.name or str(files.paths[0].name)
        try:
            messages.start(name, len(groups))
            if files.paths[0] in many and _finished(files, segmenter, options):
                messages.progress(name, 1.0, "Finished before")
                outcomes.append(Outcome(name, "finished before"))
                continue
            name = _one_case(files, segmenter, options, messages, stop, taken)
            outcomes.append(Outcome(name, "done"))
        except LiverTumorSegError as error:
            if isinstance(error, RefusedError):
                messages.findings(name, error.findings)
            if isinstance(error, CancelledError | OutOfMemoryError):
                return _failed(name, error, messages, options.debug)
            worst = _failed(name, error, messages, options.debug)
            outcomes.append(Outcome(name, "failed", str(error)))
        except MemoryError:
            message = "Not enough memory to read this scan: close other programs, or crop the scan to the abdomen."
            return _failed(name, OutOfMemoryError(message), messages, options.debug)
    if many:
        write_summary(output, outcomes)
    return worst


def _finished(files: CaseFiles, segmenter: Segmenter, options: argparse.Namespace) -> bool:
    """Return whether a case of a folder is done already: same input, models and options, every file there."""
    name = files.name or case_name(files.paths[0])
    endings = [options.format]
    if options.probabilities and TUMOR.name in segmenter.bundles[0].labels:
        endings.append("tumor-probability.nrrd")
    endings += ["uncertainty.nrrd"] if options.maps else []
    endings += ["seg.dcm"] if options.dicom_seg else []
    wanted = {"quality": options.quality, **segmenter.provenance()}
    report = finished_report(options.output, name, endings, wanted)
    if report is None:
        return False
    if files.paths[0].is_file():
        return bool(report["input"]["sha256"] == sha256_of([files.paths[0]]))
    return bool(report["input"]["sha256"] == read_case(files.paths[0], options.series).sha256)


def _segmenter(options: argparse.Namespace) -> Segmenter:
    named = options.model or [models_folder() / FINE]
    bundles = [load_bundle(member) for folder in named for member in members_of(folder)]
    localiser = localiser_for(bundles[0], options.localiser)
    cleaning = {"opening_mm": options.opening_mm, "closing_mm": options.closing_mm}
    if options.smallest_lesion_mm3 is not None:
        cleaning["smallest_lesion_mm3"] = options.smallest_lesion_mm3
    return Segmenter(
        bundles,
        localiser,
        options.device,
        options.quality,
        options.threshold,
        Postprocessing(**cleaning),
        options.maps,
    )


def _one_case(
    files: CaseFiles,
    segmenter: Segmenter,
    options: argparse.Namespace,
    messages: Messages,
    stop: list[bool],
    taken: set[str],
) -> str:
    name = files.name or files.paths[0].name
    messages.progress(name, 0.0, "Reading the scan")
    cases = read_channels(files, segmenter.bundles[0].channels, options.series)
    case = cases[0]
    noticed = tuple(finding for channel in cases for finding in channel.findings)
    refuse(noticed, options.force)
    if case.name in taken:
        raise UsageError(
            f"Two inputs are called {case.name!r}, so one result would overwrite the other: use two runs."
        )
    taken.add(case.name)
    result = segmenter.segment(
        [channel.image for channel in cases],
        progress=lambda fraction, words: messages.progress(case.name, 0.05 + 0.85 * fraction, words),
        cancelled=lambda: stop[0],
        modality=options.modality or case.modality,
        force=options.force,
    )
    result = dataclasses.replace(result, findings=noticed + result.findings)
    messages.findings(case.name, result.findings)
    messages.progress(case.name, 0.92, "Writing the results")
    written = _write(case, result, segmenter, options, stop)
    messages.progress(case.name, 1.0, "Done")
    messages.result(case.name, written, _summary(result))
    return case.name


def _write(
    case: CaseImage, result: Result, segmenter: Segmenter, options: argparse.Namespace, stop: list[bool]
) -> dict[str, str | None]:
    """Write all files of a case into a private folder, then move them into place: all or none."""
    name, labels = case.name, label_table(result.labels)
    report = build_report(case, result, quality=options.quality)
    private = Path(tempfile.mkdtemp(prefix=".part-", dir=options.output))
    try:
        segmentation = private / f"{name}.{options.format}"
        model = segmenter.bundles[0]
        metadata = {"LiverTumorSeg_version": __version__, "LiverTumorSeg_input_sha256": case.sha256}
        for number, bundle in enumerate(segmenter.bundles):
            metadata[f"LiverTumorSeg_model{number or ''}"] = f"{bundle.id} {bundle.version} {bundle.sha256}"
        write_segmentation(segmentation, result.labelmap, labels, metadata)
        write_json(private / f"{name}.report.json", report)
        write_lesions_csv(private / f"{name}.lesions.csv", result.lesions)
        write_case_picture(
            private / f"{name}.png", case.image, result.labelmap, result.lesions, name, labels,
            model.intensity.window_hu, model.channels[0],
        )  # fmt: skip
        if options.probabilities and result.tumor_probability is not None:
            write_image(private / f"{name}.tumor-probability.nrrd", result.tumor_probability)
        for kind, image in result.maps.items():
            write_image(private / f"{name}.{kind}.nrrd", image)
        if options.dicom_seg:
            from .output.dicomseg import write_dicom_seg

            if not case.dicom_files:
                raise InputError(f"{case.path} is not DICOM, so no DICOM SEG can refer to it: leave out --dicom-seg.")
            write_dicom_seg(
                private / f"{name}.seg.dcm", result.labelmap, labels, case.dicom_files, model.id, model.version
            )
        if stop[0]:
            raise CancelledError("Cancelled; nothing was written.")
        written = sorted(private.iterdir())
        for path in written:
            path.replace(options.output / path.name)
    finally:
        shutil.rmtree(private, ignore_errors=True)
    present = {path.name for path in written}
    endings = {
        "segmentation": options.format,
        "report": "report.json",
        "lesions": "lesions.csv",
        "picture": "png",
        "probabilities": "tumor-probability.nrrd",
        "uncertainty": "uncertainty.nrrd",
        "attention": "attention.nrrd",
        "dicom_seg": "seg.dcm",
    }
    return {
        key: str(options.output / f"{name}.{ending}") if f"{name}.{ending}" in present else None
        for key, ending in endings.items()
    }


def _summary(result: Result) -> str:
    millilitre = math.prod(result.labelmap.GetSpacing()) / 1000
    counts = sitk.LabelShapeStatisticsImageFilter()
    counts.Execute(result.labelmap)
    volumes = {value: counts.GetNumberOfPixels(value) * millilitre for value in counts.GetLabels()}
    parts = [f"{name} {volumes.get(value, 0.0):.1f} ml" for value, name in enumerate(result.labels, 1)]
    return f"{', '.join(parts)}, {len(result.lesions)} lesions, {result.seconds['total']:.1f} s on {result.device}"


def _failed(case: str | None, error: LiverTumorSegError, messages: Messages, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    messages.error(case, str(error), error.exit_code)
    return error.exit_code


@contextmanager
def _stop_request() -> Iterator[list[bool]]:
    """Give a flag that SIGINT and SIGTERM set, so that a run ends between two tiles with nothing half written."""
    stop = [False]

    def handle(number: int, frame: object) -> None:
        stop[0] = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
