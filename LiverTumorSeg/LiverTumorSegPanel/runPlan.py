"""What a run will cost, said before it starts: memory from the scan's size, time from the runs on this computer."""

from __future__ import annotations

import json

import qt
from LiverTumorSegLib.memory import machine_memory
from LiverTumorSegLib.pipeline.plan import Plan, plan_run
from LiverTumorSegLib.pipeline.quality import QUALITIES
from slicer.i18n import tr as _

from LiverTumorSegPanel.modelSection import ModelSection
from LiverTumorSegPanel.panelFinding import PanelFinding
from LiverTumorSegPanel.progressText import durationText
from LiverTumorSegPanel.volumeExport import coreGrid

PACE_SETTING = "LiverTumorSeg/Pace"
"""By kind of device: how many times the table's seconds the last run on this computer took, as JSON."""
GIGABYTE = 2**30


def planFor(volumeNode, models: ModelSection, quality: str) -> Plan | None:
    """Return the plan for a CT that can be segmented; None where model or device were never measured."""
    model, localiser = models.model(), models.localiser()
    if model is None or localiser is None:
        return None
    grid, size = coreGrid(volumeNode), volumeNode.GetImageData().GetScalarSize()
    kind = models.deviceKind()
    return plan_run(grid, size, model.size, localiser.size, QUALITIES[quality], kind, machine_memory())


def planText(plan: Plan | None, kind: str) -> str:
    """Return the plan in one line; no time before a run on this kind of device has shown how fast it is."""
    if plan is None:
        return ""
    if plan.memory is None:
        memory = _("{needed} GB of memory").format(needed=_gigabytes(plan.bytes))
    else:
        memory = _("{needed} of {total} GB of memory").format(
            needed=_gigabytes(plan.bytes), total=round(plan.memory.total / GIGABYTE)
        )
    pace = _paces().get(kind)
    if pace is None:
        return _("Needs about {memory}.").format(memory=memory)
    return _("About {duration}, {memory}.").format(duration=durationText(_rounded(plan.seconds * pace)), memory=memory)


def planFindings(plan: Plan | None) -> list[PanelFinding]:
    """Return what a reader should hear before the run where memory is short."""
    if plan is None or plan.memory is None or (plan.fits and plan.tile_voxels is None):
        return []
    needed, free = _gigabytes(plan.bytes), _gigabytes(plan.memory.available)
    if plan.fits:
        words = _(
            "Only {free} GB of memory are free, so the liver is looked at in smaller parts: the result is the same, "
            "but takes longer."
        )
        return [PanelFinding("info", words.format(free=free), "memory-plan")]
    words = _(
        "This run needs about {needed} GB of memory, but only {free} GB are free: it may become very slow, or be "
        "ended by the system. Close other programs, or crop the scan to the abdomen."
    )
    return [PanelFinding("warning", words.format(needed=needed, free=free), "memory-plan")]


def qualityFindings(models: ModelSection, quality: str) -> list[PanelFinding]:
    """Return what a reader should hear where a quality stands for looks that the chosen model does not take."""
    model = models.model()
    if model is None or model.size is None or not QUALITIES[quality].is_in_vain(model.size.mirroring):
        return []
    return [PanelFinding("info", _("This model gains nothing at Best: it works as at Standard."), "quality")]


def learnPace(plan: Plan | None, kind: str, seconds: float) -> None:
    """Remember how long a run took that was planned so."""
    if plan is not None and plan.seconds > 0:
        paces = {**_paces(), kind: round(seconds / plan.seconds, 3)}
        qt.QSettings().setValue(PACE_SETTING, json.dumps(paces))


def _paces() -> dict[str, float]:
    try:
        paces = json.loads(str(qt.QSettings().value(PACE_SETTING) or "{}"))
    except ValueError:
        return {}
    return paces if isinstance(paces, dict) else {}


def _gigabytes(value: float) -> str:
    return f"{value / GIGABYTE:.1f}"


def _rounded(seconds: float) -> float:
    """Return a duration without figures that nobody can promise."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 15
    return max(step, step * round(seconds / step))
