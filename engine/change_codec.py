"""Converts changes to plain data for JSON, which the journal stores, and back.

``{"kind": "SetSource", "source": {..}, "query": {..}, "topic": {..}}``.  Types are nested lists that begin with a word:
``"INTEGER"``, ``["DECIMAL", 10, 2]``, ``["ARRAY", "INTEGER"]``, ``["STRUCT", [["A", "INTEGER"]]]``.  Default values are left
out.  So data that is older than an attribute keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from .catalog import DataSource, FileToFollow, FormatInfo, QueryEntry, WindowInfo
from .changes import AddQuery, Change, DropSource, DropType, EndQueries, NewTopic, PauseQueries, SetSource, SetType
from .schema import Column, Schema
from .types import Array, Decimal, Map, Primitive, SqlType, Struct

_KINDS: dict[str, type[Change]] = {
    kind.__name__: kind for kind in (SetSource, AddQuery, DropSource, EndQueries, PauseQueries, SetType, DropType)
}


def to_plain(change: Change) -> dict[str, Any]:
    """Convert a change to dicts, lists, texts and numbers."""
    return {"kind": type(change).__name__, **_plain_fields(change)}


def from_plain(data: Mapping[str, Any]) -> Change:
    """Convert data from `to_plain` back to a change.

    Raises:
        KeyError, TypeError, ValueError, IndexError, AttributeError: the data is not valid.
    """
    given = dict(data)
    kind = _KINDS[given.pop("kind")]
    made: Change = _made(kind, given)
    return made


# --- out -----------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    match value:
        case Primitive() | Decimal() | Array() | Map() | Struct():
            return _plain_type(value)
        case Schema(columns):
            return [_plain_fields(column) for column in columns]
        case Mapping():
            return dict(value)
        case frozenset():
            return sorted(value)
        case tuple():
            return [_plain(item) for item in value]
        case None | str() | int():
            return value
        case _:
            return _plain_fields(value)


def _plain_fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass whose values differ from their defaults."""
    return {
        name: _plain(given) for name, default in _defaults(value.__class__) if (given := getattr(value, name)) != default
    }


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of a dataclass, each with its default, or `MISSING`.  The defaults must not be changed."""
    return tuple((f.name, f.default if f.default_factory is MISSING else f.default_factory()) for f in fields(kind))


def _plain_type(type_: SqlType) -> Any:
    match type_:
        case Primitive():
            return type_.value
        case Decimal(precision, scale):
            return ["DECIMAL", precision, scale]
        case Array(item):
            return ["ARRAY", _plain_type(item)]
        case Map(key, value):
            return ["MAP", _plain_type(key), _plain_type(value)]
        case Struct(members):
            return ["STRUCT", [[name, _plain_type(member)] for name, member in members]]


# --- in ------------------------------------------------------------------------------------


def _made(kind: type[Any], data: Mapping[str, Any]) -> Any:
    return kind(**{name: _READERS.get((kind, name), _same)(value) for name, value in data.items()})


def _same(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _type(data: Any) -> SqlType:
    match data:
        case str():
            return Primitive(data)
        case ["DECIMAL", precision, scale]:
            return Decimal(precision, scale)
        case ["ARRAY", item]:
            return Array(_type(item))
        case ["MAP", key, value]:
            return Map(_type(key), _type(value))
        case ["STRUCT", members]:
            return Struct(tuple((name, _type(member)) for name, member in members))
    raise ValueError(f"{data!r} is not a type")


def _reader(kind: type[Any]) -> Callable[[Any], Any]:
    return lambda data: None if data is None else _made(kind, data)


_READERS: dict[tuple[type[Any], str], Callable[[Any], Any]] = {
    (SetSource, "source"): _reader(DataSource),
    (SetSource, "query"): _reader(QueryEntry),
    (SetSource, "topic"): _reader(NewTopic),
    (AddQuery, "query"): _reader(QueryEntry),
    (SetType, "type"): _type,
    (Column, "type"): _type,
    (DataSource, "schema"): lambda data: Schema(tuple(_made(Column, column) for column in data)),
    (DataSource, "key_format"): _reader(FormatInfo),
    (DataSource, "value_format"): _reader(FormatInfo),
    (DataSource, "window"): _reader(WindowInfo),
    (DataSource, "followed"): _reader(FileToFollow),
    (FormatInfo, "features"): frozenset,
}
"""The functions that read fields, except fields of texts, numbers and tuples of these."""
