"""Lookups of single keys in the table of a running query, as its last commit published it: key -> slot -> row.

The slots of keys are cached: a key keeps its slot as long as it is in the table.  Rows are cached as Python values: a few
neighbours are converted at once, and stay valid as long as the fields of their slot do not change.  Each lookup checks both
by a few comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InternalError
from ..storage.state.keyed_store import StoreSnapshot
from ..storage.state.point import Point, point
from ..storage.state.store import Snapshot
from ..storage.values.arrow_calls import equal_to
from .batch import python_values
from .dataflow import TableView
from .query.lifecycle import QueryRun
from .views import TableSnapshot, whole

_KEYS_MAX = 1 << 18
"""The number of keys whose slots are cached."""

_ROWS_MAX = 1 << 17
"""The number of cached rows."""

_NEIGHBOURS = 64
"""Rows that are converted together: one costs as much as a few dozen."""

_Place = tuple[int, int]
"""Partition and slot."""


class PointReader:
    """Reads rows of one table by their whole keys.  Thread-safe.

    Args:
        run: returns the run of the query that keeps the table.
    """

    def __init__(self, run: Callable[[], QueryRun]) -> None:
        self._run = run
        self._of: QueryRun | None = None
        self._forget()

    def _forget(self) -> None:
        self._places: dict[tuple[Any, ...], _Place] = {}
        self._rows: dict[_Place, tuple[tuple[Any, ...], tuple[Any, ...]]] = {}

    def values(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The row's values in the order of `TableView.schema`, as Python values; None if the table has no such row.

        Args:
            key: a value per key column of the store; for windowed tables also the window's bounds, as the store has them.

        Raises:
            StatementError, StorageError: the row may be in another process, which cannot be asked, see `Elsewhere.rows`.
        """
        run: QueryRun = self._run()
        found = self._values(run, key)
        return self._elsewhere(run, key) if found is None and run.shares is not None else found

    def _elsewhere(self, run: QueryRun, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        parts, others = run.shared_snapshot()
        keys = None if others is None else _arrays(_types([_of_store(part) for part in parts]), key)
        for table in others(keys) if others is not None and keys is not None else ():
            if table.num_rows:
                return tuple([python_values(whole(column))[0] for column in table.columns])
        return None

    def _values(self, run: QueryRun, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if run is not self._of:  # the query was replaced
            self._of = run
            self._forget()
        parts = [_of_store(part) for part in run.snapshot()]
        sought = point(_types(parts), key)
        if sought is None:
            return self._by_columns(run.view, parts, key)
        place = self._places.get(key)
        if place is None or not parts[place[0]].holds(place[1], sought):
            place = self._find(parts, key, sought)
            if place is None:
                return None
        part = parts[place[0]]
        kept = self._rows.get(place)
        fingerprint = part.fingerprint(place[1])
        if kept is not None and kept[0] == fingerprint:
            return kept[1]
        if kept is None and fingerprint is not None:
            self._keep_neighbours(run.view, part, place)
            kept = self._rows.get(place)
            if kept is not None and kept[0] == fingerprint:
                return kept[1]
        keys = [pa.array([value], type_) for value, type_ in zip(key, part.index.keys.types)]
        columns = run.view.transform(part.row(place[1], keys))
        if not len(columns[0]):
            return None
        row = tuple([python_values(column)[0] for column in columns])
        if fingerprint is not None:
            self._rows[place] = fingerprint, row
        return row

    def _find(self, parts: Sequence[Any], key: tuple[Any, ...], sought: Point) -> _Place | None:
        for number, part in enumerate(parts):
            slot = part.find_one(sought)
            if slot >= 0:
                if len(self._places) >= _KEYS_MAX:
                    self._places = {}
                place = self._places[key] = (number, slot)
                return place
        return None

    def _keep_neighbours(self, view: TableView, part: StoreSnapshot, place: _Place) -> None:
        """Convert and cache the rows around a slot."""
        first = place[1] - place[1] % _NEIGHBOURS
        slots = part.live_slots(first, first + _NEIGHBOURS)
        stored = _stored(part.at(slots))
        columns = view.transform(stored)
        if len(columns[0]) != len(slots):
            return  # the view leaves some of them out
        if len(self._rows) >= _ROWS_MAX:
            self._rows = {}
        keys = zip(*(column.to_pylist() for column, _ in zip(stored.values(), part.index.keys.types)), strict=True)
        rows = zip(*(python_values(column) for column in columns), strict=True)
        for slot, fields, row, key in zip(slots.tolist(), part.fingerprints(slots), rows, keys, strict=True):
            self._rows[place[0], slot] = fields, row
            self._places[key] = place[0], slot

    def _by_columns(self, view: TableView, parts: Sequence[Any], key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """A lookup for keys of other types than numbers and texts."""
        keys = _arrays(_types(parts), key)
        if keys is None:
            return None
        for part in parts:
            table = part.lookup(keys)
            if table.num_rows:
                columns = view.transform(_stored(table))
                return tuple([python_values(column)[0] for column in columns]) if len(columns[0]) else None
        return None

    def key_length(self) -> int:
        """The number of key columns of the store: those of the table, and for windowed tables the bounds."""
        return len(_types(self._run().snapshot()))

    def rows(self, key: tuple[Any, ...]) -> pa.Table:
        """All rows whose key begins with these values (of the store's key columns), in no order."""
        run = self._run()
        parts, others = run.shared_snapshot()
        own = TableSnapshot(run.view, ()).shaped([_beginning_with(_of_store(part), key) for part in parts])
        if others is None:
            return own
        return pa.concat_tables([own, *(_rows_beginning_with(table.cast(own.schema), key) for table in others(None))])


def _arrays(types: Sequence[Any], key: tuple[Any, ...]) -> list[Any] | None:
    """A key as columns of one row; None if the values do not fit the columns' types, so that no row has this key."""
    try:
        keys = [pa.array([value], type_) for type_, value in zip(types, key, strict=True)]
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return keys if all(_is_same(array, value) for array, value in zip(keys, key)) else None


def _rows_beginning_with(table: pa.Table, key: tuple[Any, ...]) -> pa.Table:
    """The rows with these first values in a table of the shape of a `TableView`, whose first columns are the key."""
    keep = np.ones(table.num_rows, np.bool_)
    for column, value in zip(table.columns, key):
        try:
            same = equal_to(whole(column), pa.scalar(value, column.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return table.slice(0, 0)
        keep &= np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), np.bool_)
    return table.filter(pa.array(keep))


def _stored(table: pa.Table) -> dict[str, Any]:
    return {name: whole(column) for name, column in zip(table.column_names, table.columns, strict=True)}


def _of_store(part: Snapshot) -> StoreSnapshot:
    assert isinstance(part, StoreSnapshot)
    return part


def _types(parts: Sequence[Snapshot]) -> Sequence[Any]:
    for part in parts:
        return _of_store(part).index.keys.types
    raise InternalError("a query without partitions")


def _is_same(array: Any, value: Any) -> bool:
    """Whether Arrow converted a value exactly: not 1.5 to an integer, nor bytes to a text."""
    taken = array[0].as_py()
    return pa.types.is_nested(array.type) or bool(taken == value) or (value != value and taken != taken)


def _beginning_with(part: StoreSnapshot, key: tuple[Any, ...]) -> pa.Table:
    slots = part.index.slots()
    same = np.ones(len(slots), np.bool_)
    for column, type_, value in zip(part.index.keys.read(slots), part.index.keys.types, key):
        try:
            found = equal_to(column, pa.scalar(value, type_))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return part.at(slots[:0])
        same &= np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), np.bool_)
    return part.at(slots[same])
