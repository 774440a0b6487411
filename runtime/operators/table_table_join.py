"""The join of two tables on their primary keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import InternalError
from ...storage.state.index import factorize
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.store import StateStore
from ..batch import Batch, Bools, Int64s
from .base import Operator, OperatorContext
from .joining import (
    ROWTIME,
    JoinKind,
    Versions,
    joined_batch,
    keys_of,
    orders,
    present_keys,
    store_keys,
)


class TableTableJoin(Operator):
    """Maintains the joined table of two tables (inputs 0 and 1) with the same primary key.

    A joined row exists while both rows do (INNER), the left one does (LEFT), the right one does (RIGHT), or either does
    (FULL); the missing side is null.  Every change of a side puts out the present joined row, even if it has not changed; a
    tombstone if the joined row has ceased to exist; and nothing if it existed neither before nor after.  But the deletion of
    a row that did not exist is passed on if the other side has a row, since Kafka Streams does not check that.  The
    timestamp is the larger one of the change and of the other side's row; position, window and headers are the change's.
    Changes without a key are dropped.

    State: ``left`` and ``right``, the rows of both tables by key; a deleted row is freed.
    """

    def __init__(
        self,
        context: OperatorContext,
        kind: JoinKind,
        schema: pa.Schema,
        key_count: int,
        left: pa.Schema,
        right: pa.Schema,
        *,
        before: bool = False,
        windowed: bool = False,
    ) -> None:
        """
        Args:
            schema: the output: the key columns, ``len(left)`` columns and ``len(right)`` columns, under any names.
            key_count: how many key columns the output and both inputs have; the inputs are joined on all of them.
            left, right: the value columns of the inputs; types must be as in ``schema``.
            before: give the output ``before`` images (the inputs need none).
            windowed: rows of both inputs have window bounds, which are joined on too.
        """
        super().__init__(context)
        self._kind = kind
        self._schema = schema
        self._key_count = key_count
        self._before = before
        self._windowed = windowed
        keys = store_keys(schema, key_count, windowed)
        self._stores = (KeyedStore("left", keys, [ROWTIME], left), KeyedStore("right", keys, [ROWTIME], right))

    @property
    def stores(self) -> Sequence[StateStore]:
        return self._stores

    def _exists(self, left: Bools, right: Bools) -> Bools:
        match self._kind:
            case "INNER":
                return left & right
            case "LEFT":
                return left
            case "RIGHT":
                return right
            case "FULL":
                return left | right
        raise InternalError(f"no kind of join: {self._kind}")

    def process(self, inputs: Sequence[Batch]) -> Batch:
        sides: list[Batch] = []
        for batch in inputs:
            present = present_keys(batch.keys)
            sides.append(batch if present is None else batch.filter(present))
        left, right = sides
        places = orders(left, right)
        keys = [pa.concat_arrays(pair) for pair in zip(keys_of(left, self._windowed), keys_of(right, self._windowed))]
        groups, first_rows = factorize(keys)
        index = pa.array(first_rows)
        group_keys = [k.take(index) for k in keys]
        by_side = groups[: len(left)], groups[len(left) :]
        tables = [
            Versions(s, group_keys, g, p, b.values, b.timestamps, b.tombstone_mask())
            for s, g, p, b in zip(self._stores, by_side, places, sides)
        ]

        # For each change, in the common order: the version of either side before and after it.
        total = len(left) + len(right)
        order = np.empty(total, np.int64)
        order[np.concatenate(places)] = np.arange(total, dtype=np.int64)
        old: list[Int64s] = []
        new: list[Int64s] = []
        for side, table in enumerate(tables):
            own, others = table.previous(), table.before(by_side[1 - side], places[1 - side])
            made = table.count + np.arange(len(sides[side]), dtype=np.int64)
            halves = ([own, others], [made, others]) if side == 0 else ([others, own], [others, made])
            old.append(np.concatenate(halves[0])[order])
            new.append(np.concatenate(halves[1])[order])
        existed = self._exists(tables[0].exists[old[0]], tables[1].exists[old[1]])
        exists = self._exists(tables[0].exists[new[0]], tables[1].exists[new[1]])
        is_left = order < len(left)
        there = np.where(is_left, tables[1].exists[new[1]], tables[0].exists[new[0]])
        put_out = np.flatnonzero(existed | exists | there)
        source, existed, exists = order[put_out], existed[put_out], exists[put_out]
        is_left, there = is_left[put_out], there[put_out]
        old = [versions[put_out] for versions in old]
        new = [versions[put_out] for versions in new]

        def images(versions: list[Int64s], there: Bools) -> list[Any]:
            return [c for t, v in zip(tables, versions) for c in t.take(np.where(there, v, -1))]

        # The other side's row counts only if it exists; the change itself counts even if it is a deletion.
        own_times = np.concatenate((left.timestamps, right.timestamps))[source]
        times = np.where(is_left, tables[1].timestamps[new[1]], tables[0].timestamps[new[0]])
        timestamps = np.where(there, np.maximum(own_times, times), own_times)
        output = replace(
            joined_batch(
                self._schema, self._key_count, left, right, source, timestamps, images(new, exists), self._windowed
            ),
            tombstones=None if exists.all() else ~exists,
            before=tuple(images(old, existed)) if self._before else None,
            before_absent=~existed if self._before else None,
        )
        for table in tables:
            table.write()
        return output
