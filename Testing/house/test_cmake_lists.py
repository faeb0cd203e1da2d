"""CMake's lists and the files on disk, both ways: listed but missing fails a build, unlisted is not installed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "LiverTumorSeg"
MODELS = ROOT / "Resources" / "Models"


def listed(variable: str) -> list[str]:
    """Return the entries of one set() command of the module's CMakeLists.txt."""
    text = re.sub(r"#.*", "", (MODULE / "CMakeLists.txt").read_text(encoding="utf-8"))
    (entries,) = re.findall(rf"set\({variable}\s+(.*?)\)", text, flags=re.DOTALL)
    return [entry.replace("${MODULE_NAME}", "LiverTumorSeg") for entry in re.split(r"\s+", entries.strip()) if entry]


def on_disk(folder: Path, *patterns: str) -> set[str]:
    """Return the files below a folder as CMake would name them."""
    return {
        path.relative_to(folder).as_posix()
        for pattern in patterns
        for path in folder.rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_python_file_is_listed_and_exists():
    scripts = listed("MODULE_PYTHON_SCRIPTS")
    page = {name for name in on_disk(MODULE, "*.py") if name.startswith("LiverTumorSegReview/")}
    assert page, "the page in the browser is beside the module, not part of it"
    assert set(scripts) == on_disk(MODULE, "*.py") - page
    assert len(scripts) == len(set(scripts))


def test_every_resource_is_listed_and_exists():
    resources = listed("MODULE_PYTHON_RESOURCES")
    ours = {f"Resources/{name}" for name in on_disk(MODULE / "Resources", "*")}
    core = {name for name in on_disk(MODULE / "LiverTumorSegLib", "*") if not name.endswith((".py", ".toml"))}
    assert set(resources) == ours | {f"LiverTumorSegLib/{name}" for name in core}
    assert len(resources) == len(set(resources))


def test_every_model_file_is_listed_and_exists():
    models = listed("MODULE_MODEL_FILES")
    bundles = [path.parent for path in MODELS.glob("*/model.json")]
    assert set(models) == {f"{folder.name}/{name}" for folder in bundles for name in on_disk(folder, "*")}
    for name in {Path(entry).parts[0] for entry in models}:
        for part in ("model.json", "model.safetensors", "MODEL_CARD.md"):
            assert f"{name}/{part}" in models


@pytest.mark.parametrize(
    "line",
    [
        "cmake_minimum_required(VERSION 3.28.0...3.28.0 FATAL_ERROR)",
        "project(LiverTumorSeg)",
        'set(EXTENSION_DEPENDS "PyTorch")',
        "find_package(Slicer REQUIRED)",
        "include(${Slicer_USE_FILE})",
        "add_subdirectory(LiverTumorSeg)",
        "## NEXT_MODULE",
        "include(${Slicer_EXTENSION_GENERATE_CONFIG})",
        "include(${Slicer_EXTENSION_CPACK})",
    ],
)
def test_root_file_has_what_the_extension_build_needs(line):
    lines = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8").splitlines()
    assert any(candidate.startswith(line) for candidate in lines)


def test_extension_meta_information_is_complete():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"):
        (value,) = re.findall(rf'set\(EXTENSION_{name} "([^"]+)"\)', text)
        if name.endswith(("URL", "URLS")):
            assert value.startswith("https://")
            assert value.endswith(".png")
            assert (ROOT / value.partition("/main/")[2]).is_file()
