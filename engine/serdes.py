"""The serdes of sources: they read and write the bytes in topics, in the formats of the sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..storage.formats import format_traits, make_serde
from ..storage.formats.base import Serde, SerdeOptions
from .catalog import UNWRAP_SINGLES, WRAP_SINGLES, DataSource, FormatInfo
from .schema import Column, Schema
from .types import to_arrow

if TYPE_CHECKING:
    from ..storage.schemas.registry import SchemaRegistry


def serde_maker(registry: SchemaRegistry | None) -> Callable[[FormatInfo, bool, str, int], Serde | None]:
    """Make the function ``(format, is key, topic, number of columns)`` -> serde, for lowering.

    The function returns None for typed (``ARROW``) values, and for the keys of a source without key columns.
    """

    def make(format_: FormatInfo, is_key: bool, topic: str, columns: int) -> Serde | None:
        if format_.name == "ARROW" and not is_key:
            return None
        if is_key and (format_.name == "NONE" or columns == 0):
            return None
        return make_serde(format_.name, _options(format_, topic, is_key), registry)

    return make


def _options(format_: FormatInfo, topic: str, is_key: bool) -> SerdeOptions:
    properties = format_.properties
    wrap = True if WRAP_SINGLES in format_.features else False if UNWRAP_SINGLES in format_.features else None
    schema_id = properties.get("schemaId")
    return SerdeOptions(
        is_key=is_key,
        wrap=wrap,
        delimiter=properties.get("delimiter", ","),
        topic=topic,
        schema_id=None if schema_id is None else int(schema_id),
        full_name=properties.get("fullSchemaName"),
        properties=dict(properties),
    )


def nulls_read_back(format_: FormatInfo) -> Callable[[Any], Any] | None:
    """A function that converts a value column to what readers of the topic find in it; None if the format keeps nulls.

    So a table in PROTOBUF is the same for a pull query and for a reader of its topic.
    """
    if format_.name not in ("PROTOBUF", "PROTOBUF_NOSR") or "schemaId" in format_.properties:
        return None
    from ..storage.formats.protobuf import nullable_of
    from ..storage.formats.protobuf_nulls import read_back

    nullable = nullable_of(SerdeOptions(properties=dict(format_.properties)))
    return lambda column: read_back(column, nullable)


def serdes_of(source: DataSource, registry: SchemaRegistry | None) -> tuple[Serde | None, Serde | None]:
    """The key serde and the value serde of a source."""
    make = serde_maker(registry)
    key = make(source.key_format, True, source.topic, len(source.schema.keys))
    return key, make(source.value_format, False, source.topic, len(stored_values(source.schema)))


@dataclass(frozen=True, slots=True)
class Side:
    """The key or the value of a source's records: its columns, and their serde (None: typed values).

    Attributes:
        fields: the names and Arrow types of the columns.
    """

    schema: pa.Schema
    fields: tuple[tuple[str, Any], ...]
    serde: Serde | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a source's records are written.

    Attributes:
        key: None for a source without key columns.
        lasting: whether it may be cached as long as the source does not change.  For formats with a registry, each write
            asks for the schema again.
    """

    source: DataSource
    key: Side | None
    value: Side
    lasting: bool


def layout_of(source: DataSource, registry: SchemaRegistry | None) -> Layout:
    """The layout of a source."""
    key, value = serdes_of(source, registry)
    return Layout(
        source,
        None if key is None else _side(key_schema(source.schema), key),
        _side(value_schema(source.schema), value),
        not any(format_traits(f.name).inference for f in (source.key_format, source.value_format)),
    )


def _side(schema: pa.Schema, serde: Serde | None) -> Side:
    return Side(schema, tuple((f.name, f.type) for f in schema), serde)


def stored_values(schema: Schema) -> tuple[Column, ...]:
    """The columns in a record's value: all except keys and headers."""
    return tuple(c for c in schema if c.role == "VALUE")


def value_type(format_: FormatInfo, schema: Schema) -> Any | None:
    """The ``value_type`` of the topic: a struct of the value columns for ``ARROW``, otherwise None."""
    return pa.struct(list(value_schema(schema))) if format_.name == "ARROW" else None


def key_schema(schema: Schema) -> pa.Schema:
    """The names and Arrow types of the key columns."""
    return pa.schema([(c.name, to_arrow(c.type)) for c in schema.keys])


def value_schema(schema: Schema) -> pa.Schema:
    """The names and Arrow types of the value columns that are stored."""
    return pa.schema([(c.name, to_arrow(c.type)) for c in stored_values(schema)])
