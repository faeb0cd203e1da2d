"""Which computing devices there are, asked of a child process so that the panel opens at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.inferenceProcess import InferenceProcess, pythonExecutable
from LiverTumorSegPanel.pollTimer import PollTimer

POLL_MS = 200


@dataclass(frozen=True)
class DeviceAnswer:
    """What the child found.

    Attributes
    ----------
    torch : str or None
        Version of torch; None when it cannot be imported.
    problem : str
        Why not.
    devices : tuple of (str, str)
        Value for ``--device`` and words for the reader; "auto" first.
    kinds : dict of str to str
        For each value the kind of the device, as in the core's table of costs.
    """

    torch: str | None
    problem: str
    devices: tuple[tuple[str, str], ...]
    kinds: dict[str, str]


def deviceChoices(found: list) -> tuple[tuple[str, str], ...]:
    """Return the choices of the combo box for the devices found (fastest first)."""
    best = found[0][1] if found else _("CPU")
    return (("auto", _("Automatic ({device})").format(device=best)), *((name, words) for name, words, _kind in found))


def deviceKinds(found: list) -> dict[str, str]:
    """Return the kind of each choice; "auto" is of the kind of the fastest device."""
    kinds = {name: kind for name, _words, kind in found}
    return {"auto": found[0][2], **kinds} if found else kinds


class DeviceQuery:
    """Ask once; `onAnswer` is called with a `DeviceAnswer` when the child has answered or ended."""

    def __init__(self, moduleFolder: Path, onAnswer: Callable[[DeviceAnswer], None]):
        self._onAnswer = onAnswer
        self._answer: dict = {}
        script = Path(__file__).with_name("deviceQuery.py")
        self._process = InferenceProcess(
            [pythonExecutable(), str(script)], moduleFolder, Path(slicer.app.temporaryPath)
        )
        self._timer = PollTimer(POLL_MS, self._poll)
        self._timer.start()

    def abandon(self) -> None:
        """Stop asking."""
        self._timer.stop()
        self._process.tree.stop()

    def _poll(self) -> None:
        events, exitCode = self._process.poll()
        for event in events:
            if event["event"] == "devices":
                self._answer = event
        if exitCode is None:
            return
        self._timer.stop()
        problem = self._answer.get("problem") or ("" if self._answer else "\n".join(self._process.log[1:][-3:]))
        found = self._answer.get("devices", [])
        self._onAnswer(DeviceAnswer(self._answer.get("torch"), problem, deviceChoices(found), deviceKinds(found)))
