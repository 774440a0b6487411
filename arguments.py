"""Checks that the arguments of a public function have the types of its annotations, before the function does anything."""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import PenstockError, StatementError

__all__ = ["check_arguments", "check_fields", "check_options", "checked"]

_Class = TypeVar("_Class")

_WORDS: Mapping[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    Path: "a path",
    type(None): "None",
    Callable: "a function",
    Sequence: "a list",
    tuple: "a tuple",
}


def check_arguments(function: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Check arguments against a function's annotations.

    A bool is not accepted as a number.  A text is accepted as a `Path`, and a list as a tuple.  For a `Literal`, only the
    type of the value is checked.

    Args:
        given: the arguments by name.  Names that the function does not have are ignored, so `locals` can be passed.

    Raises:
        StatementError: an argument's type does not fit its annotation.
    """
    for name, hint in _hints(function).items():
        if name in given and name != "return":
            _check(name, given[name], hint)


def checked(*names: str) -> Callable[[type[_Class]], type[_Class]]:
    """Make a class decorator: the methods with these names check their arguments first, see `check_arguments`.

    A check takes some microseconds, so do not use it for methods that are called for each record.
    """

    def checking(cls: type[_Class]) -> type[_Class]:
        for name in names:
            setattr(cls, name, _checked(getattr(cls, name)))
        return cls

    return checking


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    parameters = tuple(inspect.signature(method).parameters)

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        check_arguments(method, {**dict(zip(parameters, arguments)), **named})
        return method(*arguments, **named)

    return call


def check_fields(options: Any, error: type[PenstockError] = StatementError) -> None:
    """Check the fields of a dataclass against their annotations.

    Args:
        options: an instance of the dataclass.
        error: the class of the error to raise.

    Raises:
        PenstockError: a field's type does not fit its annotation.  Its class is ``error``.
    """
    kind: Any = type(options)
    for name, hint in _hints(kind).items():
        _check(name, getattr(options, name), hint, error)


def check_options(taker: Callable[..., Any], given: Mapping[str, object], owner: str) -> None:
    """Check that a class or a function has options (parameters with a default) with these names.

    Args:
        taker: the class or function.
        given: the options by name.  The values are not checked.
        owner: the name of the class or function in the message.

    Raises:
        StatementError: there is no option of a name.  The suggestion lists the options.
    """
    names = [name for name, p in inspect.signature(taker).parameters.items() if p.default is not p.empty]
    for name in given:
        if name not in names:
            raise StatementError(f"{owner} has no option {name!r}", suggestion=f"It has {', '.join(names)}.")


@cache
def _hints(owner: Any) -> Mapping[str, Any]:
    return get_type_hints(owner)


def _check(name: str, value: object, hint: Any, error: type[PenstockError] = StatementError) -> None:
    if not _fits(value, hint):
        what = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise error(f"{name} must be {_all(hint)}, not {what}")


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _all(hint: Any) -> str:
    return " or ".join(_said(part) for part in _parts(hint))


def _said(hint: Any) -> str:
    kind, items = get_origin(hint) or hint, get_args(hint)
    if kind is tuple and ... not in items:
        return f"a tuple ({', '.join(map(_said, items))})"
    if kind in (Sequence, tuple):
        return f"{_WORDS[kind]} whose items are {_all(items[0])}"
    if kind is Mapping:
        names = _said(items[0])
        return f"a mapping with {names} as names" + ("" if items[1] in (object, Any) else f" and {_all(items[1])} as values")
    if kind is Literal:
        return " or ".join(map(repr, items))
    if kind in _WORDS:
        return _WORDS[kind]
    if _is_protocol(kind):
        return f"an object with {', '.join(f'{method}()' for method in _methods(kind))}"
    return f"a {kind.__name__}"


def _fits(value: Any, hint: Any) -> bool:
    parts = _parts(hint)
    if len(parts) > 1:
        return any(_fits(value, part) for part in parts)
    if hint is Any or hint is object:
        return True
    kind, items = get_origin(hint) or hint, get_args(hint)
    if kind is Literal:
        return type(value) in map(type, items)
    if kind is Callable:
        return callable(value)
    if isinstance(value, type):
        return False
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and bool(value == value)  # (NaN is no number)
    if kind is Path:
        return isinstance(value, (str, os.PathLike))
    if kind is tuple and ... not in items:
        return isinstance(value, (tuple, list)) and len(value) == len(items) and all(map(_fits, value, items))
    if kind in (tuple, Sequence):
        wanted = (tuple, list) if kind is tuple else Collection
        several = isinstance(value, wanted) and not isinstance(value, (str, bytes, Mapping))
        return several and all(_fits(item, items[0]) for item in value)
    if kind is Mapping:
        return isinstance(value, Mapping) and all(_fits(n, items[0]) and _fits(v, items[1]) for n, v in value.items())
    if _is_protocol(kind):
        return all(callable(getattr(value, method, None)) for method in _methods(kind))
    return isinstance(value, kind)


def _is_protocol(kind: Any) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


def _methods(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")]
