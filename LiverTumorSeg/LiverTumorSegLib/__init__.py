"""Liver and liver-tumour segmentation of CT: the core shared by the Slicer panel, the command line and training.

The names below are imported when they are first used, so that importing the package alone loads no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Segmenter": "pipeline.inference",
    "Result": "pipeline.result",
    "load_bundle": "model.bundle",
    "read_case": "scan.imageio",
    "write_segmentation": "output.segfile",
}
__all__ = ["Result", "Segmenter", "load_bundle", "read_case", "write_segmentation"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
