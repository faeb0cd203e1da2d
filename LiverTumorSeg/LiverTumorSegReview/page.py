"""What the page looks like: views on the left, the reader's panel on the right; it holds no logic."""

from __future__ import annotations

from typing import Any, Protocol

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.core import LayoutManager

from LiverTumorSegReview.scene import WINDOWS

KEYS = """
window.addEventListener("keydown", (event) => {
  if (["INPUT", "TEXTAREA"].includes(event.target.tagName) && event.target.type !== "range") return;
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const ours = command ? ["z", "y", "s"] : ["ArrowUp", "ArrowDown", "a", "r", "u", "p", "e", "Escape"];
  if (!ours.includes(key)) return;
  event.preventDefault();
  event.stopPropagation();
  window.trame.trigger("key", [command ? "Ctrl+" + key : key]);
}, true);
"""
TOOLS = (
    ("paint", "Paint", "mdi-brush"),
    ("erase", "Erase", "mdi-eraser"),
    ("scissors", "Scissors", "mdi-content-cut"),
    ("islands", "Islands", "mdi-island"),
)


class Actions(Protocol):
    """What a reader can do; the names are those of the handlers."""

    def select(self, number: int) -> None: ...  # noqa: D102
    def judge(self, verdict: str) -> None: ...  # noqa: D102
    def use_tool(self, tool: str) -> None: ...  # noqa: D102
    def undo(self) -> None: ...  # noqa: D102
    def redo(self) -> None: ...  # noqa: D102
    def settle_threshold(self) -> None: ...  # noqa: D102
    def confirm_threshold(self, taken: bool) -> None: ...  # noqa: D102
    def reset_threshold(self) -> None: ...  # noqa: D102
    def save(self) -> None: ...  # noqa: D102
    def export(self) -> None: ...  # noqa: D102
    def answer_autosave(self, taken: bool) -> None: ...  # noqa: D102
    def segment(self) -> None: ...  # noqa: D102
    def cancel(self) -> None: ...  # noqa: D102


def first_state(name: str, training_folder: str) -> dict[str, Any]:
    """Return what the page shows before a result is opened."""
    return {
        "trame__title": f"{name} - LiverTumorSeg",
        "case_name": name,
        "training_folder": training_folder,
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
        "can_undo": False,
        "can_redo": False,
        "saved": "",
    }


def build_page(server: Server, layout_manager: LayoutManager, actions: Actions) -> VAppLayout:
    """Lay the page out."""
    with VAppLayout(server) as page:
        page.root.theme = "dark"
        client.Style("html { overflow: hidden; } .lesions td, .lesions th { padding: 2px 6px !important; }")
        client.Script(KEYS)
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
    with html.Div(v_if=("!has_result",), classes="px-3 pt-2"):
        with html.Div(v_if=("!running",)):
            html.Div("This scan was not segmented yet.", classes="text-body-2")
            v3.VSelect(
                v_model=("quality", "standard"),
                items=("['quick', 'standard', 'best']",),
                label="Quality",
                density="compact",
                classes="mt-2",
            )
            v3.VBtn("Segment", click=actions.segment, color="primary", id="segment")
        with html.Div(v_if=("running",)):
            html.Div("{{ progress_words }}", classes="text-body-2")
            v3.VProgressLinear(model_value=("progress",), classes="my-2")
            v3.VBtn("Cancel", click=actions.cancel, size="small", id="cancel")


def _autosave_part(actions: Actions) -> None:
    with v3.VAlert(v_if=("autosave_found",), density="compact", classes="ma-2", id="autosave"):
        html.Div("Unsaved work of an earlier session was found.")
        v3.VBtn("Go on with it", click=(actions.answer_autosave, "[true]"), size="small", id="autosave-take")
        v3.VBtn("Discard it", click=(actions.answer_autosave, "[false]"), size="small", id="autosave-drop")


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
                    click=(actions.select, "[row.number]"),
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
            end=actions.settle_threshold,
            id="sensitivity",
        )
        html.Div("{{ preview }}", classes="text-caption", id="preview")
        v3.VBtn("Default {{ default_threshold }}", click=actions.reset_threshold, size="x-small", id="default")
        with v3.VAlert(v_if=("slide_asked",), density="compact", classes="mt-1", id="slide-asked"):
            html.Div("This replaces the tumours that you edited by hand. Undo brings them back.")
            v3.VBtn("Replace", click=(actions.confirm_threshold, "[true]"), size="small", id="slide-take")
            v3.VBtn("Keep my edit", click=(actions.confirm_threshold, "[false]"), size="small", id="slide-drop")


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
            v_if=("tool",),
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
        v3.VBtn("Undo", click=actions.undo, disabled=("!can_undo",), size="x-small", classes="mr-1", id="undo")
        v3.VBtn("Redo", click=actions.redo, disabled=("!can_redo",), size="x-small", id="redo")
        v3.VCheckbox(v_model=("surfaces", True), label="3D", density="compact", hide_details=True)


def _save_part(actions: Actions) -> None:
    with html.Div(classes="px-3 py-3"):
        v3.VBtn("Save", click=actions.save, color="primary", size="small", classes="mr-1", id="save")
        v3.VBtn("Export for training", click=actions.export, size="small", v_if=("training_folder",), id="export")
        html.Div("{{ saved }}", classes="text-caption", style="overflow-wrap: anywhere;", id="saved")
