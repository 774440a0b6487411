"""TOPK and TOPKDISTINCT: the largest values of each group."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.top import top_rows
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Segments
from ...storage.values.canonical import canonical
from .. import types as t
from .aggregate_objects import ObjectAggregator
from .aggregate_values import Codec, mask_of_nulls, to_objects

_NAN = -(2**63)
"""The key of NaN among DOUBLEs, below those of all numbers."""


class TopK(ObjectAggregator):
    """TOPK: the k largest values, largest first; equal ones stay in order of arrival.  NULL is skipped.

    With further columns each item is a STRUCT of the value (``sort_col``) and those columns (``col0``, ..).
    With ``distinct`` a value that is there already is skipped (TOPKDISTINCT).

    Of the rows of a step only those that are among the k largest of their group's in the step can get into its state, and
    only they become Python values.
    """

    def __init__(self, type_: t.SqlType, k: int, others: Sequence[t.SqlType] = (), *, distinct: bool = False) -> None:
        self._k = k
        self._distinct = distinct
        self.picks_from = 1
        self._codec = Codec(type_)
        self._names = ["sort_col", *(f"col{i}" for i in range(len(others)))] if others else []
        item = t.to_arrow(type_)
        if others:
            item = pa.struct([pa.field(n, t.to_arrow(o)) for n, o in zip(self._names, (type_, *others))])
        objects = (lambda values: to_objects(canonical(values))) if distinct else to_objects
        super().__init__(pa.list_(item), pa.list_(item), [], objects)

    def chosen(self, segments: Segments, arguments: Sequence[Any]) -> Int64s | None:
        keys, seen = self._descending(arguments[0]), ~mask_of_nulls(arguments[0])
        if self._distinct:
            seen = _first_of_equals(segments, keys, np.flatnonzero(seen))
        return top_rows(segments.groups, segments.count, keys, seen, self._k)

    def _descending(self, values: Any) -> Int64s:
        """Numbers that fall where values rise: `_NAN` for NaN, which is above all numbers, and the same for both zeros."""
        if not self._codec.fixed:
            ranks = pc.rank(values, sort_keys="descending", tiebreaker="dense")
            return np.asarray(ranks.to_numpy(zero_copy_only=False)).astype(np.int64)
        numbers = self._codec.decode(values)
        if numbers.dtype != np.float64:
            whole: Int64s = ~numbers.astype(np.int64)
            return whole
        bits = (numbers + 0.0).view(np.int64)
        rising = np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)
        falling: Int64s = np.where(np.isnan(numbers), _NAN, ~rising)
        return falling

    def _sort_value(self, item: Any) -> Any:
        return _Descending(item["sort_col"] if self._names else item)

    def open(self, state: Any) -> Any:
        return list(state)

    def add(self, working: Any, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        for values in zip(*columns):
            if values[0] is not None:
                self._insert(working, dict(zip(self._names, values)) if self._names else values[0])

    def _insert(self, working: list[Any], item: Any) -> None:
        if len(working) == self._k:
            lowest, value = (working[-1]["sort_col"], item["sort_col"]) if self._names else (working[-1], item)
            if value <= lowest or lowest != lowest:  # the first is false for NaN, which goes on, unless all are NaN
                return
        if self._distinct and any(item == other or (item != item and other != other) for other in working):
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


def _first_of_equals(segments: Segments, keys: Int64s, rows: Int64s) -> Bools:
    """bool[n]: which of ``rows`` (ascending) have a key that none of these before them in their group has."""
    ranked = rows[np.lexsort((keys[rows], segments.groups[rows]))]  # equal ones in order of arrival
    fresh = np.ones(len(ranked), np.bool_)
    keys, groups = keys[ranked], segments.groups[ranked]
    fresh[1:] = (keys[1:] != keys[:-1]) | (groups[1:] != groups[:-1])
    first = np.zeros(len(segments.groups), np.bool_)
    first[ranked[fresh]] = True
    return first


class _Descending:
    """Turns an order around; NaN is above all numbers."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        if self.value != self.value:
            return bool(other.value == other.value)
        return bool(other.value < self.value)
