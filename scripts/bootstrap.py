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
APART = ("review",)
"""Groups with an environment of their own, since their packages contradict those above; they bring no torch."""

OLDEST, NEWEST = (3, 10), (3, 13)
NEEDED = {
    "runtime": (
        *("torch", "SimpleITK", "scipy", "safetensors", "nibabel", "pydicom"),
        *("matplotlib", "jinja2", "rich", "psutil"),
    ),
    "train": ("torch", "SimpleITK", "monai", "pydantic", "yaml"),
    "test": (),
    "review": (),
}
"""Modules that make an environment of the user's own good enough; tests and the page always run in the locked one."""


def lock_file(group: str) -> Path:
    """Return the locked requirements of a group."""
    return ROOT / "requirements" / f"{group}.txt"


def enter(group: str, *, offline: bool = False) -> None:
    """Return inside an environment that has the group's packages, restarting the program there if need be.

    Parameters
    ----------
    group : {"runtime", "train", "test", "review"}
        What the program needs.
    offline : bool
        Never install anything: end with one sentence if something is missing.
    """
    _settings()
    inside = Path(sys.prefix).resolve() == environment(group).resolve()
    if group in APART and inside:
        sys.path[:0] = [str(ROOT / "LiverTumorSeg"), str(ROOT)]
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
    _restart(group)


def prepare(group: str) -> None:
    """Create the group's environment where it is missing and bring it to the locked state."""
    folder = environment(group)
    if not _python_works(folder):
        _create(folder)
    python, log = str(environment_python(group)), folder / "setup.log"
    # Compiling every module at once would take longer than the rest: Python does it for those that are used.
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile"]
    lock = lock_file(group)
    run_step(f"installing the {group} packages", [*pip, "--require-hashes", "--no-deps", "-r", str(lock)], log)
    if group not in APART:
        if not any(_site_packages(folder).glob("torch-*.dist-info")):
            run_step("installing torch (large)", [*pip, "-r", str(ROOT / "requirements" / "torch.txt")], log)
        run_step("adding the project itself", [*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], log)
    run_step("checking that the versions fit", [python, "-m", "pip", "check"], log)
    _stamp(group).write_text(_fingerprint(group), encoding="utf-8")


def environment(group: str = "runtime") -> Path:
    """Return the folder of a group's environment: ``.venv``, or ``.venv-GROUP`` for a group apart."""
    return ENVIRONMENT.with_name(f"{ENVIRONMENT.name}-{group}") if group in APART else ENVIRONMENT


def environment_python(group: str = "runtime") -> Path:
    """Return the interpreter of a group's environment."""
    return _python_of(environment(group))


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _settings() -> None:
    """Set what must stand before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow everything else on the machine
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # huge pages halve the page faults of a network (Linux)


def _own_environment_suffices(group: str) -> bool:
    """Whether the running interpreter belongs to an environment of the user's that has everything."""
    names = NEEDED[group]
    return bool(names) and all(importlib.util.find_spec(name) is not None for name in names)


def _create(folder: Path) -> None:
    """Create an empty environment with this interpreter, or with a supported one from the PATH."""
    python = _supported_python()
    if python is None:
        found = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(f"Python 3.10 to 3.13 is needed, and this is {found}: install one of them and run this again")
    print(f"setup: creating {folder.name} (once; later runs start at once)", flush=True)
    if python == sys.executable:
        try:
            venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(folder)
        except subprocess.CalledProcessError:
            raise SetupError(
                "this Python cannot make environments: install its venv package "
                "(Debian, Ubuntu: apt install python3-venv)"
            ) from None
    else:
        run_step("creating the environment", [python, "-m", "venv", "--clear", str(folder)], None)


def _supported_python() -> str | None:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    names = (f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1))
    return next((path for path in map(shutil.which, names) if path), None)


def _python_works(folder: Path) -> bool:
    """Whether ``.venv`` has an interpreter that starts (it does not after the system Python was removed)."""
    python = _python_of(folder)
    if not python.exists():
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _site_packages(folder: Path) -> Path:
    if os.name == "nt":
        return folder / "Lib" / "site-packages"
    return next((folder / "lib").glob("python3*/site-packages"))


def _stamp(group: str) -> Path:
    return environment(group) / f"setup-{group}.stamp"


def _fingerprint(group: str) -> str:
    """Hash of everything that decides what the environment holds."""
    parts = [(environment(group) / "pyvenv.cfg").read_bytes(), str(ROOT).encode()]
    deciding = (lock_file(group), ROOT / "requirements" / "torch.txt", ROOT / "pyproject.toml")
    parts += [path.read_bytes() for path in deciding]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _is_ready(group: str) -> bool:
    """Whether a stamp of the group, or of one containing it, says that everything is installed."""
    if not environment_python(group).exists():
        return False
    wider = (group,) if group in APART else GROUPS[GROUPS.index(group) :]
    return any(
        _stamp(name).is_file() and _stamp(name).read_text(encoding="utf-8") == _fingerprint(name) for name in wider
    )


def _restart(group: str) -> None:
    """Run the same command line with the interpreter of ``.venv``."""
    command = [str(environment_python(group)), *sys.argv]
    sys.stdout.flush()
    if os.name == "nt":  # exec on Windows returns to the shell before the program has ended
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(command[0], command)
