"""A keyed store whose rows refer to keys of another table; it finds the rows that refer to a key.

The references are sorted runs of (number of the referred key, slot), merged like the runs of other stores.  Entries are
not removed when a row changes: what is found is checked against the row's present reference, and merging drops stale
entries. Changes and checkpoints contain no references, since they follow from the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels.booleans import booleans
from .columns import GrowingColumn, Int64s
from .index import HashIndex
from .keyed_store import KeyedStore
from .store import StateField

_SLOT_BITS: Final = 32
_SLOT: Final = (1 << _SLOT_BITS) - 1


class ReferencingStore(KeyedStore):
    """A `StateStore`.

    Args:
        name, key_schema, fields, row_schema: as for `KeyedStore`.
        reference_count: so many of the row columns, the last ones, are the reference.  A reference whose columns are all
            null refers to nothing.
    """

    def __init__(
        self,
        name: str,
        key_schema: pa.Schema,
        fields: Sequence[StateField],
        row_schema: pa.Schema,
        reference_count: int,
    ) -> None:
        self._reference_schema = pa.schema(list(row_schema)[len(row_schema) - reference_count :])
        super().__init__(name, key_schema, fields, row_schema)

    def _clear(self) -> None:
        super()._clear()
        self._forget()

    def _forget(self) -> None:
        self._referred = HashIndex(self._reference_schema)
        self._reference = GrowingColumn(np.int64, -1)
        """By slot: the number of the key referred to, or -1."""
        self._entries: list[Int64s] = []

    def write_rows(self, slots: Int64s, columns: Sequence[Any]) -> None:
        """See `KeyedStore.write_rows`."""
        super().write_rows(slots, columns)
        if len(self._referred) > 2 * len(self) + 1024:
            # Most of the keys are referred to no more.
            self._forget()
            slots = np.flatnonzero(self._index.live.values[: self._index.slot_count])
            columns = self.read_rows(slots)
        self._refer(slots, columns[len(columns) - len(self._reference_schema) :])

    def _refer(self, slots: Int64s, references: Sequence[Any]) -> None:
        self._reference.reserve(self._index.slot_count)
        present = np.zeros(len(slots), np.bool_)
        for column in references:
            present |= booleans(column.is_valid())
        mask = pa.array(present)
        numbers = np.full(len(slots), -1, np.int64)
        numbers[present] = self._referred.insert([c.filter(mask) for c in references])[0]
        changed = present & (numbers != self._reference.take(slots))
        self._reference.put(slots, numbers)
        if changed.any():
            entries = self._entries
            entries.append(np.sort((numbers[changed] << _SLOT_BITS) | slots[changed]))
            while len(entries) > 1 and len(entries[-2]) < 2 * len(entries[-1]):
                merged = np.unique(np.concatenate((entries.pop(), entries.pop())))
                merged = merged[self._reference.take(merged & _SLOT) == merged >> _SLOT_BITS]
                if len(merged):
                    entries.append(merged)

    def _settle_restored(self) -> None:
        super()._settle_restored()
        slots = np.flatnonzero(self._index.live.values[: self._index.slot_count])
        if len(slots):
            columns = self.read_rows(slots)
            self._refer(slots, columns[len(columns) - len(self._reference_schema) :])

    def _remove(self, slots: Int64s) -> None:
        super()._remove(slots)
        self._reference.put(slots, -1)

    def referrers(self, keys: Sequence[Any]) -> tuple[Int64s, Int64s]:
        """The rows that refer to each of the given keys (distinct, not null).

        Returns:
            pairs of the number of a key and a slot, ordered by both.
        """
        numbers = self._referred.find(keys)
        asked = np.flatnonzero(numbers >= 0)
        low = numbers[asked] << _SLOT_BITS
        parts: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
        for entries in self._entries:
            starts = np.searchsorted(entries, low)
            counts = np.searchsorted(entries, low | _SLOT, "right") - starts
            ends = np.cumsum(counts)
            at = np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(starts - (ends - counts), counts)
            found = entries[at]
            found = found[self._reference.take(found & _SLOT) == found >> _SLOT_BITS]
            parts.append(found)
        found = np.unique(np.concatenate(parts))
        key_of = np.full(self._referred.slot_count, -1, np.int64)
        key_of[numbers[asked]] = asked
        keys_found, slots = key_of[found >> _SLOT_BITS], found & _SLOT
        order = np.argsort(keys_found, kind="stable")
        return keys_found[order], slots[order]
