"""The way of one case, from its files to its results: what the command line, a worker and a cluster do alike."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from ..command import as_sentence
from ..errors import InputError, LiverTumorSegError, OutOfMemoryError
from ..findings import RefusedError, refuse
from ..labels import label_table
from ..messages import FINISHED_BEFORE, Messages
from ..model.bundle import Bundle, load_bundle
from ..model.models import FINE, localiser_for, members_of, models_folder
from ..output.casefiles import Wanted, room_for, write_case
from ..output.earlier import is_finished, is_of_place, require_nothing_lost, require_same_scan
from ..output.summary import BEFORE, DONE, FAILED, Outcome
from ..pipeline.inference import Segmenter
from ..pipeline.plan import memory_findings
from ..pipeline.result import Result
from ..pipeline.volumes import volumes_ml
from ..request import postprocessing_of
from ..scan.channels import CaseFiles, read_channels
from ..scan.imageio import CaseImage, case_name, input_sha256
from ..wholefile import require_room


def bundles_of(options: argparse.Namespace) -> list[Bundle]:
    """Return the models that the options name, or the shipped one."""
    named = options.model or [models_folder() / FINE]
    return [load_bundle(member) for folder in named for member in members_of(folder)]


def segmenter_of(options: argparse.Namespace) -> Segmenter:
    """Return the Segmenter that the options ask for, its networks not built yet."""
    bundles = bundles_of(options)
    return Segmenter(
        bundles,
        localiser_for(bundles[0], options.localiser),
        options.device,
        options.quality,
        options.threshold,
        postprocessing_of(options),
        options.maps,
    )


class CaseWork:
    """Does one case after the other with one Segmenter.

    Several threads may each do a case: one at a time reads, one runs the networks, one writes, so that the next scan
    is read and checked and the last one measured and written beside the network, and no more scans than threads are in
    memory.

    Parameters
    ----------
    segmenter : Segmenter
        As `segmenter_of` makes it.
    options : argparse.Namespace
        Of the command line, checked.
    stopped : callable
        Asked often; True cancels what is under way.
    """

    def __init__(self, segmenter: Segmenter, options: argparse.Namespace, stopped: Callable[[], bool]) -> None:
        self.segmenter, self._options, self._stopped = segmenter, options, stopped
        self._folder = Path(options.output)
        self._wanted = Wanted(options.format, options.probabilities, options.dicom_seg, options.maps)
        self._reading, self._writing = Lock(), Lock()

    def do(self, files: CaseFiles, messages: Messages, skip: bool = False) -> Outcome:
        """Do one case and tell everything that happens to it, its failure too.

        Parameters
        ----------
        files : CaseFiles
            The case.
        messages : Messages
            Hears of everything but its start.
        skip : bool
            Leave it when an earlier run made the same of the same files.
        """
        # Until the scan is read it goes by the name of its file.
        name, listed = files.shown, files.name or case_name(files.paths[0])
        try:
            with self._reading:
                if skip and self._finished(files, listed):
                    messages.progress(name, 1.0, FINISHED_BEFORE)
                    return Outcome(listed, BEFORE)
                require_nothing_lost(self._folder, listed, self._wanted.to_write(listed))
                channels = self._read(files, messages)
            name = channels[0].name
            self._segment_and_write(channels, messages)
        except (LiverTumorSegError, OSError, MemoryError) as error:
            failure = failure_of(error)
            if isinstance(failure, RefusedError):
                messages.findings(name, failure.findings)
            if self._options.debug:
                traceback.print_exception(failure, file=sys.stderr)
            messages.error(name, str(failure), failure.exit_code)
            return Outcome(listed, FAILED, str(failure), failure.exit_code)
        return Outcome(name, DONE)

    def _read(self, files: CaseFiles, messages: Messages) -> list[CaseImage]:
        """Return the images of a case, one a channel; what reading found is among the findings of the first."""
        messages.progress(files.shown, 0.0, "Reading the scan")
        channels = read_channels(files, self.segmenter.bundles[0].channels, self._options.series)
        noticed = tuple(finding for channel in channels for finding in channel.findings)
        refuse(noticed, self._options.force)
        first = dataclasses.replace(channels[0], findings=noticed)
        if self._options.dicom_seg and not first.dicom_files:
            raise InputError(f"{first.path} is not DICOM, so no DICOM SEG can refer to it: leave out --dicom-seg.")
        return [first, *channels[1:]]

    def _segment_and_write(self, channels: list[CaseImage], messages: Messages) -> None:
        case, options = channels[0], self._options
        require_same_scan(self._folder, case)
        require_room(self._folder, room_for(case))
        # Said first: a process that runs out of memory says nothing any more.
        warned = memory_findings(self.segmenter.plan(case.image))
        messages.findings(case.name, warned)
        result = self.segmenter.segment(
            [channel.image for channel in channels],
            progress=lambda fraction, words: messages.progress(case.name, 0.05 + 0.85 * fraction, words),
            cancelled=self._stopped,
            modality=options.modality or case.modality,
            force=options.force,
        )
        messages.findings(case.name, case.findings + result.findings)
        result = dataclasses.replace(result, findings=(*case.findings, *warned, *result.findings))
        with self._writing:
            messages.progress(case.name, 0.92, "Writing the results")
            asked = {"inputs": [channel.sha256 for channel in channels], **self._asked()}
            bundles = self.segmenter.bundles
            written = write_case(
                self._folder, case, result, bundles, options.quality, self._wanted, self._stopped, asked
            )
        messages.findings(case.name, written.failures)
        messages.progress(case.name, 1.0, "Done")
        messages.result(case.name, written.files, _summary(result))

    def is_made(self, files: CaseFiles, name: str) -> bool:
        """Return whether a whole result of these models and options lies there, without reading the scan."""
        return self._made(name, {}) and is_of_place(self._folder, name, files.paths[0])

    def _finished(self, files: CaseFiles, name: str) -> bool:
        """Return whether the case is done already: same input, models and options, every file there."""
        if not self._made(name, {}):
            return False
        # The files are read only where everything else agrees.
        hashes = [input_sha256(path, self._options.series) for path in files.paths]
        hashes *= len(self.segmenter.bundles[0].channels) // len(hashes)
        return self._made(name, {"inputs": hashes})

    def _made(self, name: str, asked: dict[str, object]) -> bool:
        made = {"quality": self._options.quality, **self.segmenter.provenance()}
        extras = [extra for extra in ("probabilities", "maps", "dicom_seg") if getattr(self._options, extra)]
        return is_finished(self._folder, name, made, {**self._asked(), **asked}, extras)

    def _asked(self) -> dict[str, object]:
        """Return what decides about a result beside models, quality and the bytes of the input."""
        options = self._options
        return {"format": options.format, "modality": options.modality, "force": options.force}


def failure_of(error: LiverTumorSegError | OSError | MemoryError) -> LiverTumorSegError:
    """Return what ended a case as an error of one sentence."""
    if isinstance(error, MemoryError):
        return OutOfMemoryError(
            "Not enough memory to read this scan: close other programs, or crop the scan to the abdomen."
        )
    return as_sentence(error) if isinstance(error, OSError) else error


def _summary(result: Result) -> str:
    """Return the line on the console; "liver" is the whole organ, as in the tables."""
    volumes = volumes_ml(result.labelmap, label_table(result.labels))
    parts = [f"{name} {volume:.1f} ml" for name, volume in volumes.items()]
    return f"{', '.join(parts)}, {len(result.lesions)} lesions, {result.seconds['total']:.1f} s on {result.device}"
