"""The join of a stream with a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from ...storage.state.index import factorize
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.store import StateStore
from ..batch import Batch
from .base import Operator, OperatorContext
from .joining import ROWTIME, Versions, joined_batch, keys_of, orders, present_keys, store_keys, takes_part


class StreamTableJoin(Operator):
    """Looks up, for each row of the stream (input 0), the present row of the table (input 1).

    Only rows of the stream give output; a change of the table shows in later lookups.  A row of the stream sees the changes
    with smaller positions.  INNER: without a table row there is no output; LEFT: the table's columns are null.  The output
    has the stream row's timestamp, position, window and headers.  Rows of the stream without a value are filtered and those
    without a key are bad, with LEFT too; changes of the table without a key are dropped.

    State: ``table``, the table's rows by key; a deleted row is freed.
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
        windowed: bool = False,
    ) -> None:
        """
        Args:
            schema: the output: the key columns, ``len(left)`` columns and ``len(right)`` columns, under any names.
            key_count: how many key columns the output and both inputs have; the inputs are joined on all of them.
            left, right: the value columns of the inputs; types must be as in ``schema``.
            windowed: rows of both inputs have window bounds, which are joined on too.
        """
        super().__init__(context)
        self._kind = kind
        self._schema = schema
        self._key_count = key_count
        self._windowed = windowed
        self._table = KeyedStore("table", store_keys(schema, key_count, windowed), [ROWTIME], right)

    @property
    def stores(self) -> Sequence[StateStore]:
        return (self._table,)

    def process(self, inputs: Sequence[Batch]) -> Batch:
        stream, table = inputs
        keep = takes_part(self, stream)
        if keep is not None:
            stream = stream.filter(keep)
        present = present_keys(table.keys)
        if present is not None:
            table = table.filter(present)
        stream_places, table_places = orders(stream, table)
        keys = [pa.concat_arrays(pair) for pair in zip(keys_of(stream, self._windowed), keys_of(table, self._windowed))]
        groups, first_rows = factorize(keys)
        index = pa.array(first_rows)
        versions = Versions(
            self._table,
            [k.take(index) for k in keys],
            groups[len(stream) :],
            table_places,
            table.values,
            table.timestamps,
            table.tombstone_mask(),
        )
        found = versions.before(groups[: len(stream)], stream_places)
        rows = np.arange(len(stream), dtype=np.int64)
        if self._kind == "INNER":
            hit = versions.exists[found]
            self.count_filtered(hit)
            rows, found = rows[hit], found[hit]
        values = [*stream.take(rows).values, *versions.take(found)]
        output = joined_batch(
            self._schema, self._key_count, stream, table, rows, stream.timestamps[rows], values, self._windowed
        )
        versions.write()
        return output
