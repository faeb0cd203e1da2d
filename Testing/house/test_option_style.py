"""One style of options: --kebab-case; only keys of a recipe's sections keep the names they have there."""

from pathlib import Path

import pytest
from house_options import options_in

from LiverTumorSegTraining.data.verify import main as verify
from LiverTumorSegTraining.export.export_model import main as export
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.recipe.config_errors import recipe_keys
from LiverTumorSegTraining.training.cli import build_parser, option_of, parse
from LiverTumorSegTraining.training.cli import main as train

ROOT = Path(__file__).parents[2]


def test_every_option_is_in_kebab_case():
    files = [
        path
        for folder in ("LiverTumorSeg", "LiverTumorSegTraining", "scripts")
        for path in (ROOT / folder).rglob("*.py")
    ]
    found = {option: path.name for path in files for option in options_in(path)}
    assert len(found) > 60
    assert {option: name for option, name in found.items() if "_" in option or option != option.lower()} == {}
    written = {option for action in build_parser()._actions for option in action.option_strings}
    assert not [option for option in written if "_" in option and "." not in option]


@pytest.mark.parametrize("main", [train, verify, export])
def test_an_older_name_is_refused_with_the_name_of_today(main, capsys):
    older = {train: "--max_minutes", verify: "--label_map", export: "--tumor_threshold"}[main]
    arguments = ["--config", "x", "--data", "x", "--output", "x"] if main is train else ["x", "--output", "x"]
    try:
        code = main([*arguments, older, "1"])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert f"There is no option {older}: it is {older.replace('_', '-')}." in capsys.readouterr().err


def test_keys_outside_of_sections_are_options_of_this_style_too():
    assert option_of("init_from") == "--init-from"
    assert option_of("optimiser.learning_rate") == "--optimiser.learning_rate"
    words = ["--config", "c", "--data", "d", "--output", "o", "--init-from", "m", "--fine-tune", "true"]
    _, overrides = parse([*words, "--optimiser.learning_rate", "1e-3"])
    assert overrides == {"init_from": "m", "fine_tune": True, "optimiser.learning_rate": "1e-3"}
    assert {key for key in recipe_keys(Config) if "." not in key} >= {"init_from", "fine_tune"}
