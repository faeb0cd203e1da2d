"""Fixtures of the tests on real MRML: Slicer's scene, empty before each test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from slicer_boot import addViews, boot


@pytest.fixture
def slicer():
    package = boot()
    package.mrmlScene.Clear(False)
    addViews(package)
    yield package
    package.mrmlScene.Clear(False)
