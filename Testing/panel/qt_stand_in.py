"""PythonQt's way of speaking Qt, over PySide6: the modules `qt` and `ctk` of a Slicer, for tests.

What differs between the two and matters to the panel: a Qt property is an attribute with a value (``box.count``, not
``box.count()``), assigning to it sets it and converts what is of another type without a word, a connected bound method
keeps its object alive until it is disconnected or the sender is gone, ``connect("clicked()", f)`` exists, a misspelt
signal is an error here (PythonQt only prints a warning), and file dialogs return a path instead of a pair, after a
nested event loop in which timers fire and scenes close.
"""

from __future__ import annotations

import enum
import sys
import types
from typing import ClassVar

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

ALIASES = {"name": "objectName"}
SPOKEN_HERE = ("connect", "disconnect", "className")


class PythonQtMixin:
    """Properties as attributes, signals by name."""

    def __getattribute__(self, name):
        lookup = super().__getattribute__
        if name in SPOKEN_HERE:  # PySide's own lookup would find QObject's first
            return PythonQtMixin.__dict__[name].__get__(self)
        if name.startswith("_") or name in ("metaObject", "property"):
            return lookup(name)
        qtName = ALIASES.get(name, name)
        if lookup("metaObject")().indexOfProperty(qtName) >= 0:
            return lookup("property")(qtName)
        return lookup(name)

    def __setattr__(self, name, value):
        qtName = ALIASES.get(name, name)
        if self.metaObject().indexOfProperty(qtName) >= 0:
            self.setProperty(qtName, _converted(self.property(qtName), value))
        elif name.startswith("_") or name in self.__dict__ or _declares(type(self), name):
            super().__setattr__(name, value)
        else:
            raise AttributeError(f"{type(self).__name__} has no property '{name}'")

    def connect(self, signal, function):
        count = signal.partition("(")[2].count(",") + (not signal.endswith("()"))

        def call(*arguments):  # PySide alone would hold a bound method weakly
            return function(*arguments[:count])

        self._signal(signal).connect(call)
        self.__dict__.setdefault("_calls", []).append((signal, function, call))

    def disconnect(self, signal, function):
        for connection in self.__dict__.get("_calls", []):
            if connection[:2] == (signal, function):
                self._signal(signal).disconnect(connection[2])
                self._calls.remove(connection)
                return
        raise ValueError(f"{type(self).__name__}.{signal} is not connected to {function}")

    def _signal(self, signature):
        normalized = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
        normalized = normalized.replace("vtkMRMLNode*", "PyObject")  # the only type that PySide cannot carry
        meta = self.metaObject()
        if meta.indexOfSignal(normalized) < 0:
            raise ValueError(f"{type(self).__name__} has no signal '{signature}'")
        name, _, arguments = normalized.partition("(")
        signal = super().__getattribute__(name)
        overloads = {
            bytes(meta.method(index).methodSignature()).decode()
            for index in range(meta.methodCount())
            if bytes(meta.method(index).name()).decode() == name
        }
        return signal[arguments.rstrip(")")] if len(overloads) > 1 and hasattr(signal, "__getitem__") else signal

    def className(self):
        return type(self).__name__


def _converted(current, value):
    """Return a value as PythonQt hands it to a property of the type of its current value."""
    if isinstance(value, tuple):
        return list(value)
    for kind in (bool, int, float, str):  # bool before int, of which it is a kind
        if isinstance(current, kind) and not isinstance(current, enum.Enum):
            return kind() if value is None else kind(value)
    return value


def _declares(cls, name):
    return any(name in base.__dict__ for base in cls.__mro__)


_classes = {}


def wrapped(base):
    """Return the PythonQt-like subclass of a PySide class; always the same one."""
    if base not in _classes:
        _classes[base] = type(base.__name__, (PythonQtMixin, base), {})
    return _classes[base]


class QFileDialog:
    """Dialogs that answer with what a test has put into `answer`, once `mayClose` says that the reader is ready.

    As on the desktop, Qt's events are worked off while a dialog is open.
    """

    answer = ""
    asked: ClassVar[list] = []
    mayClose: ClassVar = staticmethod(lambda: True)

    @classmethod
    def _ask(cls, *arguments):
        cls.asked.append(arguments)
        loop, clock = QtCore.QEventLoop(), QtCore.QTimer()
        clock.timeout.connect(lambda: loop.quit() if cls.mayClose() else None)
        clock.start(10)
        loop.exec()
        return cls.answer

    getSaveFileName = getOpenFileName = getExistingDirectory = _ask


class QSettings:
    """Settings of one test process, apart from the user's."""

    values: ClassVar[dict] = {}

    def contains(self, key):
        return key in self.values

    def value(self, key, default=None):
        return self.values.get(key, default)

    def setValue(self, key, value):
        self.values[key] = value


class UiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file into PythonQt-like widgets; unknown classes are an error."""

    custom: ClassVar[dict] = {}

    def createWidget(self, className, parent=None, name=""):
        base = getattr(QtWidgets, className, None)
        cls = self.custom.get(className) or (wrapped(base) if base is not None else None)
        if cls is None:
            raise ValueError(f"The .ui file asks for an unknown widget class {className}")
        widget = cls(parent)
        widget.setObjectName(name)
        return widget


def makeQtModule():
    """Return (and register) the modules `qt` and `ctk`."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    qt = types.ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            member = getattr(source, name)
            if name.startswith("Q"):
                isObject = isinstance(member, type) and issubclass(member, QtCore.QObject)
                setattr(qt, name, wrapped(member) if isObject else member)
    qt.Qt = QtCore.Qt
    qt.QFile, qt.QUiLoader = QtCore.QFile, UiLoader
    qt.QFileDialog, qt.QSettings = QFileDialog, QSettings
    qt.QApplication = QtWidgets.QApplication
    qt.QWidget = QtWidgets.QWidget  # the base class all widgets share
    sys.modules["qt"] = qt
    sys.modules["ctk"] = types.ModuleType("ctk")
    return qt
