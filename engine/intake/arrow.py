"""The table of conversions (`values`) for whole Arrow columns.

A column is first decoded: dictionaries, views, run ends and extensions become plain values, and times are truncated to
milliseconds.  Then a kernel converts the column if it certainly gives the same as `values.stored` does value by value.
Every other column, and every column that a kernel refuses, is converted by `values.stored`, which also finds the row at
fault.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.batch import python_values
from ...storage.values.arrow_calls import list_array, map_array
from ...storage.values.time_units import DAY_MS
from ..columns.arrow import flat, from_numpy, null_mask
from ..columns.items import entries_of
from ..types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    Array,
    Decimal,
    Map,
    SqlType,
    Struct,
    to_arrow,
)
from .values import Unfit, plain, shown, stored

_DOUBLE_INTEGERS = 2**53
"""Every integer up to this one is exact as a DOUBLE."""
_DISTINCT_MIN = 64
"""Shorter columns are not checked for repeated texts."""
_FEW = 16
"""Up to this number of times, it is faster to convert them one by one."""


class UnfitRow(ValueError):
    """A value does not fit its column.  The error has the number of the value's row, from 0."""

    def __init__(self, row: int, value: Any, cause: Unfit) -> None:
        super().__init__(f"{shown(value)} does not fit")
        self.row = row
        self.value = value
        self.cause = cause


def from_arrow(column: Any, type_: SqlType) -> Any:
    """Convert an Arrow array or chunked array to one array of an SQL type.

    Raises:
        UnfitRow: a value does not fit.
        pyarrow.ArrowException, ValueError: the column is damaged, or too large for one array.
    """
    wanted = to_arrow(type_)
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks > 1 and _needs_decoding(column.type):
            return _by_chunk(column.chunks, type_)
        column = flat(column)
    _check_whole(column)
    if column.type == wanted and not _checked(type_):
        return column
    array = _decoded(column)
    converted = _by_kernel(array, type_, wanted)
    return converted if converted is not None else from_values(_python(array), type_)


def _check_whole(array: Any) -> None:
    """Check that Arrow can read all values.  It cannot read text that is not UTF-8, or a time that is longer than a day.

    Raises:
        UnfitRow: it cannot.
    """
    reason = _damage(array)
    if reason is None or _damage(array.take(pa.array(np.arange(len(array))))) is None:  # damage outside the rows
        return
    low, high = 0, len(array)  # no row before `low` is damaged, one before `high` is
    while high - low > 1:
        middle = (low + high) // 2
        if _damage(array.take(pa.array(np.arange(low, middle)))) is None:
            low = middle
        else:
            high = middle
    bad, type_ = array.slice(low, 1), array.type
    value: Any = None
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        value = bad.cast(pa.large_binary() if pa.types.is_large_string(type_) else pa.binary())[0].as_py()
    elif pa.types.is_date(type_) or pa.types.is_time(type_):
        value = bad.view(pa.int32() if type_.bit_width == 32 else pa.int64())[0].as_py()
    raise UnfitRow(low, value, Unfit(f"it is damaged: {reason}"))


def _damage(array: Any) -> str | None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


def _by_chunk(chunks: list[Any], type_: SqlType) -> Any:
    """Convert chunk by chunk, since each may have its own dictionary."""
    parts: list[Any] = []
    for chunk in chunks:
        try:
            parts.append(from_arrow(chunk, type_))
        except UnfitRow as error:
            error.row += sum(map(len, parts))
            raise
    return pa.concat_arrays(parts)


def from_values(values: list[Any], type_: SqlType) -> Any:
    """Convert Python values to an array of an SQL type.

    Raises:
        UnfitRow: a value does not fit.
    """
    wanted = to_arrow(type_)
    quick = _quick(values, type_, wanted)
    if quick is not None:
        return quick
    made: list[Any] = []
    for row, value in enumerate(values):
        try:
            made.append(stored(value, type_))
        except Unfit as error:
            raise UnfitRow(row, value, error) from error
    try:
        return pa.array(made, wanted)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise UnfitRow(0, values[0] if values else None, Unfit(str(error))) from error


# --- Python values at once -------------------------------------------------------------------

_NONE = type(None)


def _quick(values: list[Any], type_: SqlType, wanted: Any) -> Any | None:
    """Convert values of one plain Python type for which Arrow gives the same as the table.  None if there is no such
    type.
    """
    kinds = set(map(type, values))
    kinds.discard(_NONE)
    if not kinds:
        return pa.nulls(len(values), wanted)
    if len(kinds) != 1 or isinstance(type_, (Array, Map, Struct)):
        return None
    kind = kinds.pop()
    if kind not in (_QUICK_DECIMAL if isinstance(type_, Decimal) else _QUICK[type_]):
        return None
    try:
        if kind is datetime.datetime:
            if len(values) < _FEW:
                return None
            return _timestamps(pa.array(values, pa.timestamp("us")))
        return pa.array(values, wanted)
    except (pa.ArrowException, ValueError, OverflowError):
        return None


