"""How a frame's columns take less room: keys and values of one length without offsets, timestamps as differences."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...protocol import Int64s

__all__ = ["NARROW_TIMES", "narrow", "pack", "unpack", "width_of"]

_WIDTH_MAX = 2**16 - 1
_ROWS_MIN = 256
"""Fewer rows gain little; and small frames of one shape are decoded together."""

NARROW_TIMES: Final = (np.uint16, np.uint32)
"""The types that differences of timestamps may have, the narrower first."""


def width_of(column: Any) -> int:
    """The length in bytes of all binary[n] values; 0 if they differ in length, or are too few to be worth packing."""
    n = len(column)
    if n < _ROWS_MIN or column.null_count:
        return 0
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + n + 1]
    width = int(offsets[1] - offsets[0])
    if not 0 < width <= _WIDTH_MAX or int(offsets[n] - offsets[0]) != n * width:
        return 0
    expected = _starts(n, width)
    return width if np.array_equal(offsets if offsets[0] == 0 else offsets - offsets[0], expected) else 0


def pack(column: Any, width: int) -> Any:
    """binary[n] of one width as fixed_size_binary[n], without copying."""
    n = len(column)
    _, offsets, data = column.buffers()
    first = int(np.frombuffer(offsets, np.int32)[column.offset])
    return pa.Array.from_buffers(pa.binary(width), n, [None, data.slice(first, n * width)])


def unpack(column: Any, width: int) -> Any:
    """The reverse of `pack`, without copying the bytes."""
    n = len(column)
    data = column.buffers()[1].slice(column.offset * width, n * width)
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(_starts(n, width).data), data])


@lru_cache(maxsize=64)
def _starts(n: int, width: int) -> npt.NDArray[np.int32]:
    """int32[n + 1]: where n values of one width begin, and where the last one ends.  Cached: most frames have one size."""
    starts = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    starts.flags.writeable = False
    return starts


def narrow(timestamps: Int64s, timestamp_min: int, timestamp_max: int) -> npt.NDArray[Any] | None:
    """Timestamps as differences from the first one, in the narrowest type of `NARROW_TIMES`.

    None if they lie too far apart, or if there are too few.
    """
    if len(timestamps) < _ROWS_MIN:
        return None
    for kind in NARROW_TIMES:
        if timestamp_max - timestamp_min <= np.iinfo(kind).max:
            return (timestamps - timestamp_min).astype(kind)
    return None
