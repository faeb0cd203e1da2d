"""Recipes: what is wrong with one is said in one sentence, every key is an option, what was used is kept."""

import pytest
import yaml
from LiverTumorSegLib.errors import UsageError

from LiverTumorSegTraining.recipe.config import Config, load_config, parse_config
from LiverTumorSegTraining.recipe.config_errors import recipe_keys
from LiverTumorSegTraining.training.cli import build_parser, main, option_of, parse
from LiverTumorSegTraining.training.model import network_of


def written(folder, **content):
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"id": "a", **content}))
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"optimiser": {"learning_rte": 1}}, "no key optimiser.learning_rte; did you mean optimiser.learning_rate?"),
        ({"sampling": {"dims": 2}}, "did you mean network.dims?"),
        ({"optimizer": {"steps": 2}}, "no key optimizer"),
        ({"optimiser": {"learning_rate": -1}}, "optimiser.learning_rate is -1; allowed: a number above 0"),
        ({"network": {"dropout": 1.0}}, "allowed: a number at least 0 and below 1"),
        ({"network": {"attention": "much"}}, "allowed: none or gate or spatial"),
        ({"preparation": {"window_hu": [200, -100]}}, "the first value must be below the second"),
        ({"sampling": {"patch_size": [64, 64]}}, "must be 3 numbers above 0"),
        ({"sampling": {"kind": "volumes"}}, "needs preparation.resize"),
        ({"preparation": {"window_hu": None}}, "synthetic tumours need one CT channel"),
        ({"loss": {"class_weights": [1, 2]}}, "needs 3 values"),
        ({"preparation": {"liver_hu": 100}}, "preparation.liver_hu needs preparation.field_of_view liver_box"),
        ({"data": {"folds": 3, "fold": 3}}, "must be below data.folds 3"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, content, words):
    with pytest.raises(UsageError) as error:
        load_config(written(tmp_path, **content))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_everything_wrong_is_said_at_once(tmp_path):
    with pytest.raises(UsageError) as error:
        load_config(written(tmp_path, optimiser={"steps": 0, "ema": 2}, run={"seeed": 1}))
    assert all(word in str(error.value) for word in ("optimiser.steps", "optimiser.ema", "run.seeed"))


def test_a_recipe_lies_over_its_base(tmp_path):
    base = written(tmp_path, optimiser={"steps": 5, "ema": 0.5})
    over = tmp_path / "over.yaml"
    over.write_text(f"base: {base.name}\noptimiser: {{steps: 7}}\n")
    config = load_config(over)
    assert (config.optimiser.steps, config.optimiser.ema) == (7, 0.5)
    over.write_text("base: over.yaml\n")
    with pytest.raises(UsageError, match="its own base"):
        load_config(over)


def test_unreadable_recipes(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_config(tmp_path / "bad.yaml")


def test_every_key_is_an_option_with_default_and_description():
    text = build_parser().format_help()
    for key, field in recipe_keys(Config).items():
        assert f"{option_of(key)} " in text
        assert field.description, key
    assert "default 0.001" in text


def test_options_reach_the_recipe(tmp_path):
    path = written(tmp_path)
    arguments = ["--config", str(path), "--data", "d", "--output", "o", "--optimiser.learning_rate", "3e-4"]
    options, overrides = parse([*arguments, "--sampling.patch_size", "[32, 32, 16]", "--data.mix", "null"])
    config = load_config(options.config, overrides)
    assert config.optimiser.learning_rate == 3e-4
    assert config.sampling.patch_size == (32, 32, 16)
    assert config.data.mix is None


def test_an_unknown_option_names_the_nearest(tmp_path, capsys):
    arguments = ["--config", str(written(tmp_path)), "--data", "d", "--output", "o", "--optimiser.lerning_rate", "1"]
    assert main(arguments) == 2
    assert "did you mean --optimiser.learning_rate?" in capsys.readouterr().err


def test_every_preset_loads_and_builds(presets):
    names = {path.stem for path in presets.glob("*.yaml")}
    assert {path.stem for path in (presets / "tiny").glob("*.yaml")} == names - {"shipped_localiser"}
    for path in presets.rglob("*.yaml"):
        assert network_of(load_config(path)).arguments["classes"] > 1


@pytest.mark.parametrize(
    ("label_map", "words"),
    [({500: 2}, "names the value 500.*from 0 to 255"), ({3: 300}, "value 3 as 300.*values 1 to 2"),
     ({3: 7}, r"value 3 as 7, but data.labels \[liver, tumor\]"), ({-1: 0}, "names the value -1")],
)  # fmt: skip
def test_a_label_map_of_impossible_values_is_one_sentence(label_map, words):
    with pytest.raises(UsageError, match=words):
        parse_config({"id": "x", "data": {"label_map": label_map}}, "test")
    assert parse_config({"id": "x", "data": {"label_map": {3: 0, 4: 255, 5: 1}}}, "test").data.label_map[4] == 255