_QUICK: dict[SqlType, tuple[type, ...]] = {
    BOOLEAN: (bool,),
    INTEGER: (int,),
    BIGINT: (int,),
    DOUBLE: (float,),
    STRING: (str,),
    BYTES: (bytes,),
    DATE: (datetime.date,),
    TIME: (),
    TIMESTAMP: (int, datetime.datetime),
}
_QUICK_DECIMAL = (decimal.Decimal,)


# --- plain columns ---------------------------------------------------------------------------


def _needs_decoding(type_: pa.DataType) -> bool:
    encoded = pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_)
    return bool(encoded or isinstance(type_, pa.BaseExtensionType))


def _decoded(array: Any) -> Any:
    """The same values in an Arrow type that holds each value itself: no dictionary, views, run ends or extension."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        name = type_.extension_name
        if name == "arrow.uuid":
            return array  # Arrow reads its values as UUIDs, not as bytes
        if not name.startswith("arrow."):
            raise TypeError(f"no SQL type holds the Arrow type {type_}")
        storage = _decoded(array.storage)
        return pc.not_equal(storage, pa.scalar(0, storage.type)) if name == "arrow.bool8" else storage
    if pa.types.is_dictionary(type_):
        return _decoded(array.dictionary).take(array.indices)
    if pa.types.is_run_end_encoded(type_):
        places = array.offset + np.arange(len(array))
        runs = np.searchsorted(np.asarray(array.run_ends.to_numpy(), np.int64), places, side="right")
        return _decoded(array.values).take(pa.array(runs))
    if pa.types.is_string_view(type_) or pa.types.is_large_string(type_):
        return array.cast(pa.string())
    if pa.types.is_binary_view(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return array.cast(pa.binary())
    if pa.types.is_timestamp(type_):
        return _timestamps(array)
    if pa.types.is_time(type_):
        return _times(array)
    if pa.types.is_float16(type_) or pa.types.is_float32(type_):
        return array.cast(pa.float64())
    return array


def _timestamps(array: Any) -> Any:
    """Timestamps of any unit and zone as timestamp[ms], truncated."""
    unit = array.type.unit
    if unit == "ms":
        return array if array.type.tz is None else array.view(pa.int64()).view(pa.timestamp("ms"))
    numbers = np.asarray(array.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    missing = null_mask(array)
    if unit == "s":
        beyond = np.flatnonzero(np.abs(numbers) > 2**63 // 1000)
        if len(beyond):
            row = int(beyond[0])
            raise UnfitRow(row, f"{numbers[row]} s", Unfit("it is beyond the range"))
        numbers = numbers * 1000
    else:
        numbers = numbers // (1000 if unit == "us" else 1_000_000)
    return from_numpy(numbers, pa.timestamp("ms"), missing)


def _times(array: Any) -> Any:
    """Times of day of any unit as time32[ms], truncated."""
    unit = array.type.unit
    if unit == "ms":
        return array
    wide = array.view(pa.int32() if unit == "s" else pa.int64()).fill_null(0)
    numbers = np.asarray(wide.to_numpy(zero_copy_only=False)).astype(np.int64)
    scaled = numbers * 1000 if unit == "s" else numbers // (1000 if unit == "us" else 1_000_000)
    return from_numpy(scaled, pa.time32("ms"), null_mask(array))


def _python(array: Any) -> list[Any]:
    """The values of an array as the Python values that the table takes, also inside lists, maps and structs."""
    if not len(array) or not pa.types.is_nested(array.type):
        return python_values(array)
    values: list[Any] = []
    for row, scalar in enumerate(array):
        try:
            values.append(_plain_parts(scalar))
        except UnfitRow as error:
            raise UnfitRow(row, error.value, error.cause) from error
    return values


def _plain_parts(scalar: Any) -> Any:
    """The Python value of an Arrow scalar, with all nested values.  Times are truncated to Python's precision."""
    if not scalar.is_valid:
        return None
    type_ = scalar.type
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        if len(set(names)) != len(names):
            raise UnfitRow(0, None, Unfit("a struct has two fields of one name"))
        return {name: _plain_parts(scalar[name]) for name in names}
    if pa.types.is_map(type_):
        return [(_plain_parts(entry["key"]), _plain_parts(entry["value"])) for entry in scalar.values]
    if pa.types.is_dictionary(type_):
        return _plain_parts(scalar.dictionary[scalar.index.as_py()])
    if hasattr(scalar, "values") and isinstance(scalar.values, pa.Array):
        return _python(_decoded(scalar.values))
    return plain(scalar)


