"""SQL values written as JSON: TO_JSON_STRING."""

from __future__ import annotations

import base64
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...storage.formats.values import storage_type
from .calendar import DAY_MS
from .columns import flat, int64s
from .java_text import java_double
from .java_time import format_local
from .java_time_columns import format_dates, format_times, format_timestamps
from .json_values import write
from .registry import scalar


@scalar(
    "TO_JSON_STRING",
    "A value of any type as JSON.",
    "(value ANY) -> STRING",
    style="arrow",
    nulls=True,
    category="JSON",
)
def to_json_string(value: Any) -> Any:
    """Null is ``null``; keys of structs and maps are sorted; dates and times are text, bytes are base64."""
    type_ = value.type
    if pa.types.is_temporal(type_):
        return flat(pc.binary_join_element_wise('"', _temporal_texts(value), '"', "")).fill_null("null")
    if pa.types.is_decimal(type_):
        return value.cast(pa.string()).fill_null("null")
    return pa.array([write_typed(item, type_) for item in _plain(value).to_pylist()], pa.string())


def _temporal_texts(values: Any) -> Any:
    """What `_write_primitive` writes between the quotes."""
    if pa.types.is_date32(values.type):
        return format_dates(values, "yyyy-MM-dd")
    if pa.types.is_timestamp(values.type):
        return format_timestamps(values, "yyyy-MM-dd'T'HH:mm:ss.SSS")
    whole_minutes = pa.array(int64s(values) // 1000 % 60 == 0)
    return flat(pc.if_else(whole_minutes, format_times(values, "HH:mm"), format_times(values, "HH:mm:ss")))


def _plain(array: Any) -> Any:
    return (
        array.cast(storage_type(array.type)) if pa.types.is_temporal(array.type) or pa.types.is_nested(array.type) else array
    )


def write_typed(value: Any, type_: Any) -> str:
    """A value of an Arrow type, with temporal values as integers, as JSON."""
    if value is None:
        return "null"
    if pa.types.is_map(type_):
        entries = sorted((str(key), item) for key, item in value)
        return "{" + ",".join(f"{write(key)}:{write_typed(item, type_.item_type)}" for key, item in entries) + "}"
    if pa.types.is_struct(type_):
        fields = sorted(type_, key=lambda field: str(field.name))
        return "{" + ",".join(f"{write(field.name)}:{write_typed(value[field.name], field.type)}" for field in fields) + "}"
    if pa.types.is_list(type_):
        return f"[{','.join(write_typed(item, type_.value_type) for item in value)}]"
    return _write_primitive(value, type_)


def _write_primitive(value: Any, type_: Any) -> str:
    if pa.types.is_binary(type_):
        return write(base64.b64encode(value).decode())
    if pa.types.is_date32(type_):
        return write(format_local("yyyy-MM-dd", value * DAY_MS))
    if pa.types.is_timestamp(type_):
        return write(format_local("yyyy-MM-dd'T'HH:mm:ss.SSS", value))
    if pa.types.is_time32(type_):
        return write(format_local("HH:mm" if value // 1000 % 60 == 0 else "HH:mm:ss", value))
    if isinstance(value, float):
        text = java_double(value)
        return text if text[-1].isdigit() else write(text)
    return write(value)
