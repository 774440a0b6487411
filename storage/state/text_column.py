"""A growable column of strings, bytes or lists, addressed by slot, that can be frozen without being copied.

A slot holds a reference (`kernels/gathering.py`) to a row of one of many arrays.  What is put in large pieces stays in the
array in which it came, so that one copy serves the state, the changelog and whoever reads the result; small pieces are
appended to a heap (lists: written anew together now and then).  What is overwritten becomes garbage; arrays that are a
third garbage are written anew when garbage is more than half of all.  Values go in and out as Arrow arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels.gathering import Pieces, TextPieces, references
from .columns import FrozenColumn, GrowingColumn, Int64s
from .rows import wasteful

__all__ = ["FrozenTextColumn", "Placed", "TextColumn"]

Octets = npt.NDArray[np.uint8]

_HEAP_ROWS_MIN: Final = 1 << 7
_HEAP_BYTES_MIN: Final = 1 << 12
_HEAP_BYTES_MAX: Final = 1 << 26
"""A new heap has as much room as all arrays have bytes, up to this size.  So growing never copies a heap."""
_WHOLE_BYTES_MIN: Final = 1 << 16
_WHOLE_SHARE: Final = 256
"""An array is kept as it came if it has at least this many bytes and this share of all bytes, so there are never many."""
_GARBAGE_MIN: Final = 1 << 16
_SMALL_MAX: Final = 64
"""With more small arrays of lists than this, they are written into one."""
_UNEVEN: Final = 8
"""If a value is so many times as long as the mean, garbage in its array is counted value by value, not by the mean."""
_SHIFT: Final = 32
_MISSING: Final = 0
"""The reference of a null: the first row of the first array."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An array that is kept as it came: its number, and how many arrays had this number before it."""

    number: int
    serial: int


class _Heap:
    """Strings one behind the other, appended to while earlier ones are read."""

    def __init__(self, rows: int, octets: int) -> None:
        self.offsets = np.zeros(rows + 1, np.int32)
        self.octets = np.empty(octets, np.uint8)
        self.rows = 0
        self.used = 0

    def takes(self, rows: int, octets: int) -> bool:
        return self.rows + rows < len(self.offsets) and self.used + octets <= len(self.octets)

    def append(self, offsets: npt.NDArray[np.int32], data: Any) -> None:
        n, first, total = len(offsets) - 1, int(offsets[0]), int(offsets[-1]) - int(offsets[0])
        self.offsets[self.rows + 1 : self.rows + n + 1] = offsets[1:] + np.int32(self.used - first)
        if total:
            self.octets[self.used : self.used + total] = np.frombuffer(data, np.uint8, total, first)
        self.rows += n
        self.used += total

    def array(self, type_: Any) -> Any:
        buffers = [None, pa.py_buffer(self.offsets.data), pa.py_buffer(self.octets.data)]
        return pa.Array.from_buffers(type_, self.rows, buffers, 0)


