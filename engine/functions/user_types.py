"""Python annotations <-> SQL types, and the values that user functions see.

======================================  ==========================================
annotation                              SQL
======================================  ==========================================
bool int float str bytes                BOOLEAN BIGINT DOUBLE STRING BYTES
datetime.date / time / datetime         DATE TIME TIMESTAMP (naive, UTC)
list[T] (Sequence, Iterable, Iterator)  ARRAY<T>
dict[K, V] (Mapping)                    MAP<K, V>
a TypedDict or a dataclass              STRUCT<FIELD T, ..>, names in upper case
Annotated[T, "DECIMAL(10, 2)"]          the type in the text
T | None                                T; the function is called with None, too
a TypeVar                               any type, the same for all its uses
Any                                     any type
======================================  ==========================================
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from .. import types as t
from .registry import ArrayOf, MapOf, Special, StructOf, TypePattern, Variable, parse_signature

Shaper = Callable[[Any], Any] | None
_SIMPLE: dict[Any, t.SqlType] = {
    bool: t.BOOLEAN,
    int: t.BIGINT,
    float: t.DOUBLE,
    str: t.STRING,
    bytes: t.BYTES,
    datetime.date: t.DATE,
    datetime.time: t.TIME,
    datetime.datetime: t.TIMESTAMP,
}
_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator)
_MAPS = (dict, collections.abc.Mapping)


@dataclass(frozen=True, slots=True)
class AnnotationType:
    """What an annotation means.

    Attributes:
        nullable: it allows None.
        inward: converts Arrow's Python value to the annotated type, if they differ (dataclasses, TypedDicts).
        outward: converts a value of the annotated type back.
    """

    pattern: TypePattern
    nullable: bool = False
    inward: Shaper = None
    outward: Shaper = None


def shape_of(annotation: Any, place: str) -> AnnotationType:
    """The SQL type of an annotation.

    Args:
        place: what the annotation belongs to, for the message.

    Raises:
        TypeError: the annotation has no SQL type.
    """
    if annotation is Any:
        return AnnotationType(Special("ANY"), nullable=False)
    if annotation in _SIMPLE:
        return AnnotationType(_SIMPLE[annotation])
    if isinstance(annotation, typing.TypeVar):
        name = annotation.__name__.strip("_")
        return AnnotationType(Variable(name[:1].upper() or "T"))
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        text = next((a for a in arguments[1:] if isinstance(a, str)), None)
        if text is not None:
            return AnnotationType(pattern_of(text))
        return shape_of(arguments[0], place)
    if origin in (typing.Union, types.UnionType):
        others = [a for a in arguments if a is not type(None)]
        if len(others) == 1 and len(others) < len(arguments):
            inner = shape_of(others[0], place)
            return AnnotationType(inner.pattern, True, inner.inward, inner.outward)
        raise TypeError(f"{place}: no SQL type holds {annotation}")
    if origin in _LISTS and arguments:
        item = shape_of(arguments[0], place)
        return AnnotationType(_array(item.pattern), False, _each(item.inward), _each(item.outward, list))
    if origin in _MAPS and len(arguments) == 2:
        key, value = shape_of(arguments[0], place), shape_of(arguments[1], place)
        return AnnotationType(_map(key.pattern, value.pattern), False, _values(value.inward), _values(value.outward))
    if typing.is_typeddict(annotation) or (isinstance(annotation, type) and dataclasses.is_dataclass(annotation)):
        return _record(annotation, place)
    if annotation is Decimal:
        raise TypeError(f"{place}: a Decimal needs its digits, as in Annotated[Decimal, 'DECIMAL(10, 2)']")
    raise TypeError(f"{place}: no SQL type goes with the annotation {annotation!r}; give a signature")


def pattern_of(text: str) -> TypePattern:
    """A type as signatures write it."""
    pattern = parse_signature(f"() -> {text}").result
    return as_sql(pattern) or pattern


def as_sql(pattern: TypePattern, variables: Mapping[str, t.SqlType] = MappingProxyType({})) -> t.SqlType | None:
    """The SQL type of a pattern; None if one of its variables is not in ``variables``."""
    match pattern:
        case Variable(name):
            return variables.get(name)
        case ArrayOf(item):
            inner = as_sql(item, variables)
            return None if inner is None else t.Array(inner)
        case MapOf(key, value):
            k, v = as_sql(key, variables), as_sql(value, variables)
            return None if k is None or v is None else t.Map(k, v)
        case StructOf(fields):
            parts = [(name, as_sql(p, variables)) for name, p in fields]
            if any(p is None for _, p in parts):
                return None
            return t.Struct(tuple((name, p) for name, p in parts if p is not None))
        case t.Primitive() | t.Decimal() | t.Array() | t.Map() | t.Struct():
            return pattern
    return None


def bind_variables(pattern: TypePattern, type_: t.SqlType, variables: dict[str, t.SqlType]) -> None:
    """Find the types of the pattern's variables by matching a type, and put them into ``variables``.

    If the type has another shape, all of the pattern's variables get this type.
    """
    match pattern:
        case Variable(name):
            variables.setdefault(name, type_)
        case ArrayOf(item):
            bind_variables(item, type_.item if isinstance(type_, t.Array) else type_, variables)
        case MapOf(key, value):
            bind_variables(key, type_.key if isinstance(type_, t.Map) else type_, variables)
            bind_variables(value, type_.value if isinstance(type_, t.Map) else type_, variables)
        case StructOf(fields):
            known = dict(type_.fields) if isinstance(type_, t.Struct) else {}
            for name, part in fields:
                bind_variables(part, known.get(name, type_), variables)


def copier(type_: t.SqlType) -> Shaper:
    """Make a function that copies values of a type; None if there is nothing to copy.

    In a copy, lists and dicts at every depth are plain and new, so a change in place does not change another value.  Copying
    runs the code of lists and dicts of users' classes.
    """
    match type_:
        case t.Array(item):
            return _listed(copier(item))
        case t.Map(_, value):
            return _keyed({}, copier(value))
        case t.Struct(fields):
            return _keyed({name: copier(field) for name, field in fields}, None)
    return None


def _listed(inner: Shaper) -> Shaper:
    def copied(value: object) -> object:
        if not isinstance(value, list):
            return value
        return list(value) if inner is None else [None if item is None else inner(item) for item in value]

    return copied


def _keyed(by_name: Mapping[str, Shaper], others: Shaper) -> Shaper:
    def copied(value: object) -> object:
        if not isinstance(value, dict):
            return value
        made = dict(value.items())
        for name, item in made.items():
            inner = by_name.get(name, others)
            if inner is not None and item is not None:
                made[name] = inner(item)
        return made

    return copied


def _array(item: TypePattern) -> TypePattern:
    return as_sql(ArrayOf(item)) or ArrayOf(item)


def _map(key: TypePattern, value: TypePattern) -> TypePattern:
    return as_sql(MapOf(key, value)) or MapOf(key, value)


def _each(shaper: Shaper, always: Callable[[Any], Any] | None = None) -> Shaper:
    if shaper is None:
        return None if always is None else (lambda values: None if values is None else always(values))
    return lambda values: None if values is None else [None if v is None else shaper(v) for v in values]


def _values(shaper: Shaper) -> Shaper:
    if shaper is None:
        return None
    return lambda values: None if values is None else {k: None if v is None else shaper(v) for k, v in values.items()}


def _record(annotation: Any, place: str) -> AnnotationType:
    hints = typing.get_type_hints(annotation, include_extras=True)
    names = [f.name for f in dataclasses.fields(annotation)] if dataclasses.is_dataclass(annotation) else list(hints)
    shapes = {name: shape_of(hints[name], f"{place}.{name}") for name in names}
    fields = tuple((name.upper(), shape.pattern) for name, shape in shapes.items())
    pattern = as_sql(StructOf(fields)) or StructOf(fields)
    make: Any = annotation if dataclasses.is_dataclass(annotation) else dict

    def part(shaper: Shaper, value: Any) -> Any:
        return value if shaper is None or value is None else shaper(value)

    def inward(value: Any) -> Any:
        return make(**{name: part(shape.inward, value[name.upper()]) for name, shape in shapes.items()})

    def outward(value: Any) -> Any:
        read = value.get if isinstance(value, dict) else lambda name: getattr(value, name)
        return {name.upper(): part(shape.outward, read(name)) for name, shape in shapes.items()}

    return AnnotationType(pattern, False, inward, outward)


def values_of(column: Any) -> list[Any]:
    """A column as the Python values that a user's code gets, before `AnnotationType.inward` converts them.  A MAP is a
    dict.
    """
    values: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
    return values
