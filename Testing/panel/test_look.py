"""The look of the panel: its first screen, words that can be translated, sizes that follow the style."""

import ast
import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")

from PySide6 import QtWidgets
from scene_state import addScan
from slicer_boot import MODULE_FOLDER

ROOT = MODULE_FOLDER.parent
UI_FILE = MODULE_FOLDER / "Resources" / "UI" / "LiverTumorSeg.ui"
SECTIONS = ("input", "segmentSection", "result", "candidate", "lesions", "correct", "followUp", "batch", "advanced")
SHOWING = {"_say", "setToolTip", "warningDisplay", "infoDisplay", "confirmOkCancelDisplay", "tryWithErrorDisplay"}
"""What shows a reader the words that it is given."""


def shownSections(panel):
    buttons = {name: getattr(panel.ui, f"{name}Button") for name in SECTIONS}
    return [name for name, button in buttons.items() if QtWidgets.QWidget.isVisible(button)]


def test_the_first_screen_is_ct_and_segment(panel, slicer):
    panel.open()
    ui = panel.ui
    assert shownSections(panel) == ["input", "segmentSection", "batch", "advanced"]
    assert ui.batchButton.collapsed
    assert ui.advancedButton.collapsed
    for choice in (ui.modelComboBox, ui.deviceComboBox, ui.qualityComboBox):
        assert ui.advancedButton.isAncestorOf(choice)
        assert not QtWidgets.QWidget.isVisible(choice)
    assert "Choose the CT to segment." in ui.inputFindingsLabel.text
    assert not ui.segmentButton.enabled
    volume = addScan()
    panel.app.processEvents()
    assert ui.inputSelector.currentNode() is volume, "the first CT is taken"
    assert ui.segmentButton.enabled
    assert shownSections(panel) == ["input", "segmentSection", "batch", "advanced"]


def test_a_result_opens_its_sections_on_the_first_lesion(reading):
    assert shownSections(reading) == [name for name in SECTIONS if name != "candidate"]
    assert reading.ui.correctButton.collapsed
    assert reading.ui.followUpButton.collapsed
    assert reading.ui.lesionTable.item(reading.ui.lesionTable.currentRow(), 0).text() == "1"


def test_fonts_and_sizes_are_those_of_the_style():
    for element in ElementTree.parse(UI_FILE).getroot().iter():
        assert element.tag not in ("pointsize", "pixelsize", "family"), element.text
        assert "px" not in (element.text or "")
    for path in (MODULE_FOLDER / "LiverTumorSegPanel").glob("*.py"):
        assert not re.search(r"font-size|setPointSize|setPixelSize", path.read_text(encoding="utf-8")), path.name


def plainWords(node):
    """Return the words of a literal or formatted string; what is given to the translation is none."""
    if isinstance(node, ast.IfExp):
        return plainWords(node.body) + plainWords(node.orelse)
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return [
        part.value
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and re.search("[a-z]{2}", part.value)
    ]


def shownWords(tree):
    """Return what code shows a reader, or says in an error, without translation."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(getattr(t, "attr", "") in ("text", "toolTip") for t in node.targets):
            found += plainWords(node.value)
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in SHOWING or called in ("RuntimeError", "PanelFinding"):
                words = node.args[1:] if called == "PanelFinding" else node.args
                found += [text for argument in words[:1] for text in plainWords(argument)]
    return found


def test_what_a_reader_is_told_can_be_translated():
    assert shownWords(ast.parse("a.text = 'Not so'\nb.text = _('But so')\nself._say(f'{n} not so')")) == [
        "Not so",
        " not so",
    ]
    for path in [MODULE_FOLDER / "LiverTumorSeg.py", *(MODULE_FOLDER / "LiverTumorSegPanel").glob("*.py")]:
        assert shownWords(ast.parse(path.read_text(encoding="utf-8"))) == [], path.name


def test_readme_and_tutorial_name_the_same_oldest_slicer():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/slicer_tutorial.md")]
    oldest = [re.search(r"Slicer\S* (\d+\.\d+) or (?:newer|later)", text)[1] for text in texts]
    assert oldest == ["5.10", "5.10"]
    assert re.search(r"Slicer 5\.10 needs the\s+extension \*\*QuantitativeReporting\*\*", texts[1])
