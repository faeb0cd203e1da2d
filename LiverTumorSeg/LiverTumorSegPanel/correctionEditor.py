"""The Segment Editor inside the panel, with an editor node of its own."""

from __future__ import annotations

import slicer

EDITOR_TAG = "LiverTumorSegEditor"
UNDO_STATES = 10


class CorrectionEditor:
    """Embeds Slicer's segment editor.

    The widget is made when it is first needed: it is heavy, and most openings of the module do not need it.
    The editor node is apart from the Segment Editor module's, so the two do not disturb each other.

    Parameters
    ----------
    layout : qt.QLayout
        Where the editor appears.
    """

    def __init__(self, layout):
        self._layout = layout
        self._editor = None

    def edit(self, segmentationNode, volumeNode) -> None:
        """Offer a segmentation for correction on its CT; None for either leaves the editor empty."""
        if self._editor is None:
            if segmentationNode is None:
                return
            self._editor = slicer.qMRMLSegmentEditorWidget()
            self._editor.setMaximumNumberOfUndoStates(UNDO_STATES)
            self._editor.setMRMLSegmentEditorNode(_editorNode())
            self._editor.setMRMLScene(slicer.mrmlScene)
            self._editor.setSegmentationNodeSelectorVisible(False)
            self._editor.setSourceVolumeNodeSelectorVisible(False)
            self._layout.addWidget(self._editor)
        elif self._editor.mrmlSegmentEditorNode() is None and segmentationNode is not None:
            self._editor.setMRMLSegmentEditorNode(_editorNode())
        self._editor.setSegmentationNode(segmentationNode)
        self._editor.setSourceVolumeNode(volumeNode if segmentationNode is not None else None)

    def enter(self) -> None:
        """Give the editor its keyboard shortcuts: the panel is shown."""
        if self._editor is not None:
            self._editor.installKeyboardShortcuts()

    def exit(self) -> None:
        """Put the tool away and take the shortcuts back: another module is shown."""
        if self._editor is not None:
            self._editor.setActiveEffect(None)
            self._editor.uninstallKeyboardShortcuts()
            self._editor.removeViewObservations()

    def forgetScene(self) -> None:
        """Let go of nodes that are about to go."""
        if self._editor is not None:
            self._editor.setSegmentationNode(None)
            self._editor.setMRMLSegmentEditorNode(None)
            self._editor.removeViewObservations()


def _editorNode():
    node = slicer.mrmlScene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)  # the scene holds it from here on
        node.SetSingletonTag(EDITOR_TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node
