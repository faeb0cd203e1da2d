"""Look at the chosen volume node before anything is started, and say plainly what is wrong with it.

Pixel values and geometry are judged by the core in the child process; this file knows what only the scene knows.
"""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from LiverTumorSegPanel.panelFinding import PanelFinding


def checkVolumeNode(volumeNode) -> list[PanelFinding]:
    """Return the findings of a volume node; an error among them means that it cannot be segmented as it is."""
    if volumeNode is None:
        return [PanelFinding("info", _("Choose the CT to segment."), "no-volume")]
    name = volumeNode.GetName()
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        return [PanelFinding("error", _("'{name}' is a label map, not a CT.").format(name=name), "label-map")]
    image = volumeNode.GetImageData()
    if image is None or min(image.GetDimensions()) < 1:
        message = _("'{name}' has no image data. Load the scan again, or choose another volume.")
        return [PanelFinding("error", message.format(name=name), "empty-image")]
    if image.GetNumberOfScalarComponents() != 1:
        message = _("'{name}' has {count} values in each voxel (colour, vector or 4D data). Choose a plain CT volume.")
        return [
            PanelFinding("error", message.format(name=name, count=image.GetNumberOfScalarComponents()), "components")
        ]
    return [finding for finding in (_sequenceFinding(volumeNode), _transformFinding(volumeNode)) if finding]


def _sequenceFinding(volumeNode) -> PanelFinding | None:
    browser = sequenceBrowserOf(volumeNode)
    if browser is None:
        return None
    message = _(
        "'{name}' belongs to the 4D sequence '{sequence}': only the time point shown now ({index} of {count}) is "
        "segmented."
    )
    return PanelFinding(
        "warning",
        message.format(
            name=volumeNode.GetName(),
            sequence=browser.GetName(),
            index=browser.GetSelectedItemNumber() + 1,
            count=browser.GetNumberOfItems(),
        ),
        "sequence",
    )


def sequenceBrowserOf(volumeNode):
    """Return the sequence browser that drives a volume node, or None."""
    for index in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
        if browser.IsProxyNodeID(volumeNode.GetID()):
            return browser
    return None


def _transformFinding(volumeNode) -> PanelFinding | None:
    transformNode = volumeNode.GetParentTransformNode()
    if transformNode is None or transformNode.IsTransformToWorldLinear():
        return None
    message = _(
        "'{name}' is under the non-linear transform '{transform}'. The scan is segmented as it was stored and the "
        "result is put under the same transform; volumes and diameters are those without it, and the Segment Editor "
        "cannot paint until the transform has been hardened."
    )
    return PanelFinding(
        "warning", message.format(name=volumeNode.GetName(), transform=transformNode.GetName()), "non-linear-transform"
    )


def modalityOf(volumeNode) -> str | None:
    """Return the DICOM modality of a volume ("CT", "MR", ...) when the subject hierarchy knows it."""
    # Not GetSubjectHierarchyNode(): that adds a node to a scene that has none.
    hierarchy = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy else 0
    if not item:
        return None
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return hierarchy.GetItemAttribute(item, attribute) or None
