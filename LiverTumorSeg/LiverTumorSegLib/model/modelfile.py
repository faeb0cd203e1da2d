"""One file for a model: a zip of its folder, ``.ltsmodel``, to be sent, dropped on Slicer and opened.

Nothing in it can execute, and only files of a model folder are taken out of it. Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from ..errors import ModelError
from ..wholefile import whole_file

SUFFIX = ".ltsmodel"
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
CARD = "MODEL_CARD.md"
LARGEST_BYTES = 2 << 30
"""A zip can claim any size; no model of this kind is larger."""
_CHUNK = 1 << 20


def pack_model(folder: Path, path: Path) -> None:
    """Write a model folder, with its card if it has one, as one file; it appears whole or not at all.

    Raises
    ------
    ModelError
        If the folder is no model folder or its weights are not the described ones.
    UsageError
        If the file cannot be written.
    """
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} is not a model folder: it has no {name}.")
    _require_described(folder, str(folder))
    members = [name for name in (DESCRIPTION, CARD, WEIGHTS) if (folder / name).is_file()]
    with whole_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in members:
            archive.write(folder / name, name)


def unpack_model(path: Path, models: Path) -> Path:
    """Take a model out of its file into a folder of its own below `models`, named by id, version and hash.

    Parameters
    ----------
    path : Path
        The ``.ltsmodel`` file.
    models : Path
        Folder of the reader's models, made when absent. A model that is there already is left as it is.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    ModelError
        If the file is no whole model; nothing is left of it then.
    """
    try:
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=models) as private, zipfile.ZipFile(path) as archive:
            whole = Path(private) / "model"
            whole.mkdir()
            for name, member in _members(archive, path).items():
                with (
                    archive.open(member) as source,
                    whole_file(whole / name) as partial,
                    partial.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target, _CHUNK)
            folder = models / _require_described(whole, str(path))
            if not folder.is_dir():
                whole.rename(folder)
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path} cannot be opened as a model file ({error}): get it again from where it came.") from (
            error
        )
    return folder


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files of the model by name; they lie at the top of the zip or in one folder of it."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.rsplit("/", 1)[-1]
        if name in (DESCRIPTION, WEIGHTS, CARD):
            if name in found:
                raise ModelError(f"{path} holds more than one {name}: a model file holds one model.")
            found[name] = member
    missing = [name for name in (DESCRIPTION, WEIGHTS) if name not in found]
    if missing:
        raise ModelError(f"{path} is not a model file: it has no {missing[0]}.")
    if sum(member.file_size for member in found.values()) > LARGEST_BYTES:
        raise ModelError(f"{path} would take more than {LARGEST_BYTES >> 30} GB: it is no model of this program.")
    return found


def _require_described(folder: Path, shown: str) -> str:
    """Return a folder name for the model in a folder, after its weights were seen to be the described ones."""
    try:
        told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        identity, version, wanted = (str(told[key]) for key in ("id", "version", "sha256"))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{shown}: its {DESCRIPTION} does not describe a model. Export the model again.") from error
    digest = hashlib.sha256()
    with (folder / WEIGHTS).open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != wanted:
        raise ModelError(
            f"{shown}: its weights are damaged or were exchanged. Get the model again from where it came."
        )
    return re.sub(r"[^\w.-]+", "_", f"{identity}-{version}-{wanted[:8]}").lstrip(".")
