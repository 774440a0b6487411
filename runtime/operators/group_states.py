"""Aggregate states by group in a store, for all aggregations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels import folds
from ...kernels.gathering import Later
from ...storage.state.keyed_store import KeyedStore, from_arrow
from ...storage.state.store import StateField
from ..batch import Batch, Bools, Int64s
from ..kernel import Aggregator, Columns, Failures, Segments, State
from ..segmented import running_values
from ..state_values import initial
from .columns import merged, without_rows

ROWTIME: Final = "ROWTIME"
"""The field for the largest timestamp of a group's rows."""
WINDOWSTART: Final = "WINDOWSTART"
WINDOWEND: Final = "WINDOWEND"
NO_TIME: Final = -(1 << 62)
"""Earlier than all timestamps, but so that adding a window's size does not overflow."""

_ONE_GROUP: Final = pa.field("GROUP", pa.int32())
"""The key of an aggregation without GROUP BY."""


@dataclass(frozen=True, slots=True)
class BoundAggregator:
    """An aggregator and the input columns that are its arguments (literal ones are in the aggregator)."""

    aggregator: Aggregator
    arguments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Updates:
    """Changes by `GroupStates.update`, one entry for each row that puts something out.

    Attributes:
        rows: their row numbers in the input, ascending.
        results: one Arrow array per call.
        timestamps: the largest timestamp of the group's rows so far.
        before, before_absent: the results before, and where the group had no row before; None if not asked for.
        failures: the entries (not the rows) of which a result failed; it is null.
    """

    rows: Int64s
    results: list[Any]
    timestamps: Int64s
    before: list[Any] | None
    before_absent: Bools | None
    failures: Failures | None = None


class GroupStates:
    """A keyed store with the states of several aggregators.

    Args:
        name: the store's name.
        key_schema: the group's key, with WINDOWSTART last where there are windows; empty for one group of all rows.
        extra: further fields of the store.
        expiry: see `KeyedStore`.
    """

    def __init__(
        self,
        name: str,
        key_schema: pa.Schema,
        calls: Sequence[BoundAggregator],
        extra: Sequence[StateField] = (),
        expiry: str | None = None,
    ) -> None:
        self.calls = tuple(calls)
        self.names = field_names(calls)
        fields = [
            replace(f, name=name)
            for call, names in zip(self.calls, self.names)
            for f, name in zip(call.aggregator.fields, names)
        ]
        self._one_group = len(key_schema) == 0
        keys = pa.schema([_ONE_GROUP]) if self._one_group else key_schema
        self.store = KeyedStore(name, keys, [*fields, *extra], expiry=expiry)

    def keys(self, keys: Columns, length: int) -> list[Any]:
        """Convert key columns of a batch to those of the store."""
        return [pa.array(np.zeros(length, np.int32))] if self._one_group else list(keys)

    def read(self, slots: Int64s) -> list[State]:
        """Read the states of each call."""
        return [[self.store.read(n, slots) for n in names] for names in self.names]

    def write(self, slots: Int64s, states: Sequence[State]) -> None:
        for names, state in zip(self.names, states):
            for name, values in zip(names, state):
                self.store.write(name, slots, values)

    def initial(self, count: int) -> list[list[Any]]:
        """The states of each call for groups without rows."""
        return [[initial(f, count) for f in call.aggregator.fields] for call in self.calls]

    def results(self, states: Sequence[State]) -> list[Any]:
        return [call.aggregator.result(state) for call, state in zip(self.calls, states)]

    def evaluated(self, states: Sequence[State]) -> tuple[list[Any], Failures | None]:
        """`Aggregator.evaluated` for every call: the results, and the states of which one failed."""
        found = [call.aggregator.evaluated(state) for call, state in zip(self.calls, states)]
        return [f.values for f in found], merged([f.failures for f in found if f.failures is not None])

    def scan(
        self,
        states: Sequence[State],
        segments: Segments,
        arguments: Sequence[Sequence[Any]],
        undo: Bools | None,
        every: bool,
    ) -> tuple[list[State], list[State] | None]:
        """`Aggregator.scan` for every call."""
        scanned = [
            call.aggregator.scan(state, segments, columns, undo, every)
            for call, state, columns in zip(self.calls, states, arguments)
        ]
        return [final for final, _ in scanned], [running or [] for _, running in scanned] if every else None

    def arguments(self, columns: Sequence[Any]) -> list[list[Any]]:
        """The argument columns of each call; a `Later` for aggregators that accept one."""
        return [
            [_whole(columns[i], place, call.aggregator.picks_from) for place, i in enumerate(call.arguments)]
            for call in self.calls
        ]

    def update(
        self,
        keys: Columns,
        columns: Columns,
        timestamps: Int64s,
        *,
        every: bool,
        before: bool,
        undo: Bools | None = None,
        positions: Int64s | None = None,
        emit: bool = True,
    ) -> Updates | None:
        """Add rows to their groups; needs the extra field ROWTIME.

        Args:
            keys: the key columns, windows included.
            columns: the columns that `BoundAggregator.arguments` refers to.
            every: an update per row; else one per group, at its last row.
            before: whether results before are wanted.
            undo, positions: see `Batch`; an undo row and the next add row of its group make one update.
            emit: whether updates are wanted at all.
        """
        length = len(timestamps)
        slots, is_new = self.store.insert(self.keys(keys, length))
        every = every and emit
        if every:
            groups, distinct = self.store.group(slots)
            segments = Segments(groups, len(distinct))
        else:  # in the order in which they are put out
            groups, distinct, last = self.store.group_by_last(slots)
            segments = Segments(groups, len(distinct), last=last)
        if before:
            states = self.read(distinct)
        else:  # what no aggregate asks for now is never read
            states = [_Held(self.store, names, distinct) for names in self.names]
        final, running = self.scan(states, segments, self.arguments(columns), undo, every)
        times = self.store.read(ROWTIME, distinct)
        latest = folds.largest(groups, times, timestamps, every=False)[0]
        self.write(distinct, final)
        self.store.write(ROWTIME, distinct, latest)
        if not emit:
            return None
        group_is_new = np.zeros(len(distinct), np.bool_)
        group_is_new[groups[is_new]] = True
        if running is None:
            results, failures = self.evaluated(final)
            previous = self.results(states) if before else None
            return Updates(segments.last, results, latest, previous, group_is_new if before else None, failures)
        emitted = _not_followed_up(undo, groups, positions)
        rows = np.arange(length, dtype=np.int64) if emitted is None else np.flatnonzero(emitted)
        results, failures = self.evaluated(running)
        previous = absent = None
        if before:
            prior = _previous(segments, emitted)
            index = pa.array(np.where(prior < 0, groups, prior + len(distinct))[rows])
            previous = [pa.concat_arrays([i, r]).take(index) for i, r in zip(self.results(states), results)]
            absent = ((prior < 0) & group_is_new[groups])[rows]
        if emitted is not None:
            results = [r.take(pa.array(rows)) for r in results]
            failures = _of_entries(without_rows(failures, ~emitted), rows)
        return Updates(rows, results, running_maxima(segments, times, timestamps)[rows], previous, absent, failures)


