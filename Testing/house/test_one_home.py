"""Writing has one home: every file of a result goes through `wholefile`, every JSON file through `jsonfile`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("LiverTumorSeg/LiverTumorSegLib", "LiverTumorSegTraining")
HOMES = {"wholefile.py", "jsonfile.py"}
SCRATCH = {"benchmark", "niftigrid.py"}
"""Rooms and files that write only what they delete again."""


def sources() -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if path.name not in HOMES and not SCRATCH & {path.name, path.parent.name}]


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def name_of(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def first_argument(call: ast.Call) -> str:
    return ast.unparse(call.args[0]) if call.args else ""


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_written_in_place(path):
    for call in calls(path):
        name, where = name_of(call), f"{path.name}:{call.lineno}"
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        assert name not in ("fsync", "dump") or owner not in ("os", "json"), where
        assert name not in ("write_text", "write_bytes") or owner in ("", "partial"), where
        assert name != "WriteImage", where
        if name == "savefig":
            assert first_argument(call) in ("partial", "buffer", "stream"), where
        if name == "open" and any("w" in ast.unparse(mode) for mode in call.args[:1]):
            assert owner == "partial", where
