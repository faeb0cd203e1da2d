"""Segment from Slicer's Python console or a script: the panel's own run, waited for."""

from __future__ import annotations

import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.dependencies import missingPackages, missingText
from LiverTumorSegPanel.inferenceProcess import RunRequest
from LiverTumorSegPanel.inputCheck import checkVolumeNode
from LiverTumorSegPanel.keptProbability import keepProbability
from LiverTumorSegPanel.modelChoice import findModels, localiserOf, modelRoots, readChoice, tumorModels
from LiverTumorSegPanel.segmentationRun import Outcome, SegmentationRun

TURN_S = 0.02


def segmentAndWait(volumeNode, moduleFolder: Path, quality: str, model, device: str, force: bool):
    """Return the new segmentation node of a CT; see ``LiverTumorSegLogic.process``.

    Raises
    ------
    RuntimeError
        One sentence saying why nothing was segmented.
    """
    problems = [finding.message for finding in checkVolumeNode(volumeNode) if finding.grade == "error"]
    if volumeNode is None:
        problems = [_("There is no CT to segment.")]
    problem = missingText(missingPackages()) or " ".join(problems)
    if problem:
        raise RuntimeError(problem)
    found, _problems = findModels(modelRoots(moduleFolder))
    localiser = localiserOf(found)
    request = RunRequest(
        models=(_modelFolder(model, found),),
        localiser=localiser.folder if localiser else None,
        device=device,
        quality=quality,
        force=force,
    )
    ends: list[Outcome] = []
    run = SegmentationRun(volumeNode, moduleFolder, request, lambda _fraction, _text: None, ends.append)
    try:
        while not ends:
            slicer.app.processEvents()
            time.sleep(TURN_S)
    finally:
        if not ends:  # interrupted from the console
            run.abandon()
    if ends[0].node is None:
        raise RuntimeError(ends[0].message)
    if ends[0].probability is not None:
        keepProbability(ends[0].node, volumeNode, ends[0].probability)
    return ends[0].node


def _modelFolder(model, found: list) -> Path:
    if model is not None:
        choice = readChoice(Path(model))
        if isinstance(choice, str):
            raise RuntimeError(choice)
        return choice.folder
    offered = tumorModels(found)
    if not offered:
        raise RuntimeError(_("No model was found: name a model folder."))
    return offered[0].folder
