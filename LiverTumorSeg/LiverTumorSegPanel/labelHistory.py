"""What belonged to labelmaps that stood before: the editor's undo brings back a labelmap, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from LiverTumorSegLib.review.region import Labels
from LiverTumorSegLib.review.verdicts import Verdicts

from LiverTumorSegPanel.predictedLabels import PredictedLabels
from LiverTumorSegPanel.quickStrokes import QuickStrokes


@dataclass(frozen=True, eq=False)
class Moment:
    """What belonged to one labelmap.

    Attributes
    ----------
    verdicts : Verdicts
        Of its lesions.
    threshold : str
        As the result's node keeps the chosen one; empty for the default.
    predicted : PredictedLabels or None
        What the network gave at that threshold; None where that is not known.
    unfilled : QuickStrokes or None
        Whose erased tumour is no liver yet, for an undo left the labelmap between them.
    """

    verdicts: Verdicts
    threshold: str
    predicted: PredictedLabels | None
    unfilled: QuickStrokes | None


class LabelHistory:
    """Moments and strokes of the last steps.

    Parameters
    ----------
    steps : int
        How many the editor can undo; as many can be done again.
    """

    def __init__(self, steps: int):
        self._steps = steps
        self._moments: dict[int, Moment] = {}
        self._strokes: list[QuickStrokes] = []

    def remember(self, checksum: int, moment: Moment) -> None:
        """Keep what belongs to the labelmap with this checksum as long as an undo may bring it back."""
        self._moments.pop(checksum, None)  # it is the youngest now
        self._moments[checksum] = moment
        for oldest in list(self._moments)[: -2 * self._steps]:
            del self._moments[oldest]

    def add(self, strokes: QuickStrokes) -> None:
        """Keep what was drawn last."""
        self._strokes = [strokes, *self._strokes][: self._steps]

    def at(self, checksum: int) -> Moment | None:
        """Return what belonged to the labelmap with this checksum; None for one that was not seen."""
        return self._moments.get(checksum)

    def partlyUndone(self, labels: Labels) -> QuickStrokes | None:
        """Return the strokes of which an undo left this labelmap; None where none did."""
        return next((strokes for strokes in self._strokes if strokes.leave(labels)), None)
