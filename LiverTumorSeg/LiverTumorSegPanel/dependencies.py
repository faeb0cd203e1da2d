"""The Python packages that Slicer does not bring: torch, through the PyTorch extension, safetensors and nibabel.

numpy, SimpleITK and VTK are Slicer's own and are never touched. Nothing is installed unless the reader clicks.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

import slicer
from slicer.i18n import tr as _

TORCH_REQUIREMENT = ">=2.2,!=2.9.*"
REQUIREMENTS = {"safetensors": "safetensors>=0.4.3", "nibabel": "nibabel>=5.2"}
DICOM_EXPORT = {"highdicom": "highdicom>=0.23"}
PAGE_EXPORT = {"jinja2": "jinja2>=3.1", "matplotlib": "matplotlib>=3.8"}
"""What only an export needs is installed when that is asked for."""
EXTENSION = "PyTorch"


def missingPackages() -> list[str]:
    """Return the names of the packages that are not installed; nothing is imported to find out."""
    return _notInstalled(("torch", *REQUIREMENTS))


def ensurePackages(requirements: dict[str, str]) -> bool:
    """Return whether these packages are there, after asking to install those that are not."""
    missing = _notInstalled(requirements)
    if missing:
        _install([requirements[name] for name in missing])
        importlib.invalidate_caches()
    return not _notInstalled(requirements)


def _notInstalled(names: Iterable[str]) -> list[str]:
    missing = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing


def extensionLoaded() -> bool:
    """Return whether the PyTorch extension is there and can install torch now."""
    return hasattr(slicer.modules, "pytorchutils")


def needsRestart() -> bool:
    """Return whether the PyTorch extension was installed but Slicer has to be started again to load it."""
    return not extensionLoaded() and _extensionsModel().isExtensionInstalled(EXTENSION)


def missingText(missing: list[str]) -> str:
    """Return one sentence saying what has to be installed, and how; empty when nothing is missing."""
    if not missing:
        return ""
    if "torch" in missing and needsRestart():
        return _("The PyTorch extension is installed: save your work, restart Slicer and come back.")
    if "torch" in missing and not extensionLoaded():
        return _("PyTorch is not installed, and neither is the PyTorch extension of Slicer that installs it.")
    named = ["PyTorch" if name == "torch" else name for name in missing]
    return _("{packages} must be installed once before anything can be segmented.").format(
        packages=_(" and ").join(name for name in (", ".join(named[:-1]), named[-1]) if name)
    )


def installMissing() -> None:
    """Install what is missing, asking before each download; what the reader declines stays missing.

    Must be called from the main thread: Slicer's installers show dialogs.

    Raises
    ------
    RuntimeError
        If the PyTorch extension is needed and cannot be installed.
    """
    if "torch" in missingPackages():
        if not extensionLoaded():
            _installExtension()
            return  # Slicer has to be started again before torch can be installed
        import PyTorchUtils

        # The extension picks the build that fits the graphics driver; plain pip would not.
        PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT)
    importlib.invalidate_caches()
    missing = missingPackages()
    if missing and "torch" not in missing:
        _install([REQUIREMENTS[name] for name in missing])
        importlib.invalidate_caches()


def _extensionsModel():
    return slicer.app.extensionsManagerModel()


def _installExtension() -> None:
    model = _extensionsModel()
    if model.isExtensionInstalled(EXTENSION):
        return
    question = _("Download and install Slicer's PyTorch extension now? Slicer must be restarted afterwards.")
    if not slicer.util.confirmOkCancelDisplay(question):
        return
    wasInteractive = model.interactive
    model.interactive = False  # the question has just been asked
    try:
        installed = model.installExtensionFromServer(EXTENSION, False)  # no restart: unsaved work would be lost
    finally:
        model.interactive = wasInteractive
    if not installed:
        raise RuntimeError(
            _(
                "The PyTorch extension could not be downloaded: there may be no network. With a network, open the "
                "Extensions Manager and install 'PyTorch'; without one, download the extension's file for this "
                "version of Slicer from extensions.slicer.org on another computer and use 'Install from file' there."
            )
        )


def _install(requirements: list[str]) -> None:
    question = _("Download and install the Python packages {packages} now?").format(packages=", ".join(requirements))
    if not slicer.util.confirmOkCancelDisplay(question):
        return
    try:
        from slicer import packaging
    except ImportError:
        packaging = None
    if hasattr(packaging, "pip_ensure"):  # Slicer 5.12 and later: shows progress
        packaging.pip_ensure(requirements, prompt_install=False, requester="LiverTumorSeg")
    else:
        slicer.util.pip_install(requirements)