class _Held(Sequence[Any]):
    """Stored states, of which a column is read when first asked for; some aggregates never ask."""

    __slots__ = ("_names", "_read", "_slots", "_store")

    def __init__(self, store: KeyedStore, names: Sequence[str], slots: Int64s) -> None:
        self._store = store
        self._names = names
        self._slots = slots
        self._read: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        name = self._names[place]
        if name not in self._read:
            self._read[name] = self._store.read(name, self._slots)
        return self._read[name]


def _whole(column: Any, place: int, picks_from: int | None) -> Any:
    later = isinstance(column, Later) and (picks_from is None or place < picks_from)
    return column.all() if later else column


def picked(calls: Sequence[BoundAggregator], key_count: int) -> frozenset[int]:
    """The columns of an aggregation's input, except keys, of which all calls read few rows."""
    some: set[int] = set()
    whole = set(range(key_count))
    for call in calls:
        first = call.aggregator.picks_from
        for place, column in enumerate(call.arguments):
            (whole if first is None or place < first else some).add(column)
    return frozenset(some - whole)


def field_names(calls: Sequence[BoundAggregator]) -> list[list[str]]:
    """The store's field names for each call."""
    return [[f"AGGREGATE_{i}_{f.name}" for f in call.aggregator.fields] for i, call in enumerate(calls)]


def running_maxima(segments: Segments, initial: Int64s, timestamps: Int64s) -> Int64s:
    """The largest timestamp of each row's group up to that row.  Timestamps mostly rise, and then need no scan."""
    if len(timestamps) < 2 or bool((timestamps[1:] >= timestamps[:-1]).all()):
        return np.maximum(initial[segments.groups], timestamps)
    return running_values(np.maximum, segments, initial, timestamps)


def _not_followed_up(undo: Bools | None, groups: Int64s, positions: Int64s | None) -> Bools | None:
    """Rows that put out an update: all but undo rows whose change continues in the next row of their group."""
    if undo is None or positions is None or not undo.any():
        return None
    emitted = np.ones(len(groups), np.bool_)
    emitted[:-1] = ~(undo[:-1] & ~undo[1:] & (groups[1:] == groups[:-1]) & (positions[1:] == positions[:-1]))
    return emitted


