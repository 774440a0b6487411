"""Converts tables for libraries that hold less than Arrow: other names, and DECIMALs of more than 38 digits as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

__all__ = ["renamed", "retyped"]


def retyped(type_: pa.DataType, names: Mapping[str, str]) -> Any:
    """The type with fields renamed, and DECIMALs of more than 38 digits as text."""
    if pa.types.is_decimal256(type_):
        return pa.string()
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(names.get(f.name, f.name), retyped(f.type, names)) for f in type_])
    if pa.types.is_map(type_):
        return pa.map_(retyped(type_.key_type, names), retyped(type_.item_type, names))
    if pa.types.is_list(type_):
        return pa.list_(retyped(type_.value_type, names))
    return type_


def renamed(table: pa.Table, names: Mapping[str, str], *, widen: bool = True) -> pa.Table:
    """The table with its columns and fields renamed.

    Args:
        widen: DECIMALs of more than 38 digits become text.
    """
    columns, labels = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        type_ = retyped(field.type, names)
        if type_ != field.type:
            if pa.types.is_string(type_):
                column = column.cast(type_)
            else:
                values = column.to_pylist(maps_as_pydicts=None)
                column = pa.chunked_array([pa.array([_value(v, field.type, names) for v in values], type_)])
        columns.append(column)
        labels.append(names.get(field.name, field.name))
    return pa.Table.from_arrays(columns, names=labels)


def _value(value: Any, type_: pa.DataType, names: Mapping[str, str]) -> Any:
    if value is None:
        return None
    if pa.types.is_decimal256(type_):
        return str(value)
    if pa.types.is_struct(type_):
        return {names.get(f.name, f.name): _value(value[f.name], f.type, names) for f in type_}
    if pa.types.is_map(type_):
        return [(_value(k, type_.key_type, names), _value(v, type_.item_type, names)) for k, v in value]
    if pa.types.is_list(type_):
        return [_value(item, type_.value_type, names) for item in value]
    return value
