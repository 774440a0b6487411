"""Rows by key and time: finds them by ranges of time, and joins them in order (source/intervals.cpp)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["Chains", "Coming", "Pairs", "join"]

Int64s = npt.NDArray[np.int64]

_link = function("interval_link", "-", "ppii")
_find = function("interval_find", "i", "ppppp" + "i" + "ppp" + "i")
_join = function("interval_join", "i", "p")
_compact = function("interval_compact", "i", "pii" + "ppp")

_ENTRY: Final = np.dtype([("time", "i8"), ("next", "u4"), ("jump", "u4"), ("depth", "u4"), ("slot", "u4")])
_NONE: Final = (1 << 32) - 1
_ENTRIES_MAX: Final = _NONE
_ROWS_MIN: Final = 256
_QUICK_BYTES_MAX: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Pairs:
    """Matches, int64[n] each: the queries, ascending, and the entries found, by time and then by order of arrival."""

    queries: Int64s
    entries: Int64s


def grown_to(rows: int, before: int, width: int) -> int:
    """The capacity, in rows, to allocate when ``rows`` are needed.

    Memory that was never written costs nothing, but each copy touches what it copies.  So capacity grows fourfold, and
    beyond a gigabyte twofold.
    """
    return max(rows, (4 if before * width < _QUICK_BYTES_MAX else 2) * before, _ROWS_MIN)


class Chains:
    """Entries with a slot and a time, numbered from 0 in the order in which they are added.

    The times and slots of existing entries do not change, so callers may keep arrays of them while others are added.

    Attributes:
        used: the number of entries.
    """

    def __init__(self) -> None:
        self.used = 0
        self._entries: npt.NDArray[Any] = np.empty(0, _ENTRY)
        self._heads: npt.NDArray[np.uint32] = np.empty(0, np.uint32)

    @property
    def nbytes(self) -> int:
        """Memory that has been written, in bytes."""
        return int(self.used * self._entries.itemsize + self._heads.nbytes)

    @property
    def times(self) -> Int64s:
        """int64[used], not contiguous: the time of each entry."""
        times: Int64s = self._entries["time"][: self.used]
        return times

    @property
    def slots(self) -> npt.NDArray[np.uint32]:
        """uint32[used], not contiguous: the slot of each entry."""
        slots: npt.NDArray[np.uint32] = self._entries["slot"][: self.used]
        return slots

    def add(self, slots: Int64s, times: Int64s) -> int:
        """Add entries; returns the number of the first.  `find` does not see them before `link`.

        Raises:
            InternalError: a slot is negative.
        """
        n, first = len(slots), self.used
        if n == 0:
            return first
        if int(slots.min()) < 0 or first + n > _ENTRIES_MAX:
            raise InternalError(f"{n} entries cannot be added to {first}")
        if first + n > len(self._entries):
            grown = np.empty(grown_to(first + n, len(self._entries), _ENTRY.itemsize), _ENTRY)
            grown[:first] = self._entries[:first]
            self._entries = grown
        most = int(slots.max())
        if most >= len(self._heads):
            heads = np.full(max(most + 1, 2 * len(self._heads), _ROWS_MIN), _NONE, np.uint32)
            heads[: len(self._heads)] = self._heads
            self._heads = heads
        self._entries["time"][first : first + n] = times
        self._entries["slot"][first : first + n] = slots
        self.used += n
        return first

    def link(self, first: int, count: int) -> None:
        """Let `find` see entries, in their order."""
        if count:
            if not 0 <= first <= first + count <= self.used:
                raise InternalError(f"there are no entries {first} to {first + count - 1}")
            entries, heads = self._addresses()
            _link(entries, heads, first, count)

    def find(self, slots: Int64s, low: Int64s, high: Int64s) -> Pairs:
        """Find the entries of each query's slot (-1: none) with times from ``low`` to ``high``, both included."""
        n = len(slots)
        slots, low, high = (np.ascontiguousarray(a, np.int64) for a in (slots, low, high))
        self.check(slots)
        state = np.zeros(2, np.int64)
        pairs = _Room(n)
        while True:
            full = _find(
                *self._addresses(),
                *(address(a, np.int64, n) for a in (slots, low, high)),
                n,
                state.ctypes.data,
                *pairs.addresses,
                pairs.room,
            )
            if not full:
                return pairs.first(int(state[1]))
            pairs.grow()

    def check(self, slots: Int64s) -> None:
        """Check slots.  Raises: InternalError, if one is beyond the slots of all entries."""
        if len(slots) and (int(slots.max()) >= len(self._heads) or int(slots.min()) < -1):
            raise InternalError("a slot is asked for that no entry had")

    def compact(self, expired: int) -> tuple[Int64s, Int64s]:
        """Remove the entries with times up to ``expired``, and number the others anew.

        Returns:
            the old numbers of the remaining entries, and the slots without any entries now, ascending.
        """
        fresh, kept = np.empty(self.used, _ENTRY), np.empty(self.used, np.int64)
        held = self._heads != _NONE
        self._heads.fill(_NONE)
        entries, heads = self._addresses()
        count = _compact(entries, self.used, expired, fresh.ctypes.data, heads, kept.ctypes.data)
        self._entries, self.used = fresh[:count].copy(), count
        return kept[:count].copy(), np.flatnonzero(held & (self._heads == _NONE))

    def _addresses(self) -> tuple[int, int]:
        return address(self._entries, _ENTRY, self.used, write=True), address(self._heads, np.uint32, 0, write=True)


