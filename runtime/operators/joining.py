"""Common parts of joins: keys, the order of two inputs, and the versions of a table's rows during a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ...kernels import gathering
from ...kernels.booleans import booleans
from ...kernels.merging import merge
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.store import StateField
from ..batch import Batch, Bools, Int64s
from ..kernel import Failures
from .base import Operator

JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL"]

ROWTIME = StateField("rowtime", np.dtype(np.int64), pa.int64(), 0)
"""The field for the timestamp of a stored row."""

WINDOW_BOUNDS = (pa.field("window_start", pa.int64()), pa.field("window_end", pa.int64()))
"""The key columns that windowed rows have besides their key."""


def store_keys(schema: pa.Schema, key_count: int, windowed: bool) -> pa.Schema:
    """The key schema of a join's store: the key columns of ``schema``, and the window's bounds."""
    return pa.schema([*list(schema)[:key_count], *(WINDOW_BOUNDS if windowed else ())])


def keys_of(batch: Batch, windowed: bool, size_ms: int | None = None) -> list[Any]:
    """The columns on which rows are joined.  With ``size_ms`` all windows have that size, so only their starts count."""
    if not windowed:
        return list(batch.keys)
    assert batch.window_starts is not None and batch.window_ends is not None
    ends = batch.window_ends if size_ms is None else batch.window_starts + size_ms
    return [*batch.keys, pa.array(batch.window_starts), pa.array(ends)]


def present_keys(keys: Sequence[Any]) -> Bools | None:
    """Where a key is not null (it is null if all its columns are); None: everywhere."""
    if any(k.null_count == 0 for k in keys):
        return None
    present = np.zeros(len(keys[0]), np.bool_)
    for key in keys:
        present |= booleans(key.is_valid())
    return None if present.all() else present


def takes_part(operator: Operator, batch: Batch) -> Bools | None:
    """Where a row of a stream has a key and a value, as joins need.  None: everywhere.

    Rows without a value are counted as filtered; rows without a key are dropped as bad.
    """
    keep = present_keys(batch.keys) if batch.key_count else None
    gone = batch.tombstones if batch.tombstones is not None and batch.tombstones.any() else None
    if keep is not None:
        unkeyed = np.flatnonzero(~keep if gone is None else ~keep & ~gone)
        if len(unkeyed):
            operator.drop(batch, Failures(unkeyed, ("the key of the join is NULL",) * len(unkeyed)))
    if gone is not None:
        operator.count_filtered(~gone)
        keep = ~gone if keep is None else keep & ~gone
    return keep


def orders(left: Batch, right: Batch) -> tuple[Int64s, Int64s]:
    """The rank (from 0) of each row in the common order of both inputs; at equal positions the left comes first."""
    order = merge([left.positions, right.positions])
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order), dtype=np.int64)
    return places[: len(left)], places[len(left) :]


def take(columns: Sequence[Any], rows: Int64s) -> list[Any]:
    """Take rows of columns; null where the row is -1."""
    return [gathering.take(c, rows) for c in columns]


class Versions:
    """The versions of a table's rows during a step.

    Version g, below the number of groups, is what the store held for group g before the step; change r of the batch makes
    version ``groups + r``.  A group is the number of a distinct key.

    Attributes:
        exists: bool by version.
        timestamps: int64 by version.
    """

    def __init__(
        self,
        store: KeyedStore,
        group_keys: Sequence[Any],
        groups: Int64s,
        places: Int64s,
        columns: Sequence[Any],
        timestamps: Int64s,
        tombstones: Bools,
    ) -> None:
        """Args:
        store: holds the rows; it has the field `ROWTIME`.
        group_keys: the key of each group.
        groups: the group of each change, in processing order.
        places: the place of each change in the step, ascending.
        columns: the row after each change.
        timestamps, tombstones: of each change.
        """
        self._store = store
        self._group_keys = group_keys
        self._groups = groups
        self._columns = columns
        self._span = int(places[-1]) + 1 if len(places) else 1
        self.count = len(group_keys[0])
        self.slots = store.slots(group_keys)
        held = self.slots >= 0
        stored = np.zeros(self.count, np.int64)
        stored[held] = store.read(ROWTIME.name, self.slots[held])
        self.exists: Bools = np.concatenate((held, ~tombstones))
        self.timestamps: Int64s = np.concatenate((stored, timestamps))
        self._all: list[Any] | None = None
        order = np.argsort(groups, kind="stable")
        self._order = order
        self._sorted_groups = groups[order]
        self._instants = self._sorted_groups * self._span + places[order]

    def before(self, groups: Int64s, places: Int64s) -> Int64s:
        """The version of each group just before a place (group -1: version -1)."""
        instants = groups * self._span + np.minimum(places, self._span)
        at = np.searchsorted(self._instants, instants) - 1
        versions = groups.copy()
        if len(self._order):
            hit = (at >= 0) & (groups >= 0)
            hit &= self._sorted_groups[at] == groups
            versions[hit] = self.count + self._order[at[hit]]
        return versions

    def previous(self) -> Int64s:
        """The version that each change replaces."""
        versions = np.empty(len(self._order), np.int64)
        versions[self._order[1:]] = self.count + self._order[:-1]
        first = np.ones(len(self._order), np.bool_)
        first[1:] = self._sorted_groups[1:] != self._sorted_groups[:-1]
        versions[self._order[first]] = self._sorted_groups[first]
        return versions

    def take(self, versions: Int64s) -> list[Any]:
        """The columns of versions; null for version -1 and for versions that do not exist."""
        if self._all is None:
            stored = self._store.read_rows(self.slots)
            self._all = [pa.concat_arrays([s, c]) for s, c in zip(stored, self._columns)] if self.count else stored
        if not len(self.exists):
            return [pa.nulls(len(versions), f.type) for f in self._store.row_schema]
        return take(self._all, np.where((versions >= 0) & self.exists[versions], versions, -1))

    def write(self) -> None:
        """Write the versions after the step to the store.  Call it last: stored versions cannot be read after it."""
        if len(self._order) == 0:
            return
        last = np.ones(len(self._order), np.bool_)
        last[:-1] = self._sorted_groups[1:] != self._sorted_groups[:-1]
        rows = self._order[last]
        groups = self._groups[rows]
        exists = self.exists[self.count + rows]
        gone = self.slots[groups[~exists]]
        self._store.remove(gone[gone >= 0])
        rows, groups = rows[exists], groups[exists]
        slots, _ = self._store.insert(take(self._group_keys, groups))
        self._store.write(ROWTIME.name, slots, self.timestamps[self.count + rows])
        self._store.write_rows(slots, take(self._columns, rows))


def caused_by(left: Batch, right: Batch, source: Int64s, name: str) -> Any:
    """A NumPy attribute (positions, ..) of the causing rows, given by number: rows of the left batch, then of the right."""
    return np.concatenate((getattr(left, name), getattr(right, name)))[source]


def headers_of(left: Batch, right: Batch, source: Int64s) -> Any | None:
    """The headers of the causing rows; None if no row has any."""
    known = [b.headers for b in (left, right) if b.headers is not None]
    if not known:
        return None
    halves = [pa.nulls(len(b), known[0].type) if b.headers is None else b.headers for b in (left, right)]
    return pa.concat_arrays(halves).take(pa.array(source))


def joined_batch(
    schema: pa.Schema,
    key_count: int,
    left: Batch,
    right: Batch,
    source: Int64s,
    timestamps: Int64s,
    values: Sequence[Any],
    windowed: bool,
) -> Batch:
    """A batch of joined rows with the given values; key, window and headers are those of the causing rows."""
    both = [pa.concat_arrays(pair) for pair in zip(left.keys, right.keys)]
    return Batch(
        schema,
        key_count,
        (*take(both, source), *values),
        timestamps,
        caused_by(left, right, source, "positions"),
        window_starts=caused_by(left, right, source, "window_starts") if windowed else None,
        window_ends=caused_by(left, right, source, "window_ends") if windowed else None,
        headers=headers_of(left, right, source),
    )
