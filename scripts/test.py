"""Run every check and every test: python3 scripts/test.py [arguments of pytest: then only those tests]."""

import os
import subprocess
import sys

from bootstrap import ENVIRONMENT, ROOT, enter

CHECKS = {
    "ruff": ["-m", "ruff", "check", "."],
    "mypy": ["-m", "mypy"],
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
}


def main() -> int:
    """Return 0 when every check and test passed; the closing line is pytest's."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    # The tests start hundreds of processes, each of which would compile torch and the rest anew.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ["PYTHONPYCACHEPREFIX"] = str(ENVIRONMENT / "bytecode")
    failed = []
    for name, arguments in CHECKS.items() if not sys.argv[1:] else ():
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"== failed: {', '.join(failed)}", flush=True)
    # Two files at a time; the tests of a file share what it prepared.
    arguments = sys.argv[1:] or ["--numprocesses", "2", "--dist", "loadfile"]
    tests = subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode
    return tests or int(bool(failed))


if __name__ == "__main__":
    enter("test")
    sys.exit(main())
