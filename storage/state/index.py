"""A vectorised hash index: key columns -> slots.

Open addressing over a table of 64-bit entries: the upper half of the key's hash, and its slot.  All rows of a batch
probe at once, in passes: those that found their key or an empty entry are done, the rest look a stride further that their
hash gives (equal strides would make clusters, and every pass has a fixed cost).  New keys claim empty entries in the same
manner: the first row of a key in the batch wins, later rows of the key find that the winner's key is theirs.  The table
doubles when it is half full, so the cost per key is amortised.

Entries of removed keys become tombstones until the table is next rebuilt; their slots are reused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .columns import BLOCK_ROWS, Column, FrozenColumn, Int64s
from .keys import FrozenKeys, Keys, KeyView, StoredKeys, Words, encode, equal

Bools = npt.NDArray[np.bool_]

_EMPTY: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOMBSTONE: Final = np.uint64(0xFFFFFFFFFFFFFFFE)
_TAG_SHIFT: Final = np.uint64(32)
_TAG: Final = np.uint64(0xFFFFFFFF00000000)
_SLOT: Final = np.uint64(0x00000000FFFFFFFF)

_CLAIM_ROWS_MIN: Final = 4096
"""Rows that may claim entries at once, at least: repeats among them are not known yet, and the table has room for all."""


def _further(at: Int64s, hashes: Words, mask: int) -> Int64s:
    """The next entries to look at; strides are odd, so all entries are looked at in turn."""
    return (at + ((hashes >> _TAG_SHIFT).view(np.int64) | 1)) & mask


def _find(
    table: Column | FrozenColumn, stored: KeyView, slot_count: int, keys: Keys, rows: Int64s | None
) -> tuple[Int64s, Int64s]:
    """The slot of each row's key (-1 if missing) and the entry at which its search ended.

    ``rows``: which rows of ``keys`` to look for; None for all.
    """
    hashes = keys.hashes if rows is None else keys.hashes[rows]
    mask = len(table) - 1
    at = hashes.view(np.int64) & mask
    if slot_count == 0:
        # Nothing was ever entered, so every search ends where it begins.
        return np.full(len(hashes), -1, np.int64), at
    # First all rows at once, without numbering them: where the entry is another key's, what is compared is of no use and
    # its result is not used.
    entries = table.take(at)
    slots = (entries & _SLOT).view(np.int64)
    # Hashes are positive, so neither an empty entry nor a tombstone has the tag of one.
    same = (entries ^ hashes) <= _SLOT
    same &= equal(stored, np.minimum(slots, slot_count - 1), keys, rows)
    if same.all():
        return slots, at
    slots[~same] = -1
    on = entries != _EMPTY
    on &= ~same
    pending = np.flatnonzero(on)
    while len(pending):
        wanted = hashes[pending]
        now = at[pending] = _further(at[pending], wanted, mask)
        entries = table.take(now)
        hit = np.flatnonzero((entries ^ wanted) <= _SLOT)
        on = entries != _EMPTY
        if len(hit):
            which = pending[hit]
            found = (entries[hit] & _SLOT).view(np.int64)
            same = equal(stored, found, keys, which if rows is None else rows[which])
            slots[which[same]] = found[same]
            on[hit[same]] = False
        pending = pending[on]
    return slots, at


def _claim(table: Column, keys: Keys, rows: Int64s, at: Int64s, slot_of: Int64s) -> Int64s:
    """Enter the keys of rows that the table lacks; ``at``: the entries where their searches ended (it is changed).

    Writes to ``slot_of`` (parallel to ``rows``) the number of the row, within ``rows``, that first has the same key, and
    to the table entries that hold these numbers.  Returns the winners' numbers, ascending.
    """
    mask = len(table) - 1
    won = np.zeros(len(rows), np.bool_)
    pending = np.arange(len(rows), dtype=np.int64)
    hashes = keys.hashes[rows]
    tags = hashes & _TAG
    while len(pending):
        places = at[pending]
        free = table.take(places) == _EMPTY
        if not free.all():
            # Rows with the same key move on together, so none of them can miss the entry that another one got.
            taken = pending[~free]
            at[taken] = _further(places[~free], hashes[taken], mask)
            trying, places = pending[free], places[free]
        else:
            trying = pending
        entries = tags[trying] | trying.view(np.uint64)
        # Backwards, because of equal places the last write stays: the first row wins.
        table.put(places[::-1], entries[::-1])
        winner = (table.take(places) & _SLOT).view(np.int64)
        mine = winner == trying
        won[trying[mine]] = True
        slot_of[trying[mine]] = trying[mine]
        lost = np.flatnonzero(~mine)
        repeat = equal(keys, rows[trying[lost]], keys, rows[winner[lost]])
        slot_of[trying[lost[repeat]]] = winner[lost[repeat]]
        further = trying[lost[~repeat]]
        at[further] = _further(at[further], hashes[further], mask)
        pending = further if free.all() else np.sort(np.concatenate((further, taken)))
    return np.flatnonzero(won)


def _capacity(keys: int) -> int:
    """Entries of a table for so many keys: at most half full, and at least a block."""
    return max(BLOCK_ROWS, 1 << (2 * keys - 1).bit_length()) if keys else BLOCK_ROWS


def factorize(keys: Sequence[Any]) -> tuple[Int64s, Int64s]:
    """Group rows by key (parallel Arrow arrays; nulls are values), without a store.

    Returns:
        the dense group number of each row, numbered in order of first occurrence, and each group's first row.
    """
    encoded = encode(keys)
    rows = np.arange(len(encoded), dtype=np.int64)
    table = Column(np.uint64, _EMPTY, _capacity(len(rows)))
    at = (encoded.hashes & np.uint64(len(table) - 1)).view(np.int64)
    first = np.empty(len(rows), np.int64)
    firsts = _claim(table, encoded, rows, at, first)
    numbers = np.empty(len(rows), np.int64)
    numbers[firsts] = np.arange(len(firsts), dtype=np.int64)
    return numbers[first], firsts


class HashIndex:
    """Keys -> slots, from 0 on; slots of removed keys are reused, the latest first."""

    def __init__(self, schema: pa.Schema) -> None:
        self.keys = StoredKeys(schema)
        self.live = Column(np.bool_, False)
        """bool by slot: it holds a key."""
        self._hashes = Column(np.uint64)
        self._table = Column(np.uint64, _EMPTY, BLOCK_ROWS)
        self._free = np.zeros(0, np.int64)
        self._tombstones = 0
        self.slot_count = 0
        """Slots ever given out; all are below."""

    def __len__(self) -> int:
        return self.slot_count - len(self._free)

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.live.nbytes + self._hashes.nbytes + self._table.nbytes + self._free.nbytes

    def find(self, keys: Sequence[Any]) -> Int64s:
        """The slot of each key, -1 where it is missing."""
        return _find(self._table, self.keys.view(), self.slot_count, encode(keys), None)[0]

    def insert(self, keys: Sequence[Any]) -> tuple[Int64s, Bools]:
        """The slot of each key, given a new one if it was missing; and where a new key occurs first."""
        encoded = encode(keys)
        slots, at = _find(self._table, self.keys.view(), self.slot_count, encoded, None)
        is_new = np.zeros(len(slots), np.bool_)
        missing = np.flatnonzero(slots < 0)
        at = at[missing]
        while len(missing):
            # New keys are entered by and by, lest many repeats of few keys make the table grow.
            chunk = missing[: max(_CLAIM_ROWS_MIN, len(self))]
            if self._reserve(len(chunk)):
                at = _find(self._table, self.keys.view(), self.slot_count, encoded, chunk)[1]
            else:
                at = at[: len(chunk)]
            slots[chunk], fresh = self._enter(encoded, chunk, at)
            is_new[chunk[fresh]] = True
            missing = missing[len(chunk) :]
            if len(missing):
                slots[missing], at = _find(self._table, self.keys.view(), self.slot_count, encoded, missing)
                still = slots[missing] < 0
                missing, at = missing[still], at[still]
        return slots, is_new

    def _enter(self, encoded: Keys, rows: Int64s, at: Int64s) -> tuple[Int64s, Int64s]:
        """Give rows whose keys are missing their slots; returns these and which of the rows came first with a key."""
        first = np.empty(len(rows), np.int64)
        firsts = _claim(self._table, encoded, rows, at, first)
        new = self._allocate(len(firsts))
        hashes = encoded.hashes[rows[firsts]]
        self._table.put(at[firsts], (hashes & _TAG) | new.view(np.uint64))
        self._hashes.put(new, hashes)
        self.keys.put(new, encoded, rows[firsts])
        self.live.put(new, True)
        slots = np.empty(len(rows), np.int64)
        slots[firsts] = new
        return slots[first], firsts

    def _allocate(self, count: int) -> Int64s:
        reused = min(count, len(self._free))
        slots = np.empty(count, np.int64)
        if reused:
            slots[:reused] = self._free[len(self._free) - reused :][::-1]
            self._free = self._free[: len(self._free) - reused]
        fresh = count - reused
        slots[reused:] = np.arange(self.slot_count, self.slot_count + fresh)
        self.reserve(self.slot_count + fresh)
        return slots

    def _reserve(self, more: int) -> bool:
        """Make room for more keys; true if the table was rebuilt."""
        wanted = _capacity(len(self) + more)
        if wanted <= len(self._table) and (len(self) + self._tombstones + more) * 4 <= 3 * len(self._table):
            return False
        self._rebuild(max(wanted, len(self._table)))
        return True

    def _rebuild(self, capacity: int) -> None:
        """Enter all live slots into a new table of so many entries."""
        table = np.full(capacity, _EMPTY, np.uint64)
        slots = np.flatnonzero(self.live.values[: self.slot_count])
        hashes = self._hashes.take(slots)
        at = (hashes & np.uint64(capacity - 1)).view(np.int64)
        entries = (hashes & _TAG) | slots.view(np.uint64)
        while len(at):
            free = table.take(at) == _EMPTY
            table[at[free]] = entries[free]
            lost = np.flatnonzero(table.take(at) != entries)
            entries = entries[lost]
            at = _further(at[lost], entries, capacity - 1)
        self._table.replace(table)
        self._tombstones = 0

    # Recovery: slots are given, and the table is built once all are

    def place(self, slots: Int64s, keys: Sequence[Any]) -> None:
        """Put keys that are not held into distinct, free slots.  Trap: nothing is found before `build`."""
        if len(slots) == 0:
            return
        encoded = encode(keys)
        self.reserve(int(slots.max()) + 1)
        self._hashes.put(slots, encoded.hashes)
        self.keys.put(slots, encoded, np.arange(len(slots), dtype=np.int64))
        self.live.put(slots, True)

    def vacate(self, slots: Int64s) -> None:
        """Free distinct, live slots.  Trap: as with `place`."""
        self.live.put(slots, False)
        self.keys.drop(slots)

    def reserve(self, slot_count: int) -> None:
        """Count slots up to here as given out."""
        self.slot_count = max(self.slot_count, slot_count)
        self.live.reserve(self.slot_count)
        self._hashes.reserve(self.slot_count)
        self.keys.reserve(self.slot_count)

    def build(self) -> None:
        """Enter all that was placed."""
        self._free = np.flatnonzero(~self.live.values[: self.slot_count])
        self._rebuild(_capacity(len(self)))

    def remove(self, slots: Int64s) -> None:
        """Forget the keys of distinct, live slots."""
        if len(slots) == 0:
            return
        hashes = self._hashes.take(slots)
        entries = (hashes & _TAG) | slots.view(np.uint64)
        at = (hashes & np.uint64(len(self._table) - 1)).view(np.int64)
        pending = np.arange(len(slots), dtype=np.int64)
        while len(pending):
            miss = self._table.take(at[pending]) != entries[pending]
            pending = pending[miss]
            at[pending] = _further(at[pending], hashes[pending], len(self._table) - 1)
        self._table.put(at, _TOMBSTONE)
        self._tombstones += len(slots)
        self.live.put(slots, False)
        self.keys.drop(slots)
        self._free = np.concatenate((self._free, slots))

    def freeze(self) -> FrozenIndex:
        return FrozenIndex(self._table.freeze(), self.keys.freeze(), self.live.freeze(), self.slot_count)


@dataclass(slots=True)
class FrozenIndex:
    """The index as it was."""

    table: FrozenColumn
    keys: FrozenKeys
    live: FrozenColumn
    slot_count: int

    def find(self, keys: Sequence[Any]) -> Int64s:
        return _find(self.table, self.keys.view, self.slot_count, encode(keys), None)[0]

    def slots(self) -> Int64s:
        """All that hold a key."""
        return np.flatnonzero(self.live.head(self.slot_count))
