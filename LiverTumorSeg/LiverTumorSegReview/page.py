"""What the page looks like: views on the left, the reader's panel on the right; it holds no logic."""

from __future__ import annotations

from typing import Any, Protocol

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.core import LayoutManager

from LiverTumorSegReview.desk import Desk
from LiverTumorSegReview.keeping import Keeping
from LiverTumorSegReview.scene import WINDOWS
from LiverTumorSegReview.second_run import SecondRun
from LiverTumorSegReview.segmenting import Segmenting
from LiverTumorSegReview.threshold import ThresholdSlider
from LiverTumorSegReview.tools import ISLANDS, RANGES, SCISSORS

KEYS = """
window.addEventListener("keydown", (event) => {
  if (["INPUT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "range") return;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const ours = command ? ["z", "y", "s"] : ["ArrowUp", "ArrowDown", "a", "r", "u", "p", "e", "f", "Escape"];
  if (!ours.includes(key)) return;
  event.preventDefault();
  event.stopPropagation();
  window.trame.trigger("key", [command ? "Ctrl+" + key : key]);
}, true);
"""
RELOADABLE = 'window.history.replaceState({{}}, "", window.location.pathname + "?secret={token}");'
"""trame takes the token out of the address; without it a tab that is loaded again would be refused."""
TOOLS = (
    ("paint", "Paint", "mdi-brush"),
    ("erase", "Erase", "mdi-eraser"),
    ("scissors", "Scissors", "mdi-content-cut"),
    ("islands", "Islands", "mdi-island"),
    ("find", "Find missed", "mdi-crosshairs-question"),
)


class Actions(Protocol):
    """What a reader can do, part by part."""

    desk: Desk
    slider: ThresholdSlider
    keeping: Keeping
    segmenting: Segmenting
    second: SecondRun

    def judge(self, verdict: str) -> None: ...  # noqa: D102
    def use_tool(self, tool: str) -> None: ...  # noqa: D102
    def undo(self) -> None: ...  # noqa: D102
    def redo(self) -> None: ...  # noqa: D102


def first_state(name: str, training_folder: str) -> dict[str, Any]:
    """Return what the page shows before a result is opened."""
    return {
        "trame__title": f"{name} - LiverTumorSeg",
        "case_name": name,
        "training_folder": training_folder,
        "reading": True,
        "opening": "",
        "has_result": False,
        "has_probability": False,
        "running": False,
        "progress": 0,
        "progress_words": "",
        "message": "",
        "volumes": "",
        "findings": [],
        "totals": "",
        "rows": [],
        "selected": 0,
        "place": "",
        "preview": "",
        "default_threshold": "",
        "slide_asked": False,
        "autosave_found": False,
        "tool": "",
        "comparing": False,
        "changes": [],
        "can_undo": False,
        "can_redo": False,
        "saved": "",
    }


def build_page(server: Server, layout_manager: LayoutManager, actions: Actions, token: str) -> VAppLayout:
    """Lay the page out; the token is in its address, and only who had it gets this page."""
    with VAppLayout(server) as page:
        page.root.theme = "dark"
        client.Style("html { overflow: hidden; } .lesions td, .lesions th { padding: 2px 6px !important; }")
        client.Script(KEYS)
        client.Script(RELOADABLE.format(token=token))
        with v3.VNavigationDrawer(permanent=True, location="right", width=430):
            _heading()
            _segment_part(actions)
            with html.Div(v_if=("has_result",)):
                _autosave_part(actions)
                _lesion_part(actions)
            with html.Div(v_if=("has_result && !autosave_found",)):
                _threshold_part(actions)
                _edit_part(actions)
                _save_part(actions)
                _second_part(actions)
        with v3.VMain(style="height: 100vh;"), html.Div(style="height: 100%; display: flex;"):
            layout_manager.initialize_layout_grid(page)
    return page


def _heading() -> None:
    with html.Div(classes="px-3 pt-3"):
        html.Div("{{ case_name }}", classes="text-h6", style="overflow-wrap: anywhere;")
        html.Div("{{ volumes }}", classes="text-body-2", id="volumes")
        html.Div(
            "{{ finding.message }}",
            v_for="finding in findings",
            classes=("finding.grade === 'info' ? 'text-caption' : 'text-caption text-amber-lighten-2'",),
        )
        html.Div("{{ message }}", v_if=("message",), classes="text-body-2 text-amber-lighten-2 mt-1", id="message")
        html.Div("For research use only; not a medical device.", classes="text-caption mt-1")
        with v3.VBtnToggle(v_model=("window", "liver"), mandatory=True, density="compact", classes="mt-1"):
            for preset in WINDOWS:
                v3.VBtn(preset, value=preset, size="x-small")


