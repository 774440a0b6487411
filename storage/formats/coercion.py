"""From what a writer's schema says a value is to what a column wants: the promotions that formats with schemas allow.

=====================  ====================================================================
column                 written as
=====================  ====================================================================
BOOLEAN                BOOLEAN
INTEGER                INTEGER; DATE (days), TIME (ms)
BIGINT                 INTEGER, BIGINT, DATE, TIME, TIMESTAMP (ms)
DOUBLE                 INTEGER, BIGINT, DOUBLE
DECIMAL                DECIMAL and integers that fit without rounding
STRING                 STRING, numbers and booleans as text, BYTES that are UTF-8
BYTES                  BYTES, STRING as UTF-8
DATE, TIME, TIMESTAMP  themselves, INTEGER (DATE, TIME), BIGINT (TIMESTAMP)
ARRAY, MAP             element by element
STRUCT                 fields by exact name, else by name in any case; missing ones are null
=====================  ====================================================================

Anything else is a mismatch of the whole record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from ..values.java_doubles import format_double
from ..values.java_texts import fit_decimal, format_decimal
from ..values.texts import check_time
from ..values.type_names import type_name

Coerce = Callable[[Any], Any]

_INTS = (pa.int32(), pa.int64())
_DAYS_OR_MS = (pa.date32(), pa.time32("ms"))


def coercion(written: Any, wanted: Any) -> Coerce | None:
    """A function that converts values of one Arrow type to another; None if they need no conversion.

    Raises:
        ValueError: the types do not go together.
    """
    if written == wanted:
        return None
    if pa.types.is_struct(written) and pa.types.is_struct(wanted):
        return struct_coercion(list(written), list(wanted))
    if pa.types.is_list(written) and pa.types.is_list(wanted):
        item = coercion(written.value_type, wanted.value_type)
        return None if item is None else lambda values: [None if v is None else item(v) for v in values]
    if pa.types.is_map(written) and pa.types.is_map(wanted):
        key = coercion(written.key_type, wanted.key_type) or _same
        value = coercion(written.item_type, wanted.item_type) or _same
        return lambda entries: {key(k): None if v is None else value(v) for k, v in entries.items()}
    primitive = _primitive(written, wanted)
    if primitive is None:
        raise ValueError(f"{type_name(written)} cannot be read as {type_name(wanted)}")
    return primitive


def _same(value: Any) -> Any:
    return value


def _primitive(written: Any, wanted: Any) -> Coerce | None:
    integer = written in _INTS
    if wanted == pa.int64():
        return _same if integer or written in _DAYS_OR_MS or pa.types.is_timestamp(written) else None
    if wanted == pa.int32():
        return _same if written in _DAYS_OR_MS else None
    if wanted == pa.float64():
        return float if integer else None
    if pa.types.is_decimal(wanted):
        precision, scale = wanted.precision, wanted.scale
        return (lambda v: fit_decimal(v, precision, scale)) if integer or pa.types.is_decimal(written) else None
    if wanted == pa.string():
        return _to_text(written)
    if wanted == pa.binary():
        return str.encode if written == pa.string() else None
    if wanted == pa.date32():
        return _same if written == pa.int32() else None
    if wanted == pa.time32("ms"):
        return check_time if written == pa.int32() else None
    if wanted == pa.timestamp("ms"):
        return _same if written == pa.int64() else None
    return None


def _to_text(written: Any) -> Coerce | None:
    if written in _INTS:
        return str
    if written == pa.bool_():
        return lambda v: "true" if v else "false"
    if written == pa.float64():
        return format_double
    if pa.types.is_decimal(written):
        return format_decimal
    if written == pa.binary():
        return lambda v: bytes(v).decode()
    return None


def struct_coercion(written: list[Any], wanted: list[Any]) -> Coerce:
    """A function that converts structs, given by their fields; None if they need no conversion.

    Raises:
        ValueError: a field's types do not go together.
    """
    exact = {field.name: field for field in written}
    upper = {field.name.upper(): field for field in reversed(written)}
    steps: list[tuple[str, str | None, Coerce | None]] = []
    for field in wanted:
        source = exact.get(field.name) or upper.get(field.name.upper())
        if source is None:
            steps.append((field.name, None, None))
            continue
        try:
            steps.append((field.name, source.name, coercion(source.type, field.type)))
        except ValueError as error:
            raise ValueError(f"`{field.name}`: {error}") from None

    def convert(row: dict[str, Any]) -> dict[str, Any]:
        result = {}
        for name, source, step in steps:
            value = None if source is None else row[source]
            result[name] = value if value is None or step is None else step(value)
        return result

    return convert
