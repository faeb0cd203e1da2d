"""A second run beside a result that the reader has worked on: what it would change, taken over one by one or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer
from LiverTumorSegLib.review.candidate import ADDED, REMOVED, Change, difference_labels, differences, without_loss
from slicer.i18n import tr as _

from LiverTumorSegPanel.resultView import jumpTo
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.section import Section
from LiverTumorSegPanel.segmentLabels import readLabels
from LiverTumorSegPanel.temporarySegmentation import TemporarySegmentation
from LiverTumorSegPanel.volumeExport import gridOf

NAME = "Second run"
COLORS = {"Only the second run": (0.2, 0.9, 0.3), "Only your result": (0.9, 0.3, 0.9)}


class CandidateSection(Section):
    """Compares a second run, which is a result of its own, with the one that the reader has worked on.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    onMerged : callable
        Called when something was taken over.
    """

    def __init__(self, ui, onMerged: Callable[[], None]):
        buttons = {
            "mergeButton": self._onMerge,
            "mergeAllButton": self._onMergeAll,
            "closeCandidateButton": self._onClose,
        }
        super().__init__(ui, buttons)
        self._onMerged = onMerged
        self._session: ReviewSession | None = None
        self._candidate: np.ndarray | None = None
        self._name = ""
        self._changes: Sequence[Change] = ()
        self._display: TemporarySegmentation | None = None
        ui.candidateList.connect("currentRowChanged(int)", self._onRow)
        self.drop()

    def offer(self, session: ReviewSession, node) -> None:
        """Compare a second run with the result of a session."""
        self.drop()
        self._session, self._name = session, node.GetName()
        self._candidate = readLabels(node, session.volumeNode)
        self.update()

    def drop(self) -> None:
        """Compare no more; both results stay as they are."""
        if self._display is not None:
            self._display.close()
            self._display = None
        self._session, self._candidate, self._changes = None, None, ()
        self.ui.candidateButton.visible = False

    def forgetScene(self) -> None:
        """Let go of the scene's nodes."""
        super().forgetScene()
        self.drop()

    def update(self) -> None:
        """Compare anew: the result may have changed."""
        session, ui = self._session, self.ui
        if session is None:
            return
        self._changes = differences(session.labels, self._candidate, session.original, session.verdicts)
        ui.candidateButton.visible = True
        words = _("'{name}' is a result of its own; yours is as it was. It differs in {count} places:")
        if not self._changes:
            words = _("'{name}' is a result of its own; it does not differ from yours.")
        ui.candidateLabel.text = words.format(name=self._name, count=len(self._changes))
        blocked = ui.candidateList.blockSignals(True)
        ui.candidateList.clear()
        voxelMl = float(np.prod(session.volumeNode.GetSpacing())) / 1000
        for change in self._changes:
            ui.candidateList.addItem(changeText(change, voxelMl))
        ui.candidateList.blockSignals(blocked)
        ui.candidateList.visible = bool(self._changes)
        ui.mergeButton.enabled = False
        ui.mergeAllButton.enabled = bool(self._changes)
        self._show()

    def _show(self) -> None:
        """Show in two colours what only one of the two has."""
        session = self._session
        if self._display is None:
            self._display = TemporarySegmentation(session.node, gridOf(session.volumeNode), NAME, COLORS)
        shown = difference_labels(session.labels, self._candidate)
        for segment, value in zip(COLORS, (ADDED, REMOVED), strict=True):
            self._display.show(segment, shown == value)

    def _onRow(self, row: int) -> None:
        self.ui.mergeButton.enabled = 0 <= row < len(self._changes)
        if 0 <= row < len(self._changes):
            k, j, i = (float(np.mean(indices)) for indices in np.nonzero(self._changes[row].region.mask))
            k, j, i = (at + s.start for at, s in zip((k, j, i), self._changes[row].region.box, strict=True))
            matrix = np.array(gridOf(self._session.volumeNode).ijkToRas)
            jumpTo(self._session.volumeNode, tuple((matrix @ (i, j, k, 1.0))[:3]))

    def _onMerge(self) -> None:
        row = self.ui.candidateList.currentRow
        if 0 <= row < len(self._changes):
            self._merge([self._changes[row]])

    def _onMergeAll(self) -> None:
        changes = self._changes
        safe = without_loss(changes)
        lost = len(changes) - len(safe)
        chosen = changes
        if lost:
            question = _(
                "{lost} of {count} changes would undo a correction of yours or bring back a lesion that you rejected. "
                "Take these over too? With No, only the others are taken over."
            )
            if not slicer.util.confirmYesNoDisplay(question.format(lost=lost, count=len(changes))):
                chosen = safe
            if self._changes is not changes:  # a run ended while the question was open, or a stroke was followed
                words = _("What there is to take over has changed meanwhile, and nothing was taken over. Look again.")
                slicer.util.infoDisplay(words)
                return
        self._merge(chosen)

    def _merge(self, changes: Sequence[Change]) -> None:
        if changes:
            with slicer.util.tryWithErrorDisplay(_("The change could not be taken over."), waitCursor=True):
                self._session.merge(self._candidate, changes)
            self._onMerged()

    def _onClose(self) -> None:
        self.drop()


def changeText(change: Change, voxelMl: float) -> str:
    """Return one line of the list."""
    kinds = {
        "new": _("new lesion"),
        "gone": _("lesion gone"),
        "changed": _("lesion with other borders"),
        "outline": _("outline of the liver"),
    }
    parts = [
        f"{sign}{voxels * voxelMl:.2f} ml" for sign, voxels in (("+", change.added), ("−", change.removed)) if voxels
    ]
    text = f"{change.number}. {kinds[change.kind]}: {', '.join(parts)}"
    if change.was_rejected:
        text += _(" – you rejected it")
    elif change.undoes_edit:
        text += _(" – undoes your correction")
    return text