def _segment_part(actions: Actions) -> None:
    html.Div("Reading the scan ...", v_if=("reading",), classes="px-3 pt-2 text-body-2", id="reading")
    html.Div("{{ opening }}", v_if=("opening",), classes="px-3 pt-2 text-body-2", id="opening")
    with html.Div(v_if=("!has_result && !reading && !opening",), classes="px-3 pt-2"):
        with html.Div(v_if=("!running",)):
            html.Div("This scan was not segmented yet.", classes="text-body-2")
            _quality()
            v3.VBtn("Segment", click=actions.segmenting.start, color="primary", id="segment")
        _progress(actions.segmenting)


def _quality() -> None:
    v3.VSelect(
        v_model=("quality", "standard"),
        items=("['quick', 'standard', 'best']",),
        label="Quality",
        density="compact",
        hide_details=True,
        classes="my-2",
    )


def _progress(run: Segmenting) -> None:
    with html.Div(v_if=("running",)):
        html.Div("{{ progress_words }}", classes="text-body-2")
        v3.VProgressLinear(model_value=("progress",), classes="my-2")
        v3.VBtn("Cancel", click=run.cancel, size="small", id="cancel")


def _autosave_part(actions: Actions) -> None:
    with v3.VAlert(v_if=("autosave_found",), density="compact", classes="ma-2", id="autosave"):
        html.Div("Unsaved work of an earlier session was found.")
        v3.VBtn("Go on with it", click=(actions.keeping.answer_autosave, "[true]"), size="small", id="autosave-take")
        v3.VBtn("Discard it", click=(actions.keeping.answer_autosave, "[false]"), size="small", id="autosave-drop")


def _lesion_part(actions: Actions) -> None:
    with html.Div(classes="px-3 pt-2"):
        html.Div("{{ totals }}", classes="text-body-2", id="totals")
        with html.Div(style="max-height: 36vh; overflow-y: auto;"), v3.VTable(density="compact", classes="lesions"):
            with html.Thead(), html.Tr():
                for heading, tip in (
                    ("No.", "Kept for the whole session"),
                    ("ml", "Volume"),
                    ("mm", "Longest axial diameter and the one perpendicular to it"),
                    ("HU", "Mean density"),
                    ("Score", "Network score: mean tumour probability, in %"),
                    ("Verdict", "A accept, R reject, U unsure"),
                ):
                    html.Th(heading, title=tip)
            with (
                html.Tbody(),
                html.Tr(
                    v_for="row in rows",
                    key="row.number",
                    click=(actions.desk.select, "[row.number]"),
                    title=("row.place",),
                    style=(
                        "{cursor: 'pointer', background: row.number === selected ? '#37474f' : '', "
                        "'text-decoration': row.verdict === 'reject' ? 'line-through' : ''}",
                    ),
                    classes=("'lesion-' + row.number",),
                ),
            ):
                for cell in ("number", "volume", "diameters", "hu", "score", "verdict"):
                    html.Td("{{ row." + cell + " || '-' }}")
        html.Div("{{ place }}", classes="text-caption", id="place")
        for verdict, words in (("accept", "Accept (A)"), ("reject", "Reject (R)"), ("unsure", "Unsure (U)")):
            v3.VBtn(
                words,
                click=(actions.judge, f"['{verdict}']"),
                disabled=("!selected",),
                size="x-small",
                classes="mr-1",
                id=f"verdict-{verdict}",
            )


