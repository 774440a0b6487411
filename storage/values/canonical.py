"""One equality for SQL values: NaN equals NaN and sorts after all numbers, -0.0 equals 0.0, NULL is not a value.

Code that compares, groups or looks up values by their bytes (keys of topics and of state stores, hashes, sets) first puts
them through `canonical`, so that equal values have equal bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from .arrow_calls import map_array

_MINUS_ZERO: Final = np.int64(-(2**63))


@lru_cache(maxsize=1024)
def has_doubles(type_: pa.DataType) -> bool:
    """Whether values of an Arrow type are, or contain, floating-point numbers."""
    if pa.types.is_floating(type_):
        return True
    return any(has_doubles(type_.field(i).type) for i in range(type_.num_fields))


def canonical(array: Any) -> Any:
    """The array with one bit pattern for NaN, and 0.0 for -0.0, at every depth.

    Arrays without doubles come back as they are.
    """
    type_ = array.type
    if not has_doubles(type_):
        return array
    if isinstance(array, pa.ChunkedArray):
        return canonical(array.combine_chunks())
    if pa.types.is_dictionary(type_):
        return canonical(array.dictionary_decode())
    if pa.types.is_floating(type_):
        return _canonical_doubles(array)
    if pa.types.is_struct(type_):
        return _canonical_struct(array)
    if pa.types.is_map(type_):
        entries = array.values
        keys, items = canonical(entries.field(0)), canonical(entries.field(1))
        return map_array(_offsets(array), keys, items, type_, _missing(array))
    given = array.values
    values = canonical(given)
    return array if values is given else pa.ListArray.from_arrays(_offsets(array), values, type=type_, mask=_missing(array))


def _offsets(array: Any) -> Any:
    """Of a list or map array, in a buffer of their own: Arrow takes no mask beside offsets that are a slice."""
    return pa.array(np.asarray(array.offsets.to_numpy(), np.int32))


def _missing(array: Any) -> Any:
    return array.is_null() if array.null_count else None


def _canonical_struct(array: Any) -> Any:
    fields = [array.field(i) for i in range(array.type.num_fields)]
    renewed = [canonical(f) for f in fields]
    if all(a is b for a, b in zip(fields, renewed, strict=True)):
        return array
    return pa.StructArray.from_arrays(renewed, fields=list(array.type), mask=_missing(array))


def _canonical_doubles(array: Any) -> Any:
    if array.type != pa.float64():
        numbers = canonical(array.cast(pa.float64()))
        return numbers.cast(array.type)
    data = array.buffers()[1]
    if data is None or not len(array):
        return array
    numbers = np.frombuffer(data, np.float64)[array.offset : array.offset + len(array)]
    changed = np.isnan(numbers) | (numbers.view(np.int64) == _MINUS_ZERO)
    if not changed.any():
        return array
    missing = None
    if array.null_count:
        missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_)
    return pa.array(canonical_doubles(numbers), mask=missing, from_pandas=False)


def canonical_doubles(numbers: Any) -> Any:
    """A copy of a float64[n] with one bit pattern for NaN, and 0.0 for -0.0."""
    numbers = numbers + 0.0
    numbers[np.isnan(numbers)] = np.nan
    return numbers
