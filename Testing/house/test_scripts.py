"""The mains under scripts/ and the environment they make: locked, hashed, offline when asked, thin."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
LIBRARY = {"bootstrap.py", "progress.py", "lock.py"}
MAINS = sorted(path for path in SCRIPTS.glob("*.py") if path.name not in LIBRARY)
GROUPS = ("runtime", "train", "test")
LOCKS = (*GROUPS, "review")
THIN, THIN_TEST = 16, 40


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """The module, working on a copy of the locks in a folder without an environment."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    for name in ("bootstrap", "progress"):
        sys.modules.pop(name, None)
    import bootstrap

    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "ENVIRONMENT", tmp_path / ".venv")
    yield bootstrap
    for name in ("bootstrap", "progress"):
        sys.modules.pop(name, None)


def locked(group: str) -> dict[str, list[str]]:
    """Return package -> its locked requirement lines."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements" / f"{group}.txt").read_text(encoding="utf-8").splitlines():
        match = re.match(r"([a-z0-9-]+)==\S+", line)
        if match:
            found.setdefault(match[1], []).append(line.rstrip(" \\"))
    return found


OF_TRAINING = ("pydantic", "yaml", "monai", "optuna", "tensorboard", "skimage", "highdicom", "onnx")
"""Modules of packages that only a training or a test brings."""


@pytest.mark.parametrize("path", MAINS, ids=lambda path: path.name)
def test_a_main_imports_no_more_than_its_packages(path):
    text = path.read_text(encoding="utf-8")
    module = re.search(r"^from (LiverTumorSeg\S+) import main", text, re.MULTILINE)
    if 'enter("runtime"' not in text or module is None:
        pytest.skip("has all packages, or nothing to import")
    code = f"import sys; sys.modules.update(dict.fromkeys({OF_TRAINING!r})); import {module[1]}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", MAINS, ids=lambda path: path.name)
def test_main_is_thin(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= (THIN_TEST if path.name == "test.py" else THIN)


@pytest.mark.parametrize("path", [path for path in MAINS if path.name != "test.py"], ids=lambda path: path.name)
def test_main_shows_its_help(path):
    code = f"""
import runpy, sys
sys.path.insert(0, {str(SCRIPTS)!r})
import bootstrap
bootstrap.enter = lambda *arguments, **options: None  # the environment is there: these tests run in it
sys.argv = [{str(path)!r}, "--help"]
runpy.run_path({str(path)!r}, run_name="__main__")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "LiverTumorSeg"), str(ROOT)])}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert "usage" in run.stdout.lower()


@pytest.mark.parametrize("group", LOCKS)
def test_lock_pins_with_hashes_and_names_no_host(group):
    text = (ROOT / "requirements" / f"{group}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("group", LOCKS)
def test_lock_leaves_torch_to_its_own_pin(group):
    assert not [name for name in locked(group) if name.startswith(("torch", "nvidia", "cuda", "triton"))]


def test_wider_locks_contain_the_smaller_ones_unchanged():
    runtime, train, test = map(locked, GROUPS)
    assert runtime.items() <= train.items()
    assert {name: set(lines) for name, lines in train.items()}.items() <= {k: set(v) for k, v in test.items()}.items()


def test_the_page_has_an_environment_of_its_own(bootstrap):
    assert bootstrap.environment("review") == bootstrap.ENVIRONMENT.with_name(".venv-review")
    assert {bootstrap.environment(group) for group in GROUPS} == {bootstrap.ENVIRONMENT}
    tests, page = locked("test"), locked("review")
    assert tests["slicer-core"] != page["slicer-core"], "else both could share one environment"


def test_torch_is_pinned_in_one_place():
    pattern = re.compile(r"torch\s*==\s*\d")
    places = []
    for suffix in ("py", "txt", "toml", "md", "yaml", "yml", "in", "cfg"):
        for path in ROOT.rglob(f"*.{suffix}"):
            folders = path.relative_to(ROOT).parts[:-1]
            foreign = any(part.startswith(".") or part in ("results", "runs") for part in folders)
            if foreign or path == Path(__file__):
                continue
            if pattern.search(path.read_text(encoding="utf-8", errors="ignore")):
                places.append(path.relative_to(ROOT).as_posix())
    assert places == ["requirements/torch.txt"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_local_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_fingerprint_follows_the_lock(bootstrap):
    bootstrap.ENVIRONMENT.mkdir()
    (bootstrap.ENVIRONMENT / "pyvenv.cfg").write_text("version = 3.11.0\n")
    before = bootstrap._fingerprint("runtime")
    assert bootstrap._fingerprint("runtime") == before
    with bootstrap.lock_file("runtime").open("a") as stream:
        stream.write("# another\n")
    assert bootstrap._fingerprint("runtime") != before


def test_stamp_of_a_wider_group_suffices_but_not_of_a_smaller_one(bootstrap):
    python = bootstrap.environment_python()
    python.parent.mkdir(parents=True)
    python.touch()
    (bootstrap.ENVIRONMENT / "pyvenv.cfg").write_text("version = 3.11.0\n")
    assert not bootstrap._is_ready("runtime")
    bootstrap._stamp("train").write_text(bootstrap._fingerprint("train"))
    assert bootstrap._is_ready("runtime")
    assert bootstrap._is_ready("train")
    assert not bootstrap._is_ready("test")


def test_offline_without_environment_is_one_sentence(bootstrap, capsys):
    with pytest.raises(SystemExit) as stop:
        bootstrap.enter("test", offline=True)
    assert stop.value.code == 1
    words = capsys.readouterr().err
    assert words.startswith("setup: the environment .venv is not complete")
    assert len(words.splitlines()) == 1


def test_too_old_python_is_one_sentence(bootstrap, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "OLDEST", (9, 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        bootstrap.enter("test")
    assert stop.value.code == 1
    assert "Python 3.10 to 3.13 is needed" in capsys.readouterr().err


def test_failed_step_shows_the_last_words_and_keeps_the_log(bootstrap, tmp_path, capsys):
    from progress import SetupError, run_step

    log = tmp_path / "setup.log"
    code = "import sys; print('a useful reason'); sys.exit(3)"
    with pytest.raises(SetupError, match=r"(?s)trying it failed.*a useful reason"):
        run_step("trying it", [sys.executable, "-c", code], log)
    assert "a useful reason" in log.read_text(encoding="utf-8")
    assert "failed in" in capsys.readouterr().out


def test_lock_writer_drops_only_what_torch_brings(bootstrap):
    namespace = runpy.run_path(str(SCRIPTS / "lock.py"))
    kept, dropped = "numpy==2.0 \\\n    --hash=sha256:aa\n", "nvidia-x==1 \\\n    --hash=sha256:bb\n"
    assert namespace["without_torch"](kept + dropped + "triton==1\ntqdm==4\n") == kept + "tqdm==4\n"
