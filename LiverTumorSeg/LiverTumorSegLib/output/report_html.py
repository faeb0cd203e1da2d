"""One self-contained HTML page about a few cases: pictures inline, nothing loaded from anywhere, no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..wholefile import write_text
from .report_template import TEMPLATE

TITLE = "Liver and liver tumours"
"""Of a page that gets no other one; by it an earlier page is known."""


@dataclass(frozen=True)
class ReportCase:
    """One case of the page.

    Attributes
    ----------
    name : str
        Heading.
    report : mapping
        The JSON report of the case (``build_report``).
    picture : Path or None
        Its overview picture.
    about : str
        A sentence on where the scan comes from.
    agreement : mapping
        Measured figures against a reference, name to value (Dice, for example); empty without one.
    """

    name: str
    report: Mapping[str, Any]
    picture: Path | None = None
    about: str = ""
    agreement: Mapping[str, float] = field(default_factory=dict)


def write_html_report(
    path: Path,
    cases: Sequence[ReportCase],
    title: str = TITLE,
    failed: Mapping[str, str] | None = None,
    inline: bool = True,
) -> None:
    """Write the page, in one step.

    Parameters
    ----------
    path : Path
        The HTML file.
    cases : sequence of ReportCase
        In the order of the page.
    title : str
        Heading of the page.
    failed : mapping of str to str, optional
        Cases that have no result, and why.
    inline : bool
        Hold the pictures in the page; else it refers to them, and they lie beside it.
    """
    from jinja2 import Environment, StrictUndefined
    from jinja2.filters import do_urlencode

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    environment.filters["source"] = lambda text: text if text.startswith("data:") else f"./{do_urlencode(text)}"
    agreement = list(dict.fromkeys(name for case in cases for name in case.agreement))
    page = environment.from_string(TEMPLATE).render(
        title=title,
        agreement=agreement,
        volumes=list(dict.fromkeys(name for case in cases for name in case.report["volumes_ml"])),
        cases=[{"case": case, "report": case.report, "picture": _source(case.picture, inline)} for case in cases],
        failed=failed or {},
    )
    write_text(path, page)


def _source(picture: Path | None, inline: bool) -> str | None:
    """Return a picture as a data address, so that the page stays one file, or its name."""
    if picture is None or not picture.is_file():
        return None
    if not inline:
        return picture.name
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
