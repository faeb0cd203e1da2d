"""Colours and chart style: one meaning, one colour, told apart by readers with any colour vision (Okabe and Ito)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

REFERENCE = "#0072B2"
PREDICTION = "#D55E00"
AGREEMENT = "#009E73"
SECOND_MODEL = "#CC79A7"
NEUTRAL = "#6B7280"
GRID = "#E5E7EB"
INK = "#1F2937"
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5B5B5B")

# On a dark scan the same three meanings need lighter tones of the same hues.
REFERENCE_ON_SCAN = (0.34, 0.71, 0.91)
PREDICTION_ON_SCAN = (0.95, 0.55, 0.10)
AGREEMENT_ON_SCAN = (0.20, 0.80, 0.60)


Writer = Callable[[Any], str]
"""What is done with a drawn figure; returns where it is: a data URI, or a path."""


@contextmanager
def chart(
    width_in: float, height_in: float, layout: Literal["constrained"] | None = "constrained", **options: Any
) -> Iterator[tuple[Any, Any]]:
    """Give a figure and its axes in the house style; the figure is closed afterwards.

    Parameters
    ----------
    width_in, height_in : float
    layout : "constrained" or None
        Of the figure; None, much faster, for a figure that places its own axes.
    options
        Passed to ``Figure.subplots``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.0,
        "axes.edgecolor": NEUTRAL,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.titlesize": 10.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": GRID,
        # A case may be called "$x$"; that is a name, not mathematics.
        "text.parse_math": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "evaluation",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width_in, height_in), layout=layout)
        yield figure, figure.subplots(**options)


def svg_uri(figure: Any) -> str:
    """Return the figure as a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def picture_uri(figure: Any, dpi: int = 100) -> str:
    """Return the figure as a data URI of pixels, for scans; WebP, because PNG makes reports several times larger."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=dpi, pil_kwargs={"quality": 88})
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
