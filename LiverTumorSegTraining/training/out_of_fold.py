"""Out-of-fold results: each case segmented by the network that never saw its patient, as segment.py writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from LiverTumorSegLib.labels import label_table
from LiverTumorSegLib.model.bundle import Bundle
from LiverTumorSegLib.output.segfile import write_segmentation
from LiverTumorSegLib.scan.channels import name_of_case
from LiverTumorSegLib.wholefile import write_image

from LiverTumorSegTraining.data.case import Case
from LiverTumorSegTraining.recipe.config import Config
from LiverTumorSegTraining.training.display import Display
from LiverTumorSegTraining.training.validation import ProductInference

FOLDER = "out_of_fold"


def write_out_of_fold(
    bundle: Bundle, cases: Sequence[Case], everybody: Sequence[Case], config: Config, run: Path, display: Display
) -> Path:
    """Write RUN/out_of_fold/NAME.seg.nrrd and NAME.tumor-probability.nrrd for held-out cases; return the folder.

    `evaluate.py --references DATASET --predictions RUN/out_of_fold` scores them.

    Parameters
    ----------
    bundle : Bundle
        The network of the fold.
    cases : sequence of Case
        Held out in this fold.
    everybody : sequence of Case
        All cases of the data set: a name that two of them would share is not used.
    config : Config
        The recipe.
    run : Path
        Folder of the whole cross-validation.
    display : Display
        Shows the progress.
    """
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    inference = ProductInference(bundle, config, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    labels, names = label_table(bundle.labels), _file_names(everybody, config)
    with display.stage("segmenting the held-out cases", len(cases)) as advance:
        for number, case in enumerate(cases):
            advance(number, case.name)
            result, _, _ = inference.result(case)
            path = folder / f"{names[case.name]}.seg.nrrd"
            write_segmentation(path, result.labelmap, labels, {"LiverTumorSeg_model": f"{bundle.id} {run.name}"})
            if result.tumor_probability is not None:
                write_image(folder / f"{names[case.name]}.tumor-probability.nrrd", result.tumor_probability)
        advance(len(cases))
    return folder


def _file_names(cases: Sequence[Case], config: Config) -> dict[str, str]:
    named = {case.name: name_of_case(case.images, config.data.channels) for case in cases}
    count = Counter(named.values())
    return {case: name if count[name] == 1 else case for case, name in named.items()}
