"""How command lines end: one sentence and an exit code for whatever went wrong, on a console of any code page."""

import argparse
import os
import subprocess
import sys

import pytest
from LiverTumorSegLib.command import exit_code
from LiverTumorSegLib.errors import InputError

QUIET = argparse.Namespace(debug=False)


def failing(error):
    def run(options):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("The scan is empty."), 3, "The scan is empty."),
        (OSError(28, "No space left on device", "out/a.json"), 2, "out/a.json cannot be read or written (No space"),
        (MemoryError(), 5, "Not enough memory"),
        (KeyboardInterrupt(), 130, "Cancelled."),
    ],
)
def test_one_sentence(capsys, error, code, words):
    assert exit_code(failing(error), QUIET) == code
    told = capsys.readouterr().err
    assert told.startswith(words)
    assert told.count("\n") == 1


def test_a_trace_only_when_asked(capsys):
    assert exit_code(failing(InputError("x")), argparse.Namespace(debug=True)) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_code(failing(ZeroDivisionError()), QUIET)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_text_beyond_the_code_page_is_escaped(encoding):
    code = (
        "import argparse\nfrom LiverTumorSegLib.command import exit_code\n"
        "exit_code(lambda options: print('\\u809d \\udcfc'), argparse.Namespace(debug=False))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [b"\\u809d", b"\\udcfc"]
