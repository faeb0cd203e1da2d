"""A place asked for by a file: what is written is read, what is damaged is one sentence."""

import pytest
from LiverTumorSegLib.errors import InputError
from LiverTumorSegLib.review.question import Question, ask, question_file, read_question


@pytest.mark.parametrize("question", [Question((1.5, -2.0, 3.25)), Question((0.0, 1.0, 2.0), (-3.0, 4.0, 5.5), 104.5)])
def test_what_is_asked_is_read(tmp_path, question):
    ask(tmp_path, 3, question)
    assert read_question(question_file(tmp_path, 3)) == question
    assert [path.name for path in tmp_path.iterdir()] == ["place_3.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"point_lps_mm": [1, 2]}', '{"point_lps_mm": [1, 2, "x"]}', "7"])
def test_what_holds_no_place_is_one_sentence(tmp_path, text):
    path = question_file(tmp_path, 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"place_1\.json asks for no place"):
        read_question(path)
