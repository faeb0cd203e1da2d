"""What the command line is asked for: its options, and every refusal that needs no look at a scan."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import __version__
from .errors import UsageError
from .output.dicomseg import require_highdicom
from .pipeline.postprocess import Postprocessing
from .pipeline.quality import QUALITIES
from .scan.channels import CaseFiles, group_inputs
from .scan.collection import Collection, scans_in
from .scan.imageio import case_name
from .wholefile import cannot_write, require_room


@dataclass(frozen=True)
class Requests:
    """What a command line asks for.

    Attributes
    ----------
    cases : tuple of CaseFiles
        Each with a name of its own.
    many : frozenset of Path
        Those of their paths that came from a folder of many scans.
    folders : dict of Path to Collection
        What the folders among the inputs hold.
    """

    cases: tuple[CaseFiles, ...]
    many: frozenset[Path]
    folders: dict[Path, Collection]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="segment.py",
        description="Segment the liver and its tumours in CT scans. Research use only; not a medical device.",
        epilog="Exit codes: 0 done, 2 wrong usage, 3 bad input, 4 bad model, 5 out of memory, 130 cancelled.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="NIfTI, NRRD, MetaImage, a DICOM folder or one DICOM file, or a folder of many scans (finished ones "
        "are skipped); a model with n channels takes n files, a case folder or a 4D file",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the results, made when absent")
    parser.add_argument(
        "--model",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="model folders, or one that holds fold_0, fold_1, ...; several are averaged",
    )
    parser.add_argument(
        "--localiser", type=Path, metavar="DIR", help="model folder of the localiser, for models that need one"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--quality", default="standard", help=f"{', '.join(QUALITIES)} (default: standard)")
    parser.add_argument("--threshold", type=float, metavar="P", help="tumour probability from which a voxel is tumour")
    parser.add_argument(
        "--opening-mm", type=float, default=0.0, metavar="MM", help="morphological opening of the tumour"
    )
    parser.add_argument(
        "--closing-mm", type=float, default=0.0, metavar="MM", help="morphological closing of the tumour"
    )
    parser.add_argument(
        "--smallest-lesion-mm3", type=float, default=None, metavar="V", help="smaller lesions are dropped"
    )
    parser.add_argument("--series", metavar="UID", help="DICOM series, by UID or number, when a folder holds several")
    parser.add_argument("--modality", help="CT, MR ... when the file does not say")
    parser.add_argument("--format", default="seg.nrrd", choices=("seg.nrrd", "nii.gz"), help="of the segmentation")
    parser.add_argument("--dicom-seg", action="store_true", help="also write NAME.seg.dcm (DICOM input)")
    parser.add_argument("--probabilities", action="store_true", help="also write NAME.tumor-probability.nrrd")
    parser.add_argument("--maps", action="store_true", help="also write NAME.uncertainty.nrrd and NAME.attention.nrrd")
    parser.add_argument(
        "--places",
        action="store_true",
        help="stay, and segment single places of the scan again: for each place_N.json in the output folder the "
        "tumour probability place_N.nrrd; events as with --json-progress",
    )
    parser.add_argument("--force", action="store_true", help="segment in spite of findings that may be passed over")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that segment side by side (default: of a folder of scans as many as cores and memory allow)",
    )
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="segment on the workers of a Dask cluster, such as tcp://host:8786; all see the same files",
    )
    parser.add_argument("--json-progress", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def check_options(options: argparse.Namespace) -> None:
    """Refuse what is wrong with the options themselves; the modality is put in upper case.

    Raises
    ------
    UsageError
        One sentence that names the option.
    """
    if not all(text.strip() for text in options.inputs):
        raise UsageError("The path of a scan is empty: give a file or a folder.")
    if not options.output.strip():
        raise UsageError("--output is empty: name a folder for the results.")
    for option in ("opening_mm", "closing_mm", "smallest_lesion_mm3"):
        value = getattr(options, option)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"--{option.replace('_', '-')} is {value:g}; it must be 0 or a positive number.")
    if options.threshold is not None and not 0 < options.threshold < 1:
        raise UsageError(f"--threshold is {options.threshold:g}; it must lie between 0 and 1.")
    if options.places and len(options.inputs) > 1:
        raise UsageError("--places is for one scan: name one.")
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers is {options.workers}; it must be 1 or more.")
    if options.dask is not None:
        require_dask()
        if options.workers is not None:
            raise UsageError("--workers is for this computer, and --dask has the cluster's workers: leave one out.")
    if options.places and (options.workers is not None or options.dask is not None):
        raise UsageError("--places runs in one process: leave --workers and --dask out.")
    if options.modality is not None:
        options.modality = options.modality.strip().upper()
    if options.dicom_seg:
        require_highdicom()


def require_dask() -> None:
    """Refuse a Python that cannot speak to a Dask cluster, with a UsageError."""
    if find_spec("distributed") is None:
        raise UsageError("--dask needs the package distributed: install it with 'pip install distributed'.")


def postprocessing_of(options: argparse.Namespace) -> Postprocessing:
    """Return the cleaning that the options ask for."""
    if options.smallest_lesion_mm3 is None:
        return Postprocessing(opening_mm=options.opening_mm, closing_mm=options.closing_mm)
    return Postprocessing(options.opening_mm, options.closing_mm, options.smallest_lesion_mm3)


def requests_of(options: argparse.Namespace, channels: tuple[str, ...]) -> Requests:
    """Return the cases of the command line, each with a name of its own.

    Raises
    ------
    UsageError
        When the files do not make whole cases, one scan is there twice, or a result would overwrite a scan.
    InputError
        When a case folder lacks a channel.
    """
    given = list(map(Path, options.inputs))
    found = {path: scans_in(path, channels, Path(options.output)) for path in given}
    inputs = [scan for path in given for scan in found[path].scans]
    many = {scan for path in given for scan in found[path].scans if found[path].scans != [path]}
    # A folder that stands for a case of several channels is not among the files of that case.
    many |= {path for folder in many if folder.is_dir() for path in folder.iterdir()}
    cases = group_inputs(inputs, channels)
    taken: set[str] = set()
    for files in cases:
        name = files.name or case_name(files.paths[0])
        # Two names that differ in case only are one file on many disks.
        if name.lower() in taken:
            raise UsageError(f"Two inputs are called {name!r}, so one result would overwrite the other: use two runs.")
        taken.add(name.lower())
        result = Path(options.output) / f"{name}.{options.format}"
        if any(result.exists() and path.exists() and result.samefile(path) for path in inputs):
            raise UsageError(f"The segmentation would overwrite the scan {result}: name another folder with --output.")
    return Requests(tuple(cases), frozenset(many), {path: held for path, held in found.items() if path.is_dir()})


def output_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the results, made when absent.

    Raises
    ------
    UsageError
        When it cannot be made or written.
    """
    folder = Path(options.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The output folder {cannot_write(folder, error)}") from error
    require_room(folder, 1 << 16)
    return folder
