"""Byte strings in a heap, by start and length (source/texts.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import InternalError
from .library import address, bits, function

__all__ = ["equal", "gather", "offsets_of", "put", "with_tails"]

Int64s = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

_offsets = function("texts_offsets", "i", "pip")
_gather = function("texts_gather", "-", "pppip")
_put = function("texts_put", "-", "pppipp")
_tails_offsets = function("tails_offsets", "i", "ppiiipi")
_tails_append = function("tails_append", "-", "pppiipp")
_equal = function("texts_equal", "-", "ppppippip")


def offsets_of(lengths: Int64s) -> Int64s:
    """int64[n + 1]: the offsets of strings of these lengths, one after the other."""
    out = np.empty(len(lengths) + 1, np.int64)
    _offsets(address(lengths, np.int64, len(lengths)), len(lengths), out.ctypes.data)
    return out


def gather(heap: Octets, starts: Int64s, offsets: Int64s) -> Octets:
    """Copy the strings that begin at ``starts`` of a heap, one after the other, with lengths as `offsets_of` says."""
    total = int(offsets[-1])
    out = np.empty(total, np.uint8)
    n = len(offsets) - 1
    _gather(
        address(heap, np.uint8, 0),
        address(starts, np.int64, n),
        address(offsets, np.int64, n + 1),
        n,
        address(out, np.uint8, total, write=True),
    )
    return out


def put(heap: Octets, starts: Int64s, lengths: Int64s, places: Int64s, out: Octets) -> None:
    """Copy the strings at ``heap[starts : starts + lengths]`` to ``out``, each to its place."""
    n = len(starts)
    inside = n == 0 or (
        int(lengths.min()) >= 0
        and int(starts.min()) >= 0
        and int((starts + lengths).max()) <= len(heap)
        and int(places.min()) >= 0
        and int((places + lengths).max()) <= len(out)
    )
    if not inside:
        raise InternalError("a string lies outside of its buffer")
    _put(
        address(heap, np.uint8, 0),
        address(starts, np.int64, n),
        address(lengths, np.int64, n),
        n,
        address(places, np.int64, n),
        address(out, np.uint8, 0, write=True),
    )


def equal(
    heap: Octets, starts: Int64s, lengths: Int64s, offsets: npt.NDArray[Any], data: Octets, rows: Int64s
) -> npt.NDArray[np.bool_]:
    """bool[n]: whether each heap string equals its row of the Arrow array with these offsets (int32 or int64)."""
    out = np.empty(len(rows), np.bool_)
    large = offsets.dtype == np.int64
    _equal(
        address(heap, np.uint8, 0),
        address(starts, np.int64, len(rows)),
        address(lengths, np.int64, len(rows)),
        address(offsets, np.int64 if large else np.int32, 0),
        int(large),
        address(data, np.uint8, 0),
        address(rows, np.int64, len(rows)),
        len(rows),
        address(out, np.bool_, len(rows), write=True),
    )
    return out


def with_tails(keys: Any, tails: Octets) -> Any:
    """binary[n]: append to each of n binary keys the bytes of its row of ``tails``; null keys stay null.

    Args:
        tails: uint8[n, width].

    Raises:
        ArrowInvalid: the result has more bytes than an array holds.
    """
    n, width = tails.shape
    if len(keys) != n or not pa.types.is_binary(keys.type):
        raise InternalError(f"{len(keys)} keys of type {keys.type} do not take {n} tails")
    if n == 0:
        return pa.array([], pa.binary())
    _, given, data = keys.buffers()
    if given.size < 4 * (keys.offset + n + 1):
        raise InternalError("an Arrow array's buffer is shorter than the array")
    begin = given.address + 4 * keys.offset
    tails = np.ascontiguousarray(tails)
    offsets = np.empty(n + 1, np.int32)
    total = _tails_offsets(begin, *bits(keys, n), n, width, offsets.ctypes.data, (1 << 31) - 1)
    if total < 0:
        raise pa.ArrowInvalid("keys with their windows are too many bytes for one array")
    out = np.empty(total, np.uint8)
    where = 0 if data is None else data.address
    _tails_append(begin, where, address(tails, np.uint8, n), width, n, offsets.ctypes.data, out.ctypes.data)
    valid = None
    if keys.null_count:
        valid = pa.py_buffer(np.packbits(np.asarray(keys.is_valid()), bitorder="little").data)
    return pa.Array.from_buffers(pa.binary(), n, [valid, pa.py_buffer(offsets.data), pa.py_buffer(out.data)])
