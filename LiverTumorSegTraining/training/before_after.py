"""What a fine-tuning changed: the held-out cases before the first step and at the end."""

from __future__ import annotations

from pathlib import Path

from LiverTumorSegLib.jsonfile import write_json
from LiverTumorSegLib.wholefile import write_text

from LiverTumorSegTraining.training.run_files import read_metrics

JSON, TABLE = "before_after.json", "before_after.md"


def write_before_after(run: Path) -> Path | None:
    """Write before_after.json and before_after.md from the first and the last validation; return the table's path.

    None when there were not two validations.
    """
    validations = [entry for entry in read_metrics(run) if "validation" in entry]
    if len(validations) < 2:
        return None
    before, after = validations[0], validations[-1]
    write_json(run / JSON, {"before": before, "after": after})
    lines = [
        f"# Before and after {after['step'] - before['step']} steps", "",
        "| case | figure | before | after | change |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for case, figures in before["validation"].items():
        for name, value in figures.items():
            new = after["validation"].get(case, {}).get(name)
            known = value is not None and new is not None
            change = f"{new - value:+.3f}" if known else "-"
            lines.append(f"| {case} | {name.replace('_', ' ')} | {_number(value)} | {_number(new)} | {change} |")
    write_text(run / TABLE, "\n".join(lines) + "\n")
    return run / TABLE


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
