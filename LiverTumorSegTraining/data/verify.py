"""Every problem of a data set, found in one pass: what scripts/verify_dataset.py shows and training asks."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from LiverTumorSegLib.command import exit_code, parse_options
from LiverTumorSegLib.errors import InputError, UsageError
from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.labels import IGNORE
from pydantic import ValidationError

from LiverTumorSegTraining.data.case import Case, files_of
from LiverTumorSegTraining.data.dataset import list_cases
from LiverTumorSegTraining.data.description import BRATS_LABELS, STUDIES, describe, in_agreement, in_brats_numbering
from LiverTumorSegTraining.data.doubts import doubts_of
from LiverTumorSegTraining.data.fingerprint import fingerprint
from LiverTumorSegTraining.data.fingerprint import table as figures_of
from LiverTumorSegTraining.data.patients import patients_in_words
from LiverTumorSegTraining.data.studies.listing import doubtful_unions, structures_in_words
from LiverTumorSegTraining.data.studies.structure_names import structure_map
from LiverTumorSegTraining.data.verify_case import CaseFacts, case_facts
from LiverTumorSegTraining.data.workers import on_all_cores
from LiverTumorSegTraining.recipe.config import DataConfig, load_config
from LiverTumorSegTraining.recipe.config_errors import explain

VERSION = 5
"""Raised when `verify_case` looks otherwise: what was remembered before is then not used."""
DECIDING = {"channels", "labels", "label_map"}
"""The keys of the recipe's data section by which `verify_case` judges."""
MOST_IN_AIR = 0.2
CODES = {
    "missing_image": "an image file does not exist",
    "unreadable_image": "an image file is damaged or no image",
    "not_3d": "not a three-dimensional scalar image",
    "not_finite": "NaN or infinity in the image",
    "hu": "a CT that is not in Hounsfield units",
    "constant": "an image without content",
    "spacing": "a spacing that no scanner wrote, or lost",
    "few_slices": "fewer than 8 slices",
    "channel_size": "channels of different sizes",
    "channel_geometry": "channels on different grids",
    "no_annotation": "no label file, or an empty one",
    "unreadable_label": "a label file is damaged or no image",
    "label_size": "image and label of different sizes",
    "label_geometry": "image and label on different grids",
    "label_values": "label values that have no name, fractions, or NaN",
    "label_in_air": "a label that lies mostly in air: flipped or of another scan",
    "duplicate": "the same image twice in one patient",
    "leak": "the same image in two patients: it could be trained on and validated with",
}
"""Everything that is looked for."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one case."""

    case: str
    code: str
    message: str


