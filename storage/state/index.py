"""A hash index: key columns -> slots.

Open addressing over a table of 64-bit entries (the upper half of the key's hash, and its slot), searched and filled by
compiled kernels (kernels/source/index.cpp).  The table doubles as it fills up, so the cost per key is amortised.

Entries are only added.  The entry of a removed key stays until the table is next built; it is skipped because its slot is
free or has another key by then.  So a snapshot can share the table with the writer, with keys of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels import index as kernels
from .columns import FrozenColumn, GrowingColumn, Int64s
from .keys import FrozenKeys, Keys, StoredKeys, Words, encode, same_keys

Bools = npt.NDArray[np.bool_]

_ENTRIES_MIN: Final = 1024
_SLOTS_ADDED_MIN: Final = 512


def _limit(capacity: int) -> int:
    """How many entries a table takes: five eighths of its capacity, so that searches stay short."""
    return capacity * 5 // 8


def _capacity(keys: int) -> int:
    """The capacity for so many keys, with room for as many again before the table is built anew."""
    capacity = _ENTRIES_MIN
    while _limit(capacity) < 2 * keys:
        capacity *= 2
    return capacity


def factorize(keys: Sequence[Any]) -> tuple[Int64s, Int64s]:
    """Group rows by key (parallel Arrow arrays; nulls are values), without a store.

    Returns:
        the group number of each row, dense and in order of first occurrence, and the first row of each group.
    """
    return kernels.number(encode(keys).batch)


class HashIndex:
    """Keys -> slots from 0.  Slots of removed keys are reused, the latest first."""

    def __init__(self, schema: pa.Schema) -> None:
        self.keys = StoredKeys(schema)
        self.live = GrowingColumn(np.bool_, False)
        """bool by slot: whether it holds a key."""
        self._table = np.full(_ENTRIES_MIN, kernels.EMPTY, np.uint64)
        self._entries = 0
        self._stale = 0
        """An upper bound of how many entries belong to removed keys."""
        self._free = np.zeros(0, np.int64)
        self._free_count = 0
        self.slot_count = 0
        """The number of slots ever given out: all slots are below it."""

    def __len__(self) -> int:
        return self.slot_count - self._free_count

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.live.nbytes + self._table.nbytes + self._free.nbytes

    def find(self, keys: Sequence[Any]) -> Int64s:
        """The slot of each key; -1 where it is missing."""
        encoded = encode(keys)
        if not len(self):
            return np.full(len(encoded), -1, np.int64)
        self.keys.prepare(encoded)
        return kernels.find(self._table, self.slot_count, encoded.batch, self.keys.stored(self.slot_count, self.live.values))

    def insert(self, keys: Sequence[Any]) -> tuple[Int64s, Bools]:
        """The slot of each key, with new slots for missing keys; and where each new key occurs first."""
        encoded = encode(keys)
        heads = None if encoded.nested else kernels.runs(encoded.batch)
        if heads is None:
            return self._insert(encoded)
        few, new = self._insert(Keys(kernels.KeyBatch(len(heads), [w[heads] for w in encoded.batch.words], (), None), []))
        is_new = np.zeros(len(encoded), np.bool_)
        is_new[heads[new]] = True
        return np.repeat(few, np.diff(heads, append=len(encoded))), is_new

    def _insert(self, encoded: Keys) -> tuple[Int64s, Bools]:
        rows = len(encoded)
        slots, is_new = np.empty(rows, np.int64), np.zeros(rows, np.bool_)
        self.keys.prepare(encoded)
        self._keep_free(rows)
        done = 0
        while True:
            capacity = len(self.live)
            stored = self.keys.stored(capacity, self.live.values)
            state = np.array(
                [
                    self._table.ctypes.data,
                    len(self._table) - 1,
                    self.slot_count,
                    capacity,
                    self._entries,
                    _limit(len(self._table)),
                    self._free.ctypes.data,
                    self._free_count,
                ],
                np.int64,
            )
            before, done = done, kernels.insert(state, encoded.batch, stored, done, slots, is_new)
            self.slot_count, self._entries, self._free_count = int(state[2]), int(state[4]), int(state[7])
            new = before + np.flatnonzero(is_new[before:done]) if self.keys.nested is not None else slots[:0]
            self.keys.took(stored, encoded, slots[new], new)
            if done == rows:
                return slots, is_new
            self._make_room(encoded, done)

    def _keep_free(self, rows: int) -> None:
        """Save the contents of free slots for snapshots, as many as so many rows may take."""
        if self._free_count:
            taken = self._free[max(0, self._free_count - rows) : self._free_count]
            self.live.keep(taken)
            self.keys.overwrite(taken)

    def _make_room(self, encoded: Keys, row: int) -> None:
        """Make room for at least one more key."""
        if self._entries >= _limit(len(self._table)):
            self._rebuild(len(self) + 1)
        if not self._free_count and self.slot_count == len(self.live):
            more = max(_SLOTS_ADDED_MIN, self.slot_count)
            self.live.reserve(self.slot_count + more)
            self.keys.reserve(len(self.live))
        for text, given in zip(self.keys.texts, encoded.batch.texts):
            text.reserve_bytes(int(given.offsets[row + 1]) - int(given.offsets[row]))

    def _rebuild(self, keys: int, *, by_entries: bool = True) -> None:
        """Build a new table with room for so many keys, from the old table's entries or from the keys themselves."""
        table = np.full(_capacity(keys), kernels.EMPTY, np.uint64)
        if self._stale or not by_entries or len(table) <= len(self._table):
            kernels.build(table, self.keys.stored(self.slot_count, self.live.values), self.slot_count)
        else:
            kernels.grow(self._table, table)
        self._table, self._entries, self._stale = table, len(self), 0

    # Recovery: slots are given, and the table is built once all are

    def place(self, slots: Int64s, keys: Sequence[Any]) -> None:
        """Put keys that the index lacks into distinct, free slots.  Trap: they are found only after `build`."""
        if len(slots) == 0:
            return
        encoded = encode(keys)
        self.keys.prepare(encoded)
        self.reserve(int(slots.max()) + 1)
        self.live.keep(slots)
        self.keys.overwrite(slots)
        self.keys.reserve_bytes(encoded)
        stored = self.keys.stored(self.slot_count, self.live.values)
        kernels.place(encoded.batch, stored, np.ascontiguousarray(slots, np.int64))
        self.keys.took(stored, encoded, slots, np.arange(len(slots), dtype=np.int64))

    def vacate(self, slots: Int64s) -> None:
        """Free distinct, live slots.  Trap: call `build` afterwards, as after `place`."""
        self.live.put(slots, False)
        self.keys.drop(slots)

    def reserve(self, slot_count: int) -> None:
        """Treat all slots below this number as given out."""
        self.slot_count = max(self.slot_count, slot_count)
        self.live.reserve(self.slot_count)
        self.keys.reserve(self.slot_count)

    def build(self) -> None:
        """Enter all keys that `place` put into slots."""
        self._free = np.flatnonzero(~self.live.values[: self.slot_count])
        self._free_count = len(self._free)
        self._rebuild(len(self), by_entries=False)

    def remove(self, slots: Int64s) -> None:
        """Remove the keys of distinct, live slots."""
        if len(slots) == 0:
            return
        self._stale += len(slots)
        self.live.put(slots, False)
        self.keys.drop(slots)
        end = self._free_count + len(slots)
        if end > len(self._free):
            grown = np.empty(max(end, 2 * len(self._free)), np.int64)
            grown[: self._free_count] = self._free[: self._free_count]
            self._free = grown
        self._free[self._free_count : end] = slots
        self._free_count = end

    def freeze(self) -> FrozenIndex:
        return FrozenIndex(self._table, self.keys.freeze(), self.live.freeze(), self.slot_count)


@dataclass(slots=True)
class FrozenIndex:
    """The index as it was."""

    table: Words
    keys: FrozenKeys
    live: FrozenColumn
    slot_count: int

    def find(self, keys: Sequence[Any]) -> Int64s:
        """The slot that each key had, -1 where it was missing."""
        encoded = encode(keys)
        out = np.full(len(encoded), -1, np.int64)
        rows, slots = kernels.candidates(self.table, self.slot_count, encoded.batch)
        held = self.live.take(slots)
        if not held.all():
            rows, slots = rows[held], slots[held]
        same = same_keys(self.keys.view, slots, encoded.batch, rows)
        out[rows[same]] = slots[same]
        return out

    def slots(self) -> Int64s:
        """All slots that held a key."""
        return np.flatnonzero(self.live.between(0, self.slot_count))
