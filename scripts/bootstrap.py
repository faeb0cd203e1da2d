"""Make the project's own environment on a machine that has only Python, then go on inside it.

Standard library only. The packages come from the locked files in ``requirements/`` and are checked against their
hashes; torch comes from its own pin, because its build depends on the machine. Done once, it costs nothing again:
a stamp in ``.venv`` remembers what was installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from progress import SetupError, run_step

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
GROUPS = ("runtime", "train", "test")
"""What to install, each group containing the ones before it."""

OLDEST, NEWEST = (3, 10), (3, 13)
NEEDED = {
    "runtime": (
        *("torch", "SimpleITK", "scipy", "safetensors", "nibabel", "pydicom"),
        *("matplotlib", "jinja2", "rich", "psutil"),
    ),
    "train": ("torch", "SimpleITK", "monai", "pydantic", "cyclopts", "yaml"),
    "test": (),
}
"""Modules that make an environment of the user's own good enough; tests always run in the locked one."""


def lock_file(group: str) -> Path:
    """Return the locked requirements of a group."""
    return ROOT / "requirements" / f"{group}.txt"


def enter(group: str, *, offline: bool = False) -> None:
    """Return inside an environment that has the group's packages, restarting the program there if need be.

    Parameters
    ----------
    group : {"runtime", "train", "test"}
        What the program needs.
    offline : bool
        Never install anything: end with one sentence if something is missing.
    """
    _settings()
    inside = Path(sys.prefix).resolve() == ENVIRONMENT.resolve()
    if not inside and _own_environment_suffices(group):
        sys.path[:0] = [str(ROOT / "LiverTumorSeg"), str(ROOT)]
        return
    try:
        ready = _is_ready(group)
        if ready and inside:
            return
        if not ready:
            if offline:
                raise SetupError("the environment .venv is not complete, and --offline forbids to download it")
            prepare(group)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("setup: stopped; the next run goes on from here", file=sys.stderr)
        sys.exit(130)
    _restart()


def prepare(group: str) -> None:
    """Create ``.venv`` where it is missing and bring it to the locked state of a group."""
    if not _python_works():
        _create()
    python = str(environment_python())
    # Compiling every module at once would take longer than the rest: Python does it for those that are used.
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile"]
    lock = lock_file(group)
    run_step(f"installing the {group} packages", [*pip, "--require-hashes", "--no-deps", "-r", str(lock)], _log())
    if not any(_site_packages().glob("torch-*.dist-info")):
        run_step("installing torch (large)", [*pip, "-r", str(ROOT / "requirements" / "torch.txt")], _log())
    run_step("adding the project itself", [*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], _log())
    run_step("checking that the versions fit", [python, "-m", "pip", "check"], _log())
    _stamp(group).write_text(_fingerprint(group), encoding="utf-8")


def environment_python() -> Path:
    """Return the interpreter of ``.venv``."""
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _settings() -> None:
    """Set what must stand before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow everything else on the machine
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # huge pages halve the page faults of a network (Linux)


def _own_environment_suffices(group: str) -> bool:
    """Whether the running interpreter belongs to an environment of the user's that has everything."""
    names = NEEDED[group]
    return bool(names) and all(importlib.util.find_spec(name) is not None for name in names)


def _create() -> None:
    """Create an empty environment with this interpreter, or with a supported one from the PATH."""
    python = _supported_python()
    if python is None:
        found = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(f"Python 3.10 to 3.13 is needed, and this is {found}: install one of them and run this again")
    print(f"setup: creating {ENVIRONMENT.name} (once; later runs start at once)", flush=True)
    if python == sys.executable:
        try:
            venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(ENVIRONMENT)
        except subprocess.CalledProcessError:
            raise SetupError(
                "this Python cannot make environments: install its venv package "
                "(Debian, Ubuntu: apt install python3-venv)"
            ) from None
    else:
        run_step("creating the environment", [python, "-m", "venv", "--clear", str(ENVIRONMENT)], None)


def _supported_python() -> str | None:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    names = (f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1))
    return next((path for path in map(shutil.which, names) if path), None)


def _python_works() -> bool:
    """Whether ``.venv`` has an interpreter that starts (it does not after the system Python was removed)."""
    python = environment_python()
    if not python.exists():
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _site_packages() -> Path:
    if os.name == "nt":
        return ENVIRONMENT / "Lib" / "site-packages"
    return next((ENVIRONMENT / "lib").glob("python3*/site-packages"))


def _log() -> Path:
    return ENVIRONMENT / "setup.log"


def _stamp(group: str) -> Path:
    return ENVIRONMENT / f"setup-{group}.stamp"


def _fingerprint(group: str) -> str:
    """Hash of everything that decides what the environment holds."""
    parts = [(ENVIRONMENT / "pyvenv.cfg").read_bytes(), str(ROOT).encode()]
    deciding = (lock_file(group), ROOT / "requirements" / "torch.txt", ROOT / "pyproject.toml")
    parts += [path.read_bytes() for path in deciding]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _is_ready(group: str) -> bool:
    """Whether a stamp of the group, or of one containing it, says that everything is installed."""
    if not environment_python().exists():
        return False
    wider = GROUPS[GROUPS.index(group) :]
    return any(
        _stamp(name).is_file() and _stamp(name).read_text(encoding="utf-8") == _fingerprint(name) for name in wider
    )


def _restart() -> None:
    """Run the same command line with the interpreter of ``.venv``."""
    command = [str(environment_python()), *sys.argv]
    sys.stdout.flush()
    if os.name == "nt":  # exec on Windows returns to the shell before the program has ended
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(command[0], command)
