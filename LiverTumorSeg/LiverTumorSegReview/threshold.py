"""The sensitivity slider: a preview while it moves, one step of the session when it settles."""

from __future__ import annotations

import time
from typing import Any

from LiverTumorSegReview.desk import Desk


class ThresholdSlider:
    """Another tumour threshold on the kept probability.

    Parameters
    ----------
    desk : Desk
        Whose session it changes.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked: float | None = None

    def preview(self, sensitivity: float) -> None:
        """Show what a sensitivity would give; nothing of the session changes."""
        desk = self._desk
        session = desk.up_to_date()  # a stroke that is not taken over yet would be lost under the preview
        if session is None or session.sensitivity is None:
            return
        threshold = 1 - float(sensitivity)
        if abs(threshold - session.shown_threshold) < 0.005:
            if desk.preview is not None:
                desk.show()
            return
        started = time.perf_counter()
        shown = session.sensitivity.preview(threshold)
        labels = session.labels.copy()
        labels[session.sensitivity.box] = shown.labels
        desk.show_preview(labels)
        spent = 1000 * (time.perf_counter() - started)
        desk.state.preview = f"{shown.lesions} lesions, {shown.tumor_ml:.1f} ml ({spent:.0f} ms)"

    def settle(self, *_: Any) -> None:
        """Take the slider's threshold over; ask first when tumours were edited by hand."""
        session = self._desk.up_to_date()
        if session is None:
            return
        self._asked = 1 - float(self._desk.state.sensitivity)
        if session.edited:
            self._desk.state.slide_asked = True
        else:
            self.confirm(True)

    def confirm(self, taken: bool) -> None:
        """Replace the tumours by those of the threshold that was asked for, or show them as they were."""
        self._desk.state.slide_asked = False
        session, threshold, self._asked = self._desk.session, self._asked, None
        if session is None or threshold is None:
            return
        if taken:
            session.slide(threshold)
        self._desk.show()

    def reset(self) -> None:
        """Go back to the calibrated threshold."""
        if self._desk.session is not None:
            self._desk.state.sensitivity = round(1 - self._desk.session.threshold, 2)
            self.settle()
