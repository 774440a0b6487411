"""Typed topics that are compacted by what their rows say: which fields are a row's key, and which one that it is gone.

A log that compacts by the keys of records (Kafka) gives such records a key and writes tombstones for rows that are gone; who
reads them gets rows with all fields again.  Two properties of a topic say it:

=============  =====================================================================
``row.key``    how many of the first fields of the ``value_type`` are the key
``row.gone``   the name of the field (a boolean) that is true of a row that is gone;
               absent where rows are never gone
=============  =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..values.arrow_calls import index_array
from .protocol import TopicConfig

__all__ = ["KeyedRows"]

_KEY = "row.key"
_GONE = "row.gone"


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """What the rows of a topic say.

    Attributes:
        key_count: the number of fields of the key.
        gone: the field that says that a row is gone; None if none does.
    """

    key_count: int
    gone: str | None

    @property
    def properties(self) -> Mapping[str, str]:
        """Of the topic."""
        return {_KEY: str(self.key_count), **({} if self.gone is None else {_GONE: self.gone})}

    @staticmethod
    def of(config: TopicConfig | None) -> KeyedRows | None:
        """None if a topic is not compacted so."""
        if config is None or _KEY not in config.properties:
            return None
        return KeyedRows(int(config.properties[_KEY]), config.properties.get(_GONE))

    def key_type(self, kind: pa.StructType) -> pa.StructType:
        """The struct type of the keys of rows of a type."""
        return pa.struct([kind.field(number) for number in range(self.key_count)])

    def keys(self, rows: pa.StructArray) -> pa.Array[Any]:
        """struct[n]: the keys of struct[n]."""
        kind = self.key_type(rows.type)
        if not self.key_count:
            return pa.array([{}] * len(rows), kind)
        return pa.StructArray.from_arrays([rows.field(number) for number in range(self.key_count)], fields=list(kind))

    def with_tombstones(self, rows: pa.StructArray) -> pa.StructArray:
        """The rows, null where they are gone."""
        if self.gone is None:
            return rows
        gone = rows.field(self.gone).fill_null(False)
        columns = [rows.field(number) for number in range(rows.type.num_fields)]
        return pa.StructArray.from_arrays(columns, fields=list(rows.type), mask=gone)

    def whole(self, rows: pa.StructArray, keys: pa.StructArray) -> pa.StructArray:
        """The rows with all that tombstones do not hold.

        Args:
            rows: struct[n], null for tombstones.
            keys: struct of the keys of those that are null, in their order.
        """
        missing = np.asarray(rows.is_null())
        order = np.zeros(len(rows), np.int64)
        order[~missing] = np.flatnonzero(~missing)
        order[missing] = len(rows) + np.arange(int(missing.sum()))
        columns = []
        for number, field in enumerate(rows.type):
            if number < self.key_count:
                gone = keys.field(number)
            elif field.name == self.gone:
                gone = pa.array([True] * len(keys), pa.bool_())
            else:
                gone = pa.nulls(len(keys), field.type)
            columns.append(pa.concat_arrays([rows.field(number), gone]).take(index_array(order)))
        return pa.StructArray.from_arrays(columns, fields=list(rows.type))