class _Room:
    """Growing arrays for pairs."""

    def __init__(self, room: int) -> None:
        self.room = room + _ROWS_MIN
        self._arrays = [np.empty(self.room, np.int64) for _ in range(2)]

    @property
    def addresses(self) -> tuple[int, int]:
        queries, entries = self._arrays
        return address(queries, np.int64, self.room, write=True), address(entries, np.int64, self.room, write=True)

    def grow(self) -> None:
        grown = [np.empty(4 * self.room, np.int64) for _ in range(2)]
        for to, held in zip(grown, self._arrays, strict=True):
            to[: self.room] = held
        self.room, self._arrays = 4 * self.room, grown

    def first(self, count: int) -> Pairs:
        queries, entries = self._arrays
        if 4 * count < self.room:
            return Pairs(queries[:count].copy(), entries[:count].copy())
        return Pairs(queries[:count], entries[:count])


@dataclass(frozen=True, slots=True)
class Coming:
    """The rows of one side in a step of a join, int64[n] each.

    Attributes:
        chains: the side's entries; those of these rows are added, but not linked.
        places: the order in which the rows come; ascending, and distinct over both sides.
        entries: the entry of each row, -1 if it is not kept; ascending.
        slots: the slot of each row's key in the other side's chains; -1 if it has none there.
        low, high: the range of times, both included, in which a row finds rows of the other side.
    """

    chains: Chains
    places: Int64s
    entries: Int64s
    slots: Int64s
    low: Int64s
    high: Int64s


def join(sides: Sequence[Coming]) -> tuple[Pairs, Pairs]:
    """Join the rows one after the other, in the order of places: each finds entries of the other side, then its own entry is
    linked.

    Returns:
        the matches of the rows of each side.
    """
    pairs = [_Room(len(side.places)) for side in sides]
    table = np.zeros((2, 13), np.int64)
    columns = []
    for own, other in zip(sides, reversed(sides)):
        n = len(own.places)
        other.chains.check(own.slots)
        if n and not -1 <= int(own.entries.min()) <= int(own.entries.max()) < own.chains.used:
            raise InternalError("a row has an entry that is not there")
        columns.append([np.ascontiguousarray(c, np.int64) for c in (own.places, own.entries, own.slots, own.low, own.high)])
    for side, own in enumerate(sides):
        n = len(own.places)
        table[side, :3] = (*own.chains._addresses(), n)
        table[side, 3:8] = [address(c, np.int64, n) for c in columns[side]]
        table[side, 8:11] = (*pairs[side].addresses, pairs[side].room)
    while (full := _join(table.ctypes.data)) >= 0:
        pairs[full].grow()
        table[full, 8:11] = (*pairs[full].addresses, pairs[full].room)
    return pairs[0].first(int(table[0, 12])), pairs[1].first(int(table[1, 12]))
