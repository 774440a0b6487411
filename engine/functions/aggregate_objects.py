"""The aggregates whose states are collections: one Python object per group, replaced and never changed in place.

Each is an `ObjectAggregator` with the few lines that differ: how a state opens into something changeable, what a row does
to it, how it closes again, and what of it is the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...runtime.batch import Bools
from ...runtime.kernel import Segments, State, StateField
from .. import types as t
from .aggregate_values import from_objects, hashable, object_array, plain_type, to_objects

HISTOGRAM_KEYS_MAX: Final = 1000
"""Distinct values a HISTOGRAM counts, as in ksqlDB; later ones are left out."""


class ObjectAggregator(ABC):
    """The loop over groups and rows.

    Subclasses work with Python values as `to_objects` gives them.
    """

    can_undo = False
    can_merge = True
    nested_state = True

    def __init__(self, result_type: Any, state_type: Any, initial: Any) -> None:
        self.result_type = result_type
        self.fields: tuple[StateField, ...] = (StateField("STATE", np.dtype(object), plain_type(state_type), initial),)

    # What differs

    @abstractmethod
    def open(self, state: Any) -> Any:
        """A changeable copy of a state."""

    @abstractmethod
    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        """Take a row in; ``sequence`` is its number in the life of the operator."""

    def take_back(self, working: Any, values: Sequence[Any]) -> None:
        raise ValueError(f"{type(self).__name__} cannot take rows back")

    @abstractmethod
    def close(self, working: Any) -> Any:
        """The state; later changes to ``working`` must not show in it."""

    @abstractmethod
    def merge_one(self, left: Any, right: Any) -> Any:
        """The state of two merged sessions."""

    def value(self, state: Any) -> Any:
        """What a state's result is."""
        return state

    # The contract of Aggregator

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        rows = list(zip(*map(to_objects, arguments)))
        taken = None if undo is None else undo.tolist()
        order = segments.order.tolist()
        bounds = [*segments.starts.tolist(), len(order)]
        final: list[Any] = []
        running: list[Any] = [None] * len(rows) if every else []
        for group, initial in enumerate(state[0].tolist()):
            working = self.open(initial)
            for row in order[bounds[group] : bounds[group + 1]]:
                if taken is not None and taken[row]:
                    self.take_back(working, rows[row])
                else:
                    self.add(working, rows[row], segments.sequence + row)
                if every:
                    running[row] = self.close(working)
            final.append(self.close(working))
        return [object_array(final)], [object_array(running)] if every else None

    def merge(self, left: State, right: State) -> State:
        return [object_array([self.merge_one(a, b) for a, b in zip(left[0].tolist(), right[0].tolist())])]

    def result(self, state: State) -> Any:
        return from_objects([self.value(s) for s in state[0].tolist()], self.result_type)


class CollectList(ObjectAggregator):
    """COLLECT_LIST: all values in order, NULL too, up to ``limit``; taking back removes the last equal item."""

    can_undo = True

    def __init__(self, type_: t.SqlType, limit: int | None = None) -> None:
        result = pa.list_(t.to_arrow(type_))
        super().__init__(result, result, [])
        self._type = type_
        self._limit = limit

    def limited(self, limit: int) -> CollectList:
        """The same, stopping at ``limit`` items."""
        return CollectList(self._type, limit)

    def open(self, state: Any) -> Any:
        return list(state)

    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        if self._limit is None or len(working) < self._limit:
            working.append(values[0])

    def take_back(self, working: Any, values: Sequence[Any]) -> None:
        wanted = hashable(values[0])
        for i in range(len(working) - 1, -1, -1):
            if hashable(working[i]) == wanted:
                del working[i]
                return

    def close(self, working: Any) -> Any:
        return working.copy()

    def merge_one(self, left: Any, right: Any) -> Any:
        return [*left, *right][: self._limit]


class CollectSet(ObjectAggregator):
    """COLLECT_SET: each value once, in the order of first sight, NULL too, up to ``limit``."""

    def __init__(self, type_: t.SqlType, limit: int | None = None) -> None:
        result = pa.list_(t.to_arrow(type_))
        super().__init__(result, result, [])
        self._type = type_
        self._limit = limit

    def limited(self, limit: int) -> CollectSet:
        """The same, stopping at ``limit`` items."""
        return CollectSet(self._type, limit)

    def open(self, state: Any) -> Any:
        return {hashable(v): v for v in state}

    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        if self._limit is None or len(working) < self._limit:
            working.setdefault(hashable(values[0]), values[0])

    def close(self, working: Any) -> Any:
        return list(working.values())

    def merge_one(self, left: Any, right: Any) -> Any:
        working = self.open(left)
        for value in right:
            self.add(working, (value,), 0)
        return self.close(working)


