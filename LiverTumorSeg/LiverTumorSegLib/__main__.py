"""The headless command line; the Slicer panel starts the same one as a child process."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# To be set before torch is loaded: huge pages halve the time of page faults, passive waiting is kind to other jobs.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import SimpleITK as sitk

from .command import as_sentence, speak_any_text
from .errors import CancelledError, InputError, LiverTumorSegError, OutOfMemoryError
from .findings import RefusedError, refuse
from .labels import TUMOR
from .messages import BarMessages, JsonMessages, Messages
from .model.bundle import Bundle, load_bundle
from .model.models import FINE, localiser_for, members_of, models_folder
from .output.casefiles import Wanted, room_for, write_case
from .output.summary import Outcome, finished_report, write_summary
from .pipeline.inference import Segmenter
from .pipeline.plan import memory_findings
from .pipeline.result import Result
from .place_service import serve_places
from .request import build_parser, check_options, output_folder, postprocessing_of, requests_of
from .scan.channels import CaseFiles, read_channels
from .scan.imageio import CaseImage, case_name, read_case, sha256_of
from .wholefile import require_room


def main(arguments: list[str] | None = None) -> int:
    """Segment the scans named on the command line; return the exit code."""
    speak_any_text()
    options = build_parser().parse_args(arguments)
    messages: Messages = JsonMessages() if options.json_progress or options.places else BarMessages()
    try:
        with _stop_request() as stop:
            if isinstance(messages, JsonMessages) and options.places:
                return _stay(options, messages, stop)
            return _run(options, messages, stop)
    except LiverTumorSegError as error:
        return _failed(None, error, messages, options.debug)
    except OSError as error:
        return _failed(None, as_sentence(error), messages, options.debug)
    finally:
        messages.close()


def _run(options: argparse.Namespace, messages: Messages, stop: list[bool]) -> int:
    check_options(options)
    segmenter = _segmenter(options)
    requests = requests_of(options, segmenter.bundles[0].channels)
    folder = output_folder(options)
    worst = 0
    outcomes: list[Outcome] = []
    for files in requests.cases:
        # Until the scan is read it goes by the name of its file.
        name = files.shown
        messages.start(name, len(requests.cases))
        try:
            if files.paths[0] in requests.many and _finished(files, segmenter, options):
                messages.progress(name, 1.0, "Finished before")
                outcomes.append(Outcome(files.name or name, "finished before"))
                continue
            channels = _read(files, segmenter, options, messages)
            name = channels[0].name
            _one_case(channels, segmenter, folder, options, messages, stop)
            outcomes.append(Outcome(name, "done"))
        except (LiverTumorSegError, OSError, MemoryError) as error:
            failure = _failure_of(error)
            if isinstance(failure, RefusedError):
                messages.findings(name, failure.findings)
            worst = _failed(name, failure, messages, options.debug)
            outcomes.append(Outcome(files.name or name, "failed", str(failure)))
            if isinstance(failure, CancelledError | OutOfMemoryError):
                break
    if requests.many:
        write_summary(folder, outcomes)
    return worst


def _stay(options: argparse.Namespace, messages: JsonMessages, stop: list[bool]) -> int:
    """Segment single places of one scan until nobody asks any more."""
    check_options(options)
    bundles = _bundles(options)
    case = read_case(Path(options.inputs[0]), options.series)
    segmenter = Segmenter(bundles, None, options.device, options.quality, options.threshold)
    serve_places(case.image, segmenter, output_folder(options), messages, lambda: stop[0])
    return 0


def _finished(files: CaseFiles, segmenter: Segmenter, options: argparse.Namespace) -> bool:
    """Return whether a case of a folder is done already: same input, models and options, every file there."""
    name = files.name or case_name(files.paths[0])
    endings = [options.format]
    if options.probabilities and TUMOR.name in segmenter.bundles[0].labels:
        endings.append("tumor-probability.nrrd")
    endings += ["uncertainty.nrrd"] if options.maps else []
    endings += ["seg.dcm"] if options.dicom_seg else []
    wanted = {"quality": options.quality, **segmenter.provenance()}
    report = finished_report(Path(options.output), name, endings, wanted)
    if report is None:
        return False
    if files.paths[0].is_file():
        return bool(report["input"]["sha256"] == sha256_of([files.paths[0]]))
    return bool(report["input"]["sha256"] == read_case(files.paths[0], options.series).sha256)


def _bundles(options: argparse.Namespace) -> list[Bundle]:
    named = options.model or [models_folder() / FINE]
    return [load_bundle(member) for folder in named for member in members_of(folder)]


def _segmenter(options: argparse.Namespace) -> Segmenter:
    bundles = _bundles(options)
    localiser = localiser_for(bundles[0], options.localiser)
    return Segmenter(
        bundles,
        localiser,
        options.device,
        options.quality,
        options.threshold,
        postprocessing_of(options),
        options.maps,
    )


def _read(files: CaseFiles, segmenter: Segmenter, options: argparse.Namespace, messages: Messages) -> list[CaseImage]:
    """Return the images of a case, one a channel; what reading found is among the findings of the first."""
    messages.progress(files.shown, 0.0, "Reading the scan")
    channels = read_channels(files, segmenter.bundles[0].channels, options.series)
    noticed = tuple(finding for channel in channels for finding in channel.findings)
    refuse(noticed, options.force)
    first = dataclasses.replace(channels[0], findings=noticed)
    if options.dicom_seg and not first.dicom_files:
        raise InputError(f"{first.path} is not DICOM, so no DICOM SEG can refer to it: leave out --dicom-seg.")
    return [first, *channels[1:]]


def _one_case(
    channels: list[CaseImage],
    segmenter: Segmenter,
    folder: Path,
    options: argparse.Namespace,
    messages: Messages,
    stop: list[bool],
) -> None:
    case = channels[0]
    require_room(folder, room_for(case))
    # Said first: a process that runs out of memory says nothing any more.
    warned = memory_findings(segmenter.plan(case.image))
    messages.findings(case.name, warned)
    result = segmenter.segment(
        [channel.image for channel in channels],
        progress=lambda fraction, words: messages.progress(case.name, 0.05 + 0.85 * fraction, words),
        cancelled=lambda: stop[0],
        modality=options.modality or case.modality,
        force=options.force,
    )
    messages.findings(case.name, case.findings + result.findings)
    result = dataclasses.replace(result, findings=(*case.findings, *warned, *result.findings))
    messages.progress(case.name, 0.92, "Writing the results")
    wanted = Wanted(options.format, options.probabilities, options.dicom_seg)
    written = write_case(folder, case, result, segmenter.bundles, options.quality, wanted, lambda: stop[0])
    messages.findings(case.name, written.failures)
    messages.progress(case.name, 1.0, "Done")
    messages.result(case.name, written.files, _summary(result))


def _summary(result: Result) -> str:
    millilitre = math.prod(result.labelmap.GetSpacing()) / 1000
    counts = sitk.LabelShapeStatisticsImageFilter()
    counts.Execute(result.labelmap)
    volumes = {value: counts.GetNumberOfPixels(value) * millilitre for value in counts.GetLabels()}
    parts = [f"{name} {volumes.get(value, 0.0):.1f} ml" for value, name in enumerate(result.labels, 1)]
    return f"{', '.join(parts)}, {len(result.lesions)} lesions, {result.seconds['total']:.1f} s on {result.device}"


def _failure_of(error: LiverTumorSegError | OSError | MemoryError) -> LiverTumorSegError:
    if isinstance(error, MemoryError):
        return OutOfMemoryError(
            "Not enough memory to read this scan: close other programs, or crop the scan to the abdomen."
        )
    return as_sentence(error) if isinstance(error, OSError) else error


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
