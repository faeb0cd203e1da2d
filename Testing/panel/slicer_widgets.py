"""Slicer's own widgets as far as the panel's .ui file and the Segment Editor section use them."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

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
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
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
    """A header to click on, with the contents below."""

    contentsCollapsed = QtCore.Signal(bool)
    HEADER = 24

    def __init__(self, parent=None):
        super().__init__(parent)
        self._collapsed, self._shown = False, {}
        self._header = QtWidgets.QToolButton(self)
        self._header.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self._header.setStyleSheet(
            "QToolButton{border:1px solid #b8b8b8; border-radius:3px; background:#e3e3e3; padding-left:4px}"
        )
        self._header.clicked.connect(lambda: self.setCollapsed(not self._collapsed))
        self._style()

    def getText(self):
        return self._header.text()

    def setText(self, text):
        self._header.setText(text)

    def getCollapsed(self):
        return self._collapsed

    def setCollapsed(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._apply()
        self.contentsCollapsed.emit(collapsed)

    text = QtCore.Property(str, getText, setText)
    collapsed = QtCore.Property(bool, getCollapsed, setCollapsed)

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

    def showEvent(self, event):
        if self._collapsed:
            self._apply()
        super().showEvent(event)

    def childEvent(self, event):
        super().childEvent(event)
        if self.__dict__.get("_header") is not None and QtWidgets.QWidget.layout(self) is not None:
            QtWidgets.QWidget.layout(self).setContentsMargins(8, self.HEADER + 6, 8, 4)

    def resizeEvent(self, event):
        self._header.setGeometry(0, 0, QtWidgets.QWidget.width(self), self.HEADER)
        super().resizeEvent(event)


class qMRMLSegmentEditorWidget(PythonQtMixin, QtWidgets.QLabel):
    """Keeps what it is told; draws a note, for the real editor needs the desktop."""

    def __init__(self, parent=None):
        super().__init__("Slicer's own Segment Editor appears here (not part of a test render).", parent)
        self.setWordWrap(True)
        self.setAlignment(QtCore.Qt.AlignCenter)
        self.setMinimumHeight(60)
        self.setStyleSheet("border:1px dashed #999; color:#666")
        self._nodes = {"segmentation": None, "source": None, "editor": None}
        self._calls = []

    def setMRMLScene(self, scene):
        self._calls.append(("scene", scene is slicer.mrmlScene))

    def setMRMLSegmentEditorNode(self, node):
        self._nodes["editor"] = node

    def mrmlSegmentEditorNode(self):
        return self._nodes["editor"]

    def setSegmentationNode(self, node):
        if self._nodes["editor"] is None and node is not None:
            raise RuntimeError("the segment editor has no editor node")
        self._nodes["segmentation"] = node

    def segmentationNode(self):
        return self._nodes["segmentation"]

    def setSourceVolumeNode(self, node):
        self._nodes["source"] = node

    def sourceVolumeNode(self):
        return self._nodes["source"]

    def _note(self, *_arguments):
        return None

    setMaximumNumberOfUndoStates = setSegmentationNodeSelectorVisible = setSourceVolumeNodeSelectorVisible = _note
    installKeyboardShortcuts = uninstallKeyboardShortcuts = removeViewObservations = setActiveEffect = _note


def registerWidgets():
    """Make the widgets known to `slicer`, `ctk` and the .ui loader."""
    import ctk

    for cls in (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentEditorWidget):
        setattr(slicer, cls.__name__, cls)
    ctk.ctkCollapsibleButton = ctkCollapsibleButton
    UiLoader.custom.update({c.__name__: c for c in (qMRMLWidget, qMRMLNodeComboBox, ctkCollapsibleButton)})
