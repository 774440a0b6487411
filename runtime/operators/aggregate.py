"""GROUP BY without windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ...storage.state.store import StateField, StateStore
from ..batch import Batch
from .base import Operator, OperatorContext
from .group_states import NO_TIME, ROWTIME, BoundAggregator, GroupStates, output_batch

STORE = "groups"


class Aggregate(Operator):
    """Keeps one row per group, and puts it out for every row of the group, even if the update changes nothing.

    Over a table, `GroupBy` turns each change into an undo row and an add row.  Together they are one update of a group, or
    one of each group if the row moves.  A group whose last row was undone stays, with the results of its aggregates for no
    rows (COUNT 0).

    The output's timestamp is the largest of the group's rows so far.  The store has one row per group, for ever.

    Args:
        schema: group keys, one column per call, then ``extras``.
        key_count: of the input, and of the schema; 0 puts all rows in one group.
        calls: the aggregates.
        before: the output carries ``before`` images (HAVING needs them).
        extras: ROWTIME, if the output has it as a column.
    """

    def __init__(
        self,
        context: OperatorContext,
        schema: pa.Schema,
        key_count: int,
        calls: Sequence[BoundAggregator],
        *,
        before: bool = False,
        extras: Sequence[str] = (),
    ) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._before = before
        self._extras = tuple(extras)
        keys = pa.schema([schema.field(i) for i in range(key_count)])
        self._states = GroupStates(STORE, keys, calls, [rowtime_field()])

    @property
    def stores(self) -> Sequence[StateStore]:
        return (self._states.store,)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        self.context.counters.rows_in += len(batch)
        updates = self._states.update(
            batch.keys,
            batch.columns,
            batch.timestamps,
            every=self.context.every_update,
            before=self._before,
            undo=batch.undo,
            positions=batch.positions,
        )
        assert updates is not None
        self.report_results(batch, updates.rows, updates.failures)
        self.context.counters.rows_out += len(updates.rows)
        return output_batch(
            batch,
            self._schema,
            self._key_count,
            updates.rows,
            updates.results,
            updates.timestamps,
            self._extras,
            before=updates.before,
            before_absent=updates.before_absent,
        )


def rowtime_field() -> StateField:
    """The store's field for the largest timestamp of a group."""
    return StateField(ROWTIME, np.dtype(np.int64), pa.int64(), NO_TIME)
