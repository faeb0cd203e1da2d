"""Stand-ins for the parts of Slicer's Python that the wheel lacks: the scripted-module base classes and the parameter
node wrapper. With ``SLICER_PY=<Slicer source>/Base/Python/slicer`` a developer's own copy of Slicer's code is used.
"""

from __future__ import annotations

import enum
import importlib.util
import os
import sys
import types
import typing
from pathlib import Path

import qt
import slicer
import vtk
from PySide6 import QtWidgets

PARAMETER_PROPERTY = "SlicerParameterName"


class ModuleParent:
    """What a module's constructor fills in."""

    def __init__(self, path):
        self.path = str(path)
        self.icon = None


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent

    def resourcePath(self, name):
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def setup(self):
        return None

    def resourcePath(self, name):
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)


class ScriptedLoadableModuleLogic:
    def getParameterNode(self):
        name = type(self).__name__.removesuffix("Logic")
        node = slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(name)
            node.SetAttribute("ModuleName", name)
            node.SetName(name)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ExtensionsManagerModel:
    """The model of an Extensions Manager with nothing installed and no network; a test says otherwise."""

    installed: typing.ClassVar[set] = set()
    interactive = True

    def isExtensionInstalled(self, name):
        return name in self.installed

    def installExtensionFromServer(self, _name, _restart=True, _update=False):
        return False


class ScriptedLoadableModuleTest:
    """Only named: Slicer's self-test runner is not here."""


class _Parameter:
    """One typed attribute of a wrapped class, kept in the parameter node."""

    def __init__(self, name, kind, default):
        self.name, self.kind, self.default = name, kind, default

    @property
    def isNode(self):
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def __get__(self, wrapper, _owner=None):
        node = wrapper.parameterNode
        if self.isNode:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if not node.HasParameter(self.name):
            return self.default
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)

    def __set__(self, wrapper, value):
        if self.isNode:
            wrapper.parameterNode.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            wrapper.parameterNode.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))


class _Wrapper:
    """The methods that a parameterNodeWrapper class has."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._connections = {}

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, ui):
        connections = []
        for widget in vars(ui).values():
            name = widget.property(PARAMETER_PROPERTY)
            if name:
                connections.append(_connect(self, type(self).parameters[name], widget))
        update = [connection[0] for connection in connections]
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: [function() for function in update])
        self._connections[tag] = connections
        for function in update:
            function()
        return tag

    def disconnectGui(self, tag):
        # Slicer 5.10 leaves the observer on the node.
        for _update, widget, signal, function in self._connections.pop(tag):
            widget.disconnect(signal, function)


def _connect(wrapper, parameter, widget):
    """Bind one widget; only the two kinds that the panel uses."""
    name = parameter.name
    if parameter.isNode and type(widget) is slicer.qMRMLNodeComboBox:

        def update():
            widget.setCurrentNode(getattr(wrapper, name))

        def changed(_node=None):
            setattr(wrapper, name, widget.currentNode())

        signal = "currentNodeChanged(vtkMRMLNode*)"
    elif issubclass(parameter.kind, enum.Enum) and type(widget) is qt.QComboBox:
        choices = list(parameter.kind)
        if widget.count != len(choices):
            widget.addItems([choice.label() for choice in choices])

        def update():
            widget.setCurrentIndex(choices.index(getattr(wrapper, name)))

        def changed(index):
            setattr(wrapper, name, choices[index])

        signal = "currentIndexChanged(int)"
    else:
        raise RuntimeError(f"Unable to connect {parameter.kind} '{name}' to a {type(widget).__name__}")
    widget.connect(signal, changed)
    return update, widget, signal, changed


def parameterNodeWrapper(described):
    """Return a class with the typed attributes of `described`, kept in a vtkMRMLScriptedModuleNode."""
    members = {}
    for name, kind in typing.get_type_hints(described).items():
        members[name] = _Parameter(name, kind, getattr(described, name, None))
    return type(described.__name__, (_Wrapper,), {**members, "parameters": members, "__doc__": described.__doc__})


def install():
    """Register the stand-ins, or a developer's own copy of Slicer's Python, as modules of `slicer`."""
    source = os.environ.get("SLICER_PY")
    if source:
        _useDevelopersCopy(Path(source))
        return
    base = types.ModuleType("slicer.ScriptedLoadableModule")
    for cls in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, cls.__name__, cls)
    wrapperModule = types.ModuleType("slicer.parameterNodeWrapper")
    wrapperModule.parameterNodeWrapper = parameterNodeWrapper
    for module in (base, wrapperModule):
        sys.modules[module.__name__] = module
        setattr(slicer, module.__name__.partition(".")[2], module)


def _useDevelopersCopy(folder):
    import ctk

    for name in ("QCheckBox", "QComboBox", "QPushButton", "QLineEdit", "QLabel", "QTextEdit", "QSlider", "QSpinBox"):
        if not hasattr(ctk, name.replace("Q", "ctk", 1)):
            setattr(ctk, name.replace("Q", "ctk", 1), type(name, (), {}))
    for name in (
        *("ctkCheckablePushButton", "ctkSliderWidget", "ctkDoubleSlider", "ctkDoubleSpinBox", "ctkRangeWidget"),
        *("ctkDoubleRangeSlider", "ctkPathLineEdit", "ctkDirectoryButton", "ctkColorPickerButton"),
    ):
        setattr(ctk, name, type(name, (), {}))
    for name in ("qMRMLSliderWidget", "qMRMLSpinBox", "qMRMLRangeWidget"):
        setattr(slicer, name, type(name, (), {}))
    for name in ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper", "packaging"):
        if name == "packaging" and not (folder / "packaging.py").is_file():  # Slicer 5.10 has none
            continue
        path = folder / f"{name}.py"
        locations = None if path.is_file() else [str(folder / name)]
        path = path if path.is_file() else folder / name / "__init__.py"
        fullName = f"slicer.{name}"
        spec = importlib.util.spec_from_file_location(fullName, path, submodule_search_locations=locations)
        module = importlib.util.module_from_spec(spec)
        sys.modules[fullName] = module
        setattr(slicer, name, module)
        spec.loader.exec_module(module)


def makeParent():
    """Return the widget a module's panel is built into."""
    parent = slicer.qMRMLWidget()
    parent.setLayout(QtWidgets.QVBoxLayout())
    return parent
