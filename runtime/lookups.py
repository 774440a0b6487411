"""Lookups of single keys in the table of a running query, as its last commit published it: key -> slot -> row.

The slots of keys are cached: a key keeps its slot as long as it is in the table, which each lookup checks.  Rows are
converted (`TableView.transform`) one at a time at first, and many neighbours at once where lookups come often enough to pay
for that: a range of slots becomes columns, from which a row is read in a few microseconds.  A range made of an earlier
commit still serves those of its rows whose key and fields have not changed since (`_Range`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InternalError
from ..storage.state.columns import FrozenColumn
from ..storage.state.keyed_store import StoreSnapshot
from ..storage.state.point import Point, key_kinds, point
from ..storage.state.store import Snapshot
from ..storage.values.arrow_calls import equal_to
from ..storage.values.canonical import canonical
from .batch import Bools, python_values
from .dataflow import TableView
from .query.lifecycle import QueryRun
from .views import TableSnapshot, whole

_KEYS_MAX: Final = 1 << 18
"""The number of keys whose slots are cached."""

_RANGE_BITS_MAX: Final = 14
_RANGE_BITS_MIN: Final = 6
_RANGE_BYTES: Final = 1 << 22
"""A range has up to 16,384 slots; fewer, but at least 64, if its rows would take more memory than this."""

_RANGES_BYTES_MAX: Final = 1 << 26
"""The memory of all ranges of a table; the oldest are dropped beyond it."""

_MISSES: Final = 8
"""Converting so many rows, each on its own, takes as long as converting a range."""

_UNCHANGED: Final = 16
"""If more lookups than this find their row unchanged for each that does not, rows are converted singly for a while."""

_Values = tuple[Any, ...]
"""A key, or a row."""

_Place = tuple[int, int]
"""Partition and slot."""

_RANGES_MAX: Final = 1 << 12

_Cell = Callable[[int], Any]
"""Row number -> value."""

_Same = Callable[[int, Any], bool]
"""(row number, value) -> whether the row has this value."""


class _Range:
    """Rows of neighbouring slots as columns, made of one snapshot, and what lookups found of them since.

    A row is a pure function of its key and its fields.  So a later snapshot has the same row where it has the same key and
    the same fields in the slot.

    Attributes:
        columns: reads a value, one function per column of the table.
        served: the rows that were read here.
        unchanged: those of them that were compared with a later snapshot.
        missed: the rows that had changed, and so were converted on their own.
    """

    __slots__ = ("_fields", "_keys", "_of", "_rows", "columns", "missed", "nbytes", "served", "unchanged", "useless")

    def __init__(self, useless: bool = False) -> None:
        self._of: weakref.ref[FrozenColumn] | None = None
        self._rows = np.zeros(0, np.int32)
        self._keys: list[_Cell] = []
        self._fields: list[_Same] = []
        self.columns: list[_Cell] = []
        self.nbytes = 0
        self.useless = useless
        self.served = self.unchanged = self.missed = 0

    @staticmethod
    def of(view: TableView, part: StoreSnapshot, first: int, count: int) -> _Range:
        """The rows of the live slots from ``first`` to ``first + count - 1``.  It does not keep the snapshot in memory."""
        slots, keys, fields, stored = part.columns_between(first, first + count)
        columns = [whole(column) for column in view.transform(stored)]
        if len(columns[0]) != len(slots):
            return _Range(useless=True)  # the view leaves some of them out
        made = _Range()
        made._rows = np.full(count, -1, np.int32)
        made._rows[slots - first] = np.arange(len(slots), dtype=np.int32)
        made._keys, made.columns = [_cell(c) for c in keys], [_cell(c) for c in columns]
        made._fields = [_same(field) for field in fields]
        made.nbytes = sum(int(c.nbytes) for c in (made._rows, *keys, *fields, *columns))
        made._of = weakref.ref(part.index.live)
        return made

    def find(self, part: StoreSnapshot, slot: int, offset: int, key: _Values) -> int:
        """The number of the row of a live slot, as it is in this snapshot; -1 if it is not here.

        Args:
            offset: the place of the slot in the range.
        """
        if self._of is None or (row := int(self._rows[offset])) < 0:
            return -1
        if self._of() is not part.index.live:
            if part.rows is not None:
                return -1
            for cell, value in zip(self._keys, key):
                if cell(row) != value:
                    return -1
            for same, column in zip(self._fields, part.columns):
                if not same(row, column.at(slot)):
                    return -1
            self.unchanged += 1
        self.served += 1
        return row

    def is_worth_another(self) -> bool:
        """Whether the rows of all its slots shall be converted (again): a row was not found."""
        if self.useless:
            return False
        self.missed += 1
        return self.missed >= _MISSES or (self.served >= _MISSES and self.unchanged <= _UNCHANGED * self.missed)


class _Cache:
    """What lookups in the table of one run remember.  Other threads may replace single entries at any time."""

    def __init__(self, run: QueryRun) -> None:
        self.run = run
        self.types = _types(run.snapshot())
        self.kinds = key_kinds(self.types)
        self.places: dict[_Values, _Place] = {}
        self._bits = 0
        """A range has ``1 << bits`` slots; 0 before that is known."""
        self._ranges: dict[_Place, _Range] = {}
        self._seen = self._seen_bytes = 0
        """Rows that were converted before ``bits`` was known."""

    def row(self, part: StoreSnapshot, place: _Place, key: _Values) -> _Values | None:
        """The row of a live slot, as the view shows it; None if it leaves the row out."""
        if not self._bits:
            return self._one(part, place[1], key)
        number, slot = place
        which, offset = (number, slot >> self._bits), slot & ((1 << self._bits) - 1)
        kept = self._ranges.get(which)
        if kept is None:
            if len(self._ranges) >= _RANGES_MAX:
                self._ranges = {}
            kept = self._ranges[which] = _Range()
        row = kept.find(part, slot, offset, key)
        if row < 0 and kept.is_worth_another():
            kept = self._keep(which, _Range.of(self.run.view, part, slot - offset, 1 << self._bits))
            row = kept.find(part, slot, offset, key)
        return self._one(part, slot, key) if row < 0 else tuple([cell(row) for cell in kept.columns])

    def _keep(self, which: _Place, made: _Range) -> _Range:
        ranges = dict(self._ranges)
        ranges.pop(which, None)
        size = made.nbytes + sum(r.nbytes for r in ranges.values())
        while ranges and size > _RANGES_BYTES_MAX:
            size -= ranges.pop(next(iter(ranges))).nbytes
        ranges[which] = made
        self._ranges = ranges
        return made

    def _one(self, part: StoreSnapshot, slot: int, key: _Values) -> _Values | None:
        """Convert one row on its own."""
        keys = [pa.array([value], type_) for value, type_ in zip(key, self.types)]
        columns = self.run.view.transform(part.row(slot, keys))
        if not self._bits:
            self._seen += 1
            self._seen_bytes += sum(int(c.nbytes) for c in columns)
            if self._seen >= _MISSES:
                fitting = _RANGE_BYTES // max(1, self._seen_bytes // self._seen)
                self._bits = min(max(fitting.bit_length() - 1, _RANGE_BITS_MIN), _RANGE_BITS_MAX)
        return tuple([python_values(column)[0] for column in columns]) if len(columns[0]) else None


class PointReader:
    """Reads rows of one table by their whole keys.  Thread-safe.

    Args:
        run: returns the run of the query that keeps the table.
    """

    def __init__(self, run: Callable[[], QueryRun]) -> None:
        self._run = run
        self._cache: _Cache | None = None

    def values(self, key: _Values) -> _Values | None:
        """The row's values in the order of `TableView.schema`, as Python values of the caller's own; None if the table has
        no such row.

        Args:
            key: a value per key column of the store; for windowed tables also the window's bounds, as the store has them.

        Raises:
            StatementError, StorageError: the row may be in another process, which cannot be asked, see `Elsewhere.rows`.
        """
        run: QueryRun = self._run()
        found = self._values(run, key)
        return self._elsewhere(run, key) if found is None and run.shares is not None else found

    def _elsewhere(self, run: QueryRun, key: _Values) -> _Values | None:
        parts, others = run.shared_snapshot()
        keys = None if others is None else _arrays(_types([_of_store(part) for part in parts]), key)
        for table in others(keys) if others is not None and keys is not None else ():
            if table.num_rows:
                return tuple([python_values(whole(column))[0] for column in table.columns])
        return None

    def _values(self, run: QueryRun, key: _Values) -> _Values | None:
        cache = self._cache
        if cache is None or cache.run is not run:  # the query was replaced
            cache = self._cache = _Cache(run)
        parts = [_of_store(part) for part in run.snapshot()]
        sought = point(cache.kinds, key)
        if sought is None:
            return self._by_columns(run.view, parts, key)
        place = cache.places.get(key)
        if place is None or not parts[place[0]].holds(place[1], sought):
            place = _find(parts, sought)
            if place is None:
                return None
            if len(cache.places) >= _KEYS_MAX:
                cache.places = {}
            cache.places[key] = place
        return cache.row(parts[place[0]], place, key)

    def _by_columns(self, view: TableView, parts: Sequence[Any], key: _Values) -> _Values | None:
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

    def rows(self, key: _Values) -> pa.Table:
        """All rows whose key begins with these values (of the store's key columns), in no order."""
        run = self._run()
        parts, others = run.shared_snapshot()
        own = TableSnapshot(run.view, ()).shaped([_beginning_with(_of_store(part), key) for part in parts])
        if others is None:
            return own
        return pa.concat_tables([own, *(_rows_beginning_with(table.cast(own.schema), key) for table in others(None))])


def _arrays(types: Sequence[Any], key: _Values) -> list[Any] | None:
    """A key as columns of one row; None if the values do not fit the columns' types, so that no row has this key."""
    try:
        keys = [pa.array([value], type_) for type_, value in zip(types, key, strict=True)]
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return keys if all(_is_same(array, value) for array, value in zip(keys, key)) else None


def _rows_beginning_with(table: pa.Table, key: _Values) -> pa.Table:
    """The rows with these first values in a table of the shape of a `TableView`, whose first columns are the key."""
    keep = np.ones(table.num_rows, np.bool_)
    wanted = _arrays([column.type for column, _ in zip(table.columns, key)], key)
    if wanted is None:
        return table.slice(0, 0)
    for column, value in zip(table.columns, wanted):
        keep &= _equals(canonical(whole(column)), canonical(value))
    return table.filter(pa.array(keep))


def _equals(column: Any, value: Any) -> Bools:
    """Which items of a column are the only one of another, both canonical."""
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):  # Arrow compares no lists, and NaN with nothing
        wanted = repr(value[0].as_py())
        return np.array([repr(item) == wanted for item in column.to_pylist()], np.bool_)
    same = equal_to(column, value[0])
    return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), np.bool_)


