"""Slicer's own widgets as far as the panel's .ui file and the Segment Editor section use them."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from vtk.util.numpy_support import numpy_to_vtk

from qt_stand_in import PythonQtMixin, UiLoader


class qMRMLWidget(PythonQtMixin, QtWidgets.QWidget):
    mrmlSceneChanged = QtCore.Signal("vtkMRMLScene*")  # connected by the .ui file; handed on below instead
    isEntered = True

    def setMRMLScene(self, scene):
        for selector in self.findChildren(qMRMLNodeComboBox):
            selector.setMRMLScene(scene)


class qMRMLNodeComboBox(PythonQtMixin, QtWidgets.QComboBox):
    """A node selector fed by real scene events."""

    currentNodeChanged = QtCore.Signal(object)
    nodeActivated = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._types, self._none, self._scene, self._ids, self._selected = [], False, None, [], None
        self.currentIndexChanged.connect(self._onIndex)

    def getNodeTypes(self):
        return self._types

    def setNodeTypes(self, types):
        self._types = list(types)

    def getNoneEnabled(self):
        return self._none

    def setNoneEnabled(self, enabled):
        self._none = enabled

    def _flag(self):
        return False

    def _setFlag(self, _value):
        return None

    nodeTypes = QtCore.Property("QStringList", getNodeTypes, setNodeTypes)
    noneEnabled = QtCore.Property(bool, getNoneEnabled, setNoneEnabled)
    addEnabled = QtCore.Property(bool, _flag, _setFlag)
    removeEnabled = QtCore.Property(bool, _flag, _setFlag)
    renameEnabled = QtCore.Property(bool, _flag, _setFlag)
    showChildNodeTypes = QtCore.Property(bool, _flag, _setFlag)

    @QtCore.Slot("vtkMRMLScene*")
    def setMRMLScene(self, scene):
        self._scene = scene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent):
            scene.AddObserver(event, self._refresh)
        self._refresh()

    def currentNode(self):
        return self._scene.GetNodeByID(self._selected) if self._scene and self._selected else None

    def setCurrentNode(self, node):
        self._choose(node.GetID() if node is not None else None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _refresh(self, _scene=None, _event=None, _node=None):
        nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        nodes = [node for node in nodes if node.GetClassName() in self._types]
        self.blockSignals(True)
        self.clear()
        self._ids = ([None] if self._none else []) + [node.GetID() for node in nodes]
        self.addItems((["None"] if self._none else []) + [node.GetName() for node in nodes])
        self.blockSignals(False)
        first = self._ids[0] if self._ids else None  # "None" where that can be chosen, else the first node
        self._choose(self._selected if self._selected in self._ids else first)

    def _activate(self, node):
        """Choose a node as the reader does, in the list."""
        self.setCurrentNode(node)
        self.nodeActivated.emit(node)

    def _choose(self, nodeId):
        changed = nodeId != self._selected
        self._selected = nodeId
        self.blockSignals(True)
        self.setCurrentIndex(self._ids.index(nodeId) if nodeId in self._ids else -1)
        self.blockSignals(False)
        if changed:
            self.currentNodeChanged.emit(self.currentNode())

    def _onIndex(self, index):
        if 0 <= index < len(self._ids):
            self._choose(self._ids[index])


class ctkCollapsibleButton(PythonQtMixin, QtWidgets.QWidget):
    """A header to click on, with the contents below; `collapsed` is a property only, as in CTK."""

    contentsCollapsed = QtCore.Signal(bool)
    HEADER = 24

    def __init__(self, parent=None):
        super().__init__(parent)
        self._collapsed, self._shown = False, {}
        self._header = QtWidgets.QToolButton(self)
        self._header.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._color()
        self._header.clicked.connect(lambda: self._setCollapsed(not self._collapsed))
        self._style()

    def getText(self):
        return self._header.text()

    def setText(self, text):
        self._header.setText(text)

    def getCollapsed(self):
        return self._collapsed

    def _setCollapsed(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._apply()
        self.contentsCollapsed.emit(collapsed)

    text = QtCore.Property(str, getText, setText)
    collapsed = QtCore.Property(bool, getCollapsed, _setCollapsed)

    def _contents(self):
        return [c for c in self.children() if isinstance(c, QtWidgets.QWidget) and c is not self._header]

    def _apply(self):
        if self._collapsed:
            self._shown = {child: not child.isHidden() for child in self._contents()}
        for child in self._contents():
            child.setHidden(self._collapsed or not self._shown.get(child, True))
        self._style()

    def _style(self):
        self._header.setArrowType(QtCore.Qt.RightArrow if self._collapsed else QtCore.Qt.DownArrow)
        self.setMaximumHeight(self.HEADER + 4 if self._collapsed else 16777215)

    def _color(self):
        """Colours of the theme: a style sheet does not follow it by itself."""
        self._header.setStyleSheet(
            "QToolButton{border:1px solid palette(mid); border-radius:3px; color:palette(window-text)}"
        )

    def changeEvent(self, event):
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.PaletteChange and self.__dict__.get("_header") is not None:
            self._color()

    def showEvent(self, event):
        if self._collapsed:
            self._apply()
        super().showEvent(event)

    def childEvent(self, event):
        super().childEvent(event)
        if self.__dict__.get("_header") is not None and QtWidgets.QWidget.layout(self) is not None:
            layout = QtWidgets.QWidget.layout(self)
            margins = layout.contentsMargins()
            layout.setContentsMargins(margins.left(), self.HEADER + 6, margins.right(), 4)

    def resizeEvent(self, event):
        self._header.setGeometry(0, 0, QtWidgets.QWidget.width(self), self.HEADER)
        super().resizeEvent(event)


class qMRMLSegmentEditorWidget(PythonQtMixin, QtWidgets.QLabel):
    """Draws a note, for the real editor needs the desktop; strokes and undo are those of Slicer's own editor logic."""

    def __init__(self, parent=None):
        super().__init__("Slicer's own Segment Editor appears here (not part of a test render).", parent)
        self.setWordWrap(True)
        self.setAlignment(QtCore.Qt.AlignCenter)
        self.setMinimumHeight(60)
        self.setStyleSheet("border:1px dashed #999; color:#777")
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._history = slicer.vtkSegmentationHistory()
        self._editor, self._active = None, None
        self._shortcuts, self._observing = False, False

    def setMRMLScene(self, scene):
        self._logic.SetMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node):
        self._editor = node
        self._logic.SetSegmentEditorNode(node)

    def mrmlSegmentEditorNode(self):
        return self._editor

    def setSegmentationNode(self, node):
        if self._editor is None and node is not None:
            raise RuntimeError("the segment editor has no editor node")
        if node is not self.segmentationNode():
            self._logic.SetSegmentationNode(node)
            self._history.SetSegmentation(node.GetSegmentation() if node is not None else None)

    def segmentationNode(self):
        return self._editor.GetSegmentationNode() if self._editor is not None else None

    def setSourceVolumeNode(self, node):
        self._logic.SetSourceVolumeNode(node)

    def sourceVolumeNode(self):
        return self._editor.GetSourceVolumeNode() if self._editor is not None else None

    def setMaximumNumberOfUndoStates(self, number):
        self._history.SetMaximumNumberOfStates(number)

    def saveStateForUndo(self):
        self._history.SaveState()

    def undo(self):
        self._history.RestorePreviousState()

    def setActiveEffect(self, effect):
        self._active = effect

    def installKeyboardShortcuts(self, _parent=None):
        self._shortcuts = True

    def uninstallKeyboardShortcuts(self):
        self._shortcuts = False

    def setupViewObservations(self):
        self._observing = True

    def removeViewObservations(self):
        self._observing = False

    def setSegmentationNodeSelectorVisible(self, _visible):
        return None

    setSourceVolumeNodeSelectorVisible = setSegmentationNodeSelectorVisible

    def _press(self, key):
        """Press a key of the main window: "1" takes up the brush where the shortcuts are installed."""
        if self._shortcuts:
            self._active = key

    def _stroke(self, segmentId, mask, erase=False):
        """Paint or erase the voxels of a mask (k, j, i) of the source volume, as an effect does."""
        image = slicer.vtkOrientedImageData()
        k, j, i = mask.shape
        image.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
        voxels = numpy_to_vtk(np.ascontiguousarray(mask, np.uint8).ravel(), deep=True)
        image.GetPointData().SetScalars(voxels)
        matrix = vtk.vtkMatrix4x4()
        self.sourceVolumeNode().GetIJKToRASMatrix(matrix)
        image.SetGeometryFromImageToWorldMatrix(matrix)
        mode = self._logic.ModificationModeRemove if erase else self._logic.ModificationModeAdd
        self.saveStateForUndo()
        self._logic.ModifySegmentByLabelmap(self.segmentationNode(), segmentId, image, mode, True, False)


def registerWidgets():
    """Make the widgets known to `slicer`, `ctk` and the .ui loader."""
    import ctk

    for cls in (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentEditorWidget):
        setattr(slicer, cls.__name__, cls)
    ctk.ctkCollapsibleButton = ctkCollapsibleButton
    UiLoader.custom.update({c.__name__: c for c in (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton)})
