"""Finds the slots that have expired without scanning the store.

Every write adds a run of (value, slot).  Neighbouring runs of similar size are merged, without entries whose slot has
another value by now.  A run is sorted when something in it may have expired, and expired entries are cut off its front.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .columns import Int64s


class _Run:
    __slots__ = ("low", "slots", "sorted", "values")

    def __init__(self, values: Int64s, slots: Int64s) -> None:
        self.values = values
        self.slots = slots
        self.sorted = False
        self.low = int(values.min())

    def cut(self, before: int) -> Int64s:
        """Remove and return the slots of values below ``before``."""
        if not self.sorted:
            order = np.argsort(self.values, kind="stable")
            self.values, self.slots, self.sorted = self.values[order], self.slots[order], True
        end = int(np.searchsorted(self.values, before))
        due = self.slots[:end]
        self.values, self.slots = self.values[end:], self.slots[end:]
        if len(self.values):
            self.low = int(self.values[0])
        return due


class ExpiryQueue:
    """The queue of slots by value.  ``current(slots)`` gives the present value of each slot (anything for a free one)."""

    def __init__(self, current: Callable[[Int64s], Int64s]) -> None:
        self._current = current
        self._runs: list[_Run] = []

    @property
    def nbytes(self) -> int:
        return sum(r.values.nbytes + r.slots.nbytes for r in self._runs)

    def add(self, slots: Int64s, values: Int64s) -> None:
        if len(slots) == 0:
            return
        runs = self._runs
        runs.append(_Run(values.copy(), slots.copy()))
        while len(runs) > 1 and len(runs[-2].slots) < 2 * len(runs[-1].slots):
            b, a = runs.pop(), runs.pop()
            both = np.concatenate((a.slots, b.slots))
            values = np.concatenate((a.values, b.values))
            now = self._current(both) == values
            if now.any():
                runs.append(_Run(values[now], both[now]))

    def due(self, before: int) -> Int64s:
        """Remove and return candidates: slots that had a value below ``before`` and may have another one now."""
        parts = [run.cut(before) for run in self._runs if run.low < before]
        if not parts:
            return np.zeros(0, np.int64)
        self._runs = [run for run in self._runs if len(run.slots)]
        return np.concatenate(parts)

    def clear(self) -> None:
        self._runs.clear()