def _find(parts: Sequence[StoreSnapshot], sought: Point) -> _Place | None:
    for number, part in enumerate(parts):
        slot = part.find_one(sought)
        if slot >= 0:
            return number, slot
    return None


def _cell(column: Any) -> _Cell:
    """The values of a column, which is an array of NumPy's (of a field) or Arrow's; see `python_values`."""
    if isinstance(column, pa.Array):
        plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if not plain or column.null_count:
            return lambda row: python_values(column.slice(row, 1))[0]
        column = column.to_numpy()
    item: _Cell = column.item
    return item


def _same(field: Any) -> _Same:
    """Compares a field's values, an array of NumPy's or Arrow's, with others of the same field."""
    if isinstance(field, pa.Array):
        return lambda row, value: bool(field[row].as_py() == value)
    if field.dtype.hasobject:
        return lambda row, value: field[row] is value  # objects in a state are replaced, and never changed in place
    if field.dtype.kind == "f":  # NaN is NaN, and zeros have signs
        return lambda row, value: bool(field[row].tobytes() == value.tobytes())
    return lambda row, value: bool(field[row] == value)


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


def _beginning_with(part: StoreSnapshot, key: _Values) -> pa.Table:
    """The rows with these first values, looked up with each of the bounds of windows that the store has."""
    slots = part.index.slots()
    types = part.index.keys.types
    wanted = _arrays(types[: len(key)], key)
    if wanted is None or not len(slots):
        return part.at(slots[:0])
    if len(key) == len(types):
        return part.lookup(wanted)
    bounds = np.unique([np.asarray(column) for column in part.index.keys.read(slots)[len(key) :]], axis=1)
    again = pa.array(np.zeros(bounds.shape[1], np.int64))
    more = [pa.array(column).cast(type_) for column, type_ in zip(bounds, types[len(key) :])]
    return part.lookup([*(value.take(again) for value in wanted), *more])
