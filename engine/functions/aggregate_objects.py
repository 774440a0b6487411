"""The aggregates whose states are collections.

A group's state is one Python object, which is replaced and never changed in place.  Each aggregate is an `ObjectAggregator`
that defines only the parts that differ: it makes a copy of a state that can be changed, adds rows to the copy, makes a state
of it again, and gives the result of a state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Segments, State, StateField
from ...storage.values.canonical import canonical
from .. import types as t
from .aggregate_values import Codec, from_objects, hashable, hashables_of, object_array, plain_type, to_objects
from .aggregator_base import AggregatorBase

HISTOGRAM_KEYS_MAX: Final = 1000
"""The number of distinct values that a HISTOGRAM counts, as in ksqlDB.  Later values are ignored."""


class ObjectAggregator(AggregatorBase):
    """The loop over groups and rows.

    Args:
        objects: converts the column of an argument to the Python values that subclasses use.
        column: converts results to the Arrow array of ``result_type``.
    """

    nested_state = True

    def __init__(
        self,
        result_type: Any,
        state_type: Any,
        initial: Any,
        objects: Callable[[Any], list[Any]] = to_objects,
        column: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self.result_type = result_type
        self._objects = objects
        self._column = column or partial(from_objects, type_=result_type)
        self.fields = (StateField("STATE", np.dtype(object), plain_type(state_type), initial),)

    # The parts that differ

    @abstractmethod
    def open(self, state: Any) -> Any:
        """A copy of a state that `add` may change."""

    @abstractmethod
    def add(self, working: Any, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        """Add rows, in their order.

        Args:
            columns: for each argument, the list of its values.
            sequences: the numbers of the rows, counted since the operator began.
        """

    def chosen(self, segments: Segments, arguments: Sequence[Any]) -> Int64s | None:
        """The rows that may change a group's final state, ordered by group and then as processed; None for all rows."""
        return None

    def take_back(self, working: Any, values: Sequence[Any]) -> None:
        raise ValueError(f"{type(self).__name__} cannot undo rows")

    @abstractmethod
    def close(self, working: Any) -> Any:
        """Make a state of ``working``.  Later changes to ``working`` must not change the state."""

    @abstractmethod
    def merge_one(self, left: Any, right: Any) -> Any:
        """The state of two sessions that are merged."""

    def value(self, state: Any) -> Any:
        """The result of a state."""
        return state

    # The contract of Aggregator

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        groups = segments.groups
        chosen = None if every or undo is not None else self.chosen(segments, arguments)
        order = segments.order if chosen is None else chosen
        columns = [self._objects(argument.take(pa.array(order))) for argument in arguments]
        sequences = (segments.sequence + order).tolist()
        bounds = [0, *np.cumsum(np.bincount(groups[order], minlength=segments.count)).tolist()]
        if every or undo is not None:
            taken = np.zeros(len(order), np.bool_) if undo is None else undo
            return self._row_by_row(state, order.tolist(), bounds, columns, sequences, taken[order].tolist(), every)
        final: list[Any] = []
        for initial, begin, end in zip(state[0].tolist(), bounds, bounds[1:]):
            working = self.open(initial)
            self.add(working, [column[begin:end] for column in columns], sequences[begin:end])
            final.append(self.close(working))
        return [object_array(final)], None

    def _row_by_row(
        self,
        state: State,
        order: list[int],
        bounds: list[int],
        columns: Sequence[list[Any]],
        sequences: list[int],
        taken: list[bool],
        every: bool,
    ) -> tuple[State, State | None]:
        final: list[Any] = []
        running: list[Any] = [None] * len(order) if every else []
        for initial, begin, end in zip(state[0].tolist(), bounds, bounds[1:]):
            working = self.open(initial)
            for at in range(begin, end):
                if taken[at]:
                    self.take_back(working, [column[at] for column in columns])
                else:
                    self.add(working, [column[at : at + 1] for column in columns], sequences[at : at + 1])
                if every:
                    running[order[at]] = self.close(working)
            final.append(self.close(working))
        return [object_array(final)], [object_array(running)] if every else None

    def merge(self, left: State, right: State) -> State:
        return [object_array([self.merge_one(a, b) for a, b in zip(left[0].tolist(), right[0].tolist())])]

    def result(self, state: State) -> Any:
        return self._column([self.value(s) for s in state[0].tolist()])