# --- by kernel -------------------------------------------------------------------------------


def _by_kernel(array: Any, type_: SqlType, wanted: Any) -> Any | None:
    """Convert a column by a kernel that gives the same as the table.  None if there is no such kernel, or it refuses the
    column.
    """
    if array.null_count == len(array):
        return pa.nulls(len(array), wanted)
    if array.type == wanted and not _checked(type_):
        return array
    convert = _kernel(array.type, type_)
    if convert is None:
        return None
    try:
        converted = convert(array, type_)
    except (pa.ArrowException, ValueError, OverflowError):
        return None
    return None if converted is None else flat(converted)


def _checked(type_: SqlType) -> bool:
    """Whether an array of the right Arrow type may still contain values that the SQL type does not allow."""
    match type_:
        case Array(item):
            return _checked(item)
        case Map():
            return True  # a key may occur twice
        case Struct(fields):
            return any(_checked(field) for _, field in fields)
    return type_ == TIME


def _kernel(given: Any, type_: SqlType) -> Callable[[Any, SqlType], Any | None] | None:
    if isinstance(type_, (Array, Struct)):
        return _parts
    if isinstance(type_, Map):
        return _maps if pa.types.is_map(given) else None
    if type_ == STRING:
        return _cast if pa.types.is_integer(given) or pa.types.is_boolean(given) else None
    if type_ in (INTEGER, BIGINT):
        return _integers if pa.types.is_integer(given) else _whole_doubles if given == pa.float64() else _for_texts(given)
    if type_ == DOUBLE:
        return _doubles if pa.types.is_integer(given) else _for_texts(given)
    if isinstance(type_, Decimal):
        if pa.types.is_decimal(given):
            return _cast
        if pa.types.is_integer(given):
            return _integers_to_decimal
        return _doubles_to_decimal if given == pa.float64() else _for_texts(given)
    if type_ == TIMESTAMP:
        if given in (pa.int64(), pa.int32(), pa.uint32(), pa.int16(), pa.int8(), pa.uint16(), pa.uint8()):
            return lambda array, _: array.cast(pa.int64()).view(pa.timestamp("ms"))
        return _days_to_timestamps if given == pa.date32() else _for_texts(given)
    if type_ == DATE:
        return _midnights if given in (pa.timestamp("ms"), pa.date64()) else _for_texts(given)
    if type_ == TIME:
        return _within_a_day if given == pa.time32("ms") else _for_texts(given)
    return None


def _for_texts(given: Any) -> Callable[[Any, SqlType], Any | None] | None:
    return _texts if given == pa.string() else None


def _cast(array: Any, type_: SqlType) -> Any:
    return array.cast(to_arrow(type_))


def _integers(array: Any, type_: SqlType) -> Any:
    return array.cast(to_arrow(type_))


def _whole_doubles(array: Any, type_: SqlType) -> Any | None:
    numbers, missing = _reals(array)
    limit = 2.0 ** (31 if type_ == INTEGER else 63)
    good = (numbers == np.floor(numbers)) & (numbers >= -limit) & (numbers < limit)
    if not (good | missing).all():
        return None
    return from_numpy(np.where(missing, 0.0, numbers).astype(np.int64), to_arrow(type_), missing)


def _reals(array: Any) -> tuple[Any, Any]:
    """float64[n], and bool[n]: the rows without a number (null or NaN)."""
    numbers = np.asarray(array.fill_null(0.0).to_numpy(zero_copy_only=False), np.float64)
    return numbers, null_mask(array) | np.isnan(numbers)


def _doubles(array: Any, _: SqlType) -> Any | None:
    if array.type.bit_width == 64:
        bounds = pc.min_max(array)
        if bounds["max"].as_py() > _DOUBLE_INTEGERS or bounds["min"].as_py() < -_DOUBLE_INTEGERS:
            return None
    return array.cast(pa.float64())


def _integers_to_decimal(array: Any, type_: SqlType) -> Any | None:
    assert isinstance(type_, Decimal)
    limit = 10 ** (type_.precision - type_.scale)
    bounds = pc.min_max(array)
    if bounds["max"].as_py() >= limit or bounds["min"].as_py() <= -limit:
        return None
    if 20 + type_.scale > 76:
        return None
    return array.cast(pa.decimal256(20 + type_.scale, type_.scale)).cast(to_arrow(type_))


