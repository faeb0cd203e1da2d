"""The tools of Slicer's segment editor in the reader's hand."""

from __future__ import annotations

from LiverTumorSegLib.labels import LIVER, TUMOR
from trame_slicer.segmentation import (
    SegmentationEffectErase,
    SegmentationEffectIslands,
    SegmentationEffectPaint,
    SegmentationEffectScissors,
    SegmentationIslandsMode,
)
from trame_slicer.segmentation.scissors_effect_parameters import ScissorsEffectFillMode, ScissorsEffectRangeMode

from LiverTumorSegReview.desk import Desk

EFFECTS = {
    "paint": SegmentationEffectPaint,
    "erase": SegmentationEffectErase,
    "scissors": SegmentationEffectScissors,
    "islands": SegmentationEffectIslands,
}
ISLANDS = {
    "remove the clicked piece": SegmentationIslandsMode.REMOVE_SELECTED,
    "keep only the clicked piece": SegmentationIslandsMode.KEEP_SELECTED,
}
SCISSORS = {
    "erase inside": ScissorsEffectFillMode.ERASE_INSIDE,
    "erase outside": ScissorsEffectFillMode.ERASE_OUTSIDE,
    "fill inside": ScissorsEffectFillMode.FILL_INSIDE,
}
RANGES = {"all slices": ScissorsEffectRangeMode.UNLIMITED, "this slice": ScissorsEffectRangeMode.SYMMETRIC}
"""What the page calls the ways of a tool; the first one is the default."""


class Tools:
    """Takes a tool, puts it away, and sets what it works on.

    Parameters
    ----------
    desk : Desk
        Whose scene is edited.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def use(self, tool: str) -> None:
        """Take a tool, or put it away when it is the one in hand."""
        scene, state = self._desk.scene, self._desk.state
        if scene is None or self._desk.session is None:
            return
        chosen = "" if tool == state.tool else tool
        state.tool = chosen
        if not chosen:
            scene.editor.deactivate_effect()
            return
        scene.editor.set_active_effect_type(EFFECTS[chosen])
        self.choose_segment(state.segment_edited)
        self.size_brush(state.brush_mm)
        self.choose_way()

    def put_away(self) -> None:
        """Put away what is in hand."""
        self.use(self._desk.state.tool)

    def choose_segment(self, name: str) -> None:
        """Edit liver or tumour."""
        if self._desk.session is not None and self._desk.scene is not None and name in (LIVER.name, TUMOR.name):
            self._desk.scene.editor.set_active_segment_id(name)

    def size_brush(self, diameter_mm: float) -> None:
        """Set the brush of paint and erase."""
        if self._desk.scene is None:
            return
        effect = self._desk.scene.editor.active_effect
        if hasattr(effect, "set_brush_diameter"):
            self._desk.scene.size_brush(effect, float(diameter_mm))

    def choose_way(self, *_: object) -> None:
        """Let scissors and islands work the way that the page shows."""
        if self._desk.scene is None:
            return
        effect, state = self._desk.scene.editor.active_effect, self._desk.state
        if isinstance(effect, SegmentationEffectIslands):
            effect.set_island_mode(ISLANDS[state.islands_way])
        elif isinstance(effect, SegmentationEffectScissors):
            effect.set_fill_mode(SCISSORS[state.scissors_way])
            effect.set_range_mode(RANGES[state.scissors_range])
