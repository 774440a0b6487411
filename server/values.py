"""Writes rows and schemas as the HTTP API's JSON: one JSON value per SQL value.

BIGINT, INTEGER and DOUBLE are numbers; DECIMAL is a number without an exponent that keeps its scale; BYTES is a string in
base64; DATE, TIME and TIMESTAMP are strings in ISO 8601 without a time zone; ARRAY is an array; MAP and STRUCT are objects.
NaN and the infinities, which JSON cannot write as numbers, are strings.
"""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal as PythonDecimal
from typing import Any

import msgspec

from ..engine import types as t
from ..engine.schema import Column, Schema
from ..runtime.batch import python_values
from ..storage.values.time_units import DAY_MS

__all__ = ["encode", "field_json", "row_texts", "rows_of", "schema_json", "sql_types", "type_text"]

_ENCODER = msgspec.json.Encoder(decimal_format="number")
encode = _ENCODER.encode
"""Write an object of the API as bytes of JSON."""

_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
_DIRECT = (t.BOOLEAN, t.INTEGER, t.BIGINT, t.STRING)
"""SQL types whose Python values need no conversion for JSON."""


def sql_types(table: Any, schema: Schema | None) -> list[t.SqlType]:
    """The SQL types of a result's columns.  Without a schema they follow from Arrow's types."""
    if schema is not None:
        return [column.type for column in schema]
    return [t.from_arrow(field.type) for field in table.schema]


def rows_of(columns: Sequence[Any], types: Sequence[t.SqlType]) -> list[tuple[Any, ...]]:
    """Convert Arrow columns to rows of values that `encode` takes."""
    made: list[list[Any]] = []
    for column, type_ in zip(columns, types, strict=True):
        values = python_values(column)
        maker = _maker(type_)
        made.append(values if maker is None else [None if v is None else maker(v) for v in values])
    return list(zip(*made, strict=True))


def row_texts(columns: Sequence[Any], types: Sequence[t.SqlType]) -> Iterator[bytes]:
    """Yield each row as a JSON array."""
    return map(encode, rows_of(columns, types))


def _maker(type_: t.SqlType) -> Callable[[Any], Any] | None:
    """Make the function that converts Python values of an SQL type for JSON; None if they need no conversion."""
    if type_ in _DIRECT:
        return None
    match type_:
        case t.DOUBLE:
            return _double
        case t.Decimal():
            return _decimal
        case t.BYTES:
            return _bytes
        case t.DATE:
            return _date
        case t.TIME:
            return _time
        case t.TIMESTAMP:
            return _timestamp
        case t.Array(item):
            of_item = _nullable(item)
            return lambda value: [of_item(v) for v in value]
        case t.Map(_, item):
            of_value = _nullable(item)
            return lambda value: {_map_key(k): of_value(v) for k, v in (value.items() if isinstance(value, dict) else value)}
        case t.Struct(fields):
            makers = [(name, _nullable(inner)) for name, inner in fields]
            return lambda value: {name: make(value[name]) for name, make in makers}
    return None


def _nullable(type_: t.SqlType) -> Callable[[Any], Any]:
    maker = _maker(type_)
    return (lambda value: value) if maker is None else (lambda value: None if value is None else maker(value))


def _double(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Any) -> msgspec.Raw:
    return msgspec.Raw(format(value if isinstance(value, PythonDecimal) else PythonDecimal(str(value)), "f").encode())


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _date(value: Any) -> str:
    return str(value.isoformat()) if isinstance(value, datetime.date) else _far_date(int(value))


def _time(value: datetime.time) -> str:
    return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")


def _timestamp(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    days, ms = divmod(int(value), DAY_MS)
    seconds, ms = divmod(ms, 1000)
    return f"{_far_date(days)}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"


def _far_date(days: int) -> str:
    """Write a day, counted since 1970, that is beyond the years of Python's dates, as ISO 8601 does.

    >>> _far_date(2_932_897)
    '+10000-01-01'
    """
    cycles, rest = divmod(days + 719_468, 146_097)  # 400 years of the Gregorian calendar, from the first of March of year 0
    day = datetime.date.fromordinal(rest + 1 + datetime.date(400, 2, 29).toordinal())
    year = day.year - 400 + 400 * cycles
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04}-{day.month:02}-{day.day:02}"


def _map_key(key: Any) -> str:
    """Convert a map's key to text, since members of JSON objects have only text as names."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, PythonDecimal):
        return format(key, "f")
    if isinstance(key, bytes):
        return _bytes(key)
    if isinstance(key, datetime.datetime):
        return _timestamp(key)
    if isinstance(key, datetime.date | datetime.time):
        return key.isoformat()
    return str(key)


# --- schemas -------------------------------------------------------------------------------


def type_text(type_: t.SqlType) -> str:
    """A type as text, as the headers of answers have it."""
    return str(type_)


def schema_json(type_: t.SqlType) -> dict[str, Any]:
    """A type as an object, as entities have it."""
    fields: list[dict[str, Any]] | None = None
    member: dict[str, Any] | None = None
    name = str(type_)
    match type_:
        case t.Decimal(precision, scale):
            return {
                "type": "DECIMAL",
                "parameters": {"precision": precision, "scale": scale},
                "fields": None,
                "memberSchema": None,
            }
        case t.Array(item):
            name, member = "ARRAY", schema_json(item)
        case t.Map(key, item):
            if key != t.STRING:
                return {"type": "MAP", "fields": None, "keySchema": schema_json(key), "memberSchema": schema_json(item)}
            name, member = "MAP", schema_json(item)
        case t.Struct(inner):
            name, fields = "STRUCT", [{"name": n, "schema": schema_json(field)} for n, field in inner]
    return {"type": name, "fields": fields, "memberSchema": member}


def field_json(column: Column) -> dict[str, Any]:
    """A column as an object, as entities have it.  Only those of keys and headers have the member ``type``."""
    found: dict[str, Any] = {"name": column.name, "schema": schema_json(column.type)}
    if column.role == "KEY":
        found["type"] = "KEY"
    elif column.role in ("HEADER", "HEADERS"):
        found["type"] = "HEADER"
        if column.header is not None:
            found["headerKey"] = column.header
    return found
