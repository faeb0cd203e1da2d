"""What the source may import and contain, read from the source itself and tried in a fresh interpreter."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "LiverTumorSeg" / "LiverTumorSegLib"
ALLOWED = {"torch", "numpy", "scipy", "SimpleITK", "safetensors", "LiverTumorSegLib"}
NETWORK = {"socket", "ssl", "http", "urllib", "urllib3", "requests", "ftplib", "smtplib", "xmlrpc", "httpx"}
OWN_FOLDERS = ("LiverTumorSeg", "LiverTumorSegTraining", "Testing", "scripts")
CORE_FILES = sorted(CORE.rglob("*.py"))
OWN_FILES = sorted(path for folder in OWN_FOLDERS for path in (ROOT / folder).rglob("*.py"))
LONGEST_FILE = 400


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(nodes) -> set[str]:
    """Return the top-level names of the modules that these statements import, relative imports left out."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def run_at_import(tree: ast.Module):
    """Yield every statement that runs when the module is imported: not the bodies of functions, not TYPE_CHECKING."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)]


@pytest.mark.parametrize("path", CORE_FILES, ids=name_of)
def test_core_file_imports_only_what_inference_needs(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    foreign = imported(run_at_import(tree)) - ALLOWED - sys.stdlib_module_names
    assert not foreign, f"{name_of(path)} imports {sorted(foreign)}: do that in the function that needs it"


@pytest.mark.parametrize("path", CORE_FILES, ids=name_of)
def test_core_file_knows_neither_network_nor_pickle(path):
    text = path.read_text(encoding="utf-8")
    names = imported(ast.walk(ast.parse(text)))
    assert not names & NETWORK
    assert not names & {"pickle", "dill", "joblib", "shelve", "multiprocessing"}
    assert not re.search(r"torch\.load\(|weights_only\s*=\s*False|\beval\(|\bexec\(", re.sub(r"\.eval\(", "", text))


def test_core_imports_with_everything_else_blocked():
    modules = [".".join(path.relative_to(CORE.parent).with_suffix("").parts) for path in CORE_FILES]
    code = f"""
import sys, importlib
sys.path.insert(0, {str(CORE.parent)!r})
import torch, numpy, scipy, SimpleITK, safetensors.torch
allowed = {sorted(ALLOWED)!r}
before = set(sys.modules)

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in allowed or top in sys.stdlib_module_names or name in before:
            return None
        frame = sys._getframe()
        while frame is not None:  # what torch or scipy import on their own account is theirs
            if frame.f_globals.get("__name__", "").split(".")[0] in ("torch", "scipy", "numpy", "SimpleITK"):
                return None
            frame = frame.f_back
        raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Blocker())
for name in {modules!r}:
    importlib.import_module(name.removesuffix(".__init__"))
print("imported", len({modules!r}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("imported")


@pytest.mark.parametrize("path", OWN_FILES, ids=name_of)
def test_file_is_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{name_of(path)} has {lines} lines: give it one duty"


@pytest.mark.parametrize("path", OWN_FILES, ids=name_of)
def test_no_program_is_started_through_a_shell(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                through_shell = keyword.arg == "shell" and getattr(keyword.value, "value", None) is True
                assert not through_shell, f"{name_of(path)}:{node.lineno}"
            called = ast.unparse(node.func)
            assert called not in ("os.system", "os.popen"), f"{name_of(path)}:{node.lineno}"
            assert not called.endswith(".extractall"), f"{name_of(path)}:{node.lineno}"


def test_no_panel_import_in_the_core_or_training():
    files = [*CORE_FILES, *(ROOT / "LiverTumorSegTraining").rglob("*.py")]
    for path in files:
        names = imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        assert not names & {"LiverTumorSegPanel", "LiverTumorSeg", "slicer", "qt", "ctk"}, name_of(path)


def test_the_package_offers_its_public_names_without_loading_torch():
    code = (
        "import sys, LiverTumorSegLib as core\n"
        "assert 'torch' not in sys.modules and 'SimpleITK' not in sys.modules\n"
        "from LiverTumorSegLib import Segmenter, load_bundle, read_case\n"
        "assert set(core.__all__) <= set(dir(core)) and all(callable(getattr(core, name)) for name in core.__all__)\n"
        "assert not hasattr(core, 'Segmentr')\n"
        "print(Segmenter.__module__, load_bundle.__module__)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["LiverTumorSegLib.pipeline.inference", "LiverTumorSegLib.model.bundle"], run.stderr