def _of_entries(failures: Failures | None, rows: Int64s) -> Failures | None:
    """Failures of rows as failures of entries; ``rows`` has the row of each entry."""
    return None if failures is None else Failures(np.searchsorted(rows, failures.rows), failures.reasons)


def _previous(segments: Segments, emitted: Bools | None) -> Int64s:
    """int64[n]: for each emitted row the emitted row of its group before it, -1 if there is none."""
    order = segments.order if emitted is None else segments.order[emitted[segments.order]]
    previous = np.full(len(segments.groups), -1, np.int64)
    same = segments.groups[order[1:]] == segments.groups[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def output_batch(
    batch: Batch,
    schema: pa.Schema,
    key_count: int,
    rows: Int64s,
    results: Columns,
    timestamps: Int64s,
    extras: Sequence[str],
    *,
    bounds: tuple[Int64s, Int64s] | None = None,
    tombstones: Bools | None = None,
    before: Columns | None = None,
    before_absent: Bools | None = None,
    before_timestamps: Int64s | None = None,
) -> Batch:
    """Make the output of an aggregation: the keys of ``rows`` of its input, results, and the columns named in ``extras``."""
    whole = len(rows) == len(batch) and bool((rows == np.arange(len(rows))).all())
    index = None if whole else pa.array(rows)
    keys = batch.keys if index is None else tuple(k.take(index) for k in batch.keys)
    times = {ROWTIME: timestamps}
    if bounds is not None:
        times |= {WINDOWSTART: bounds[0], WINDOWEND: bounds[1]}
    values = [*results, *(pa.array(times[name], mask=tombstones) for name in extras)]
    if before is not None:
        if before_timestamps is not None:
            times[ROWTIME] = before_timestamps
        before = [*before, *(pa.array(times[name], mask=before_absent) for name in extras)]
    return Batch(
        schema,
        key_count,
        (*keys, *values),
        timestamps,
        batch.positions[rows],
        tombstones=tombstones,
        before=None if before is None else tuple(before),
        before_absent=before_absent,
        window_starts=None if bounds is None else bounds[0],
        window_ends=None if bounds is None else bounds[1],
        headers=None if batch.headers is None else batch.headers.take(pa.array(rows)),
    )


def closed_batch(
    batch: Batch,
    schema: pa.Schema,
    key_count: int,
    rows: Int64s,
    keys: Columns,
    results: Columns,
    timestamps: Int64s,
    bounds: tuple[Int64s, Int64s],
    extras: Sequence[str],
    *,
    before: bool,
) -> Batch:
    """Final results: a window each, at the row of ``batch`` that closed it, with that row's headers."""
    times = {ROWTIME: timestamps, WINDOWSTART: bounds[0], WINDOWEND: bounds[1]}
    values = [*results, *(pa.array(times[name]) for name in extras)]
    nothing = tuple(pa.nulls(len(rows), v.type) for v in values)
    return Batch(
        schema,
        key_count,
        (*keys[:key_count], *values),
        timestamps,
        batch.positions[rows],
        before=nothing if before else None,
        before_absent=np.ones(len(rows), np.bool_) if before else None,
        window_starts=bounds[0],
        window_ends=bounds[1],
        headers=None if batch.headers is None else batch.headers.take(pa.array(rows)),
    )


def view_transform(
    key_count: int, calls: Sequence[BoundAggregator], *, size_ms: int | None = None, session: bool = False
) -> Callable[[Mapping[str, Any]], list[Any]]:
    """Make `TableView.transform` for an aggregation's store: key columns, WINDOWSTART and WINDOWEND if it is windowed,
    results, and ROWTIME.

    Args:
        key_count, calls: as for the operator.
        size_ms: for time windows.
        session: for sessions.
    """
    names = field_names(calls)
    rowtime = WINDOWEND if session else ROWTIME

    def transform(stored: Mapping[str, Any]) -> list[Any]:
        keys = [column for _, column in zip(range(key_count), stored.values())]
        results = []
        for call, fields in zip(calls, names):
            state = [from_arrow(stored[n], f) for f, n in zip(call.aggregator.fields, fields)]
            results.append(call.aggregator.result(state))
        bounds = []
        if size_ms is not None:
            bounds = [stored[WINDOWSTART], pc.add(stored[WINDOWSTART], size_ms)]
        elif session:
            bounds = [stored[WINDOWSTART], stored[WINDOWEND]]
        return [*keys, *bounds, *results, stored[rowtime]]

    return transform