def _doubles_to_decimal(array: Any, type_: SqlType) -> Any | None:
    """Convert doubles of at most 15 digits by a multiplication.  Such a double is the nearest one to its shortest text."""
    assert isinstance(type_, Decimal)
    if type_.scale > 15:
        return None
    numbers, missing = _reals(array)
    power = 10.0**type_.scale
    with np.errstate(all="ignore"):
        digits = np.rint(numbers * power)
        good = (np.abs(digits) < 10.0 ** min(15, type_.precision)) & (digits / power == numbers)
    if not (good | missing).all():
        return None
    unscaled = from_numpy(np.where(missing, 0.0, digits).astype(np.int64), pa.int64(), missing)
    whole = unscaled.cast(pa.decimal128(19, 0))
    shifted = pa.Array.from_buffers(
        pa.decimal128(19, type_.scale), len(whole), whole.buffers(), whole.null_count, whole.offset
    )
    return shifted.cast(to_arrow(type_))


def _days_to_timestamps(array: Any, _: SqlType) -> Any:
    days = np.asarray(array.view(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)
    return from_numpy(days * DAY_MS, pa.timestamp("ms"), null_mask(array))


def _midnights(array: Any, _: SqlType) -> Any | None:
    numbers = np.asarray(array.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    days = numbers // DAY_MS
    if (numbers % DAY_MS).any() or (np.abs(days) >= 2**31).any():
        return None
    return from_numpy(days, pa.date32(), null_mask(array))


def _within_a_day(array: Any, _: SqlType) -> Any | None:
    bounds = pc.min_max(array.view(pa.int32()))
    return array if bounds["min"].as_py() >= 0 and bounds["max"].as_py() < DAY_MS else None


def _texts(array: Any, type_: SqlType) -> Any | None:
    """Convert texts.  Each distinct text is converted once."""
    if len(array) < _DISTINCT_MIN:
        return None
    encoded = array.dictionary_encode()
    if len(encoded.dictionary) == len(array):
        return None
    try:
        return from_values(encoded.dictionary.to_pylist(), type_).take(encoded.indices)
    except UnfitRow:
        return None


def _parts(array: Any, type_: SqlType) -> Any | None:
    """Convert lists and structs if kernels convert their parts."""
    given = array.type
    missing = null_mask(array)
    mask = pa.array(missing) if missing.any() else None
    if isinstance(type_, Array) and (pa.types.is_list(given) or pa.types.is_large_list(given)):
        lengths = pc.list_value_length(array).fill_null(0)
        offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64))])
        if int(offsets[-1]) >= 2**31:
            return None
        items = _part(array.flatten(), type_.item)
        if items is None:
            return None
        return list_array(pa.array(offsets.astype(np.int32)), items, to_arrow(type_), mask)
    if isinstance(type_, Struct) and pa.types.is_struct(given):
        columns = dict.fromkeys((name for name, _ in type_.fields), None)
        wanted = dict(type_.fields)
        for place, field in enumerate(given):
            name = field.name if field.name in wanted else field.name.upper()
            if name not in wanted or columns[name] is not None:
                return None
            columns[name] = _part(pc.struct_field(array, [place]), wanted[name])
            if columns[name] is None:
                return None
        arrays = [pa.nulls(len(array), to_arrow(wanted[name])) if made is None else made for name, made in columns.items()]
        return pa.StructArray.from_arrays(arrays, fields=list(to_arrow(type_)), mask=mask)
    return None


def _maps(array: Any, type_: SqlType) -> Any | None:
    assert isinstance(type_, Map)
    entries = entries_of(array)
    keys, items = entries.columns
    if len(keys) < int(np.diff(array.offsets.to_numpy())[~null_mask(array)].sum()):
        return None  # a key occurs twice
    made_keys, made_items = _part(keys, type_.key), _part(items, type_.value)
    if made_keys is None or made_items is None or made_keys.null_count or pa.types.is_nested(made_keys.type):
        return None
    codes = made_keys.dictionary_encode().indices.to_numpy().astype(np.int64)
    if len(np.unique(entries.rows * (len(codes) + 1) + codes)) < len(codes):
        return None  # two keys are stored as the same value
    offsets = np.concatenate([[0], np.cumsum(entries.lengths)]).astype(np.int32)
    places = pa.array(offsets, mask=np.append(entries.missing, False))
    return map_array(places, made_keys, made_items, to_arrow(type_))


def _part(array: Any, type_: SqlType) -> Any | None:
    array = flat(array)
    if array.type == to_arrow(type_) and not _checked(type_):
        return array
    return _by_kernel(_decoded(array), type_, to_arrow(type_))
