"""PARTITION BY and GROUP BY: rows get a new key (an `Exchange` then moves them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ..batch import Batch
from ..kernel import Failures, Kernel
from .base import Operator, OperatorContext
from .columns import evaluate, evaluate_keys, merged, null_rows, nulled, without_rows


class PartitionBy(Operator):
    """Gives the rows of a stream a new key; drops no row.

    If a key is null or fails (which is reported), the row goes on without a key.  A tombstone keeps its null value; its key
    columns are null, too, except those that depend only on the old key columns.

    Args:
        schema: the output's columns, the first ``key_count`` being the new key (0 for PARTITION BY NULL).
        kernels: one for each output column, over the input batch's columns.
        tombstones_have_keys: which key kernels read key columns only, so that a tombstone has that key column, too (one
            answer for all, or one for each).
    """

    row_preserving = True

    def __init__(
        self,
        context: OperatorContext,
        schema: pa.Schema,
        key_count: int,
        kernels: Sequence[Kernel],
        *,
        tombstones_have_keys: bool | Sequence[bool] = False,
    ) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._kernels = tuple(kernels)
        answers = [tombstones_have_keys] * key_count if isinstance(tombstones_have_keys, bool) else tombstones_have_keys
        self._tombstones_have_keys = tuple(answers)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        counters = self.context.counters
        counters.rows_in += len(batch)
        counters.rows_out += len(batch)
        keys, key_failures = evaluate_keys(self._kernels[: self._key_count], batch.columns, len(batch))
        values, value_failures = evaluate(self._kernels[self._key_count :], batch.columns, len(batch))
        dead = batch.tombstones
        if not all(self._tombstones_have_keys):
            key_failures, value_failures = [], [*key_failures, *value_failures]
        alive = [f for f in (without_rows(f, dead) for f in value_failures) if f is not None]
        failures = merged([*key_failures, *alive])
        if failures is not None:
            self.context.report(self.context.name, batch, failures, dropped=False)
        if dead is not None and dead.any():
            values = [nulled(v, dead) for v in values]
            keys = [k if kept else nulled(k, dead) for k, kept in zip(keys, self._tombstones_have_keys, strict=True)]
        return batch.with_columns(self._schema, self._key_count, (*keys, *values))


class GroupBy(Operator):
    """Gives rows the key of their group, before an aggregation.

    A row with a group key that is null or fails is dropped as bad, and reported.

    On a stream, tombstones are dropped.  On a table, each change becomes up to two rows at its position: first the row
    before it with ``Batch.undo`` set, under its own group's key, then the row after it.  (So a row that moves to another
    group is first undone in the old one.)  The input must carry ``before`` images; the output has none.

    Args:
        schema: the output's columns, the first ``key_count`` being the group's key.
        kernels: one for each output column, over the input batch's columns; those after the keys are arguments of the
            aggregation (a failed one is null in its row, and reported).
        table: the batches are changes of a table.
    """

    row_preserving = True

    def __init__(
        self,
        context: OperatorContext,
        schema: pa.Schema,
        key_count: int,
        kernels: Sequence[Kernel],
        *,
        table: bool = False,
    ) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._kernels = tuple(kernels)
        self._table = table
        self.row_preserving = not table  # type: ignore[misc]  # narrower than the class's: it depends on the input

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        counters = self.context.counters
        counters.rows_in += len(batch)
        output = self._group_table(batch) if self._table else self._group_stream(batch)
        counters.rows_out += len(output)
        return output

    def _group_stream(self, batch: Batch) -> Batch:
        if batch.tombstones is not None:
            alive = ~batch.tombstones
            self.count_filtered(alive)
            batch = replace(batch.filter(alive), tombstones=None)
        return self._keyed(batch, report=np.ones(len(batch), np.bool_))

    def _group_table(self, batch: Batch) -> Batch:
        return self._keyed(with_undo(batch), report=None)

    def _keyed(self, batch: Batch, report: Any) -> Batch:
        """The batch with its group keys.  Failures of undo rows are not reported again."""
        length = len(batch)
        if report is None:
            report = np.ones(length, np.bool_) if batch.undo is None else ~batch.undo
        keys, key_failures = evaluate_keys(self._kernels[: self._key_count], batch.columns, length)
        values, value_failures = evaluate(self._kernels[self._key_count :], batch.columns, length)
        output = batch.with_columns(self._schema, self._key_count, (*keys, *values))
        missing = null_rows(keys) if keys else np.zeros(length, np.bool_)
        if not missing.any() and not value_failures:
            return output
        bad = without_rows(merged([*key_failures, *_null_keys(missing)]), ~report)
        if bad is not None and len(bad.rows):
            self.drop(batch, bad)
        failures = without_rows(merged(value_failures), missing | ~report)
        if failures is not None and len(failures.rows):
            self.context.report(self.context.name, batch, failures, dropped=False)
        return output.filter(~missing)


def with_undo(batch: Batch) -> Batch:
    """Convert a table's changes to undo rows and add rows: for each change the row before it (``undo`` true), if there was
    one, then the row after it, if there is one.
    """
    if batch.before is None:
        raise ValueError("the batch does not carry the rows before its changes")
    had = ~batch.absent_before_mask()
    has = ~batch.tombstone_mask()
    counts = had.astype(np.int64) + has
    rows = np.repeat(np.arange(len(batch), dtype=np.int64), counts)
    first = np.ones(len(rows), np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    undo = first & had[rows]
    # Row r of the change is r among the new rows, n + r among the old ones.
    picked = pa.array(np.where(undo, rows + len(batch), rows))
    columns = [k.take(pa.array(rows)) for k in batch.keys]
    columns += [pa.concat_arrays([v, b]).take(picked) for v, b in zip(batch.values, batch.before)]
    bare = replace(batch, columns=batch.keys, before=None, before_absent=None, tombstones=None)
    return replace(bare.take(rows), columns=tuple(columns), undo=undo)


def _null_keys(missing: Any) -> list[Failures]:
    rows = np.flatnonzero(missing)
    return [Failures(rows, ("a GROUP BY expression is NULL",) * len(rows))] if len(rows) else []
