"""CAST, column by column.

* A narrower integer wraps around.
* A DOUBLE is truncated to an integer and limited to the type's range.  NaN becomes 0.
* A number is rounded half up to the scale of a DECIMAL.
* A value that does not fit, or a text that cannot be read, fails its row.
* Values are written as text in the way of Java.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import DECIMAL_PRECISION_MAX
from ...runtime.kernel import Evaluated, Failures, failures_at, failures_of, map_failures
from ...storage.values.java_doubles import format_double
from ...storage.values.number_texts import decimal_column, double_column
from ...storage.values.time_units import DAY_MS
from .. import types as t
from ..functions.aggregate_values import from_unscaled, unscaled
from ..java.decimals import rounded_to_type
from ..java.text import BLANKS
from .temporal_text import format_date, format_time, format_timestamp, parse_date, parse_time, parse_timestamp
from .values import (
    from_numpy,
    from_python,
    list_parts,
    make_lists,
    make_maps,
    make_structs,
    map_parts,
    merge_failures,
    null_mask,
    parents_of,
    stored,
    to_numpy,
    to_python,
)

_INTEGERS = (t.INTEGER, t.BIGINT)
_FROM_TEXT = (t.BOOLEAN, t.INTEGER, t.BIGINT, t.DOUBLE, t.DATE, t.TIME, t.TIMESTAMP, t.BYTES)
_INTEGER_TEXT = re.compile(r"[+-]?[0-9]+")
_DOUBLE_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?")
_DECIMAL_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def can_cast(source: t.SqlType, target: t.SqlType) -> bool:
    """Whether ``CAST(source AS target)`` is allowed."""
    if source == target:
        return True
    match source, target:
        case t.Array(a), t.Array(b):
            return can_cast(a, b)
        case t.Map(k1, v1), t.Map(k2, v2):
            return can_cast(k1, k2) and can_cast(v1, v2)
        case t.Struct(), t.Struct():
            return all(can_cast(f, wanted) for name, wanted in target.fields if (f := source.field(name)) is not None)
    if isinstance(source, t.Array | t.Map | t.Struct):
        return target == t.STRING
    if t.is_numeric(source):
        return t.is_numeric(target) or target == t.STRING
    if source == t.STRING:
        return isinstance(target, t.Decimal) or target in _FROM_TEXT
    if source == t.TIMESTAMP:
        return target in (t.DATE, t.TIME, t.STRING)
    if source == t.DATE:
        return target in (t.TIMESTAMP, t.STRING)
    return source in (t.BOOLEAN, t.TIME) and target == t.STRING


def cast_array(array: Any, source: t.SqlType, target: t.SqlType) -> Evaluated:
    """Convert an array to another type.  Rows that cannot be converted are null and reported as failures."""
    if source == target:
        return Evaluated(array)
    match source, target:
        case t.Array(a), t.Array(b):
            items, lengths = list_parts(array)
            inner = cast_array(items, a, b)
            nulls = _nulls_with(array, inner.failures, lengths)
            failures = map_failures(inner.failures, parents_of(lengths))
            return Evaluated(_emptied(make_lists(inner.values, lengths, None, t.to_arrow(target)), nulls), failures)
        case t.Map(k1, v1), t.Map(k2, v2):
            return _cast_map(array, (k1, v1), (k2, v2), target)
        case t.Struct(), t.Struct():
            return _cast_struct(array, source, target)
    if isinstance(source, t.Array | t.Map | t.Struct):
        return Evaluated(pa.array([_text_or_null(v, source) for v in to_python(array, source)], pa.string()))
    if target == t.STRING:
        return Evaluated(_to_text(array, source))
    if source == t.STRING:
        return _from_text(array, target)
    if isinstance(target, t.Decimal):
        return _to_decimal(array, source, target)
    if t.is_numeric(source):
        return Evaluated(_between_numbers(array, source, target))
    return Evaluated(_between_times(array, source, target))


# --- nested --------------------------------------------------------------------------------


def _nulls_with(array: Any, failures: Failures | None, lengths: Any) -> Any:
    nulls = null_mask(array)
    if failures is not None:
        nulls = nulls.copy()
        nulls[parents_of(lengths)[failures.rows]] = True
    return nulls


def _emptied(array: Any, nulls: Any) -> Any:
    if not nulls.any():
        return array
    return array.take(pa.array(np.arange(len(array), dtype=np.int64), mask=nulls))


def _cast_map(
    array: Any, source: tuple[t.SqlType, t.SqlType], target: tuple[t.SqlType, t.SqlType], type_: t.SqlType
) -> Evaluated:
    keys, items, lengths = map_parts(array)
    new_keys, new_items = cast_array(keys, source[0], target[0]), cast_array(items, source[1], target[1])
    failures = merge_failures(new_keys.failures, new_items.failures)
    nulls = _nulls_with(array, failures, lengths)
    key_array = new_keys.values
    if key_array.null_count:
        # The code below makes these failed rows empty, but Arrow still needs a key that is not null.
        rows = to_python(key_array, target[0])
        filler = next((k for k in rows if k is not None), None)
        key_array = from_python([filler if k is None else k for k in rows], target[0])[0]
        if filler is None:
            empty = np.zeros(len(array), np.int64)
            maps = make_maps(key_array.slice(0, 0), new_items.values.slice(0, 0), empty, None, t.to_arrow(type_))
            return Evaluated(_emptied(maps, nulls), map_failures(failures, parents_of(lengths)))
    maps = make_maps(key_array, new_items.values, lengths, None, t.to_arrow(type_))
    return Evaluated(_emptied(maps, nulls), map_failures(failures, parents_of(lengths)))


def _cast_struct(array: Any, source: t.Struct, target: t.Struct) -> Evaluated:
    names = [name for name, _ in source.fields]
    columns: list[Any] = []
    failures: Failures | None = None
    for name, wanted in target.fields:
        given = source.field(name)
        if given is None:
            columns.append(pa.nulls(len(array), t.to_arrow(wanted)))
            continue
        part = cast_array(pc.struct_field(array, [names.index(name)]), given, wanted)
        columns.append(part.values)
        failures = merge_failures(failures, part.failures)
    nulls = null_mask(array)
    if failures is not None:
        nulls = nulls.copy()
        nulls[failures.rows] = True
    return Evaluated(make_structs(columns, nulls, t.to_arrow(target), len(array)), failures)


# --- to text -------------------------------------------------------------------------------


def text_of(value: Any, type_: t.SqlType) -> str:
    """The text that CAST to STRING writes for a value inside of an array, map or struct (``null`` for null)."""
    if value is None:
        return "null"
    match type_:
        case t.Array(item):
            return "[" + ", ".join(text_of(v, item) for v in value) + "]"
        case t.Map(key, item):
            return "{" + ", ".join(f"{text_of(k, key)}={text_of(v, item)}" for k, v in value.items()) + "}"
        case t.Struct(fields):
            parts = (f"{name}={text_of(value[name], f)}" for name, f in fields if value[name] is not None)
            return "Struct{" + ",".join(parts) + "}"
        case t.Decimal():
            return format(value, "f")
    if type_ == t.BOOLEAN:
        return "true" if value else "false"
    if type_ == t.DOUBLE:
        return format_double(value)
    if type_ == t.BYTES:
        return base64.b64encode(value).decode()
    writer = _TEMPORAL_TEXT.get(type_)
    return str(value) if writer is None else writer(value)


_TEMPORAL_TEXT: dict[t.SqlType, Callable[[int], str]] = {
    t.DATE: format_date,
    t.TIME: format_time,
    t.TIMESTAMP: format_timestamp,
}


def _text_or_null(value: Any, type_: t.SqlType) -> str | None:
    return None if value is None else text_of(value, type_)


def _to_text(array: Any, source: t.SqlType) -> Any:
    if source == t.DOUBLE:
        return double_column(array)
    if isinstance(source, t.Decimal):
        return decimal_column(array)
    if source in (t.INTEGER, t.BIGINT, t.BOOLEAN):
        return pc.cast(array, pa.string())
    return pa.array([_text_or_null(v, source) for v in to_python(array, source)], pa.string())


# --- from text -----------------------------------------------------------------------------


def parse_boolean(text: str) -> bool:
    """True for ``true``, ``yes`` and any beginning of these; false for every other text."""
    word = text.strip(BLANKS).lower()
    return bool(word) and ("true".startswith(word) or "yes".startswith(word))


def parse_integer(text: str, bits: int) -> int:
    """Parse an integer.

    Raises:
        ValueError: the text is not an integer of that many bits.
    """
    trimmed = text.strip(BLANKS)
    if _INTEGER_TEXT.fullmatch(trimmed) is None or len(trimmed) > 4000:
        raise ValueError(f"'{text}' is not an integer")
    value = int(trimmed)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"{trimmed} does not fit {'INTEGER' if bits == 32 else 'BIGINT'}")
    return value


def parse_double(text: str) -> float:
    """Parse a number.

    Raises:
        ValueError: the text is not a finite number.
    """
    trimmed = text.strip(BLANKS)
    if _DOUBLE_TEXT.fullmatch(trimmed) is None:
        raise ValueError(f"'{text}' is not a number")
    value = float(trimmed.rstrip("dDfF"))
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{trimmed} does not fit DOUBLE")
    return value


def parse_decimal(text: str, type_: t.Decimal) -> Decimal:
    """Parse a decimal, rounded half up to the type's scale.

    Raises:
        ValueError: the text is not a number, or the number does not fit the type.
    """
    trimmed = text.strip(BLANKS)
    if _DECIMAL_TEXT.fullmatch(trimmed) is None:
        raise ValueError(f"'{text}' is not a number")
    return rounded_to_type(Decimal(trimmed), type_)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"'{text}' is not base64: {error}") from None


_PARSERS: dict[t.SqlType, Callable[[str], Any]] = {
    t.BOOLEAN: parse_boolean,
    t.INTEGER: lambda text: parse_integer(text, 32),
    t.BIGINT: lambda text: parse_integer(text, 64),
    t.DOUBLE: parse_double,
    t.DATE: parse_date,
    t.TIME: parse_time,
    t.TIMESTAMP: parse_timestamp,
    t.BYTES: _decode,
}


def _from_text(array: Any, target: t.SqlType) -> Evaluated:
    parser = (lambda text: parse_decimal(text, target)) if isinstance(target, t.Decimal) else _PARSERS[target]
    encoded = array.dictionary_encode()
    values: list[Any] = []
    reasons: dict[int, str] = {}
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(parser(text))
        except ValueError as error:
            values.append(None)
            reasons[code] = str(error)
    # Values that Arrow cannot hold (years out of its range) become failures, too.
    parsed, unheld = from_python(values, target)
    if unheld is not None:
        reasons |= dict(zip(unheld.rows.tolist(), unheld.reasons, strict=True))
    result = parsed.take(encoded.indices)
    if not reasons:
        return Evaluated(result)
    codes = encoded.indices.fill_null(-1).to_numpy()
    failed = {row: reasons[code] for row, code in enumerate(codes.tolist()) if code in reasons}
    return Evaluated(result, failures_of(failed))


# --- numbers and times ---------------------------------------------------------------------


def _between_numbers(array: Any, source: t.SqlType, target: t.SqlType) -> Any:
    if target == t.DOUBLE:
        if not isinstance(source, t.Decimal):
            return pc.cast(array, pa.float64(), safe=False)
        if source.precision > 15:
            values = [None if v is None else float(v) for v in array.to_pylist()]
            return pa.array(values, pa.float64())
        # Both are exact as DOUBLE, so the quotient is the nearest DOUBLE; Arrow multiplies by 0.1, which is not exact.
        return from_numpy(unscaled(array) / float(10**source.scale), null_mask(array), pa.float64())
    dtype, bits = (np.int32, 32) if target == t.INTEGER else (np.int64, 64)
    nulls = null_mask(array)
    if source in _INTEGERS:
        return from_numpy(to_numpy(array, np.int64).astype(dtype), nulls, t.to_arrow(target))
    if source == t.DOUBLE:
        reals = np.nan_to_num(np.trunc(to_numpy(array, np.float64)), nan=0.0)
        limit = 2.0 ** (bits - 1)
        low, high = reals <= -limit, reals >= limit
        numbers = np.where(low | high, 0.0, reals).astype(dtype)
        numbers[low], numbers[high] = np.iinfo(dtype).min, np.iinfo(dtype).max
        return from_numpy(numbers, nulls, t.to_arrow(target))
    wrapped = [None if v is None else _wrap(int(v), bits) for v in array.to_pylist()]
    return pa.array(wrapped, t.to_arrow(target))


def _wrap(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def _to_decimal(array: Any, source: t.SqlType, target: t.Decimal) -> Evaluated:
    arrow = t.to_arrow(target)
    room = target.precision - target.scale
    if source in _INTEGERS:
        limit = 10**room
        failures = None
        if limit <= 2**63:
            numbers = to_numpy(array, np.int64)
            outside = ((numbers >= limit) | (numbers <= -limit)) & ~null_mask(array)
            failures = failures_at(np.flatnonzero(outside), f"the number does not fit {target}")
            if failures is not None:
                array = from_numpy(numbers, null_mask(array) | outside, pa.int64())
        if target.precision >= target.scale + 19:
            return Evaluated(pc.cast(pc.cast(array, pa.int64()), arrow), failures)
        wide = pa.decimal256(min(19 + target.scale, DECIMAL_PRECISION_MAX), target.scale)
        if 19 + target.scale <= DECIMAL_PRECISION_MAX:
            return Evaluated(pc.cast(pc.cast(pc.cast(array, pa.int64()), wide), arrow), failures)
    elif source == t.DOUBLE and target.precision <= 15:
        return _doubles_to_decimal(array, target)
    elif isinstance(source, t.Decimal) and target.scale >= source.scale and room >= source.precision - source.scale:
        return Evaluated(pc.cast(array, arrow))
    return _to_decimal_by_row(array, target)


def _doubles_to_decimal(array: Any, target: t.Decimal) -> Evaluated:
    """Convert doubles to decimals.

    The scaled double is rounded to the nearest integer unless it may be a half.  The few others are converted one by one:
    halves, because the double's shortest decimal text decides, and numbers that do not fit.
    """
    numbers = to_numpy(array, np.float64)
    with np.errstate(all="ignore"):
        scaled = numbers * 10.0**target.scale
        nearest = np.rint(scaled)
        clear = (np.abs(nearest) < 10.0**target.precision) & (np.abs(np.abs(scaled - nearest) - 0.5) > 1e-3)
    result = from_unscaled(np.where(clear, nearest, 0).astype(np.int64), t.to_arrow(target), null_mask(array) | ~clear)
    rest = np.flatnonzero(~clear & ~null_mask(array))
    if not len(rest):
        return Evaluated(result)
    exact = _to_decimal_by_row(array.take(pa.array(rest)), target)
    where = np.arange(len(array), dtype=np.int64)
    where[rest] = len(array) + np.arange(len(rest))
    return Evaluated(pa.concat_arrays([result, exact.values]).take(pa.array(where)), map_failures(exact.failures, rest))


def _to_decimal_by_row(array: Any, target: t.Decimal) -> Evaluated:
    values: list[Decimal | None] = []
    failed: dict[int, str] = {}
    for row, value in enumerate(array.to_pylist()):
        settled = None
        if value is not None:
            try:
                if isinstance(value, float):
                    settled = parse_decimal(repr(value), target)
                else:
                    settled = rounded_to_type(Decimal(value), target)
            except ValueError as error:
                failed[row] = str(error)
        values.append(settled)
    return Evaluated(pa.array(values, t.to_arrow(target)), failures_of(failed))


def _between_times(array: Any, source: t.SqlType, target: t.SqlType) -> Any:
    nulls = null_mask(array)
    numbers = to_numpy(stored(array, source), np.int64)
    if source == t.DATE:
        return from_numpy(numbers * DAY_MS, nulls, pa.int64()).view(pa.timestamp("ms"))
    if target == t.DATE:
        return from_numpy((numbers // DAY_MS).astype(np.int32), nulls, pa.int32()).view(pa.date32())
    return from_numpy((numbers % DAY_MS).astype(np.int32), nulls, pa.int32()).view(pa.time32("ms"))
