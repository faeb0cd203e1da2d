"""What is not wrong with a data set but would waste a training: told before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.data.reading import class_of
from LiverTumorSegTraining.data.verify_case import CaseFacts
from LiverTumorSegTraining.recipe.config import DataConfig


def doubts_of(cases: Sequence[Case], facts: Mapping[str, CaseFacts], data: DataConfig) -> list[str]:
    """Return one sentence for each thing that a person should know before the first step.

    Parameters
    ----------
    cases : sequence of Case
        Those that are used.
    facts : mapping of str to CaseFacts
        What verification saw, by case name.
    data : DataConfig
        The recipe's section.
    """
    doubts = []
    seen = {class_of(value, data) for case in cases for value in facts[case.name].values}
    for value, name in enumerate(data.labels, 1):
        if value not in seen:
            doubts.append(
                f"No case holds the label {name} ({value}): the network cannot learn it from this data set. Check "
                "data.labels and data.label_map."
            )
    patients = {case.patient for case in cases}
    if len(patients) == 1 and not data.splits:
        doubts.append(
            f"All {len(cases)} cases belong to one patient ({min(patients)}): nobody can be held out, so no figure "
            "will tell how the network does on others. Check data.patient_pattern."
        )
    elif not (data.validation or data.validation_fraction or data.folds > 1 or data.splits):
        doubts.append(
            "No patient is held out, so nothing will tell how good the network is: set data.validation_fraction."
        )
    return doubts
