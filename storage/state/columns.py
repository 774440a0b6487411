"""Growable columns of a store, addressed by slot, that can be frozen without being copied.

A frozen column shares the array at first.  Before the writer overwrites a block (512 rows) for the first time, it saves
the block for every frozen column that is still alive.  A reader on another thread first copies from the shared array,
then looks for saved blocks, so it sees a block that was overwritten in between as it was.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_ROWS", "GrowingColumn", "FrozenColumn", "Int64s"]

Int64s = npt.NDArray[np.int64]

_BLOCK_BITS: Final = 9
BLOCK_ROWS: Final = 1 << _BLOCK_BITS
"""Rows that are saved at once.  Random writes save about one block each, so blocks are small (4 KiB of int64)."""

_MASK: Final = BLOCK_ROWS - 1


class GrowingColumn:
    """A NumPy array that grows by doubling.  Rows that were never written hold ``initial``."""

    __slots__ = ("_initial", "_watchers", "values")

    def __init__(self, dtype: npt.DTypeLike, initial: Any = 0, capacity: int = 0) -> None:
        self._initial = initial
        self._watchers: list[weakref.ref[FrozenColumn]] = []
        self.values: npt.NDArray[Any] = self._filled(np.dtype(dtype), capacity)

    def _filled(self, dtype: np.dtype[Any], rows: int, head: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """An array that begins with ``head``.  Zeros behind it take no memory until they are written."""
        rows = -(-rows // BLOCK_ROWS) * BLOCK_ROWS
        held = 0 if head is None else len(head)
        if not dtype.hasobject and self._initial == 0:
            values = np.zeros(rows, dtype)
        else:
            values = np.empty(rows, dtype)
            values[held:].fill(self._initial)
        if held:
            values[:held] = head
        return values

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes)

    def reserve(self, rows: int) -> None:
        """Make room for rows 0..rows-1."""
        held = len(self.values)
        if rows > held:
            self.replace(self._filled(self.values.dtype, max(rows, 2 * held), self.values))

    def replace(self, values: npt.NDArray[Any]) -> None:
        """Use another array, whose length is a multiple of the block's.  Frozen columns keep the old one."""
        self.values = values
        self._watchers.clear()

    def at(self, row: int) -> Any:
        """One value."""
        return self.values[row]

    def take(self, rows: Int64s) -> npt.NDArray[Any]:
        return self.values.take(rows)

    def put(self, rows: Int64s, values: Any) -> None:
        """Overwrite rows.  ``values`` is an array of the same length, or one fixed-width value for all."""
        self.keep(rows)
        self.values[rows] = values

    def keep(self, rows: Int64s) -> None:
        """Save rows for the frozen columns, before `put` or a kernel overwrites them."""
        if self._watchers:
            self._save(rows)

    def reset(self, rows: Int64s) -> None:
        """Give rows their initial value again."""
        if self.values.dtype.hasobject:
            values = np.empty(len(rows), object)
            values.fill(self._initial)
            self.put(rows, values)
        else:
            self.put(rows, self._initial)

    def _save(self, rows: Int64s) -> None:
        watchers = [(ref, frozen) for ref in self._watchers if (frozen := ref()) is not None]
        self._watchers = [ref for ref, _ in watchers]
        if watchers:
            touched = np.zeros(len(self.values) >> _BLOCK_BITS, np.bool_)
            touched[rows >> _BLOCK_BITS] = True
            for _, frozen in watchers:
                frozen.save(touched)

    def freeze(self) -> FrozenColumn:
        frozen = FrozenColumn(self.values)
        self._watchers.append(weakref.ref(frozen))
        return frozen


class FrozenColumn:
    """A column as it was.  Any thread may read it while another one writes the column."""

    __slots__ = ("__weakref__", "_count", "_places", "_saved", "_values")

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values
        self._places: npt.NDArray[np.int32] | None = None
        self._saved: npt.NDArray[Any] = np.empty((0, BLOCK_ROWS), values.dtype)
        self._count = 0

    def __len__(self) -> int:
        return len(self._values)

    def save(self, touched: npt.NDArray[np.bool_]) -> None:
        """Save the blocks that are about to change.  The writer calls this before it writes."""
        places = self._places
        if places is None:
            places = np.full(len(self._values) >> _BLOCK_BITS, -1, np.int32)
        blocks = np.flatnonzero(touched & (places < 0))
        if len(blocks) == 0:
            return
        end = self._count + len(blocks)
        if end > len(self._saved):
            grown = np.empty((max(end, min(2 * end, len(places))), BLOCK_ROWS), self._values.dtype)
            grown[: self._count] = self._saved[: self._count]
            self._saved = grown
        self._saved[self._count : end] = self._values.reshape(-1, BLOCK_ROWS)[blocks]
        # Only now may a reader find them.
        places[blocks] = np.arange(self._count, end, dtype=np.int32)
        self._places = places
        self._count = end

    def at(self, row: int) -> Any:
        """One value."""
        value = self._values[row]
        places = self._places
        if places is not None:
            held = places[row >> _BLOCK_BITS]
            if held >= 0:
                value = self._saved[held, row & _MASK]
        return value

    def take(self, rows: Int64s) -> npt.NDArray[Any]:
        values = self._values.take(rows)
        places = self._places
        if places is not None:
            held = places[rows >> _BLOCK_BITS]
            late = np.flatnonzero(held >= 0)
            if len(late):
                values[late] = self._saved[held[late], rows[late] & _MASK]
        return values

    def between(self, first: int, after: int) -> npt.NDArray[Any]:
        """A copy of rows first..after-1."""
        if first & _MASK:
            return self.take(np.arange(first, after, dtype=np.int64))
        whole = min(len(self._values), -(-after // BLOCK_ROWS) * BLOCK_ROWS)  # a column's length is one of whole blocks
        values = self._values[first:whole].copy()
        places = self._places
        if places is not None:
            held = places[first >> _BLOCK_BITS : whole >> _BLOCK_BITS]
            blocks = np.flatnonzero(held >= 0)
            values.reshape(-1, BLOCK_ROWS)[blocks] = self._saved[held[blocks]]
        return values[: after - first]
