"""What is written about one case beside its segmentation: the JSON report and the lesion table."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..labels import label_table
from ..pipeline.lesions import Lesion
from ..pipeline.volumes import volumes_ml
from ..wholefile import write_text

if TYPE_CHECKING:
    from ..pipeline.result import Result
    from ..scan.imageio import CaseImage


def build_report(
    case: CaseImage, result: Result, *, quality: str, asked: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return everything the JSON report of one case holds.

    Parameters
    ----------
    case : CaseImage
        The scan as it was read.
    result : Result
        What the Segmenter made of it. Its provenance contributes the keys ``model``, ``models`` and ``localiser``.
    quality : str
        ``quick``, ``standard`` or ``best``.
    asked : mapping, optional
        What the case was made from and with, as far as the provenance does not say it.

    Returns
    -------
    dict
        ``input`` (with the DICOM series that were there, the one taken marked), ``findings``, ``model`` (and the rest
        of the provenance), ``device``, ``quality``, ``seconds``, ``peak_rss_mb``, ``labels`` (voxel value: name),
        ``volumes_ml``, ``lesions``, ``version``, and ``asked`` where it is given. ``volumes_ml["liver"]`` is the whole
        organ, tumours included, although the label "liver" is the parenchyma without them; other labels follow by
        name.
    """
    image = case.image
    geometry = {
        "size": list(image.GetSize()),
        "spacing": list(image.GetSpacing()),
        "origin": list(image.GetOrigin()),
        "direction": list(image.GetDirection()),
    }
    return {
        "input": {
            "path": str(case.path),
            "geometry": geometry,
            "sha256": case.sha256,
            "series": [asdict(record) for record in case.series],
        },
        "findings": [asdict(finding) for finding in result.findings],
        **result.provenance,
        "device": result.device,
        "quality": quality,
        "seconds": dict(result.seconds),
        "peak_rss_mb": peak_rss_mb(),
        "labels": {str(value): name for value, name in enumerate(result.labels, 1)},
        "volumes_ml": volumes_ml(result.labelmap, label_table(result.labels)),
        "lesions": [asdict(lesion) for lesion in result.lesions],
        "version": __version__,
        **({} if asked is None else {"asked": dict(asked)}),
    }


def write_lesions_csv(path: Path, lesions: Sequence[Lesion]) -> None:
    """Write one row a lesion, largest first, the centroid in three columns (LPS mm); an unknown figure stays empty."""
    columns = [field.name for field in fields(Lesion)]
    place = columns.index("centroid_lps_mm")
    header = [*columns[:place], "centroid_l_mm", "centroid_p_mm", "centroid_s_mm", *columns[place + 1 :]]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for lesion in lesions:
        values = [getattr(lesion, column) for column in columns]
        row = [*values[:place], *values[place], *values[place + 1 :]]
        writer.writerow([_cell(value) for value in row])
    write_text(path, stream.getvalue())


def peak_rss_mb() -> float | None:
    """Return the most memory this process has held, in MiB, or None where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; its resource usage would start from the memory of the parent process
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10, 1)
    try:
        import resource
    except ImportError:  # Windows
        return _peak_working_set_mb()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _peak_working_set_mb() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    return round(psutil.Process().memory_info().peak_wset / 2**20, 1)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else ""
    return "" if value is None else value
