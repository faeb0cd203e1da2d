"""The sensitivity slider: what another threshold gives is shown while it moves and taken over when it is let go."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from LiverTumorSegLib.labels import TUMOR
from LiverTumorSegLib.review.sensitivity import HIGHEST_THRESHOLD, LOWEST_THRESHOLD
from slicer.i18n import tr as _

from LiverTumorSegPanel.pollTimer import PollTimer
from LiverTumorSegPanel.preview import PreviewDisplay
from LiverTumorSegPanel.resultRecords import PREFIX
from LiverTumorSegPanel.reviewSession import ReviewSession
from LiverTumorSegPanel.volumeExport import gridOf

STEPS = 100
KEYS_SETTLE_MS = 400
"""The result follows this long after the last step by the arrow keys or the wheel; a drag is let go by the mouse."""
SNAP = 1
"""This near to the default the slider means the default."""


class SensitivitySlider:
    """Moves the tumour threshold of one result; to the right more is found.

    Parameters
    ----------
    ui : object
        The widgets of the panel.
    onSettled : callable
        Called when the result has changed.
    """

    def __init__(self, ui, onSettled: Callable[[], None]):
        self._ui, self._onSettled = ui, onSettled
        self._session: ReviewSession | None = None
        self._display: PreviewDisplay | None = None
        self._held = False
        self._settles = PollTimer(KEYS_SETTLE_MS, self._onReleased, once=True)
        slider = ui.sensitivitySlider
        slider.minimum, slider.maximum = 0, STEPS
        slider.connect("sliderPressed()", self._onPressed)
        slider.connect("valueChanged(int)", self._onMoved)
        slider.connect("sliderReleased()", self._onReleased)
        ui.defaultSensitivityButton.connect("clicked()", self._onDefault)

    def use(self, session: ReviewSession | None) -> None:
        """Work on this session; None while there is none."""
        self._hidePreview()
        self._session = session
        self.update()

    def update(self) -> None:
        """Show the slider where the result stands."""
        usable = self._session is not None and self._session.hasProbability
        for widget in (self._ui.sensitivityTitleLabel, self._ui.sensitivitySlider, self._ui.sensitivityLabel):
            widget.visible = usable
        self._ui.defaultSensitivityButton.visible = usable
        if not usable:
            return
        threshold = self._chosen()
        self._place(threshold)
        isDefault = threshold == self._default()
        self._ui.defaultSensitivityButton.enabled = not isDefault
        self._ui.sensitivityLabel.text = (
            _("Default: network score of {percent:.0f} % and more.") if isDefault else _("Score of {percent:.0f} %.")
        ).format(percent=100 * threshold)

    def _default(self) -> float:
        return self._session.defaultThreshold

    def _chosen(self) -> float:
        return float(self._session.node.GetAttribute(PREFIX + "ChosenThreshold") or self._default())

    def _place(self, threshold: float) -> None:
        slider = self._ui.sensitivitySlider
        blocked = slider.blockSignals(True)
        slider.value = positionOf(threshold)
        slider.blockSignals(blocked)

    def _threshold(self) -> float:
        """Return the threshold that the slider stands for; near the default it is the default."""
        position, default = self._ui.sensitivitySlider.value, self._default()
        return default if abs(position - positionOf(default)) <= SNAP else thresholdOf(position)

    def _onPressed(self) -> None:
        self._held = True

    def _onMoved(self, _position: int) -> None:
        if self._session is None:
            return
        if self._display is None:
            self._display = PreviewDisplay(self._session.node, gridOf(self._session.volumeNode))
        if not self._held:
            self._settles.start()
        sensitivity = self._session.sensitivity()
        preview = sensitivity.preview(self._threshold())
        self._display.show(preview.labels == TUMOR.value, sensitivity.box)
        words = _("1 lesion, {volume:.1f} ml") if preview.lesions == 1 else _("{count} lesions, {volume:.1f} ml")
        figures = words.format(count=preview.lesions, volume=preview.tumor_ml)
        self._ui.sensitivityLabel.text = _("Score of {percent:.0f} %: {figures}").format(
            percent=100 * preview.threshold, figures=figures
        )

    def _onReleased(self) -> None:
        self._held = False
        self._settles.stop()
        threshold = self._threshold() if self._session is not None else 0.0
        self._hidePreview()
        if self._session is not None:
            self._settle(threshold)

    def _onDefault(self) -> None:
        if self._session is not None:
            self._settle(self._default())

    def _settle(self, threshold: float) -> None:
        session = self._session
        if threshold != self._chosen() and self._mayReplace():
            if self._session is not session:  # a run ended while the question was open
                words = _("Another result is shown by now, and nothing was replaced. Choose yours again.")
                slicer.util.infoDisplay(words)
                return
            with slicer.util.tryWithErrorDisplay(_("The sensitivity could not be changed."), waitCursor=True):
                session.settle(threshold)
            self._onSettled()
        self.update()

    def _mayReplace(self) -> bool:
        """Whether the network's tumour may take the place of the reader's: asked after a correction by hand."""
        if not self._session.isEdited:
            return True
        question = _(
            "This result was corrected by hand. Another sensitivity replaces its tumour by the network's, corrections "
            "included; Undo brings them back. Replace it?"
        )
        return slicer.util.confirmOkCancelDisplay(question)

    def _hidePreview(self) -> None:
        self._settles.stop()
        if self._display is not None:
            self._display.close()
            self._display = None


def positionOf(threshold: float) -> int:
    """Return the place of a threshold on the slider: the lower the threshold, the further to the right."""
    share = (HIGHEST_THRESHOLD - threshold) / (HIGHEST_THRESHOLD - LOWEST_THRESHOLD)
    return round(STEPS * min(1.0, max(0.0, share)))


def thresholdOf(position: int) -> float:
    """Return the threshold of a place on the slider."""
    return HIGHEST_THRESHOLD - position / STEPS * (HIGHEST_THRESHOLD - LOWEST_THRESHOLD)
