"""Table functions in a SELECT list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..batch import Batch, Int64s
from ..kernel import Kernel
from .base import Operator, OperatorContext
from .columns import evaluate, merged


class Explode(Operator):
    """Turns each row of a stream into one row per item of its lists.

    Several lists are zipped by position, and the shorter ones padded with null.  All other columns repeat.  A row whose
    lists are all null or empty gives no row.  A row for which a table function fails is dropped and reported; tombstones are
    dropped.

    Args:
        schema: the input's columns, followed by one column per kernel.
        key_count: of the input, which keeps its key.
        kernels: table functions: kernels giving list arrays.
    """

    def __init__(self, context: OperatorContext, schema: pa.Schema, key_count: int, kernels: Sequence[Kernel]) -> None:
        super().__init__(context)
        self._schema = schema
        self._key_count = key_count
        self._kernels = tuple(kernels)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        counters = self.context.counters
        counters.rows_in += len(batch)
        length = len(batch)
        lists, all_failures = evaluate(self._kernels, batch.columns, length)
        lengths = [_lengths(array) for array in lists]
        counts = np.maximum.reduce(lengths)
        bad = batch.tombstone_mask().copy()
        counters.filtered += int(bad.sum())
        failures = merged(all_failures)
        if failures is not None:
            alive = ~bad[failures.rows]
            bad[failures.rows] = True
            if not alive.all():
                failures = type(failures)(failures.rows[alive], tuple(r for r, a in zip(failures.reasons, alive) if a))
            if len(failures.rows):
                self.drop(batch, failures)
        counters.filtered += int(np.count_nonzero((counts == 0) & ~bad))
        counts[bad] = 0
        rows = np.repeat(np.arange(length, dtype=np.int64), counts)
        nth = np.arange(len(rows), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        items = [_items(array, sizes, rows, nth) for array, sizes in zip(lists, lengths)]
        output = batch.take(rows)
        counters.rows_out += len(rows)
        return output.with_columns(self._schema, self._key_count, (*output.columns, *items))


def _lengths(array: Any) -> Int64s:
    """int64[n]: the length of each list, 0 for null."""
    lengths: Int64s = np.asarray(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    return lengths


def _items(array: Any, lengths: Int64s, rows: Int64s, nth: Int64s) -> Any:
    """Item ``nth[i]`` of list ``rows[i]``; null beyond its end."""
    values = array.flatten()  # leaves out what null lists may hide, so offsets are the sums of the lengths
    offsets = np.cumsum(lengths) - lengths
    index = offsets[rows] + nth
    return values.take(pa.array(index, mask=nth >= lengths[rows]))
