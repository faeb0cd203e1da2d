"""The Segment Editor inside the panel, with an editor node of its own."""

from __future__ import annotations

import slicer

EDITOR_TAG = "LiverTumorSegEditor"
UNDO_STATES = 10


class CorrectionEditor:
    """Embeds Slicer's segment editor.

    The widget is made when it is first needed: it is heavy, and most openings of the module do not need it.
    The editor node is apart from the Segment Editor module's, so the two do not disturb each other. Its keyboard
    shortcuts belong to Slicer's main window: they are there only while the editor can be seen, or the space bar would
    take up a brush that nobody sees.

    Parameters
    ----------
    layout : qt.QLayout
        Where the editor appears.
    """

    def __init__(self, layout):
        self._layout = layout
        self._editor = None
        self._nodes = (None, None)

    def offer(self, segmentationNode, volumeNode) -> None:
        """Remember what is to be corrected, on which CT; None for nothing. An editor that exists follows at once."""
        self._nodes = (segmentationNode, volumeNode if segmentationNode is not None else None)
        if self._editor is not None:
            self._follow()

    def open(self) -> None:
        """Show the editor: its tools and shortcuts work from here on."""
        if self._nodes[0] is None:
            self.close()
            return
        self._make()
        self._editor.setupViewObservations()
        self._editor.installKeyboardShortcuts()

    def close(self) -> None:
        """Put the tool away and take the shortcuts back: the editor cannot be seen."""
        if self._editor is not None:
            self._editor.setActiveEffect(None)
            self._editor.uninstallKeyboardShortcuts()
            self._editor.removeViewObservations()

    def saveState(self) -> None:
        """Make what the panel is about to do to the segmentation one step that `undo` takes back."""
        self._make()
        self._editor.saveStateForUndo()

    def undo(self) -> None:
        """Take back the last step, a stroke of the editor or a change by the panel."""
        if self._editor is not None:
            self._editor.undo()

    def forgetScene(self) -> None:
        """Let go of nodes that are about to go."""
        self._nodes = (None, None)
        if self._editor is not None:
            self.close()
            self._editor.setSegmentationNode(None)
            self._editor.setMRMLSegmentEditorNode(None)

    def _make(self) -> None:
        if self._editor is not None:
            return
        self._editor = slicer.qMRMLSegmentEditorWidget()
        self._editor.setMaximumNumberOfUndoStates(UNDO_STATES)
        self._editor.setMRMLSegmentEditorNode(_editorNode())
        self._editor.setMRMLScene(slicer.mrmlScene)
        self._editor.setSegmentationNodeSelectorVisible(False)
        self._editor.setSourceVolumeNodeSelectorVisible(False)
        self._layout.addWidget(self._editor)
        self._follow()

    def _follow(self) -> None:
        segmentationNode, volumeNode = self._nodes
        if segmentationNode is not None and self._editor.mrmlSegmentEditorNode() is None:
            self._editor.setMRMLSegmentEditorNode(_editorNode())
        self._editor.setSegmentationNode(segmentationNode)
        self._editor.setSourceVolumeNode(volumeNode)


def _editorNode():
    """Return the panel's own editor node: painting takes from every other segment, so tumour from the liver."""
    node = slicer.mrmlScene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)  # the scene holds it from here on
        node.SetSingletonTag(EDITOR_TAG)
        node = slicer.mrmlScene.AddNode(node)
        node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        node.SetOverwriteMode(node.OverwriteAllSegments)
    return node
