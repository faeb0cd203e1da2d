"""The model folders a reader can choose from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

LOCALISER_TASK = "localiser"
ENVIRONMENT_VARIABLE = "LIVERTUMORSEG_MODELS"


@dataclass(frozen=True)
class ModelChoice:
    """One bundle folder.

    Attributes
    ----------
    folder : Path
        Holds model.json and model.safetensors.
    id, version, task : str
        As its model.json says.
    """

    folder: Path
    id: str
    version: str
    task: str

    @property
    def title(self) -> str:
        """What the combo box shows."""
        return f"{self.id} {self.version}"


def readChoice(folder: Path) -> ModelChoice | str:
    """Return the bundle in a folder, or one sentence saying why there is none.

    The weights are not read: the child process verifies them before use.
    """
    description = folder / "model.json"
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        choice = ModelChoice(folder, str(content["id"]), str(content["version"]), str(content["task"]))
    except FileNotFoundError:
        return f"{folder} is not a model folder: it has no model.json."
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{description} cannot be read as a model description ({type(error).__name__}: {error})."
    if not (folder / "model.safetensors").is_file():
        return f"{folder} has no model.safetensors: the model was not copied whole."
    return choice


def modelRoots(moduleFolder: Path, userFolder: Path | None = None) -> list[Path]:
    """Return the folders that hold model folders, most important first.

    The environment variable stands in for the shipped models, as it does for the command line; then come the
    installed module's own Resources, the source tree, and the reader's folder.
    """
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    shipped = [moduleFolder / "Resources" / "Models", moduleFolder.parent / "Resources" / "Models"]
    roots = [Path(override)] if override else shipped
    return roots + ([userFolder] if userFolder else [])


def findModels(roots: list[Path]) -> tuple[list[ModelChoice], list[str]]:
    """Return the bundles below these folders and a sentence for each broken one; of two with one name the first."""
    choices: dict[str, ModelChoice] = {}
    problems = []
    for root in roots:
        if not root.is_dir():
            continue
        for folder in sorted(path for path in root.iterdir() if (path / "model.json").is_file()):
            choice = readChoice(folder)
            if isinstance(choice, str):
                problems.append(choice)
            else:
                choices.setdefault(choice.title, choice)
    return list(choices.values()), problems


def tumorModels(choices: list[ModelChoice]) -> list[ModelChoice]:
    """Return the models that segment; a localiser only finds the liver box."""
    return [choice for choice in choices if choice.task != LOCALISER_TASK]


def localiserOf(choices: list[ModelChoice]) -> ModelChoice | None:
    """Return the first localiser, or None."""
    return next((choice for choice in choices if choice.task == LOCALISER_TASK), None)