class TextColumn:
    """A column with the methods of `GrowingColumn`.  Slots that were never written, or were reset, are null."""

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._refs = GrowingColumn(np.int64)
        self._forget()

    def _forget(self) -> None:
        self._texts = pa.types.is_string(self.type) or pa.types.is_binary(self.type)
        self._pieces: TextPieces | Pieces = TextPieces(self.type) if self._texts else Pieces(self.type)
        self._pieces.set(0, pa.nulls(1, self.type))
        self._live = np.zeros(1, np.int64)
        """By array: how many of its rows a slot refers to."""
        self._sizes = np.zeros(1, np.int64)
        """By array: bytes."""
        self._garbage = np.zeros(1, np.float64)
        """By array: about how many bytes belong to rows that no slot refers to."""
        self._uneven = np.zeros(1, np.bool_)
        self._serials = [0]
        self._free: list[int] = []
        self._heap: _Heap | None = None
        self._heap_number = 0

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def nbytes(self) -> int:
        return self._refs.nbytes + int(self._sizes.sum())

    def reserve(self, rows: int) -> None:
        """Make room for rows 0..rows-1."""
        self._refs.reserve(rows)

    def take(self, rows: Int64s) -> Any:
        """An Arrow array of the column's type.

        Raises:
            ArrowInvalid: it would have more bytes than an array holds.
        """
        return _taken(self._pieces, self._refs.take(rows))

    def put(self, rows: Int64s, values: Any) -> Placed | None:
        """Overwrite distinct rows with those of an Arrow array.

        Returns:
            where it is, if it stays as it came.
        """
        n = len(rows)
        if n == 0:
            return None
        if wasteful(values):
            values = pa.concat_arrays([values, pa.nulls(0, values.type)])
        self._release(self._refs.take(rows))
        whole, first = True, 0
        if self._texts:
            offsets = np.frombuffer(values.buffers()[1], np.int32, n + 1, 4 * values.offset)
            whole = int(offsets[-1]) - int(offsets[0]) >= self._whole_bytes
            if not whole:
                first = self._append(offsets, values.buffers()[2], int(offsets[-1]) - int(offsets[0]))
        number = self._add(values) if whole else self._heap_number
        found = references(number, np.arange(first, first + n, dtype=np.int64))
        live = n
        if values.null_count:
            missing = np.asarray(values.is_null())
            found[missing] = _MISSING
            live -= values.null_count
        self._live[number] += live
        self._refs.put(rows, found)
        if whole and not live:
            self._drop(number)
            whole = False
        self._tidy()
        return Placed(number, self._serials[number]) if whole and self._live[number] else None

    @property
    def _whole_bytes(self) -> int:
        """The bytes of an array that is kept as it came."""
        return max(_WHOLE_BYTES_MIN, int(self._sizes.sum()) // _WHOLE_SHARE)

    def whole(self, placed: Placed) -> Any | None:
        """An array that was kept as it came; None if it is gone."""
        return self._pieces.arrays[placed.number] if self._serials[placed.number] == placed.serial else None

    def lend(self, placed: Placed, values: Any) -> None:
        """Replace an array that was kept as it came, if it is still there, by an equal one elsewhere in memory."""
        if self._serials[placed.number] == placed.serial:
            self._pieces.set(placed.number, values)

    def _append(self, offsets: npt.NDArray[np.int32], data: Any, total: int) -> int:
        """Put strings into the heap; returns the row of the first one there."""
        n = len(offsets) - 1
        heap = self._heap
        if heap is None or not heap.takes(n, total):
            held = int(self._sizes.sum())
            room = max(total, min(max(_HEAP_BYTES_MIN, held), _HEAP_BYTES_MAX))
            heap = self._heap = _Heap(max(n, _HEAP_ROWS_MIN, room // 16), room)
            self._heap_number = self._number()
        first = heap.rows
        heap.append(offsets, data)
        self._pieces.set(self._heap_number, heap.array(self.type))
        self._sizes[self._heap_number] += total + 4 * n
        self._uneven[self._heap_number] = True
        return first

    def _number(self) -> int:
        """A number for another array."""
        if self._free:
            return self._free.pop()
        number = len(self._serials)
        self._serials.append(0)
        if number == len(self._live):
            more = np.zeros(number, np.int64)
            self._live, self._sizes = np.concatenate((self._live, more)), np.concatenate((self._sizes, more))
            self._garbage = np.concatenate((self._garbage, more.astype(np.float64)))
            self._uneven = np.concatenate((self._uneven, more.astype(np.bool_)))
        return number

    def _add(self, values: Any) -> int:
        """Keep an array as it is; returns its number."""
        number = self._number()
        self._pieces.set(number, values)
        if not self._texts:
            self._sizes[number] = values.nbytes + 1
            return number
        offsets = np.frombuffer(values.buffers()[1], np.int32, len(values) + 1, 4 * values.offset)
        size = int(offsets[-1]) - int(offsets[0]) + 4 * len(values)
        self._sizes[number] = size
        longest = int((offsets[1:] - offsets[:-1]).max(initial=0))
        self._uneven[number] = longest > _UNEVEN * (size / max(1, len(values)))
        return number

    def _drop(self, number: int) -> None:
        if number == self._heap_number:
            self._heap, self._heap_number = None, 0
        self._pieces.set(number, None)
        self._live[number] = self._sizes[number] = 0
        self._garbage[number] = 0.0
        self._serials[number] += 1
        self._free.append(number)

    def _release(self, refs: Int64s) -> None:
        """Note that slots no longer refer to rows."""
        numbers = refs >> _SHIFT
        counts = np.bincount(numbers, minlength=len(self._live))
        counts[0] = 0
        touched = np.flatnonzero(counts)
        if not len(touched):
            return
        lengths = self._pieces.lengths[touched]
        self._garbage[touched] += self._sizes[touched] * (counts[touched] / np.maximum(lengths, 1))
        if isinstance(self._pieces, TextPieces) and self._uneven[touched].any():
            uneven = touched[self._uneven[touched]]
            some = self._uneven[numbers]
            exact = np.bincount(numbers[some], self._pieces.sizes(refs[some]) + 4.0, len(self._live))
            shares = self._sizes[uneven] * (counts[uneven] / np.maximum(self._pieces.lengths[uneven], 1))
            self._garbage[uneven] += exact[uneven] - shares
        self._live[touched] -= counts[touched]
        for number in touched[self._live[touched] == 0].tolist():
            self._drop(number)

    def reset(self, rows: Int64s) -> None:
        """Make rows null."""
        self._release(self._refs.take(rows))
        self._refs.put(rows, _MISSING)

    def _tidy(self) -> None:
        garbage = float(self._garbage.sum())
        if garbage > _GARBAGE_MIN and 2 * garbage > int(self._sizes.sum()):
            self._compact(3 * self._garbage > self._sizes)
        elif not self._texts and len(self._serials) - len(self._free) > _SMALL_MAX:
            small = (self._sizes < self._whole_bytes) & (self._sizes > 0)
            if np.count_nonzero(small) > _SMALL_MAX:
                self._compact(small)

    def _compact(self, victims: npt.NDArray[np.bool_]) -> None:
        """Write the live rows of some arrays into new arrays.  Frozen columns keep the old ones."""
        victims[0] = False
        if victims[self._heap_number]:
            self._heap, self._heap_number = None, 0
        slots = np.flatnonzero(victims[self._refs.values >> _SHIFT])
        sizes = np.cumsum(self._bytes_of(self._refs.take(slots)))
        begin = 0
        while begin < len(slots):
            before = int(sizes[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(sizes, before + _HEAP_BYTES_MAX, "right")))
            some = slots[begin:end]
            number = self._add(self.take(some))
            self._live[number] = len(some)
            self._refs.put(some, references(number, np.arange(len(some), dtype=np.int64)))
            begin = end
        for number in np.flatnonzero(victims).tolist():
            self._drop(number)

    def _bytes_of(self, refs: Int64s) -> Int64s:
        """int64[n]: the size of rows in bytes.  For lists it is the mean of their array."""
        if isinstance(self._pieces, TextPieces):
            return self._pieces.sizes(refs)
        count = len(self._pieces.arrays)
        means = self._sizes[:count] // np.maximum(self._pieces.lengths[:count], 1)
        found: Int64s = means[refs >> _SHIFT]
        return found

    def freeze(self) -> FrozenTextColumn:
        return FrozenTextColumn(self.type, self._refs.freeze(), self._pieces.copy())


class FrozenTextColumn:
    """A column as it was; safe to read from any thread while the column is written by its own."""

    __slots__ = ("_pieces", "_refs", "type")

    def __init__(self, type_: Any, refs: FrozenColumn, pieces: TextPieces | Pieces) -> None:
        self.type = type_
        self._refs = refs
        self._pieces = pieces

    def take(self, rows: Int64s) -> Any:
        """See `TextColumn.take`."""
        return _taken(self._pieces, self._refs.take(rows))

    def at(self, row: int) -> str | bytes | None:
        """One value."""
        value: str | bytes | None = self.take(np.array([row], np.int64))[0].as_py()
        return value


def _taken(pieces: TextPieces | Pieces, refs: Int64s) -> Any:
    return pieces.gather(refs, refs == _MISSING)
