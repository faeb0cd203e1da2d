"""JSON of everything the project writes: read back as it was, figures that are not finite as null."""

import json
import math
import os
from pathlib import Path

import numpy as np
from LiverTumorSegLib.jsonfile import json_text, read_object, write_json


def test_figures_that_are_not_finite_are_null(tmp_path):
    figures = {
        "a": math.nan,
        "b": [math.inf, np.float32(1.5), np.int64(3)],
        "c": Path("x"),
        4: np.array([1.0, -np.inf]),
    }
    write_json(tmp_path / "a.json", figures)
    read = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert read == {"a": None, "b": [None, 1.5, 3], "c": "x", "4": [1.0, None]}


def test_a_path_that_is_no_text_comes_back(tmp_path):
    name = os.fsdecode(b"M\xfcller \xe8\x82\x9d") if os.name != "nt" else "M\udcfcller"
    write_json(tmp_path / "a.json", {"path": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": name}


def test_one_line_without_indent():
    assert json_text({"loss": float("nan"), "step": 3}) == '{"loss": null, "step": 3}'


def test_what_is_no_object_is_none(tmp_path):
    path = tmp_path / "a.json"
    assert read_object(path) is None
    for content in ("", "{", "[1]", "1"):
        path.write_text(content, encoding="utf-8")
        assert read_object(path) is None
    path.write_bytes(b"\xff")
    assert read_object(path) is None
    write_json(path, {"a": 1})
    assert read_object(path) == {"a": 1}
