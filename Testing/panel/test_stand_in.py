"""The stand-ins speak as PythonQt and CTK do where the panel could tell the difference."""

import gc
import weakref

import pytest

pytest.importorskip("slicer", reason="the slicer-core wheel is not installed")
pytest.importorskip("PySide6", reason="PySide6-Essentials is not installed")


def test_misspelt_signals_and_properties_are_errors(application):
    button = application.qt.QPushButton("x")
    button.connect("clicked()", lambda: None)
    button.enabled = False
    assert button.enabled is False
    for wrong in (lambda: button.connect("clicket()", print), lambda: setattr(button, "enabeld", True)):
        with pytest.raises((ValueError, AttributeError)):
            wrong()
    label, bar = application.qt.QLabel(), application.qt.QProgressBar()
    label.text, bar.value = 5, 3.7  # converted without a word, as PythonQt does
    assert (label.text, bar.value) == ("5", 3)


def test_a_connected_method_keeps_its_object_alive_until_it_is_disconnected(application):
    class Owner:
        def __init__(self):
            self.timer = application.qt.QTimer()
            self.timer.connect("timeout()", self.called)

        def called(self):
            return None

    owner = Owner()
    watch = weakref.ref(owner)
    timer, slot = owner.timer, owner.called
    del owner, slot
    gc.collect()
    assert watch() is not None
    timer.disconnect("timeout()", watch().called)
    del timer
    gc.collect()
    assert watch() is None


def test_collapsed_is_a_property_only(application):
    import ctk

    button = ctk.ctkCollapsibleButton()
    assert not hasattr(button, "setCollapsed")
    button.collapsed = True
    assert button.collapsed
