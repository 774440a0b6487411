"""The first operator of a table's dataflow: turns upserts into changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ...storage.state.index import factorize
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.store import StateStore
from ..batch import Batch
from ..kernel import Failures, Kernel, as_mask
from .base import Operator, OperatorContext
from .joining import ROWTIME, Versions, keys_of, present_keys, store_keys


class TableSource(Operator):
    """Materialises a table's topic: it keeps the rows by key, so that changes have the row before them.

    Rows are applied in the order in which they come (an older ROWTIME still overwrites) and passed on with ``before``
    images.  A row without a key is bad and dropped.  A tombstone for a row that does not exist is passed on with no row
    before.

    State: ``table``, with the field ``rowtime`` (the ROWTIME of the last change) and the value columns per key; pull queries
    read it.
    """

    def __init__(
        self,
        context: OperatorContext,
        schema: pa.Schema,
        key_count: int,
        *,
        before: bool = True,
        windowed: bool = False,
        only: Kernel | None = None,
    ) -> None:
        """
        Args:
            schema: of the input and the output, the key columns first.
            before: give the output ``before`` images; without, the operator only materialises.
            windowed: rows have window bounds, which belong to the key.
            only: a condition over the key columns, which cannot fail: other rows are neither kept nor passed on, since the
                filter behind drops them, whatever their values are.
        """
        super().__init__(context)
        self._only = only
        self._windowed = windowed
        self._before = before
        values = pa.schema(list(schema)[key_count:])
        self._table = KeyedStore("table", store_keys(schema, key_count, windowed), [ROWTIME], values)

    @property
    def stores(self) -> Sequence[StateStore]:
        return (self._table,)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        (batch,) = inputs
        present = present_keys(batch.keys)
        if present is not None:
            rows = np.flatnonzero(~present)
            self.drop(batch, Failures(rows, ("the key of a table's row is null",) * len(rows)))
            batch = batch.filter(present)
        if self._only is not None:
            passes = as_mask(self._only(batch.keys, len(batch)))
            if not passes.all():
                batch = batch.filter(passes)
        if not len(batch):
            return replace(batch, before=batch.values, before_absent=np.zeros(0, np.bool_)) if self._before else batch
        keys = keys_of(batch, self._windowed)
        groups, first_rows = factorize(keys)
        index = pa.array(first_rows)
        places = np.arange(len(batch), dtype=np.int64)
        versions = Versions(
            self._table,
            [k.take(index) for k in keys],
            groups,
            places,
            batch.values,
            batch.timestamps,
            batch.tombstone_mask(),
        )
        if self._before:
            previous = versions.previous()
            batch = replace(batch, before=tuple(versions.take(previous)), before_absent=~versions.exists[previous])
        versions.write()
        return batch
