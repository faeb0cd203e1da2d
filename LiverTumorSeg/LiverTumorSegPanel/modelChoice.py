"""The model folders a reader can choose from."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from LiverTumorSegLib.model.cost import NetworkSize
from slicer.i18n import tr as _

LOCALISER_TASK = "localiser"
ONE_CHANNEL = ("CT",)
"""Of a model whose model.json names no channels."""
ENVIRONMENT_VARIABLE = "LIVERTUMORSEG_MODELS"


@dataclass(frozen=True)
class ModelChoice:
    """One bundle folder.

    Attributes
    ----------
    folder : Path
        Holds model.json and model.safetensors.
    id, version, task, sha256 : str
        As its model.json says; the hash is that of the weights.
    size : NetworkSize or None
        What a run with it costs goes by it; None for a network of a kind that nobody has measured.
    channels : tuple of str
        Its input channels, in order.
    """

    folder: Path
    id: str
    version: str
    task: str
    sha256: str
    size: NetworkSize | None = None
    channels: tuple[str, ...] = ONE_CHANNEL

    @property
    def title(self) -> str:
        """What the combo box shows."""
        return f"{self.id} {self.version}"

    @property
    def key(self) -> str:
        """What a scene keeps of it: the same model has the same key on another computer."""
        return json.dumps({"id": self.id, "version": self.version, "sha256": self.sha256})


def readChoice(folder: Path) -> ModelChoice | str:
    """Return the bundle in a folder, or one sentence saying why there is none.

    The weights are not read: the child process verifies them before use.
    """
    description = folder / "model.json"
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        id_, version, task = (str(content[key]) for key in ("id", "version", "task"))
        sha256, channels = str(content.get("sha256", "")), tuple(map(str, content.get("channels", ONE_CHANNEL)))
        choice = ModelChoice(folder, id_, version, task, sha256, NetworkSize.of(content), channels)
    except FileNotFoundError:
        return f"{folder} is not a model folder: it has no model.json."
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{description} cannot be read as a model description ({type(error).__name__}: {error})."
    if not (folder / "model.safetensors").is_file():
        return f"{folder} has no model.safetensors: the model was not copied whole."
    return choice


def modelRoots(moduleFolder: Path, userFolders: Sequence[Path] = ()) -> list[Path]:
    """Return the folders that are model folders or hold some.

    The environment variable stands in for the shipped models, as it does for the command line; then come the
    installed module's own Resources, the source tree, and the reader's folders, the newest last.
    """
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    shipped = [moduleFolder / "Resources" / "Models", moduleFolder.parent / "Resources" / "Models"]
    roots = [Path(override)] if override else shipped
    return [*roots, *userFolders]


def findModels(roots: list[Path]) -> tuple[list[ModelChoice], list[str]]:
    """Return the bundles in and below these folders and a sentence for each broken one; of two alike the last."""
    choices: dict[str, ModelChoice] = {}
    problems = []
    for root in roots:
        if not root.is_dir():
            continue
        for folder in sorted(path for path in (root, *root.iterdir()) if (path / "model.json").is_file()):
            choice = readChoice(folder)
            if isinstance(choice, str):
                problems.append(choice)
            else:
                choices[choice.key] = choice  # at the place of the first
    return list(choices.values()), problems


def chosenModel(key: str, offered: list[ModelChoice]) -> tuple[ModelChoice | None, str]:
    """Return the model that a scene names, and one sentence when it is another one or none.

    Parameters
    ----------
    key : str
        `ModelChoice.key` of the wanted model; empty for none in particular.
    offered : list of ModelChoice
        Those of this computer.
    """
    first = offered[0] if offered else None
    if not key:
        return first, ""
    exact = next((choice for choice in offered if choice.key == key), None)
    if exact is not None:
        return exact, ""
    try:
        wanted = json.loads(key)
        title = f"{wanted['id']} {wanted['version']}"
    except (ValueError, KeyError, TypeError):
        return first, ""
    alike = next((choice for choice in offered if choice.title == title), None)
    if alike is not None:
        sentence = _("This scene names the model '{wanted}' with other weights than the ones found in {folder}.")
        return alike, sentence.format(wanted=title, folder=alike.folder)
    if first is None:
        return None, ""
    sentence = _("The model '{wanted}' of this scene is not on this computer, so '{other}' is chosen instead.")
    return first, sentence.format(wanted=title, other=first.title)


def tumorModels(choices: list[ModelChoice]) -> list[ModelChoice]:
    """Return the models that segment; a localiser only finds the liver box."""
    return [choice for choice in choices if choice.task != LOCALISER_TASK]


def localiserOf(choices: list[ModelChoice]) -> ModelChoice | None:
    """Return the first localiser, or None."""
    return next((choice for choice in choices if choice.task == LOCALISER_TASK), None)