class CollectList(ObjectAggregator):
    """COLLECT_LIST: all values in order, NULL included, up to ``limit``.  Undo removes the last equal item."""

    can_undo = True

    def __init__(self, type_: t.SqlType, limit: int | None = None) -> None:
        codec = Codec(type_)
        super().__init__(pa.list_(codec.result), pa.list_(codec.arrow), [], codec.objects, codec.lists)
        self._type = type_
        self._limit = limit

    def limited(self, limit: int) -> CollectList:
        """The same function with at most ``limit`` items."""
        return CollectList(self._type, limit)

    def open(self, state: Any) -> Any:
        return list(state)

    def add(self, working: Any, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        values = columns[0]
        working.extend(values if self._limit is None else values[: max(self._limit - len(working), 0)])

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
    """COLLECT_SET: each value once, in the order in which the values first occurred, NULL included, up to ``limit``."""

    def __init__(self, type_: t.SqlType, limit: int | None = None) -> None:
        codec = Codec(type_)
        super().__init__(
            pa.list_(codec.result), pa.list_(codec.arrow), [], lambda a: codec.objects(canonical(a)), codec.lists
        )
        self._type = type_
        self._codec = codec
        self._keys = hashables_of(type_)
        self._limit = limit

    def limited(self, limit: int) -> CollectSet:
        """The same function with at most ``limit`` items."""
        return CollectSet(self._type, limit)

    def open(self, state: Any) -> Any:
        return dict(zip(self._keys(state), state))

    def add(self, working: Any, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        values = columns[0]
        for key, value in zip(self._keys(values), values):
            if self._limit is not None and len(working) >= self._limit:
                break
            working.setdefault(key, value)

    def close(self, working: Any) -> Any:
        return list(working.values())

    def merge_one(self, left: Any, right: Any) -> Any:
        working = self.open(left)
        self.add(working, [right], [])
        return self.close(working)


class Histogram(ObjectAggregator):
    """HISTOGRAM: how often each text occurs, for the first 1000 distinct texts.  NULL is skipped."""

    can_undo = True

    def __init__(self) -> None:
        result = pa.map_(pa.string(), pa.int64())
        super().__init__(result, result, [])

    def open(self, state: Any) -> Any:
        return dict(state)

    def add(self, working: Any, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        for key in columns[0]:
            self._count(working, key, 1)

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
    """ATTR: the value that all rows have, or NULL if they differ.  NULL counts as a value.

    The state has each distinct value with the number of its rows.
    """

    can_undo = True

    def __init__(self, type_: t.SqlType) -> None:
        codec = Codec(type_)
        state = pa.struct([("VALUES", pa.list_(codec.arrow)), ("COUNTS", pa.list_(pa.int64()))])
        super().__init__(codec.result, state, {"VALUES": [], "COUNTS": []}, codec.objects, codec.from_objects)
        self._keys = hashables_of(type_)

    def open(self, state: Any) -> _Counted:
        values = state["VALUES"]
        keys = self._keys(values)
        return _Counted(dict(zip(keys, values)), dict(zip(keys, state["COUNTS"])))

    def add(self, working: _Counted, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        values = columns[0]
        counts = working.counts
        for key, value in zip(self._keys(values), values):
            if key in counts:
                counts[key] += 1
            else:
                counts[key] = 1
                working.values[key] = value

    def take_back(self, working: _Counted, values: Sequence[Any]) -> None:
        key = hashable(values[0])
        if key in working.counts:
            working.counts[key] -= 1
            if working.counts[key] == 0:
                del working.counts[key], working.values[key]

    def close(self, working: _Counted) -> Any:
        return {"VALUES": list(working.values.values()), "COUNTS": list(working.counts.values())}

    def merge_one(self, left: Any, right: Any) -> Any:
        working = self.open(left)
        values = right["VALUES"]
        for key, value, count in zip(self._keys(values), values, right["COUNTS"]):
            working.values.setdefault(key, value)
            working.counts[key] = working.counts.get(key, 0) + count
        return self.close(working)

    def value(self, state: Any) -> Any:
        return state["VALUES"][0] if len(state["VALUES"]) == 1 else None


@dataclass(slots=True)
class _Counted:
    """Values and their counts, both by key, in the order in which the values first occurred."""

    values: dict[Any, Any]
    counts: dict[Any, int]


class SomeByOffset(ObjectAggregator):
    """EARLIEST_BY_OFFSET and LATEST_BY_OFFSET of n values: the first or last n in processing order, the earliest first."""

    def __init__(self, type_: t.SqlType, n: int, *, latest: bool, ignore_nulls: bool) -> None:
        codec = Codec(type_)
        state = pa.list_(pa.struct([("SEQUENCE", pa.int64()), ("VALUE", codec.arrow)]))
        super().__init__(pa.list_(codec.result), state, [], codec.objects, codec.lists)
        self._n = n
        self._latest = latest
        self._ignore_nulls = ignore_nulls

    def open(self, state: Any) -> Any:
        return list(state)

    def add(self, working: Any, columns: Sequence[list[Any]], sequences: list[int]) -> None:
        seen = list(zip(sequences, columns[0]))
        if self._ignore_nulls:
            seen = [entry for entry in seen if entry[1] is not None]
        seen = seen[max(len(seen) - self._n, 0) :] if self._latest else seen[: max(self._n - len(working), 0)]
        working.extend({"SEQUENCE": sequence, "VALUE": value} for sequence, value in seen)
        del working[: max(len(working) - self._n, 0)]

    def close(self, working: Any) -> Any:
        return working.copy()

    def merge_one(self, left: Any, right: Any) -> Any:
        both = sorted([*left, *right], key=lambda entry: entry["SEQUENCE"])
        return both[max(len(both) - self._n, 0) :] if self._latest else both[: self._n]

    def value(self, state: Any) -> Any:
        return [entry["VALUE"] for entry in state]
