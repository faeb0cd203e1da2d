"""Which computing devices there are, asked of a child process so that the panel opens at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slicer.i18n import tr as _

from LiverTumorSegPanel.childQuery import ChildQuery


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


def askForDevices(moduleFolder: Path, onAnswer: Callable[[DeviceAnswer], None]) -> ChildQuery:
    """Ask once; `onAnswer` is called with a `DeviceAnswer` when the child has answered or ended."""

    def answered(answer: dict, log: list[str]) -> None:
        problem = answer.get("problem") or ("" if answer else "\n".join(log[1:][-3:]))
        found = answer.get("devices", [])
        onAnswer(DeviceAnswer(answer.get("torch"), problem, deviceChoices(found), deviceKinds(found)))

    return ChildQuery("deviceQuery.py", (), "devices", moduleFolder, answered)
