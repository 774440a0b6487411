"""Computes how large Arrow columns become when each value is stored in full.

In some of Arrow's types, many values share few bytes: a dictionary, run ends, views of the same text or list, nulls.  A
column of a few kilobytes may stand for terabytes, so its size is computed before it is decoded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import INSERTED_BYTES_MAX

__all__ = ["Column", "unfolded_bytes"]

Column = Any
"""An Arrow array.  The stubs have no type for an array whose items may be anything."""
Times = npt.NDArray[np.float64]
"""float64[n]: how often each value of an array occurs."""
_NULL_BYTES = 8
"""The bytes of a NULL in a column of numbers."""


def unfolded_bytes(column: Column) -> float:
    """The bytes that the values of an array or chunked array take in full; 0 for types whose values share no bytes.

    References beyond the end of an array are cut off here: reading the column reports them.  (Arrow's full check would read
    the text of each view.)

    Raises:
        pyarrow.ArrowInvalid, ValueError, IndexError: the column is damaged.
    """
    if not _folds(column.type):
        return 0
    column.validate()
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return sum(_size(chunk, None) for chunk in chunks)


def _folds(type_: pa.DataType) -> bool:
    """Whether values of a type may share bytes, or take no bytes."""
    types = pa.types
    if isinstance(type_, pa.BaseExtensionType):
        return _folds(type_.storage_type)
    if types.is_list(type_) or types.is_large_list(type_):
        return _folds(type_.value_type)
    if types.is_map(type_):
        return _folds(type_.key_type) or _folds(type_.item_type)
    if types.is_struct(type_):
        return type_.num_fields == 0 or any(_folds(type_.field(i).type) for i in range(type_.num_fields))
    return bool(type_.num_fields or type_.num_buffers == 1) or _is_indirect(type_)


def _is_indirect(type_: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_null(type_)
        or types.is_dictionary(type_)
        or types.is_run_end_encoded(type_)
        or types.is_string_view(type_)
        or types.is_binary_view(type_)
        or (types.is_fixed_size_binary(type_) and type_.byte_width == 0)
    )


def _size(array: Column, times: Times | None) -> float:
    """The bytes of an array's values in full.

    Args:
        times: how often each value occurs; None: once each.
    """
    type_, types = array.type, pa.types
    count = float(len(array) if times is None else times.sum())
    if isinstance(type_, pa.BaseExtensionType):
        return _size(array.storage, times)
    if count * _NULL_BYTES > INSERTED_BYTES_MAX:
        return count * _NULL_BYTES
    if types.is_dictionary(type_):
        there = array.indices.is_valid().to_numpy(zero_copy_only=False)
        places = array.indices.fill_null(0).to_numpy(zero_copy_only=False)[there]
        places = np.clip(places.astype(np.int64), 0, max(len(array.dictionary) - 1, 0))
        return count + _size(array.dictionary, _counted(places, times, there, len(array.dictionary)))
    if types.is_run_end_encoded(type_):
        ends = np.clip(np.asarray(array.run_ends.to_numpy(), np.int64) - array.offset, 0, len(array))
        if times is None:
            return _size(array.values, np.diff(ends, prepend=0).astype(np.float64))
        runs = np.minimum(np.searchsorted(ends, np.arange(len(array)), side="right"), len(ends) - 1)
        return _size(array.values, _counted(runs, times, None, len(array.values)))
    if types.is_list_view(type_) or types.is_large_list_view(type_):
        starts, sizes = (np.asarray(part.to_numpy(zero_copy_only=False), np.int64) for part in (array.offsets, array.sizes))
        starts = np.clip(starts, 0, len(array.values))
        sizes = np.where(array.is_valid().to_numpy(zero_copy_only=False), sizes, 0)
        sizes = np.clip(sizes, 0, len(array.values) - starts)
        changes = np.zeros(len(array.values) + 1)
        np.add.at(changes, starts, 1.0 if times is None else times)
        np.add.at(changes, starts + sizes, -1.0 if times is None else -times)
        return 8 * count + _size(array.values, np.cumsum(changes)[:-1])
    if types.is_list(type_) or types.is_large_list(type_) or types.is_map(type_):
        offsets = np.asarray(array.offsets.to_numpy(), np.int64)
        items = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0])) if len(offsets) else array.values
        return 8 * count + _size(items, None if times is None else np.repeat(times, np.diff(offsets)))
    if types.is_fixed_size_list(type_):
        items = array.values.slice(array.offset * type_.list_size, len(array) * type_.list_size)
        return count + _size(items, None if times is None else np.repeat(times, type_.list_size))
    if types.is_struct(type_):
        return count + sum(_size(array.field(i), times) for i in range(type_.num_fields))
    if types.is_union(type_):
        parts = [array.field(i) for i in range(type_.num_fields)]
        return count + sum(count * _largest(part) for part in parts)  # all items may refer to the same value
    lengths = _lengths(array)
    if lengths is not None:
        return 8 * count + float(lengths.sum() if times is None else (lengths * times).sum())
    return count * max(1, _NULL_BYTES if types.is_null(type_) else type_.bit_width // 8)


def _counted(places: npt.NDArray[np.int64], times: Times | None, chosen: npt.NDArray[np.bool_] | None, count: int) -> Times:
    """How often each of ``count`` values is used."""
    weights = times if times is None or chosen is None else times[chosen]
    return np.bincount(places, weights=weights, minlength=count).astype(np.float64)


def _largest(array: Column) -> float:
    """An upper bound of the bytes of one value."""
    lengths = _lengths(array)
    if lengths is None:
        return float(_NULL_BYTES if pa.types.is_primitive(array.type) else array.nbytes)
    return float(lengths.max(initial=0))


def _lengths(array: Column) -> Times | None:
    """The lengths of texts or bytes; None for other types."""
    types, type_ = pa.types, array.type
    if types.is_string_view(type_) or types.is_binary_view(type_):
        views = array.buffers()[1]
        lengths = np.frombuffer(b"" if views is None else views, np.int32)[
            4 * array.offset : 4 * (array.offset + len(array)) : 4
        ]
        lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
        return np.maximum(lengths, 0).astype(np.float64)
    if types.is_string(type_) or types.is_large_string(type_) or types.is_binary(type_) or types.is_large_binary(type_):
        found: Column = pc.binary_length(array)
        return np.asarray(found.fill_null(0).to_numpy(zero_copy_only=False), np.float64)
    return None
