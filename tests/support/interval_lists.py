"""The oracle of `kernels/intervals.py`: lists of entries, looked through one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Entry = tuple[int, int, int]
"""Time, number, slot."""


@dataclass
class IntervalLists:
    """What `Chains` holds."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, slot: int, time: int) -> None:
        """Add an entry, which gets the next number."""
        self.entries.append((time, len(self.entries), slot))

    def find(self, slot: int, low: int, high: int) -> list[int]:
        """The numbers of a slot's entries from ``low`` to ``high``, by time, then number."""
        return [number for time, number, own in sorted(self.entries) if own == slot and low <= time <= high]

    def compact(self, expired: int) -> list[int]:
        """Forget entries up to ``expired``; the old numbers of the others, which are numbered anew."""
        kept = [entry for entry in self.entries if entry[0] > expired]
        self.entries = [(time, number, slot) for number, (time, _, slot) in enumerate(kept)]
        return [number for _, number, _ in kept]


@dataclass(frozen=True)
class Row:
    """A row of a side: its slot on its own side, whether it is kept, and what it asks for of the other one."""

    slot: int
    time: int
    kept: bool
    asked: int
    low: int
    high: int


def join(lists: Sequence[IntervalLists], rows: Sequence[tuple[int, Row]]) -> tuple[list[tuple[int, int]], ...]:
    """Rows, each with its side, one after the other: pairs of the row's number on its side and an entry of the other."""
    pairs: tuple[list[tuple[int, int]], ...] = ([], [])
    counts = [0, 0]
    for side, row in rows:
        pairs[side].extend((counts[side], n) for n in lists[1 - side].find(row.asked, row.low, row.high))
        counts[side] += 1
        if row.kept:
            lists[side].add(row.slot, row.time)
    return pairs
