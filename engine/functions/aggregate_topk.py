"""TOPK and TOPKDISTINCT: the largest values of each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.gathering import Later, gather, references, take
from ...kernels.top import top_rows, top_running
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Segments, State, StateField
from ...storage.values.canonical import canonical
from .. import types as t
from .aggregate_values import Codec, mask_of_nulls, plain_type
from .aggregator_base import AggregatorBase

_NAN = -(2**63)
"""The key of NaN among DOUBLEs.  It is below the keys of all numbers."""


@dataclass(frozen=True, slots=True)
class _Items:
    """The items of lists, one list after the other.

    Attributes:
        sizes: int64[lists], the length of each list.
        items: an array of the state's item type.
    """

    sizes: Int64s
    items: Any


class TopK(AggregatorBase):
    """TOPK: the k largest values, the largest first.  Equal values are in order of arrival.  NULL is skipped.

    With further columns, each item is a STRUCT of the value (``sort_col``) and those columns (``col0``, ..).  ``distinct``
    (TOPKDISTINCT) skips a value that is there already.

    The state is a list of items.  Each value has a number as its key, which falls as values rise.  The new state is chosen
    by these keys among its items and the rows of a step, and only the chosen items are gathered.
    """

    nested_state = True

    def __init__(self, type_: t.SqlType, k: int, others: Sequence[t.SqlType] = (), *, distinct: bool = False) -> None:
        self._k = k
        self._distinct = distinct
        self.picks_from = 1
        self._codec = Codec(type_)
        self._names = ["sort_col", *(f"col{i}" for i in range(len(others)))] if others else []
        item = t.to_arrow(type_)
        if others:
            item = pa.struct([pa.field(n, t.to_arrow(o)) for n, o in zip(self._names, (type_, *others))])
        self.result_type = pa.list_(item)
        self._type = plain_type(self.result_type)
        self.fields = (StateField("STATE", np.dtype(object), self._type, None, True),)

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        held = self._items(state[0])
        values = _one(arguments[0])
        if self._distinct:
            values = canonical(values)
        values = self._plain(values, 0)
        if every:
            return self._after_each_row(held, [values, *arguments[1:]], segments)
        own, rows = self._values(held.items), np.arange(len(values), dtype=np.int64)
        if not self._distinct:  # a row that is not among the largest of its step cannot be among the largest of all
            seen = ~mask_of_nulls(values) if values.null_count else None
            rows = top_rows(segments.groups, segments.count, self._falling(values), seen, self._k)
        fresh = values if self._distinct else take(values, rows)
        groups = np.concatenate((np.repeat(np.arange(segments.count, dtype=np.int64), held.sizes), segments.groups[rows]))
        marked = np.concatenate((np.ones(len(own), np.bool_), ~mask_of_nulls(fresh)))
        sizes, best = self._best(groups, segments.count, self._falling(pa.concat_arrays([own, fresh])), marked)
        new = best >= len(own)
        rows = rows[best[new] - len(own)]
        places = best.copy()
        places[new] = references(1, np.arange(len(rows), dtype=np.int64))
        return [self._lists(sizes, [held.items, self._made(values, arguments[1:], rows)], places)], None

    def _after_each_row(self, held: _Items, columns: State, segments: Segments) -> tuple[State, State | None]:
        values, *others = columns
        own = self._values(held.items)
        keys = self._falling(pa.concat_arrays([own, values]))
        found = top_running(
            (held.sizes, keys[: len(own)]),
            segments.groups,
            keys[len(own) :],
            ~mask_of_nulls(values),
            self._k,
            distinct=self._distinct,
        )
        fresh = self._made(values, [_one(a) for a in others], None)
        final = self._lists(found.sizes, [held.items, fresh], _places(found.final, len(own)))
        running = self._array(found.ends, [held.items, fresh], _places(found.rows, len(own)))
        return [final], [running]

    def merge(self, left: State, right: State) -> State:
        parts = [self._items(left[0]), self._items(right[0])]
        count = len(parts[0].sizes)
        numbers = np.arange(count, dtype=np.int64)
        groups = np.concatenate([np.repeat(numbers, part.sizes) for part in parts])
        keys = self._falling(pa.concat_arrays([self._values(part.items) for part in parts]))
        sizes, best = self._best(groups, count, keys, np.ones(len(keys), np.bool_))
        return [self._lists(sizes, [part.items for part in parts], _places(best, len(parts[0].items)))]

    def result(self, state: State) -> Any:
        held = state[0]
        if held.null_count:
            own = self._items(held)
            held = self._lists(own.sizes, [own.items], np.arange(len(own.items), dtype=np.int64))
        return held if held.type == self.result_type else held.cast(self.result_type)

    def _best(self, groups: Int64s, count: int, keys: Int64s, marked: Bools) -> tuple[Int64s, Int64s]:
        """Choose the rows that each group keeps.

        Returns:
            the number of rows for each group, and the rows, by group and then in the order of the list.
        """
        if self._distinct:
            marked = _first_of_equals(groups, keys, np.flatnonzero(marked))
        kept = top_rows(groups, count, keys, marked, self._k)
        own = groups[kept]
        return np.bincount(own, minlength=count), kept[np.lexsort((keys[kept], own))]

    def _items(self, lists: Any) -> _Items:
        """The items of all lists.  A null counts as an empty list."""
        if not len(lists):
            return _Items(np.zeros(0, np.int64), pa.nulls(0, self._type.value_type))
        offsets = np.frombuffer(lists.buffers()[1], np.int32, len(lists) + 1, 4 * lists.offset).astype(np.int64)
        sizes, items = np.diff(offsets), lists.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        if lists.null_count:
            held = ~mask_of_nulls(lists)
            if sizes[~held].any():
                items = take(items, np.flatnonzero(np.repeat(held, sizes)))
            sizes = np.where(held, sizes, 0)
        return _Items(sizes, items)

    def _values(self, items: Any) -> Any:
        """The values that decide the order of items."""
        return items.field(0) if self._names else items

    def _plain(self, array: Any, column: int) -> Any:
        """A column in the form that states keep."""
        item = self._type.value_type
        wanted = item.field(column).type if self._names else item
        return array if array.type == wanted else array.cast(wanted)

    def _made(self, values: Any, others: Sequence[Any], rows: Int64s | None) -> Any:
        """Make the items of all rows, or of some."""
        columns = [values, *others]
        if rows is not None:
            columns = [take(values, rows), *(o.take(rows) if isinstance(o, Later) else take(_one(o), rows) for o in others)]
        if not self._names:
            return columns[0]
        plain = [self._plain(c, n) for n, c in enumerate(columns)]
        return pa.StructArray.from_arrays(plain, fields=list(self._type.value_type))

    def _lists(self, sizes: Int64s, items: Sequence[Any], places: Int64s) -> Any:
        """Make lists of these lengths."""
        return self._array(np.concatenate((np.zeros(1, np.int32), np.cumsum(sizes).astype(np.int32))), items, places)

    def _array(self, ends: Any, items: Sequence[Any], places: Int64s) -> Any:
        child = gather(items, places)
        return pa.Array.from_buffers(self._type, len(ends) - 1, [None, pa.py_buffer(ends.data)], 0, children=[child])

    def _falling(self, values: Any) -> Int64s:
        """A key for each value, which falls as values rise.  NaN, above all numbers, has `_NAN`; 0.0 and -0.0 have the same
        key.
        """
        if not self._codec.fixed:
            ranks = pc.rank(values, sort_keys="descending", tiebreaker="dense")
            return np.asarray(ranks.to_numpy(zero_copy_only=False)).astype(np.int64)
        numbers = self._codec.decode(values)
        if numbers.dtype != np.float64:
            whole: Int64s = ~numbers.astype(np.int64, copy=False)
            return whole
        bits = (numbers + 0.0).view(np.int64)
        rising = np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)
        falling: Int64s = np.where(np.isnan(numbers), _NAN, ~rising)
        return falling


def _one(column: Any) -> Any:
    """A column as one Arrow array."""
    if isinstance(column, Later):
        return column.all()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _places(rows: Int64s, first: int) -> Int64s:
    """References to rows of two arrays that are numbered together.  The second array begins at number ``first``."""
    return np.where(rows < first, rows, references(1, np.maximum(rows - first, 0)))


def _first_of_equals(groups: Int64s, keys: Int64s, rows: Int64s) -> Bools:
    """bool[n]: true for those of ``rows`` (ascending) whose key no earlier row of their group has."""
    ranked = rows[np.lexsort((keys[rows], groups[rows]))]  # equal keys stay in order of arrival
    fresh = np.ones(len(ranked), np.bool_)
    own, of = keys[ranked], groups[ranked]
    fresh[1:] = (own[1:] != own[:-1]) | (of[1:] != of[:-1])
    first = np.zeros(len(groups), np.bool_)
    first[ranked[fresh]] = True
    return first
