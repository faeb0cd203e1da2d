"""Readable sentences for a recipe that pydantic refuses."""

from __future__ import annotations

import difflib
import typing
from types import NoneType, UnionType
from typing import Any, Literal

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


def recipe_keys(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Return every key of a recipe as "section.key" with its field."""
    keys: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= recipe_keys(field.annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field
    return keys


def nearest_key(key: str, model: type[BaseModel]) -> str | None:
    """Return the key of the recipe that looks most like `key`, or None."""
    keys = recipe_keys(model)
    last = {name.rsplit(".", 1)[-1]: name for name in keys}
    name = key.rsplit(".", 1)[-1]
    if name in last:
        # The right name in the wrong section.
        return last[name]
    found = difflib.get_close_matches(key, keys, 1, 0.6) or [
        last[n] for n in difflib.get_close_matches(name, last, 1, 0.6)
    ]
    return found[0] if found else None


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one sentence for each thing wrong with a recipe.

    Parameters
    ----------
    error : ValidationError
        What pydantic raised.
    model : type
        The recipe's class.
    """
    keys = recipe_keys(model)
    sentences: dict[str, None] = {}
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        key = _key_of(problem["loc"], keys)
        if problem["type"] == "extra_forbidden":
            near = nearest_key(where, model)
            sentence = f"There is no key {where}" + (f"; did you mean {near}?" if near else "; --help lists all keys.")
        elif problem["type"] == "missing":
            sentence = f"The key {where} is missing."
        elif problem["type"] == "value_error":
            section = f"{where}: " if where else ""
            sentence = f"{section}{problem['ctx']['error']}."
        elif key is not None:
            sentence = f"{key} is {problem['input']!r}; allowed: {allowed(keys[key])}."
        else:
            sentence = f"{where}: {problem['msg']}."
        # A union reports each of its members: one sentence is enough.
        sentences[sentence] = None
    return list(sentences)


def _key_of(location: tuple[int | str, ...], keys: dict[str, FieldInfo]) -> str | None:
    for length in range(len(location), 0, -1):
        key = ".".join(str(part) for part in location[:length])
        if key in keys:
            return key
    return None


def allowed(field: FieldInfo) -> str:
    """Return what a field may hold, in words."""
    kind = _type_words(field.annotation)
    limits = []
    for entry in field.metadata:
        for word, name in (("above", "gt"), ("at least", "ge"), ("below", "lt"), ("at most", "le")):
            limit = getattr(entry, name, None)
            if limit is not None:
                limits.append(f"{word} {limit:g}")
        if isinstance(entry, annotated_types.MinLen):
            limits.append(f"at least {entry.min_length} of them")
    return f"{kind} {' and '.join(limits)}" if limits else kind


def _type_words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        words = " or ".join(str(value) for value in arguments)
    elif origin in (typing.Union, UnionType):
        words = " or ".join(_type_words(part) for part in arguments)
    elif origin is tuple and arguments[-1] is not Ellipsis:
        words = f"{len(arguments)} {_plural(arguments[0])}"
    elif origin in (list, tuple):
        words = f"a list of {_plural(arguments[0])}"
    elif origin is dict:
        words = "names with values"
    else:
        simple = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}
        words = simple.get(annotation, "a path")
    return words


def _plural(annotation: Any) -> str:
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(annotation, _type_words(annotation))
