"""Rows of a result as protobuf messages, for the protobuf answers of a server.

The schema is that of the PROTOBUF format, except that a MAP is a repeated message of ``key`` and ``value``: it has the
same bytes, and its keys and values may have any type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..schemas.protobuf import load_messages, proto_schema
from ..schemas.registry import SchemaText
from .protobuf import message_writer
from .values import to_rows


def messages_of(columns: Sequence[Any], fields: Sequence[tuple[str, Any]]) -> tuple[str, tuple[bytes, ...]]:
    """The text of the schema, and the message of each row.

    Args:
        columns: Arrow arrays.
        fields: their names and types.

    Raises:
        StatementError: protobuf has no counterpart for a name or a type.
    """
    text = proto_schema(pa.schema(list(fields)), None, maps_as_entries=True)
    entries = pa.schema([(name, _with_entries(type_)) for name, type_ in fields])
    write = message_writer(load_messages(SchemaText("PROTOBUF", text), {}).by_name(None), entries)
    values = [[_to_entries(value, type_) for value in to_rows(column)] for column, (_, type_) in zip(columns, fields)]
    return text, tuple(write(row) for row in zip(*values))


def _with_entries(type_: pa.DataType) -> Any:
    """The type with its maps as arrays of entries, at every depth."""
    if pa.types.is_map(type_):
        return pa.list_(pa.struct([("key", _with_entries(type_.key_type)), ("value", _with_entries(type_.item_type))]))
    if pa.types.is_list(type_):
        return pa.list_(_with_entries(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _with_entries(field.type)) for field in type_])
    return type_


def _to_entries(value: Any, type_: pa.DataType) -> Any:
    """The value in such a type."""
    if value is None:
        return None
    if isinstance(type_, pa.MapType):
        return [
            {"key": _to_entries(key, type_.key_type), "value": _to_entries(item, type_.item_type)}
            for key, item in value.items()
        ]
    if isinstance(type_, pa.ListType):
        return [_to_entries(item, type_.value_type) for item in value]
    if isinstance(type_, pa.StructType):
        return {field.name: _to_entries(value[field.name], field.type) for field in type_}
    return value