def verify_cases(
    cases: Sequence[Case],
    data: DataConfig,
    cache: Path | None = None,
    any_tumor: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Return every problem of the cases, in their order; the parameters are those of `facts_of` and `problems_of`."""
    return problems_of(cases, facts_of(cases, data, cache, progress), data, any_tumor)


def facts_of(
    cases: Sequence[Case],
    data: DataConfig,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, CaseFacts]:
    """Return what reading each case told, by name; on all cores where the cases are large.

    Parameters
    ----------
    cases : sequence of Case
        As `list_cases` gives them.
    data : DataConfig
        The recipe's section.
    cache : Path, optional
        Folder that remembers what was seen in unchanged files.
    progress : callable
        Told (cases done, of how many).
    """
    facts: dict[str, CaseFacts] = {}
    answers = on_all_cores(functools.partial(_remembered, data=data, cache=cache), cases)
    for number, (case, seen) in enumerate(zip(cases, answers, strict=True), 1):
        facts[case.name] = seen
        if progress is not None:
            progress(number, len(cases))
    return facts


def problems_of(
    cases: Sequence[Case], facts: Mapping[str, CaseFacts], data: DataConfig, any_tumor: bool = False
) -> list[Problem]:
    """Return every problem of the cases, in their order.

    Parameters
    ----------
    cases : sequence of Case
        As `list_cases` gives them.
    facts : mapping of str to CaseFacts
        What reading them told.
    data : DataConfig
        Labels and label map say which values are right.
    any_tumor : bool
        Value 2 is right although it has no name (a localiser is trained on the whole organ).
    """
    problems: list[Problem] = []
    for case in cases:
        seen = facts[case.name]
        problems += [Problem(case.name, code, message) for code, message in seen.problems]
        problems += _value_problems(case, seen, data, any_tumor)
        if seen.in_air > MOST_IN_AIR and data.channels == ["CT"]:
            share = f"{seen.in_air:.0%}"
            problems.append(
                Problem(case.name, "label_in_air", f"{share} of the labelled voxels lie in air: is it flipped?")
            )
    return problems + _same_content(cases, facts)


def _value_problems(case: Case, seen: CaseFacts, data: DataConfig, any_tumor: bool) -> list[Problem]:
    allowed = {*range(len(data.labels) + 1), *data.label_map, IGNORE} | ({2} if any_tumor else set())
    strange = [value for value in seen.values if value not in allowed]
    if not strange:
        return []
    shown = ", ".join(f"{value:g}" for value in strange[:5]) + (", ..." if len(strange) > 5 else "")
    advice = (
        "name them in data.labels, or say what they are trained as with data.label_map, such as "
        f"--data.label_map '{{{strange[0]:g}: 0}}'"
    )
    if any(value != int(value) or not 0 <= value <= IGNORE for value in strange):
        advice = f"correct the file, labels are whole numbers from 0 to {IGNORE}"
    told = f"label values {shown}; allowed are {', '.join(map(str, sorted(allowed)))}: {advice}"
    return [Problem(case.name, "label_values", told)]


def _same_content(cases: Sequence[Case], facts: Mapping[str, CaseFacts]) -> list[Problem]:
    first: dict[str, Case] = {}
    problems = []
    for case in cases:
        content = facts[case.name].content
        if not content:
            continue
        other = first.setdefault(content, case)
        if other is case:
            continue
        code = "duplicate" if other.patient == case.patient else "leak"
        where = (
            ""
            if code == "duplicate"
            else f" of patient {other.patient}, so it could be in training and validation at once"
        )
        problems.append(Problem(case.name, code, f"its image is the same as that of {other.name}{where}"))
    return problems


def _remembered(case: Case, data: DataConfig, cache: Path | None) -> CaseFacts:
    """Return the facts of a case; files of unchanged size and time are not read again."""
    if cache is None:
        return case_facts(case, data)
    stamps = []
    for path in (*case.images, case.label):
        for file in files_of(path) if path is not None else ():
            stat = file.stat() if file.is_file() else None
            stamps.append([str(file), stat.st_size, stat.st_mtime_ns] if stat else [str(file)])
    structures = dict(structure_map(case.label).names) if case.label is not None and case.label.is_dir() else None
    known = [VERSION, case.name, stamps, data.model_dump(include=DECIDING), structures]
    key = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]
    path = cache / "verified" / f"{key}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["problems"] = [tuple(problem) for problem in content["problems"]]
        return CaseFacts(**content)
    except (OSError, ValueError, TypeError, KeyError):
        facts = case_facts(case, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dataclasses.asdict(facts), indent=None)
    return facts


def refuse_or_exclude(
    cases: list[Case], problems: Sequence[Problem], data: DataConfig, tell: Callable[[str], None]
) -> list[Case]:
    """Return the cases without problems.

    Cases without annotation are left out unless `data.missing_labels` is "refuse"; other bad cases only with
    `data.exclude_bad`.

    Raises
    ------
    InputError
        Naming every problem, when bad cases are not to be left out, or no case is sound.
    """
    used = {case.name for case in cases}
    mine = [problem for problem in problems if problem.case in used]
    missing = {p.case for p in mine if p.code == "no_annotation"} if data.missing_labels != "refuse" else set()
    bad = [problem for problem in mine if problem.case not in missing]
    if bad and not data.exclude_bad:
        listed = "".join(f"\n  {problem.case}: {problem.message} [{problem.code}]" for problem in bad)
        raise InputError(
            f"The data set has {len(bad)} problems; correct them, or leave these cases out with "
            f"--data.exclude_bad true:{listed}"
        )
    names = sorted({problem.case for problem in bad})
    if names:
        tell(f"Left out because of problems: {', '.join(names)}.")
    if missing:
        tell(f"Left out because nothing is labelled: {', '.join(sorted(missing))}.")
    sound = [case for case in cases if case.name not in missing and case.name not in names]
    if not sound:
        raise InputError("No case of the data set is sound: run verify_dataset and correct what it lists.")
    return sound


def main(arguments: list[str] | None = None) -> int:
    """List every problem of a data set; return 3 if there is any."""
    parser = argparse.ArgumentParser(prog="verify_dataset.py", description="List every problem of a data set.")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder, or a CSV of paths")
    parser.add_argument("--config", type=Path, help="recipe whose data section says what is right")
    parser.add_argument("--channels", help="such as '[FLAIR, T1CE]'")
    parser.add_argument("--labels", help="names of the label values 1, 2, ..., such as '[liver, tumor]'")
    parser.add_argument("--label-map", help="values in the files that are trained as others, such as '{4: 3}'")
    parser.add_argument("--json", type=Path, help="also write the problems to this file")
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return exit_code(_report, parse_options(parser, arguments))


def _report(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    config = in_agreement(load_config(options.config), options.dataset) if options.config else None
    data = config.data if config else expected_data(options.dataset)
    given = {
        name: yaml.safe_load(text) for name in ("channels", "labels", "label_map") if (text := getattr(options, name))
    }
    try:
        data = DataConfig(**(data.model_dump() | given))
    except ValidationError as error:
        raise UsageError(" ".join(explain(error, DataConfig))) from error
    cases = list_cases(options.dataset, data)
    console = Console()
    with console.status("reading") as status:
        facts = facts_of(cases, data, None, lambda done, of: status.update(f"read {done} of {of} cases"))
    problems = problems_of(cases, facts, data, config is not None and config.task == "localiser")
    bad = {problem.case for problem in problems}
    if problems:
        table = Table(
            "case", "problem", "what was found", title=f"{len(problems)} problems in {len(bad)} of {len(cases)} cases"
        )
        for problem in problems:
            table.add_row(problem.case, problem.code, problem.message)
        console.print(table)
    else:
        console.print(f"{len(cases)} cases, no problem found.")
    # Whom to hold out is a recipe's choice: a data set alone is not asked.
    asked = data if config is not None else data.model_copy(update={"validation_fraction": 0.1})
    doubts = [*doubts_of(cases, facts, asked), *doubtful_unions(cases, data.labels)]
    if not problems:
        for what, figures in figures_of(fingerprint(cases, data), data):
            console.print(f"{what:28} {figures}", highlight=False, markup=False)
    for line in structures_in_words(cases, data.labels):
        console.print(line, highlight=False, markup=False)
    console.print(patients_in_words(cases, data), highlight=False, markup=False)
    for doubt in doubts:
        console.print(f"Warning: {doubt}", highlight=False, markup=False)
    if options.json:
        content = {"dataset": str(options.dataset), "cases": len(cases), "bad_cases": sorted(bad)}
        content["warnings"] = doubts
        content["problems"] = [dataclasses.asdict(problem) for problem in problems]
        write_json(options.json, content)
    return InputError.exit_code if problems else 0


def expected_data(root: Path) -> DataConfig:
    """Return the data section that a data set asks for by its own description: channels and labels."""
    description = describe(root)
    if description is None or description.source == STUDIES:
        return DataConfig()
    if description.names is BRATS_LABELS:
        names = ["necrotic core", "oedema", "enhancing"]
        data = DataConfig(channels=["FLAIR", "T1", "T1CE"], labels=names, label_map={3: 1, 4: 3})
        return in_brats_numbering(data, root)
    values = {*description.names, *(value for told in description.regions.values() for value in told)}
    names = [description.names.get(value, f"label {value}") for value in range(1, max(values, default=0) + 1)]
    ignored = {} if description.ignore is None else {description.ignore: IGNORE}
    channels = list(description.channels) or ["CT"]
    return DataConfig(labels=names or ["liver", "tumor"], channels=channels, label_map=ignored)


if __name__ == "__main__":
    sys.exit(main())
