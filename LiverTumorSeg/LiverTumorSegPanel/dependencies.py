"""The Python packages that Slicer does not bring: torch, through the PyTorch extension, safetensors and nibabel.

numpy, SimpleITK and VTK are Slicer's own and are never touched. Nothing is installed unless the reader clicks.
"""

from __future__ import annotations

import importlib.metadata

import slicer
from slicer.i18n import tr as _

TORCH_REQUIREMENT = ">=2.2,!=2.9.*"
REQUIREMENTS = {"safetensors": "safetensors>=0.4.3", "nibabel": "nibabel>=5.2"}


def missingPackages() -> list[str]:
    """Return the names of the packages that are not installed; nothing is imported to find out."""
    missing = []
    for name in ("torch", *REQUIREMENTS):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing


def pytorchExtensionInstalled() -> bool:
    """Return whether the PyTorch extension is there."""
    return hasattr(slicer.modules, "pytorchutils")


def missingText(missing: list[str]) -> str:
    """Return one sentence saying what has to be installed, and how; empty when nothing is missing."""
    if not missing:
        return ""
    if "torch" in missing and not pytorchExtensionInstalled():
        return _(
            "PyTorch is not installed, and neither is the PyTorch extension that installs it: open the Extensions "
            "Manager, install 'PyTorch', restart Slicer and come back."
        )
    named = ["PyTorch" if name == "torch" else name for name in missing]
    return _("{packages} must be installed once before anything can be segmented.").format(
        packages=_(" and ").join(name for name in (", ".join(named[:-1]), named[-1]) if name)
    )


def installMissing() -> list[str]:
    """Install what is missing, asking first, and return what is still missing.

    Must be called from the main thread: Slicer's installers show dialogs.

    Raises
    ------
    RuntimeError
        If torch is missing and the PyTorch extension is not installed.
    """
    missing = missingPackages()
    if "torch" in missing:
        if not pytorchExtensionInstalled():
            raise RuntimeError(missingText(missing))
        import PyTorchUtils

        # The extension picks the build that fits the graphics driver; plain pip would not.
        PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT)
    wanted = [REQUIREMENTS[name] for name in missing if name in REQUIREMENTS]
    if wanted:
        _install(wanted)
    importlib.invalidate_caches()
    return missingPackages()


def _install(requirements: list[str]) -> None:
    try:
        from slicer import packaging
    except ImportError:
        packaging = None
    if hasattr(packaging, "pip_ensure"):  # Slicer 5.12 and later: asks, shows progress
        packaging.pip_ensure(requirements, requester="LiverTumorSeg")
    else:
        slicer.util.pip_install(requirements)
