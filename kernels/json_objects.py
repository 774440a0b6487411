"""Writes columns as JSON objects, one per row (source/json.cpp)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..errors import InternalError
from .library import bits, function

__all__ = ["objects"]

_offsets = function("json_offsets", "i", "piipi")
_bytes = function("json_bytes", "-", "piip")

_JSON, _TEXT, _NUMBER = 0, 1, 2
_COLUMN: Final = np.dtype([(n, np.int64) for n in ("kind", "data", "offsets", "valid", "first", "before", "before_length")])
_BYTES_MAX: Final = (1 << 31) - 1
"""The largest number of bytes in an array with offsets of 32 bits."""


def objects(befores: Sequence[bytes], columns: Sequence[Any], quote: Sequence[bool], count: int) -> Any:
    """string[count]: for each row the texts of ``befores``, each followed by a column's value, and ``}``.

    Args:
        befores: one for each column.
        columns: int64 (written as digits), or string: JSON as it is, or text that gets quotes.  A null is written as
            ``null``.
        quote: which strings are text.

    Raises:
        ArrowInvalid: the result has more bytes than an array of strings holds.
    """
    if not len(befores) == len(columns) == len(quote):
        raise InternalError("each column has a text before it")
    table = np.zeros(len(columns), _COLUMN)
    held = [np.frombuffer(before, np.uint8) for before in befores]
    for row, column, before, quoted in zip(table, columns, held, quote):
        if len(column) != count:
            raise InternalError(f"a column of {len(column)} values has no object for each of {count} rows")
        buffers = column.buffers()
        row["valid"], row["first"] = bits(column, count)
        row["before"], row["before_length"] = before.ctypes.data, len(before)
        if pa.types.is_int64(column.type):
            row["kind"] = _NUMBER
            row["data"] = _start(buffers[1], 8 * column.offset, 8 * count)
        elif pa.types.is_string(column.type):
            row["kind"] = _TEXT if quoted else _JSON
            row["offsets"] = _start(buffers[1], 4 * column.offset, 4 * (count + 1 if count else 0))
            row["data"] = 0 if buffers[2] is None else buffers[2].address
        else:
            raise InternalError(f"JSON is made of int64 and string, not of {column.type}")
    offsets = np.empty(count + 1, np.int32)
    total = _offsets(table.ctypes.data, len(table), count, offsets.ctypes.data, _BYTES_MAX)
    if total < 0:
        raise pa.ArrowInvalid(f"JSON of more than {_BYTES_MAX} bytes does not fit into one array")
    out = np.empty(total, np.uint8)
    _bytes(table.ctypes.data, len(table), count, out.ctypes.data)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets.data), pa.py_buffer(out.data)])


def _start(buffer: Any, start: int, length: int) -> int:
    """The address of byte ``start`` of a buffer, after a check that ``length`` bytes are there."""
    if length == 0:
        return 0
    if buffer is None or buffer.size < start + length:
        raise InternalError("an Arrow array's buffer is shorter than the array")
    address: int = buffer.address
    return address + start
