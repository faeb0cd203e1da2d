"""The child process that compares a result with an earlier one of the same patient."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import slicer
from LiverTumorSegLib.followup.inputs import linked_image
from LiverTumorSegLib.labelnames import result_name
from LiverTumorSegLib.labels import LIVER_TUMOR
from LiverTumorSegLib.scan.imageio import case_name
from slicer.i18n import tr as _

from LiverTumorSegPanel.handoverProcess import HandoverProcess
from LiverTumorSegPanel.inferenceProcess import pythonExecutable
from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.privateFolder import makePrivateFolder, removePrivateFolder
from LiverTumorSegPanel.segmentationRun import unexpectedEnd
from LiverTumorSegPanel.segmentLabels import readLabels, segmentIdOf
from LiverTumorSegPanel.volumeExport import TakenImage, coreGrid, gridOf, takeVolume

POLL_MS = 100
NO_IMAGE = "-"
IN_ONE_FILE = (".nrrd", ".nii.gz", ".nii", ".mha")


@dataclass(frozen=True)
class Handed:
    """What the child is given of one date.

    Attributes
    ----------
    segmentation, image : str
        As it names them: files of its folder, a path, or for the image `NO_IMAGE`.
    writers : list of callables
        Write them, without Slicer.
    """

    segmentation: str
    image: str
    writers: list[Callable[[], object]]


@dataclass(frozen=True)
class TimePointNodes:
    """One date in the scene.

    Attributes
    ----------
    node : vtkMRMLSegmentationNode
        Its segmentation, with the segments "liver" and "tumor".
    volumeNode : vtkMRMLScalarVolumeNode
        Its CT.
    """

    node: object
    volumeNode: object

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.node.GetName()

    def handOver(self, folder: Path, stem: str) -> Handed:
        """Take labels and CT as they are now, to be written into a folder."""
        labels = TakenImage(readLabels(self.node, self.volumeNode), coreGrid(self.volumeNode))
        names = f"{stem}.seg.nrrd", f"{stem}.nrrd"
        images = labels, takeVolume(self.volumeNode)
        writers = [partial(image.write, folder / name) for image, name in zip(images, names, strict=True)]
        return Handed(*names, writers)

    @property
    def day(self) -> str:
        """Date of the study as YYYY-MM-DD; empty where the scene does not know it."""
        return studyDay(self.volumeNode)

    @property
    def stamp(self) -> tuple:
        """What differs once its segments, its CT or the place of that were changed."""
        segments = (
            self.node.GetBinaryLabelmapInternalRepresentation(segmentIdOf(self.node, x.name)) for x in LIVER_TUMOR
        )
        times = tuple(image.GetMTime() if image is not None else 0 for image in segments)
        return self.node.GetID(), times, self.volumeNode.GetImageData().GetMTime(), gridOf(self.volumeNode)


@dataclass(frozen=True)
class TimePointFile:
    """One date as a saved result.

    Attributes
    ----------
    path : Path
        A segmentation file.
    """

    path: Path

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.path.name

    @property
    def image(self) -> Path | None:
        """Its CT, where it can be found."""
        return linked_image(self.path)

    def handOver(self, folder: Path, stem: str) -> Handed:
        """Have it and its CT copied into a folder under plain names, by which the child finds the CT again."""
        name, image = f"{result_name(stem, 1)}{_endingOf(self.path)}", self.image
        writers = [partial(shutil.copyfile, self.path, folder / name)]
        if image is None:
            return Handed(name, NO_IMAGE, writers)
        ending = _endingOf(image)
        if ending not in IN_ONE_FILE:  # a DICOM folder
            return Handed(name, str(image), writers)
        return Handed(name, NO_IMAGE, [*writers, partial(shutil.copyfile, image, folder / f"{stem}{ending}")])

    @property
    def day(self) -> str:
        """A file does not say."""
        return ""

    @property
    def stamp(self) -> tuple:
        """What differs once the file was written again."""
        return self.path, self.path.stat().st_mtime_ns if self.path.is_file() else 0


@dataclass(frozen=True)
class FollowUpAnswer:
    """What the comparison found.

    Attributes
    ----------
    document : dict
        As ``followup.json``.
    page : str or None
        The report page; None where what writes it is not installed.
    """

    document: dict
    page: str | None


class FollowUpProcess:
    """One comparison.

    Parameters
    ----------
    earlier, later : TimePointNodes or TimePointFile
        The two dates.
    moduleFolder : Path
        Folder that holds LiverTumorSegLib.
    onProgress : callable
        Called with the fraction done, 0..1.
    onEnd : callable
        Called once with a `FollowUpAnswer`, or with one sentence saying why there is none.
    """

    def __init__(
        self,
        earlier: TimePointNodes | TimePointFile,
        later: TimePointNodes,
        moduleFolder: Path,
        onProgress: Callable[[float], None],
        onEnd: Callable[[FollowUpAnswer | str], None],
    ):
        self._onProgress, self._onEnd = onProgress, onEnd
        self._result: dict = {}
        self._error = ""
        self.folder = makePrivateFolder()
        try:
            handed = [point.handOver(self.folder, stem) for point, stem in ((earlier, "earlier"), (later, "later"))]
            command = followUpCommand(earlier, later, [(each.segmentation, each.image) for each in handed])
            writers = [writer for each in handed for writer in each.writers]
            self.process = HandoverProcess(command, moduleFolder, self.folder, writers)
        except Exception:
            removePrivateFolder(self.folder)
            raise
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def abandon(self) -> None:
        """Stop at once and say nothing more."""
        self._timer.stop()
        self.process.stop()
        removePrivateFolder(self.folder)

    def _poll(self) -> None:
        events, exitCode = self.process.poll()
        for event in events:
            if event["event"] == "progress":
                self._onProgress(float(event.get("fraction") or 0.0))
            elif event["event"] == "result":
                self._result = event
            elif event["event"] == "error":
                self._error = str(event.get("message", ""))
        if exitCode is None:
            return
        self._timer.stop()
        try:
            answer = self._answer(exitCode)
        finally:
            removePrivateFolder(self.folder)
        self._onEnd(answer)

    def _answer(self, exitCode: int) -> FollowUpAnswer | str:
        if exitCode != 0 or not self._result:
            return self._error or unexpectedEnd(exitCode, self.process.log)
        try:
            document = json.loads((self.folder / self._result["document"]).read_text(encoding="utf-8"))
            page = self._result.get("page")
            return FollowUpAnswer(document, (self.folder / page).read_text(encoding="utf-8") if page else None)
        except (OSError, ValueError) as error:
            return _("The comparison could not be read back ({reason}).").format(reason=error)


def followUpCommand(
    earlier: TimePointNodes | TimePointFile, later: TimePointNodes, files: list[tuple[str, str]]
) -> list[str]:
    """Return the command that compares two exported dates; dates are told when both are known and in order."""
    segmentations, images = zip(*files, strict=True)
    command = [pythonExecutable(), "-m", "LiverTumorSegLib.followup", *segmentations, "--images", *images]
    # A name that begins with a hyphen would be taken for an option.
    names = [point.name.lstrip("-") or stem for point, stem in ((earlier, "earlier"), (later, "later"))]
    command += ["--names", *names, "--output", "result", "--json-progress"]
    days = [earlier.day, later.day]
    return [*command, "--dates", *days] if all(days) and days == sorted(days) else command


def _endingOf(path: Path) -> str:
    """Return the ending that stands for an image's format, such as ".seg.nrrd"; that of a folder is empty."""
    return path.name[len(case_name(path)) :].lower()


def studyDay(volumeNode) -> str:
    """Return the date of a volume's DICOM study as YYYY-MM-DD; empty when the subject hierarchy does not know it."""
    hierarchy = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy else 0
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    study = hierarchy.GetItemAncestorAtLevel(item, constants.GetDICOMLevelStudy()) if item else 0
    text = hierarchy.GetItemAttribute(study, constants.GetDICOMStudyDateAttributeName()) if study else ""
    digits = "".join(character for character in text if character.isdigit())
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 else ""
