"""Helpers for functions over whole Arrow columns (the ``arrow`` style of the registry)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import Evaluated, Failures
from ...storage.values.arrow_calls import index_array
from .kinds import Column, Datum, PythonValue
from .sizes import bounded_broadcast, check_column, has_any_size

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def flat(column: Any) -> Column:
    """A column as one `pyarrow.Array`.  (Compute functions sometimes return chunks.)"""
    if isinstance(column, pa.ChunkedArray):
        joined: Any = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        column = joined
    array: Column = column
    return array


def is_literal(argument: Datum) -> TypeGuard[pa.Scalar[Any]]:
    """Whether an argument is one value for all rows."""
    return isinstance(argument, pa.Scalar)


def length_of(arguments: Sequence[Datum]) -> int:
    """The number of rows of a call.  At least one argument must be a column."""
    return next(len(a) for a in arguments if isinstance(a, (pa.Array, pa.ChunkedArray)))


def broadcast(argument: Datum, length: int) -> Column:
    """An argument as an array.  A literal is repeated."""
    return bounded_broadcast(argument, length) if isinstance(argument, pa.Scalar) else flat(argument)


def nulls(type_: Any, length: int) -> Column:
    made: Column = pa.nulls(length, type_)
    return made


def null_mask(array: Column) -> Bools:
    """bool[n], true where the array is null."""
    if array.null_count == 0:
        return np.zeros(len(array), np.bool_)
    return np.asarray(pc.is_null(array).to_numpy(zero_copy_only=False), np.bool_)


def int64s(array: Column) -> Int64s:
    """Integers, dates, times, timestamps and booleans (1 for true) as int64[n], with 0 for null."""
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)


def floats(array: Column) -> Floats:
    """Numbers as float64[n], with 0 for null."""
    if array.null_count:
        array = array.fill_null(0)
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def from_numpy(values: npt.NDArray[Any], type_: pa.DataType, missing: Bools | None = None) -> Column:
    """Make an Arrow array of a type from numbers, null where ``missing`` is true.  Dates are days, times and timestamps
    milliseconds.
    """
    mask = missing if missing is not None and missing.any() else None
    if pa.types.is_temporal(type_):
        narrow = pa.int32() if type_.bit_width == 32 else pa.int64()
        return pa.array(values.astype(narrow.to_pandas_dtype()), narrow, mask=mask).view(type_)
    return pa.array(values, type_, mask=mask)


def with_nulls(array: Column, missing: Bools) -> Column:
    """The array with null also where ``missing`` is true."""
    if not missing.any():
        return array
    return flat(pc.if_else(pa.array(~missing), array, pa.scalar(None, array.type)))


def fail(values: Column, failed: Bools, reason: str) -> Evaluated:
    """``values`` with null in the failed rows, and their failures, all with the same reason."""
    rows = np.flatnonzero(failed)
    if len(rows) == 0:
        return Evaluated(values)
    return Evaluated(with_nulls(values, failed), Failures(rows, (reason,) * len(rows)))


def row_by_row(
    function: Callable[..., PythonValue], type_: pa.DataType, *arguments: Datum, calls_with_nulls: bool = False
) -> Evaluated:
    """Evaluate a Python function row by row.

    This is the slow way, for the cases that a function's fast way does not cover.  `pyarrow` converts the arguments, and
    results must fit ``type_``.  An exception fails its row.
    """
    length = length_of(arguments)
    columns = [[a.as_py()] * length if isinstance(a, pa.Scalar) else flat(a).to_pylist() for a in arguments]
    results: list[PythonValue] = [None] * length
    rows: list[int] = []
    reasons: list[str] = []
    size, sized = 0, has_any_size(type_)
    for row, values in enumerate(zip(*columns)):
        if not calls_with_nulls and None in values:
            continue
        try:
            result = results[row] = function(*values)
            if sized and result is not None:
                size += len(result)
                check_column(size)
        except (ValueError, ArithmeticError, OverflowError, LookupError, TypeError) as error:
            rows.append(row)
            reasons.append(str(error) or type(error).__name__)
    failures = Failures(np.asarray(rows, np.int64), tuple(reasons)) if rows else None
    return Evaluated(pa.array(results, type_), failures)


def each(function: Callable[[PythonValue], PythonValue], type_: pa.DataType, column: Column) -> Evaluated:
    """Like `row_by_row`, for a function of one argument.  It is faster if no row fails."""
    values = column.to_pylist()
    try:
        if not has_any_size(type_):
            return Evaluated(pa.array([None if value is None else function(value) for value in values], type_))
        results: list[object] = []
        size = 0
        for value in values:
            result = None if value is None else function(value)
            if result is not None:
                size += len(result)
                check_column(size)
            results.append(result)
        return Evaluated(pa.array(results, type_))
    except (ValueError, ArithmeticError, OverflowError, LookupError, TypeError):
        return row_by_row(function, type_, column)


def by_prepared(
    prepare: Callable[..., Callable[[PythonValue], PythonValue]], type_: pa.DataType, column: Datum, *settings: Datum
) -> Evaluated:
    """Evaluate a function of one value that settings (a pattern, ..) prepare, for each row.

    Args:
        prepare: makes the function from the settings, and should cache it.  A ValueError fails the rows with these settings.
    """
    return by_setting(
        lambda values, *given: each(prepare(*given), type_, values),
        lambda value, *given: prepare(*given)(value),
        type_,
        column,
        *settings,
    )


SETTINGS_AT_ONCE_MAX = 64
"""If a step has more distinct settings (formats, zones, ..) than this, rows are evaluated one by one."""


def by_setting(
    function: Callable[..., Evaluated], one: Callable[..., PythonValue], type_: pa.DataType, column: Datum, *settings: Datum
) -> Evaluated:
    """Evaluate a function once for each distinct setting (a format, a zone), over the rows that have it.

    Args:
        function: takes a column, and the settings as Python values.  A ValueError fails all rows of the column.
        one: the same function for a single row, whose value is a Python value (a number for temporal types).
        type_: the type of the result.
    """
    length = length_of((column, *settings))
    column = broadcast(column, length)
    literals = [setting for setting in settings if is_literal(setting)]
    if len(literals) == len(settings):
        if not all(literal.is_valid for literal in literals):
            return Evaluated(nulls(type_, length))
        return _with_settings(function, type_, column, [literal.as_py() for literal in literals])
    encoded = [broadcast(setting, length).dictionary_encode() for setting in settings]
    missing = np.zeros(length, np.bool_)
    codes = np.zeros(length, np.int64)
    for part in encoded:
        missing |= null_mask(part.indices)
        codes = codes * len(part.dictionary) + int64s(part.indices)
    distinct = np.unique(codes[~missing])
    if len(distinct) > SETTINGS_AT_ONCE_MAX:
        plain = column.view(pa.int64() if column.type.bit_width == 64 else pa.int32()) if _temporal(column) else column
        return row_by_row(one, type_, plain, *settings)
    parts: list[Column] = [nulls(type_, int(missing.sum()))]
    places = [np.flatnonzero(missing)]
    failed: list[tuple[int, str]] = []
    for code in distinct.tolist():
        rows = np.flatnonzero((codes == code) & ~missing)
        values: list[PythonValue] = []
        for part in reversed(encoded):
            code, place = divmod(code, len(part.dictionary))
            values.insert(0, part.dictionary[place].as_py())
        made = _with_settings(function, type_, column.take(index_array(rows)), values)
        parts.append(made.values)
        places.append(rows)
        if made.failures is not None:
            failed.extend(zip(rows[made.failures.rows].tolist(), made.failures.reasons))
    order = np.empty(length, np.int64)
    order[np.concatenate(places)] = np.arange(length)
    failed.sort()
    failures = Failures(np.array([row for row, _ in failed], np.int64), tuple(r for _, r in failed)) if failed else None
    return Evaluated(pa.concat_arrays(parts).take(index_array(order)), failures)


def _with_settings(
    function: Callable[..., Evaluated], type_: pa.DataType, column: Column, values: Sequence[PythonValue]
) -> Evaluated:
    try:
        return function(column, *values)
    except ValueError as error:
        return fail(nulls(type_, len(column)), ~null_mask(column), str(error))


def _temporal(array: Column) -> bool:
    return bool(pa.types.is_temporal(array.type))


def text_column(
    function: Callable[[PythonValue], PythonValue],
    type_: pa.DataType,
    text: Column,
    ascii_kernel: Callable[[Column], Column],
) -> Column:
    """Evaluate a function of one text, which cannot fail, over a string column.

    Args:
        ascii_kernel: gives the same results for columns that are all ASCII.  Rows with other characters get the results of
            ``function`` instead.
    """
    plain = ascii_rows(text)
    result = ascii_kernel(text)
    if plain.all():
        return result
    rest = pa.array(~plain)
    others = pa.array([function(s) for s in text.filter(rest).to_pylist()], type_)
    return flat(pc.replace_with_mask(result, rest, others))


def with_bytes(text: Column, data: npt.NDArray[np.uint8]) -> Column:
    """The string array with its data bytes (see `text_bytes`) replaced.  Each item keeps its length in bytes."""
    missing = null_mask(text)
    validity = from_numpy(~missing, pa.bool_()).buffers()[1] if missing.any() else None
    begins = text_offsets(text) - text_offsets(text)[0]
    return pa.Array.from_buffers(
        text.type, len(text), [validity, pa.py_buffer(begins.astype(np.int32).data), pa.py_buffer(data.data)]
    )


def ascii_rows(array: Column) -> Bools:
    """bool[n]: whether each item of a string array is ASCII only; true for nulls."""
    high = text_bytes(array) >= 0x80
    if not high.any():
        return np.ones(len(array), np.bool_)
    before = np.concatenate(([0], np.cumsum(high)))
    begins = text_offsets(array) - text_offsets(array)[0]
    plain: Bools = (before[begins[1:]] == before[begins[:-1]]) | null_mask(array)
    return plain


def all_ascii(array: Column) -> bool:
    """Whether a string array is ASCII only.  Its bytes, characters and UTF-16 units are then the same."""
    data = text_bytes(array)
    return not len(data) or int(data.max()) < 0x80


def has_no_pairs(array: Column) -> bool:
    """Whether a string array has no character above U+FFFF.  Its characters and UTF-16 units are then the same."""
    data = text_bytes(array)
    return not len(data) or int(data.max()) < 0xF0


def text_bytes(array: Any) -> npt.NDArray[np.uint8]:
    """The bytes of all items of a string or binary array, one after the other, including those of nulls."""
    if len(array) == 0:
        return np.zeros(0, np.uint8)
    buffers = array.buffers()
    if buffers[2] is None:
        return np.zeros(0, np.uint8)
    offsets = text_offsets(array)
    return np.frombuffer(buffers[2], np.uint8)[offsets[0] : offsets[-1]]


def text_offsets(array: Any) -> npt.NDArray[np.int32]:
    """The n + 1 offsets of a string or binary array into its data buffer."""
    if len(array) == 0:
        return np.zeros(1, np.int32)
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]


def unit_word(unit: pa.Scalar[Any] | str) -> str:
    """A UNIT argument in the singular (DAY, HOUR, ..)."""
    return str(unit.as_py() if isinstance(unit, pa.Scalar) else unit)