class TopK(ObjectAggregator):
    """TOPK: the k largest values, largest first; equal ones stay in order of arrival.  NULL is skipped.

    With further columns each item is a STRUCT of the value (``sort_col``) and those columns (``col0``, ..).
    With ``distinct`` a value that is there already is skipped (TOPKDISTINCT).
    """

    def __init__(self, type_: t.SqlType, k: int, others: Sequence[t.SqlType] = (), *, distinct: bool = False) -> None:
        self._k = k
        self._distinct = distinct
        self._names = ["sort_col", *(f"col{i}" for i in range(len(others)))] if others else []
        item = t.to_arrow(type_)
        if others:
            item = pa.struct([pa.field(n, t.to_arrow(o)) for n, o in zip(self._names, (type_, *others))])
        super().__init__(pa.list_(item), pa.list_(item), [])

    def _sort_value(self, item: Any) -> Any:
        return _Descending(item["sort_col"] if self._names else item)

    def open(self, state: Any) -> Any:
        return list(state)

    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        if values[0] is not None:
            self._insert(working, dict(zip(self._names, values)) if self._names else values[0])

    def _insert(self, working: list[Any], item: Any) -> None:
        if len(working) == self._k:
            lowest, value = (working[-1]["sort_col"], item["sort_col"]) if self._names else (working[-1], item)
            if value <= lowest:  # false for NaN, which goes on
                return
        if self._distinct and item in working:
            return
        place = bisect_right(working, self._sort_value(item), key=self._sort_value)
        if place < self._k:
            working.insert(place, item)
            del working[self._k :]

    def close(self, working: Any) -> Any:
        return working.copy()

    def merge_one(self, left: Any, right: Any) -> Any:
        working = list(left)
        for item in right:
            self._insert(working, item)
        return working


class _Descending:
    """Turns an order around; NaN is above all numbers."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        if self.value != self.value:
            return bool(other.value == other.value)
        return bool(other.value < self.value)


class Histogram(ObjectAggregator):
    """HISTOGRAM: how often each text occurred, for the first 1000 different ones.  NULL is skipped."""

    can_undo = True

    def __init__(self) -> None:
        result = pa.map_(pa.string(), pa.int64())
        super().__init__(result, result, [])

    def open(self, state: Any) -> Any:
        return dict(state)

    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        self._count(working, values[0], 1)

    def _count(self, working: dict[str, int], key: str | None, times: int) -> None:
        if key is not None and (key in working or len(working) < HISTOGRAM_KEYS_MAX):
            working[key] = working.get(key, 0) + times

    def take_back(self, working: Any, values: Sequence[Any]) -> None:
        key = values[0]
        if key in working:
            working[key] -= 1
            if working[key] == 0:
                del working[key]

    def close(self, working: Any) -> Any:
        return list(working.items())

    def merge_one(self, left: Any, right: Any) -> Any:
        working = dict(left)
        for key, count in right:
            self._count(working, key, count)
        return self.close(working)


class Attr(ObjectAggregator):
    """ATTR: the value if all rows (NULL is a value here) agree on it, else NULL."""

    can_undo = True

    def __init__(self, type_: t.SqlType) -> None:
        value = t.to_arrow(type_)
        super().__init__(value, pa.list_(pa.struct([("VALUE", value), ("COUNT", pa.int64())])), [])

    def open(self, state: Any) -> Any:
        return {hashable(entry["VALUE"]): [entry["VALUE"], entry["COUNT"]] for entry in state}

    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        working.setdefault(hashable(values[0]), [values[0], 0])[1] += 1

    def take_back(self, working: Any, values: Sequence[Any]) -> None:
        key = hashable(values[0])
        entry = working.get(key)
        if entry is not None:
            entry[1] -= 1
            if entry[1] == 0:
                del working[key]

    def close(self, working: Any) -> Any:
        return [{"VALUE": value, "COUNT": count} for value, count in working.values()]

    def merge_one(self, left: Any, right: Any) -> Any:
        working = self.open(left)
        for entry in right:
            working.setdefault(hashable(entry["VALUE"]), [entry["VALUE"], 0])[1] += entry["COUNT"]
        return self.close(working)

    def value(self, state: Any) -> Any:
        return state[0]["VALUE"] if len(state) == 1 else None


class SomeByOffset(ObjectAggregator):
    """EARLIEST_BY_OFFSET and LATEST_BY_OFFSET of n values: the first or last n in processing order, earliest first."""

    def __init__(self, type_: t.SqlType, n: int, *, latest: bool, ignore_nulls: bool) -> None:
        value = t.to_arrow(type_)
        super().__init__(pa.list_(value), pa.list_(pa.struct([("SEQUENCE", pa.int64()), ("VALUE", value)])), [])
        self._n = n
        self._latest = latest
        self._ignore_nulls = ignore_nulls

    def open(self, state: Any) -> Any:
        return list(state)

    def add(self, working: Any, values: Sequence[Any], sequence: int) -> None:
        if values[0] is None and self._ignore_nulls:
            return
        if len(working) < self._n or self._latest:
            working.append({"SEQUENCE": sequence, "VALUE": values[0]})
            del working[: len(working) - self._n]

    def close(self, working: Any) -> Any:
        return working.copy()

    def merge_one(self, left: Any, right: Any) -> Any:
        both = sorted([*left, *right], key=lambda entry: entry["SEQUENCE"])
        return both[max(len(both) - self._n, 0) :] if self._latest else both[: self._n]

    def value(self, state: Any) -> Any:
        return [entry["VALUE"] for entry in state]
