"""Slicer's views for the page: rendered when the page asks for a picture, and cheaply enough for a processor."""

from __future__ import annotations

from typing import Any

from trame_server import Server
from trame_slicer.app.ui import create_vertical_slice_view_gutter_ui, create_vertical_view_gutter_ui
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import RemoteViewFactory
from trame_slicer.views import AbstractView, NoScheduleRendering, SliceView, ThreeDView, ViewType

LAYOUT = "Quad View"
FPS, FPS_ELSEWHERE = 30.0, 3.0
"""Pictures a second at most: of the view under the pointer, and of the others, which Slicer redraws along with it."""
WHILE_MOVING = 50
"""JPEG quality of a picture that the next one follows at once; the last one comes in full quality."""


def make_views(app: SlicerApp, server: Server) -> LayoutManager:
    """Make three slice views and a 3D view, and return the layout that shows them."""
    for kind, view_class, buttons in (
        (ViewType.SLICE_VIEW, SliceView, create_vertical_slice_view_gutter_ui),
        (ViewType.THREE_D_VIEW, ThreeDView, create_vertical_view_gutter_ui),
    ):
        factory = RemoteViewFactory(
            server,
            _quiet(view_class),
            kind,
            populate_view_ui_f=buttons,
            target_fps=FPS,
            blur_fps=FPS_ELSEWHERE,
            interactive_quality=WHILE_MOVING,
        )
        app.view_manager.register_factory(factory)
    layouts = LayoutManager(app.scene, app.view_manager, server)
    layouts.register_layout_dict({LAYOUT: LayoutManager.default_grid_configuration()[LAYOUT]})
    layouts.set_layout(LAYOUT)
    for view in app.view_manager.get_views():
        # Eight samples a pixel take a processor most of its time; images and outlines look the same without.
        view.render_window().SetMultiSamples(0)
    for view in app.view_manager.get_threed_views():
        # Without it the glassy liver is not drawn at all.
        view.render_window().SetAlphaBitPlanes(1)
        view.first_renderer().SetUseDepthPeeling(True)
        view.first_renderer().SetMaximumNumberOfPeels(4)
    return layouts


def _quiet(view_class: type[AbstractView]) -> Any:
    """Return what makes a view that draws nothing until the page can show it.

    By itself a new view draws at each of its hundreds of settings, which takes seconds.
    """

    def make(**given: Any) -> AbstractView:
        return view_class(scheduled_render_strategy=NoScheduleRendering(), **given)

    return make
