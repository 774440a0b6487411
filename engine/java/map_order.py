"""The order in which ksqlDB iterates over a map.  REDUCE and MAP_KEYS, among others, show it.

Its maps are Java's HashMap.  The first one is filled in the order of the entries; it is then copied into a second one that
is sized for its entries.  This module treats each bin of a map as a list.  Java turns a bin with eight collisions into a
tree, but that changes the order only for keys that were made to collide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...storage.values.arrow_calls import index_array
from ...storage.values.time_units import DAY_MS
from ..columns.arrow import Floats, all_ascii, int64s, text_bytes, text_offsets
from ..columns.items import Items, within_rows

Hashes = npt.NDArray[np.uint32]

_COPIED_BINS_MIN = 16
"""The default number of bins of Java's HashMap: the first map has at least so many."""


def in_hash_order(entries: Items) -> Items:
    """The entries of each row in hash order.  No row may have a key twice."""
    if not len(entries.rows) or int(entries.lengths.max()) < 2:
        return entries
    # The number of bins is a power of two, and a map holds at most three quarters as many entries.
    bins = 1 << np.ceil(np.log2(np.maximum(entries.lengths, 1) / 0.75)).astype(np.int64)
    fitting = bins[entries.rows]
    hashes = java_hashes(entries.columns[0])
    broadcast = (hashes ^ (hashes >> 16)).astype(np.int64)
    numbers = (broadcast & (fitting - 1)) * _COPIED_BINS_MIN
    # Within a bin, entries have the order of the first map, which may have more bins.
    numbers += np.where(fitting < _COPIED_BINS_MIN, broadcast & (_COPIED_BINS_MIN - 1), 0)
    order = within_rows(entries.rows, numbers)
    if (np.diff(order) > 0).all():
        return entries
    index = index_array(order)
    return Items(entries.missing, entries.lengths, entries.rows, tuple(c.take(index) for c in entries.columns))


def java_hashes(keys: Any) -> Hashes:
    """uint32[n]: ``hashCode()`` of each key.  No key may be null.  It is 0 for types that ksqlDB does not allow as keys of
    maps.
    """
    type_ = keys.type
    if pa.types.is_string(type_):
        return _of_texts(keys)
    if pa.types.is_boolean(type_):
        return np.where(int64s(keys), 1231, 1237).astype(np.uint32)
    if type_ == pa.int32():
        return int64s(keys).astype(np.uint32)
    if type_ == pa.float64():
        return _of_longs(_bits(np.asarray(keys.to_numpy(zero_copy_only=False), np.float64)))
    if type_ == pa.int64() or pa.types.is_temporal(type_):
        return _of_longs(int64s(keys) * (DAY_MS if type_ == pa.date32() else 1))
    return np.zeros(len(keys), np.uint32)


def _of_longs(values: npt.NDArray[np.int64]) -> Hashes:
    return (values ^ (values >> 32)).astype(np.uint32)


def _bits(values: Floats) -> npt.NDArray[np.int64]:
    """``Double.doubleToLongBits``: all NaN have the same bits."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def _of_texts(texts: Any) -> Hashes:
    """Hashes of texts.

    A text's hash is the sum of its UTF-16 units, each times a power of 31: 1 for the last unit, 31 for the one before it, ..
    """
    units: npt.NDArray[Any] = text_bytes(texts)
    bounds = text_offsets(texts).astype(np.int64)
    bounds -= bounds[0]
    if not all_ascii(texts):
        # A byte that continues a character counts as no unit.  The first byte of a character of four bytes counts as two
        # units.
        counts = np.where(units & 0xC0 == 0x80, 0, np.where(units >= 0xF0, 2, 1))
        bounds = np.concatenate(([0], np.cumsum(counts)))[bounds]
        units = np.frombuffer(units.tobytes().decode().encode("utf-16-le"), np.uint16)
    lengths = np.diff(bounds)
    powers = np.cumprod(np.full(max(int(lengths.max()), 1), 31, np.uint32), dtype=np.uint32)
    powers = np.concatenate((np.ones(1, np.uint32), powers))
    from_end = np.repeat(bounds[1:], lengths) - 1 - np.arange(bounds[-1])
    sums = np.concatenate((np.zeros(1, np.uint32), np.cumsum(units.astype(np.uint32) * powers[from_end], dtype=np.uint32)))
    return sums[bounds[1:]] - sums[bounds[:-1]]
