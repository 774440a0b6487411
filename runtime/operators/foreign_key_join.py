"""The join of two tables by a foreign key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ...storage.state.index import factorize
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.order import key_ranks
from ...storage.state.referencing_store import ReferencingStore
from ...storage.state.store import StateStore
from ...storage.values.canonical import canonical
from ..batch import Batch, Bools, Int64s
from ..kernel import Kernel
from .base import Operator, OperatorContext
from .joining import ROWTIME, Versions, headers_of, orders, present_keys, take


@dataclass(slots=True)
class _Events:
    """Output rows.  Each consists of row numbers in the pools of left and right rows, -1 for none.

    Attributes:
        places: of the changes that cause them.
        keys: row numbers in the pool of left keys.
        left, right: the joined row after the change, where ``exists``.
        old_left, old_right: the joined row before it, where ``existed``.
    """

    places: Int64s
    timestamps: Int64s
    keys: Int64s
    left: Int64s
    right: Int64s
    exists: Bools
    old_left: Int64s
    old_right: Int64s
    existed: Bools


def _merged(first: _Events, second: _Events) -> _Events:
    """Merge events in the order of their places, which are distinct."""
    order = np.argsort(np.concatenate((first.places, second.places)), kind="stable")
    names = _Events.__slots__
    return _Events(*(np.concatenate((getattr(first, n), getattr(second, n)))[order] for n in names))


class ForeignKeyJoin(Operator):
    """Joins each row of the left table (input 0) with the row of the right table (input 1) whose primary key is the left
    row's foreign key.

    The result has the left table's primary key.  INNER: a joined row exists while both rows do; LEFT: while the left one
    does, and the right side may be null.

    * A change of a left row puts out its joined row.  INNER: if the new foreign key finds nothing, a tombstone if it differs
      from the old one (which may have found nothing, too), and nothing if it is the same or there was none; a tombstone also
      if the row is deleted, or its foreign key becomes null, and it had one.  LEFT: always, except when a row is deleted
      that was not there.  The timestamp is the larger one of both rows.
    * A change of a right row puts out, for every left row that refers to it at that moment, the joined row, with its own
      timestamp.  They come in the order of the left rows' primary keys (see `key_ranks`).  If it is deleted: tombstones
      (INNER, also if it was not there), or nulls (LEFT).

    Positions and headers are the change's.  Changes without a primary key are dropped.  A foreign key whose evaluation fails
    is reported and null.

    Rows of both tables that belong together must reach the same instance, although the inputs are partitioned differently.

    State: ``left``, the left rows with their foreign keys; ``right``, the right rows.
    """

    def __init__(
        self,
        context: OperatorContext,
        kind: Literal["INNER", "LEFT"],
        schema: pa.Schema,
        key_count: int,
        left: pa.Schema,
        right: pa.Schema,
        *,
        right_keys: pa.Schema,
        foreign_key: Sequence[Kernel],
        before: bool = False,
    ) -> None:
        """
        Args:
            schema: the output: the left input's key columns, ``len(left)`` columns and ``len(right)`` columns, under any
                names.
            key_count: how many key columns the left input and the output have.
            left, right: the value columns of the inputs; types must be as in ``schema``.
            right_keys: the key columns of the right input.
            foreign_key: kernels over the left input's columns (keys and values), one per column of ``right_keys`` and with
                its type.
            before: give the output ``before`` images (the inputs need none).
        """
        super().__init__(context)
        self._kind = kind
        self._schema = schema
        self._key_count = key_count
        self._foreign_key = tuple(foreign_key)
        self._before = before
        references = [pa.field(f"foreign_key_{i}", f.type) for i, f in enumerate(right_keys)]
        keys = pa.schema(list(schema)[:key_count])
        self._left = ReferencingStore("left", keys, [ROWTIME], pa.schema([*left, *references]), len(references))
        self._right = KeyedStore("right", right_keys, [ROWTIME], right)
        self._left_count = len(left)

    @property
    def stores(self) -> Sequence[StateStore]:
        return (self._left, self._right)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        left, right = (batch if (present := present_keys(batch.keys)) is None else batch.filter(present) for batch in inputs)
        left_places, right_places = orders(left, right)
        groups, first_rows = factorize(left.keys)
        rows = Versions(
            self._left,
            take(left.keys, first_rows),
            groups,
            left_places,
            [*left.values, *self._references(left)],
            left.timestamps,
            left.tombstone_mask(),
        )
        # All versions of the step, and for each the number of the right key that it refers to (-1: none).
        versions = rows.take(np.arange(len(rows.exists), dtype=np.int64))
        references = versions[self._left_count :]
        keys = [pa.concat_arrays(pair) for pair in zip(references, right.keys)]
        key_groups, first_keys = factorize(keys)
        refers = key_groups[: len(rows.exists)].copy()
        present = present_keys(references)
        if present is not None:
            refers[~present] = -1
        key_columns = take(keys, first_keys)
        rights = Versions(
            self._right,
            key_columns,
            key_groups[len(rows.exists) :],
            right_places,
            right.values,
            right.timestamps,
            right.tombstone_mask(),
        )
        by_left = self._left_events(left, left_places, rows, rights, refers)
        by_right, slots = self._right_events(
            right, right_places, groups, rows, rights, refers, key_columns, key_groups[len(rows.exists) :], left.keys
        )
        events = _merged(by_left, by_right)

        stored = self._left.read_rows(slots)
        pool = [pa.concat_arrays(pair) for pair in zip(versions[: self._left_count], stored)]
        key_pool = [pa.concat_arrays(pair) for pair in zip(left.keys, self._left.keys_of(slots))]

        def images(left_rows: Int64s, right_rows: Int64s, there: Bools) -> tuple[Any, ...]:
            halves = take(pool, np.where(there, left_rows, -1)), rights.take(np.where(there, right_rows, -1))
            return (*halves[0], *halves[1])

        sources = np.empty(len(left) + len(right), np.int64)
        sources[np.concatenate((left_places, right_places))] = np.arange(len(sources), dtype=np.int64)
        source = sources[events.places]
        output = Batch(
            self._schema,
            self._key_count,
            (*take(key_pool, events.keys), *images(events.left, events.right, events.exists)),
            events.timestamps,
            np.concatenate((left.positions, right.positions))[source],
            tombstones=None if events.exists.all() else ~events.exists,
            before=images(events.old_left, events.old_right, events.existed) if self._before else None,
            before_absent=~events.existed if self._before else None,
            headers=headers_of(left, right, source),
        )
        rows.write()
        rights.write()
        return output

    def _references(self, left: Batch) -> list[Any]:
        """The foreign key of each row; null for deleted rows."""
        alive = np.flatnonzero(~left.tombstone_mask())
        rows = left if len(alive) == len(left) else left.take(alive)
        back = np.full(len(left), -1, np.int64)
        back[alive] = np.arange(len(alive), dtype=np.int64)
        columns: list[Any] = []
        for kernel in self._foreign_key:
            evaluated = kernel(rows.columns, len(rows))
            if evaluated.failures is not None:
                self.context.report(self.context.name, rows, evaluated.failures, dropped=False)
            values = canonical(evaluated.values)
            columns.append(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
        return columns if rows is left else take(columns, back)

    def _left_events(self, left: Batch, places: Int64s, rows: Versions, rights: Versions, refers: Int64s) -> _Events:
        new = rows.count + np.arange(len(left), dtype=np.int64)
        old = rows.previous()
        exists, existed = rows.exists[new], rows.exists[old]
        key, old_key = refers[new], refers[old]
        right, old_right = rights.before(key, places), rights.before(old_key, places)
        found = _there(rights, right)
        if self._kind == "INNER":
            had = old_key >= 0
            put_out = np.where(key >= 0, found | (had & (key != old_key)), had)
            asked = np.where(key >= 0, right, old_right)
            exists_joined, existed_joined = exists & found, existed & _there(rights, old_right)
        else:
            put_out = exists | existed
            asked = right
            exists_joined, existed_joined = exists, existed
        timestamps = left.timestamps.copy()
        answered = np.flatnonzero(_there(rights, asked))
        timestamps[answered] = np.maximum(timestamps[answered], rights.timestamps[asked[answered]])
        number = np.arange(len(left), dtype=np.int64)
        columns: tuple[Any, ...] = (places, timestamps, number, new, right, exists_joined, old, old_right, existed_joined)
        return _Events(*(c[put_out] for c in columns))

    def _right_events(
        self,
        right: Batch,
        places: Int64s,
        groups: Int64s,
        rows: Versions,
        rights: Versions,
        refers: Int64s,
        key_columns: list[Any],
        key_groups: Int64s,
        left_keys: Sequence[Any],
    ) -> tuple[_Events, Int64s]:
        """The output of changes of right rows, and the slots of left rows that form the end of the pools."""
        changed = np.unique(key_groups)
        keys, slots = self._left.referrers(take(key_columns, changed))
        # (a) Left rows that referred to the key before the step, unless they have changed by then.
        pairs, among = _pairs(key_groups, changed[keys])
        held = slots[among]
        group_of = np.full(int(slots.max()) + 1 if len(slots) else 0, -1, np.int64)
        inside = rows.slots[(rows.slots >= 0) & (rows.slots < len(group_of))]
        group_of[inside] = np.flatnonzero((rows.slots >= 0) & (rows.slots < len(group_of)))
        group = group_of[held]
        current = (group < 0) | (rows.before(group, places[pairs]) == group)
        pairs, among = pairs[current], among[current]
        versions = len(rows.exists) + among
        key_numbers = len(groups) + among
        # (b) Left rows that have come to refer to it in the step and have not changed since.
        new = refers[rows.count :]
        candidates = np.argsort(new, kind="stable")
        candidates = candidates[new[candidates] >= 0]
        more, which = _pairs(key_groups, new[candidates])
        which = candidates[which]
        current = rows.before(groups[which], places[more]) == rows.count + which
        more, which = more[current], which[current]

        pairs = np.concatenate((pairs, more))
        key_numbers = np.concatenate((key_numbers, which))
        versions = np.concatenate((versions, rows.count + which))
        parts = [pa.concat_arrays(p) for p in zip(self._left.keys_of(slots[among]), take(left_keys, which))]
        order = np.lexsort((*reversed(key_ranks(parts)), places[pairs]))
        pairs, key_numbers, versions = pairs[order], key_numbers[order], versions[order]
        now, then = rights.count + pairs, rights.previous()[pairs]
        exists, existed = rights.exists[now], rights.exists[then]
        if self._kind == "LEFT":
            exists_joined = existed_joined = np.ones(len(pairs), np.bool_)
        else:
            exists_joined, existed_joined = exists, existed
        return (
            _Events(
                places[pairs],
                right.timestamps[pairs],
                key_numbers,
                versions,
                now,
                exists_joined,
                versions,
                then,
                existed_joined,
            ),
            slots,
        )


def _there(versions: Versions, numbers: Int64s) -> Bools:
    """Whether versions exist; -1 does not."""
    there = numbers >= 0
    there[there] = versions.exists[numbers[there]]
    return there


def _pairs(groups: Int64s, candidates: Int64s) -> tuple[Int64s, Int64s]:
    """All pairs of indices into ``groups`` and ``candidates`` (ascending) at which both have the same value."""
    starts = np.searchsorted(candidates, groups)
    counts = np.searchsorted(candidates, groups, "right") - starts
    ends = np.cumsum(counts)
    at = np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
    return np.repeat(np.arange(len(groups), dtype=np.int64), counts), at
