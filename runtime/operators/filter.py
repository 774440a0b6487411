"""WHERE and HAVING."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...errors import InternalError
from ..batch import Batch, Bools
from ..kernel import Kernel, as_mask
from .base import Operator, OperatorContext
from .columns import nulled, without_rows


class Filter(Operator):
    """Passes the rows for which a predicate is true.

    On a stream, rows for which it is false, null or fails are dropped (a failure is reported), and so are tombstones.

    On a table, a change passes if the row passes before it or after it.  A row that stops passing (or is deleted) becomes a
    tombstone; a change of a row that passes neither before nor after gives nothing.  The batch must carry ``before`` images;
    those of the output are the rows that passed before.  A table's WHERE and HAVING follow the same rule.

    HAVING over a stream's groups (``groups``) treats a missing group as a group of no rows, as Kafka Streams does.  If the
    results of its aggregates for no rows pass (with a null key), and the first row's result does not, a tombstone is put
    out.

    Args:
        predicate: a kernel with a bool result over the batch's columns.
        table: the batches are changes of a table.
        groups: the table holds the groups of a stream; ``before`` images of absent rows hold the results for no rows.
    """

    row_preserving = True

    def __init__(self, context: OperatorContext, predicate: Kernel, *, table: bool = False, groups: bool = False) -> None:
        super().__init__(context)
        self._predicate = predicate
        self._table = table
        self._groups = groups

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        self.context.counters.rows_in += len(batch)
        output = self._filter_table(batch) if self._table else self._filter_stream(batch)
        self.context.counters.rows_out += len(output)
        return output

    def _filter_stream(self, batch: Batch) -> Batch:
        if not len(batch):
            return batch
        keep, failed = self._passes(batch)
        if keep.all():
            return batch
        self.context.counters.filtered += len(keep) - int(np.count_nonzero(keep)) - failed
        output = batch.filter(keep)
        return output if output.tombstones is None else replace(output, tombstones=None)

    def _filter_table(self, batch: Batch) -> Batch:
        if not len(batch):
            return batch
        if batch.before is None:
            raise InternalError(f"{self.context.name}: a filter over a table needs the rows before each change")
        absent = batch.absent_before_mask()
        keys = tuple(nulled(k, absent) for k in batch.keys) if self._groups else batch.keys
        passed = as_mask(self._predicate((*keys, *batch.before), len(batch)))
        if not self._groups:
            passed = passed & ~absent
        passes, failed = self._passes(batch)
        keep = passes | passed
        self.context.counters.filtered += int(np.count_nonzero(~keep)) - failed
        if not keep.all():
            batch, passes, passed = batch.filter(keep), passes[keep], passed[keep]
        gone = ~passes
        if gone.any():
            columns = (*batch.keys, *(nulled(c, gone) for c in batch.values))
            batch = replace(batch, columns=columns, tombstones=gone)
        if not passed.all():
            before = tuple(nulled(c, ~passed) for c in batch.before or ())
            batch = replace(batch, before=before, before_absent=~passed)
        return batch

    def _passes(self, batch: Batch) -> tuple[Bools, int]:
        """Which rows pass after the change, and how many were dropped as bad because the predicate failed."""
        evaluated = self._predicate(batch.columns, len(batch))
        keep = as_mask(evaluated)
        if batch.tombstones is not None:
            keep = keep & ~batch.tombstones
        failures = without_rows(evaluated.failures, batch.tombstones)
        if failures is None or not len(failures.rows):
            return keep, 0
        if self._table:
            # The change may still be passed on as a tombstone, so its record is not lost.
            self.context.report(self.context.name, batch, failures, dropped=False)
            return keep, 0
        self.drop(batch, failures)
        return keep, len(failures.rows)
