"""Pages in the house style, made from templates: one file each, nothing loaded from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def page_environment(folder: Path) -> Any:
    """Return the jinja2 environment of a room's pages: everything escaped, unknown names an error.

    Parameters
    ----------
    folder : Path
        Where its templates lie; they may include ``style.css.j2``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = write_number
    return environment


def write_number(value: float | None, digits: int = 3) -> str:
    """Return a figure as text; an em dash for a figure that does not exist."""
    if value is None:
        return "\N{EM DASH}"
    return f"{value:.{digits}f}"
