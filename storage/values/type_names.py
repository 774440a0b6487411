"""The SQL names of Arrow types, for messages."""

from __future__ import annotations

import pyarrow as pa


def type_name(type_: pa.DataType) -> str:
    """The SQL name of an Arrow type, for messages."""
    names = {
        pa.bool_(): "BOOLEAN",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.string(): "STRING",
        pa.binary(): "BYTES",
        pa.date32(): "DATE",
        pa.time32("ms"): "TIME",
        pa.timestamp("ms"): "TIMESTAMP",
    }
    if type_ in names:
        return names[type_]
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    if pa.types.is_map(type_):
        return f"MAP<{type_name(type_.key_type)}, {type_name(type_.item_type)}>"
    if pa.types.is_list(type_):
        return f"ARRAY<{type_name(type_.value_type)}>"
    if pa.types.is_struct(type_):
        return f"STRUCT<{', '.join(f'`{f.name}` {type_name(f.type)}' for f in type_)}>"
    return str(type_)
