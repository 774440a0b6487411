"""Converts Arrow arrays to Python values and NumPy arrays and back, and splits nested arrays, for expressions.

Python values are those of the function registry: DATE is an int of days, TIME and TIMESTAMP an int of milliseconds, MAP and
STRUCT a dict, DECIMAL a `decimal.Decimal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.booleans import booleans
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Failures, failures_of
from .. import types as t
from ..columns.items import all_entries_of
from ..java.decimals import rounded_to_type

_STORED = {t.DATE: pa.int32(), t.TIME: pa.int32(), t.TIMESTAMP: pa.int64()}


# --- failures ------------------------------------------------------------------------------


def merge_failures(*parts: Failures | None) -> Failures | None:
    """Merge failures.  If a row failed in several parts, the reason of the first part is kept."""
    given = [p for p in parts if p is not None and len(p.rows)]
    if len(given) < 2:
        return given[0] if given else None
    rows = np.concatenate([p.rows for p in given])
    reasons = [reason for p in given for reason in p.reasons]
    distinct, first = np.unique(rows, return_index=True)
    return Failures(distinct, tuple(reasons[i] for i in first.tolist()))


def restrict_failures(failures: Failures | None, keep: Bools) -> Failures | None:
    """The failures of rows for which ``keep`` is true."""
    if failures is None:
        return None
    kept = keep[failures.rows]
    if kept.all():
        return failures
    if not kept.any():
        return None
    return Failures(failures.rows[kept], tuple(r for r, k in zip(failures.reasons, kept.tolist(), strict=True) if k))


def blank(array: Any, failures: Failures | None) -> Any:
    """The array with null in the failed rows."""
    if failures is None:
        return array
    keep = np.ones(len(array), np.bool_)
    keep[failures.rows] = False
    return keep_only(array, keep)


def keep_only(array: Any, keep: Bools) -> Any:
    """The array with null where ``keep`` is false."""
    if keep.all():
        return array
    index = pa.array(np.arange(len(array), dtype=np.int64), mask=~keep)
    return array.take(index)


# --- NumPy ---------------------------------------------------------------------------------


def whole(array: Any) -> Any:
    """An array as one contiguous array; it may be chunked."""
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def null_mask(array: Any) -> Bools:
    """bool[n]: true where the array is null."""
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    return booleans(array.is_null())


def to_numpy(array: Any, dtype: Any) -> npt.NDArray[Any]:
    """The values of a fixed-width array, with zero for null."""
    if pa.types.is_boolean(array.type):
        return booleans(array).astype(dtype, copy=False)
    if array.null_count:
        array = array.fill_null(0)
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)


def from_numpy(values: npt.NDArray[Any], nulls: Bools | None, arrow: Any) -> Any:
    """Make an Arrow array of a type, null where ``nulls`` is true."""
    if nulls is not None and not nulls.any():
        nulls = None
    return pa.array(values, arrow, mask=nulls)


def stored(array: Any, type_: t.SqlType) -> Any:
    """Temporal arrays as the integers that they hold; other arrays unchanged."""
    storage = _STORED.get(type_) if isinstance(type_, t.Primitive) else None
    return array if storage is None else array.view(storage)


# --- Python values -------------------------------------------------------------------------


def _has_temporal(type_: t.SqlType) -> bool:
    match type_:
        case t.Array(item):
            return _has_temporal(item)
        case t.Map(key, value):
            return _has_temporal(key) or _has_temporal(value)
        case t.Struct(fields):
            return any(_has_temporal(f) for _, f in fields)
    return type_ in _STORED


def to_python(array: Any, type_: t.SqlType) -> list[Any]:
    """The values as Python objects."""
    array = whole(array)
    if isinstance(type_, t.Primitive):
        values: list[Any] = stored(array, type_).to_pylist()
        return values
    if not _has_temporal(type_):
        nested: list[Any] = array.to_pylist(maps_as_pydicts="lossy")
        return nested
    nulls = null_mask(array).tolist()
    match type_:
        case t.Array(item):
            inner, lengths = list_parts(array)
            return _cut(to_python(inner, item), lengths, nulls)
        case t.Map(key, value):
            keys, items, lengths = map_parts(array)
            pairs = list(zip(to_python(keys, key), to_python(items, value), strict=True))
            return [None if part is None else dict(part) for part in _cut(pairs, lengths, nulls)]
        case t.Struct(fields):
            columns = [to_python(pc.struct_field(array, [i]), f) for i, (_, f) in enumerate(fields)]
            names = [name for name, _ in fields]
            rows: list[Any] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            return [None if missing else row for row, missing in zip(rows, nulls, strict=True)]
    values = array.to_pylist()
    return values


def _cut(values: list[Any], lengths: Int64s, nulls: list[bool]) -> list[Any]:
    parts: list[Any] = []
    start = 0
    for length, missing in zip(lengths.tolist(), nulls, strict=True):
        parts.append(None if missing else values[start : start + length])
        start += length
    return parts


def from_python(values: Sequence[Any], type_: t.SqlType) -> tuple[Any, Failures | None]:
    """Make an array from Python values.  A value that the type cannot hold fails its row."""
    arrow = t.to_arrow(type_)
    try:
        return pa.array(values, arrow), None
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    failed: dict[int, str] = {}
    kept: list[Any] = []
    for row, value in enumerate(values):
        try:
            settled = _settle(value, type_)
            pa.array([settled], arrow)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, ArithmeticError):
            settled = None
            failed[row] = f"{value!r} is not a valid {type_}"
        kept.append(settled)
    return pa.array(kept, arrow), failures_of(failed)


def _settle(value: Any, type_: t.SqlType) -> Any:
    """Convert a value to the nearest Python type that Arrow accepts for ``type_``.  A DECIMAL is rounded as in a CAST."""
    if value is None:
        return None
    match type_:
        case t.Decimal():
            return rounded_to_type(value if isinstance(value, Decimal) else Decimal(str(value)), type_)
        case t.Array(item):
            return [_settle(v, item) for v in value]
        case t.Map(key, inner):
            return {_settle(k, key): _settle(v, inner) for k, v in value.items()}
        case t.Struct(fields):
            return {name: _settle(value.get(name), f) for name, f in fields}
    if type_ in (t.INTEGER, t.BIGINT) and hasattr(value, "__index__"):
        return int(value)
    return value


# --- nested arrays -------------------------------------------------------------------------


def list_parts(array: Any) -> tuple[Any, Int64s]:
    """The items of all lists one after the other, and int64[n], the number of items in each row (0 for null)."""
    lengths = to_numpy(pc.list_value_length(array), np.int64)
    return array.flatten(), lengths


def map_parts(array: Any) -> tuple[Any, Any, Int64s]:
    """The keys and the values of all maps, and int64[n], the number of entries in each row (0 for null)."""
    entries = all_entries_of(array)
    keys, items = entries.columns
    return keys, items, entries.lengths


def parents_of(lengths: Int64s) -> Int64s:
    """int64[m]: the row that each item belongs to."""
    return np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)


def _offsets(lengths: Int64s) -> Any:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.array(offsets)


def make_lists(items: Any, lengths: Int64s, nulls: Bools | None, arrow: Any) -> Any:
    """Make an array of lists from their items.  ``arrow`` is the list type."""
    mask = None if nulls is None or not nulls.any() else pa.array(nulls)
    return pa.ListArray.from_arrays(_offsets(lengths), items, type=arrow, mask=mask)


def make_maps(keys: Any, items: Any, lengths: Int64s, nulls: Bools | None, arrow: Any) -> Any:
    """Make an array of maps from their entries.  ``arrow`` is the map type."""
    mask = None if nulls is None or not nulls.any() else pa.array(nulls)
    return pa.MapArray.from_arrays(_offsets(lengths), keys, items, type=arrow, mask=mask)


def make_structs(columns: Sequence[Any], nulls: Bools | None, arrow: Any, length: int) -> Any:
    """Make an array of structs from their fields.  ``arrow`` is the struct type."""
    if not columns:
        missing = np.zeros(length, np.bool_) if nulls is None else nulls
        return pa.array([None if m else {} for m in missing.tolist()], arrow)
    mask = None if nulls is None or not nulls.any() else pa.array(nulls)
    return pa.StructArray.from_arrays(list(columns), fields=list(arrow), mask=mask)
