"""A growable column of strings or bytes, addressed by slot, that can be frozen without being copied.

The bytes lie in a heap of blocks that are only appended to; a slot has the place and the length of its own.  What is
overwritten becomes garbage, and all is written anew when that is more than half.  Values go in and out as Arrow arrays.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels import texts
from .columns import Column, FrozenColumn, Int64s

__all__ = ["FrozenTextColumn", "TextColumn"]

Octets = npt.NDArray[np.uint8]

_BLOCK_BYTES_MIN: Final = 1 << 12
_BLOCK_BYTES_MAX: Final = 1 << 26
"""Blocks double up to here; beyond, nothing that is held is ever copied for growth."""
_GARBAGE_MIN: Final = 1 << 16


class TextColumn:
    """Has what `Column` has; slots that were never written, or were reset, are null."""

    __slots__ = ("_blocks", "_garbage", "_lengths", "_starts", "_total", "_used", "type")

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._starts = Column(np.int64)
        self._lengths = Column(np.int64, -1)
        self._blocks: list[Octets] = []
        self._used = 0
        """Of the last block."""
        self._total = 0
        self._garbage = 0

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def nbytes(self) -> int:
        return self._starts.nbytes + self._lengths.nbytes + sum(b.nbytes for b in self._blocks)

    def reserve(self, rows: int) -> None:
        """Make room for rows 0..rows-1."""
        self._starts.reserve(rows)
        self._lengths.reserve(rows)

    def take(self, rows: Int64s) -> Any:
        """An Arrow array of the column's type.

        Raises:
            ArrowInvalid: it would have more bytes than an array holds.
        """
        return _array(self.type, self._blocks, self._starts.take(rows), self._lengths.take(rows))

    def put(self, rows: Int64s, values: Any) -> None:
        """Overwrite distinct rows with those of an Arrow array."""
        n = len(rows)
        if n == 0:
            return
        held = self._lengths.take(rows)
        self._garbage += int(held[held > 0].sum())
        offsets = np.frombuffer(values.buffers()[1], np.int32, n + 1, 4 * values.offset)
        lengths = np.diff(offsets).astype(np.int64)
        first, total = int(offsets[0]), int(offsets[-1]) - int(offsets[0])
        if values.null_count:
            lengths[np.asarray(values.is_null())] = -1
        place = self._append(values.buffers()[2], first, total)
        self._starts.put(rows, place + (offsets[:-1].astype(np.int64) - first))
        self._lengths.put(rows, lengths)
        if self._garbage > _GARBAGE_MIN and 2 * self._garbage > self._total:
            self._compact()

    def _append(self, buffer: Any, first: int, total: int) -> int:
        """Put bytes of an Arrow buffer into the heap; returns where."""
        if not self._blocks or self._used + total > len(self._blocks[-1]):
            grown = min(max(_BLOCK_BYTES_MIN, 2 * self._total), _BLOCK_BYTES_MAX)
            self._blocks.append(np.empty(max(total, grown), np.uint8))
            self._used = 0
        block, place = self._blocks[-1], ((len(self._blocks) - 1) << 32) | self._used
        if total:
            block[self._used : self._used + total] = np.frombuffer(buffer, np.uint8, total, first)
        self._used += total
        self._total += total
        return place

    def reset(self, rows: Int64s) -> None:
        """Make rows null."""
        held = self._lengths.take(rows)
        self._garbage += int(held[held > 0].sum())
        self._lengths.put(rows, -1)

    def _compact(self) -> None:
        """Write what is live into new blocks; frozen columns keep the old ones."""
        old, starts = self._blocks, self._starts.values
        lengths = self._lengths.values
        moved = np.zeros(len(starts), np.int64)
        self._blocks, self._used, self._total, self._garbage = [], 0, 0, 0
        live = np.flatnonzero(lengths > 0)
        ends = np.cumsum(lengths[live])
        begin = 0
        while begin < len(live):
            before = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, before + _BLOCK_BYTES_MAX, "right")))
            some = live[begin:end]
            found = texts.gather_blocks(old, starts[some], lengths[some])
            assert found is not None  # one string, or less than a block
            offsets, octets = found
            moved[some] = self._append(pa.py_buffer(octets.data), 0, len(octets)) + offsets[:-1]
            begin = end
        self._starts.replace(moved)

    def freeze(self) -> FrozenTextColumn:
        return FrozenTextColumn(self.type, self._starts.freeze(), self._lengths.freeze(), tuple(self._blocks))


class FrozenTextColumn:
    """A column as it was; safe to read from any thread while the column is written by its own."""

    __slots__ = ("_blocks", "_lengths", "_starts", "type")

    def __init__(self, type_: Any, starts: FrozenColumn, lengths: FrozenColumn, blocks: tuple[Octets, ...]) -> None:
        self.type = type_
        self._starts = starts
        self._lengths = lengths
        self._blocks = blocks

    def take(self, rows: Int64s) -> Any:
        """See `TextColumn.take`."""
        return _array(self.type, self._blocks, self._starts.take(rows), self._lengths.take(rows))

    def at(self, row: int) -> str | bytes | None:
        """One value."""
        value: str | bytes | None = self.take(np.array([row], np.int64))[0].as_py()
        return value


def _array(type_: Any, blocks: Any, starts: Int64s, lengths: Int64s) -> Any:
    found = texts.gather_blocks(blocks, starts, lengths)
    if found is None:
        raise pa.ArrowInvalid("the strings of a column are too long for one array")
    offsets, octets = found
    missing = lengths < 0
    nulls = int(np.count_nonzero(missing))
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little").data) if nulls else None
    return pa.Array.from_buffers(type_, len(lengths), [valid, pa.py_buffer(offsets.data), pa.py_buffer(octets.data)], nulls)