def _threshold_part(actions: Actions) -> None:
    with html.Div(v_if=("has_probability",), classes="px-3 pt-3"):
        html.Div("Sensitivity: tumour from probability {{ (1 - sensitivity).toFixed(2) }}", classes="text-body-2")
        v3.VSlider(
            v_model=("sensitivity", 0.5),
            min=0.02,
            max=0.98,
            step=0.01,
            hide_details=True,
            density="compact",
            end=actions.slider.settle,
            id="sensitivity",
        )
        html.Div("{{ preview }}", classes="text-caption", id="preview")
        v3.VBtn("Default {{ default_threshold }}", click=actions.slider.reset, size="x-small", id="default")
        with v3.VAlert(v_if=("slide_asked",), density="compact", classes="mt-1", id="slide-asked"):
            html.Div(
                "This replaces the tumours that you edited by hand, not the liver's outline. Undo brings them back."
            )
            v3.VBtn("Replace", click=(actions.slider.confirm, "[true]"), size="small", id="slide-take")
            v3.VBtn("Keep my edit", click=(actions.slider.confirm, "[false]"), size="small", id="slide-drop")


def _edit_part(actions: Actions) -> None:
    with html.Div(classes="px-3 pt-3"):
        with html.Div():
            for tool, words, icon in TOOLS:
                v3.VBtn(
                    words,
                    prepend_icon=icon,
                    click=(actions.use_tool, f"['{tool}']"),
                    color=(f"tool === '{tool}' ? 'primary' : ''",),
                    size="x-small",
                    classes="mr-1 mb-1",
                    id=f"tool-{tool}",
                )
        v3.VSelect(
            v_model=("segment_edited", "tumor"),
            items=("['tumor', 'liver']",),
            label="Segment",
            density="compact",
            hide_details=True,
            v_if=("tool && tool !== 'find'",),
        )
        v3.VSlider(
            v_model=("brush_mm", 10),
            min=2,
            max=40,
            step=1,
            label="Brush, mm",
            density="compact",
            hide_details=True,
            v_if=("tool === 'paint' || tool === 'erase'",),
        )
        for shown, name, ways in (
            ("islands", "islands_way", ISLANDS),
            ("scissors", "scissors_way", SCISSORS),
            ("scissors", "scissors_range", RANGES),
        ):
            v3.VSelect(
                v_model=(name, next(iter(ways))),
                items=(str(list(ways)),),
                density="compact",
                hide_details=True,
                v_if=(f"tool === '{shown}'",),
            )
        v3.VBtn("Undo", click=actions.undo, disabled=("!can_undo",), size="x-small", classes="mr-1", id="undo")
        v3.VBtn("Redo", click=actions.redo, disabled=("!can_redo",), size="x-small", id="redo")
        html.Div("Click where a lesion was missed.", v_if=("tool === 'find'",), classes="text-caption")
        v3.VCheckbox(v_model=("surfaces", True), label="3D", density="compact", hide_details=True)


def _save_part(actions: Actions) -> None:
    with html.Div(classes="px-3 py-3"):
        v3.VBtn("Save", click=actions.keeping.save, color="primary", size="small", classes="mr-1", id="save")
        v3.VBtn(
            "Export for training", click=actions.keeping.export, size="small", v_if=("training_folder",), id="export"
        )
        html.Div("{{ saved }}", classes="text-caption", style="overflow-wrap: anywhere;", id="saved")


def _second_part(actions: Actions) -> None:
    with html.Div(classes="px-3 pb-3"):
        with html.Div(v_if=("!comparing && !running",)):
            html.Div("Run again with another quality and merge what it does better:", classes="text-caption")
            _quality()
            v3.VBtn("Run again", click=actions.second.running.start, size="x-small", id="second-run")
        _progress(actions.second.running)
        with html.Div(v_if=("comparing",), id="changes"):
            html.Div(
                "The second run differs in {{ changes.length }} places", classes="text-body-2", id="changes-count"
            )
            with (
                html.Div(style="max-height: 24vh; overflow-y: auto;"),
                html.Div(v_for="change in changes", key="change.number", classes="d-flex align-center"),
            ):
                html.A(
                    "{{ change.words }}, {{ change.volumes }}",
                    click=(actions.second.jump, "[change.number]"),
                    classes="text-caption flex-grow-1",
                    style="cursor: pointer;",
                )
                html.Span("{{ change.warning }}", classes="text-caption text-amber-lighten-2 mr-1")
                v3.VBtn(
                    "Take",
                    click=(actions.second.take, "[change.number]"),
                    size="x-small",
                    classes=("'change-' + change.number",),
                )
            v3.VBtn(
                "Take all that lose nothing",
                click=actions.second.take_safe,
                size="x-small",
                classes="mr-1",
                id="changes-safe",
            )
            v3.VBtn("Done", click=actions.second.close, size="x-small", id="changes-close")
