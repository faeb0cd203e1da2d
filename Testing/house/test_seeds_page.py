"""Every file, preset, key and option that docs/seeds.md names exists."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from house_options import options_in

from LiverTumorSegTraining.recipe.config import Config, load_config
from LiverTumorSegTraining.recipe.config_errors import recipe_keys
from LiverTumorSegTraining.training.cli import build_parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`]+)`", PAGE)
COMMANDS = [text for text in QUOTED if " --" in text or (text.startswith(("scripts/", "torchrun")) and " " in text)]
WRITTEN = ("loss_curve.png", "overlays/")
"""Named files that a run writes."""


def options_of(script):
    """Return the options of a script: those of the package that its main comes from."""
    if script.stem == "train":
        return {option for action in build_parser()._actions for option in action.option_strings}
    tree = ast.parse(script.read_text(encoding="utf-8"))
    (module,) = [
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("LiverTumorSeg")
    ]
    place = Path(*module.split(".")[:-1])
    folder = ROOT / place if (ROOT / place).is_dir() else ROOT / "LiverTumorSeg" / place
    return {option for path in folder.glob("*.py") for option in options_in(path)}


def test_named_files_exist():
    files = [text for text in QUOTED if re.fullmatch(r"[\w./-]+/[\w./-]+|[\w-]+\.(py|yaml|png|md)", text)]
    assert len(files) > 30
    assert [name for name in files if name not in WRITTEN and not (ROOT / name).exists()] == []


def test_named_keys_exist():
    keys = [text for text in QUOTED if re.fullmatch(r"[a-z]+\.[a-z_]+", text) and text not in WRITTEN]
    assert len(keys) > 10
    assert [key for key in keys if key not in recipe_keys(Config)] == []


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_can_be_given(command):
    words = shlex.split(command)
    script = ROOT / next(word for word in words if word.startswith("scripts/"))
    assert script.is_file()
    options = [word for word in words[words.index(f"scripts/{script.name}") :] if word.startswith("--")]
    assert set(options) <= options_of(script)
    if "--config" in options:
        load_config(ROOT / words[words.index("--config") + 1], {"init_from": "model"})


def test_every_preset_is_on_the_page():
    shipped = {"shipped_liver_tumor", "shipped_localiser"}
    presets = {path.stem for path in (ROOT / "Resources" / "Presets").glob("*.yaml")} - shipped
    assert {name for name in presets if f"{name}.yaml" not in PAGE} == set()
