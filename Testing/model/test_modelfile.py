"""A model as one file: what is packed is unpacked, what is no model leaves nothing."""

import zipfile

import pytest
from LiverTumorSegLib.errors import ModelError
from LiverTumorSegLib.model import modelfile
from LiverTumorSegLib.model.bundle import load_bundle
from LiverTumorSegLib.model.modelfile import pack_model, unpack_model
from LiverTumorSegLib.model.models import LOCALISER, models_folder


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "Ťest é.ltsmodel"
    pack_model(models_folder() / LOCALISER, path)
    return path


def altered(source, target, change):
    """Copy a zip; ``change(name, bytes)`` gives the (name, bytes) to write, or None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            written = change(member.filename, old.read(member))
            if written is not None:
                new.writestr(*written)
    return target


def test_a_shipped_model_goes_through_a_file(packed, tmp_path):
    folder = unpack_model(packed, tmp_path / "models")
    ours, theirs = load_bundle(models_folder() / LOCALISER), load_bundle(folder)
    assert theirs == ours
    assert theirs.sha256 == ours.sha256
    assert folder.name == f"{ours.id}-{ours.version}-{ours.sha256[:8]}"
    assert (folder / "MODEL_CARD.md").read_bytes() == (models_folder() / LOCALISER / "MODEL_CARD.md").read_bytes()
    assert unpack_model(packed, tmp_path / "models") == folder
    assert [path.name for path in (tmp_path / "models").iterdir()] == [folder.name]


def test_a_zip_of_the_folder_itself_is_a_model_file_too(packed, tmp_path):
    path = altered(packed, tmp_path / "b.ltsmodel", lambda name, data: (f"my model/{name}", data))
    assert load_bundle(unpack_model(path, tmp_path / "models")).id == load_bundle(models_folder() / LOCALISER).id


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda name, data: None if name == "model.json" else (name, data), "has no model.json"),
        (lambda name, data: (name, data[:-9] if name == "model.safetensors" else data), "damaged or were exchanged"),
        (lambda name, data: (name, b"{}" if name == "model.json" else data), "does not describe a model"),
        (lambda name, data: (f"a/{name}", data) if name != "MODEL_CARD.md" else ("model.json", data), "more than one"),
    ],
)
def test_what_is_no_model_is_one_sentence_and_leaves_nothing(packed, tmp_path, change, sentence):
    path = altered(packed, tmp_path / "b.ltsmodel", change)
    with pytest.raises(ModelError, match=sentence):
        unpack_model(path, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_damaged_zip_is_one_sentence_wherever_the_damage_is(packed, tmp_path):
    whole = packed.read_bytes()
    for place in range(500, len(whole) - 500, len(whole) // 7):
        packed.write_bytes(whole[:place] + bytes(64) + whole[place + 64 :])
        with pytest.raises(ModelError):
            unpack_model(packed, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_only_files_of_a_model_are_taken_out(packed, tmp_path):
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../evil.txt", "x")
        archive.writestr("run_me.py", "x")
    folder = unpack_model(packed, tmp_path / "models")
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors", "MODEL_CARD.md"}
    assert not (tmp_path / "evil.txt").exists()


def test_no_zip_and_a_zip_that_is_too_large(packed, tmp_path, monkeypatch):
    (tmp_path / "text.ltsmodel").write_text("no zip", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be opened"):
        unpack_model(tmp_path / "text.ltsmodel", tmp_path / "models")
    monkeypatch.setattr(modelfile, "LARGEST_BYTES", 1000)
    with pytest.raises(ModelError, match="would take more than"):
        unpack_model(packed, tmp_path / "models")
    with pytest.raises(ModelError, match="not a model folder"):
        pack_model(tmp_path, tmp_path / "x.ltsmodel")
