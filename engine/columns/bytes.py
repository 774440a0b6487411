"""Splits string columns by their bytes, and builds them.  Positions count from a column's first byte.

In UTF-8 every byte of a character beyond ASCII is 0x80 or above, so a smaller byte is always a character of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .arrow import Bools, Int64s, from_numpy, text_offsets
from .kinds import Column

Bytes = npt.NDArray[np.uint8]


def byte_bounds(text: Column) -> Int64s:
    """int64[n + 1]: the start of each item in `text_bytes`, then the end of the last one."""
    offsets = text_offsets(text).astype(np.int64)
    bounds: Int64s = offsets - offsets[0]
    return bounds


def of_bytes(bounds: Int64s, data: Bytes, missing: Bools, type_: pa.DataType | None = None) -> Column:
    """Make a column from bytes, null where ``missing`` is true.  It is the inverse of `byte_bounds` and `text_bytes`."""
    validity = from_numpy(~missing, pa.bool_()).buffers()[1] if missing.any() else None
    offsets = pa.py_buffer(bounds.astype(np.int32).data)
    return pa.Array.from_buffers(type_ or pa.string(), len(bounds) - 1, [validity, offsets, pa.py_buffer(data.data)])


def pieces(data: Bytes, begins: Int64s, ends: Int64s, missing: Bools) -> Column:
    """Make a string column from ranges of ``data``.  No range may cut a character."""
    sizes = np.where(missing, 0, ends - begins)
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    places = np.arange(bounds[-1]) + np.repeat(begins - bounds[:-1], sizes)
    return of_bytes(bounds, data[places], missing)


def first_at(data: Bytes, byte: int, begins: Int64s, ends: Int64s) -> Int64s:
    """The first position of a byte in each range; the end of the range if it does not have the byte."""
    found = np.append(np.flatnonzero(data == byte), len(data))
    places = found[np.searchsorted(found, np.minimum(begins, len(data)))]
    first: Int64s = np.minimum(places, ends)
    return first


def rows_at(bounds: Int64s, places: Int64s) -> Int64s:
    """The row of each position."""
    rows: Int64s = np.searchsorted(bounds, places, side="right") - 1
    return rows
