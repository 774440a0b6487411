"""SELECT lists: new columns, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..batch import Batch, Bools
from ..kernel import Kernel
from .base import Operator, OperatorContext
from .columns import evaluate, merged, nulled, without_rows


class Project(Operator):
    """Replaces a batch's columns by computed ones; the number of rows never changes.

    A failed item is null in its row and is reported.  The value of a tombstone stays null, whatever the kernels say; its key
    columns are computed like all others.  ``before`` images are projected in the same way, with the key columns of their
    row; their failures were reported when the row was new.

    Args:
        schema: the output's columns, the first ``key_count`` being the key.
        kernels: one for each output column, over the input batch's columns.
    """

    row_preserving = True

    def __init__(self, context: OperatorContext, schema: pa.Schema, key_count: int, kernels: Sequence[Kernel]) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._kernels = tuple(kernels)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        counters = self.context.counters
        counters.rows_in += len(batch)
        counters.rows_out += len(batch)
        keys, values = self._evaluate(batch)
        before = None
        if batch.before is not None:
            columns = (*batch.keys, *batch.before)
            before, _ = evaluate(self._kernels[self._key_count :], columns, len(batch))
            before = _nulled_all(before, batch.before_absent)
        return batch.with_columns(self._schema, self._key_count, (*keys, *values), before)

    def _evaluate(self, batch: Batch) -> tuple[list[Any], list[Any]]:
        keys, key_failures = evaluate(self._kernels[: self._key_count], batch.columns, len(batch))
        values, value_failures = evaluate(self._kernels[self._key_count :], batch.columns, len(batch))
        if key_failures or value_failures:
            alive = [f for f in (without_rows(f, batch.tombstones) for f in value_failures) if f is not None]
            failures = merged([*key_failures, *alive])
            if failures is not None:
                self.context.report(self.context.name, batch, failures, dropped=False)
        return keys, _nulled_all(values, batch.tombstones)


def _nulled_all(arrays: list[Any], rows: Bools | None) -> list[Any]:
    return arrays if rows is None or not rows.any() else [nulled(a, rows) for a in arrays]
