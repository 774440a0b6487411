"""`Node`, the base class of the tree, and the types of columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...errors import Span

NO_SPAN = Span(0, 0, 1, 1)
SourceKind = Literal["STREAM", "TABLE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the tree, with its place in the text."""

    span: Span = field(default=NO_SPAN, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    """``BIGINT``, ``DECIMAL(4, 2)``, ``VARCHAR(20)``, or the name of a custom type."""

    name: str
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ArrayType(Node):
    item: Type


@dataclass(frozen=True, slots=True)
class MapType(Node):
    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class StructType(Node):
    fields: tuple[tuple[str, Type], ...]


Type = TypeName | ArrayType | MapType | StructType
