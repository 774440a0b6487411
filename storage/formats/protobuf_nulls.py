"""What a null reads back as after it was written to a protobuf message.

proto3 cannot say that a primitive, an array or a map is absent.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..schemas.protobuf import Nullable
from .values import from_rows, to_rows

DEFAULTS: dict[Any, Any] = {
    pa.bool_(): False,
    pa.int32(): 0,
    pa.int64(): 0,
    pa.float64(): 0.0,
    pa.string(): "",
    pa.binary(): b"",
}
"""The value that a primitive which was not written reads back as.  DECIMAL, DATE, TIME, TIMESTAMP and STRUCT are messages,
which can be absent.
"""


def read_back(column: Any, nullable: Nullable) -> Any:
    """A column as it reads back after being written with the schema that follows from the columns.

    Args:
        nullable: how the schema represents nulls.
    """
    type_ = column.type
    if type_ in DEFAULTS:
        return column if nullable != "NONE" else pc.fill_null(column, pa.scalar(DEFAULTS[type_], type_))
    if not pa.types.is_nested(type_):
        return column
    convert = _reader(type_, nullable)
    return from_rows([convert(value) for value in to_rows(column)], type_)


def _reader(type_: pa.DataType, nullable: Nullable) -> Callable[[Any], Any]:
    """What a field's value reads back as."""
    if pa.types.is_map(type_):
        item = _item_reader(type_.item_type, nullable)
        return lambda value: {} if value is None else {key: item(found) for key, found in value.items()}
    if pa.types.is_list(type_):
        item = _item_reader(type_.value_type, nullable)
        return lambda value: [] if value is None else [item(found) for found in value]
    if pa.types.is_struct(type_):
        fields = [(field.name, _reader(field.type, nullable)) for field in type_]
        return lambda value: None if value is None else {name: read(value[name]) for name, read in fields}
    default = DEFAULTS.get(type_) if nullable == "NONE" else None
    return lambda value: default if value is None else value


def _item_reader(type_: pa.DataType, nullable: Nullable) -> Callable[[Any], Any]:
    """What an item of an array or map reads back as: never null, an empty message if there was none."""
    if pa.types.is_struct(type_):
        fields = {field.name: None for field in type_}
        read = _reader(type_, nullable)
        return lambda value: read(fields if value is None else value)
    default = _item_default(type_)
    return lambda value: default if value is None else value


def _item_default(type_: pa.DataType) -> Any:
    """What an item reads back as whose message is empty: an empty DATE is none."""
    if pa.types.is_decimal(type_):
        return Decimal(0).scaleb(-type_.scale)
    return DEFAULTS.get(type_, None if pa.types.is_date32(type_) else 0)
