"""What the topic of a store's changes is like.

Where processes share it (Kafka) nobody else may delete from it what another one's checkpoint stands for, so the topic itself
does not grow for ever: changes of keyed stores and of numbers are compacted by their keys, with tombstones for keys that are
gone.  Rows of an `IntervalStore`, which come once and expire, are deleted from the front (`Expiring`).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...storage.log.keyed_rows import KeyedRows
from ...storage.log.protocol import TopicConfig
from ...storage.state.interval_store import IntervalStore
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.store import StateStore

__all__ = ["DELETIONS_KNOWN_MS", "Expiring", "changelog_config", "without_places"]

SEGMENT_BYTES: Final = 50 * 1024 * 1024
"""What is in the newest segment is not compacted: Kafka Streams' size for topics of its own."""
DELETIONS_KNOWN_MS: Final = 12 * 3_600_000
"""So long tombstones are there at least: half of `TopicConfig.delete_retention_ms`, since clocks differ.  A copy of a store
that is older cannot be brought up to date."""


def changelog_config(store: StateStore, partitions: int, schema: pa.Schema, *, shared: bool) -> TopicConfig:
    """The topic for a store's changes, of this schema.

    Args:
        shared: processes share it.
    """
    config = TopicConfig(partitions, pa.struct(list(schema)), internal=True)
    if not shared or isinstance(store, IntervalStore):
        return config
    if isinstance(store, KeyedStore):
        rows = KeyedRows(len(store.key_schema), schema.names[-2])
    else:
        rows = KeyedRows(0, None)
    return TopicConfig(
        partitions,
        config.value_type,
        cleanup_policy="compact",
        internal=True,
        properties=rows.properties,
        segment_bytes=SEGMENT_BYTES,
    )


def without_places(changes: pa.RecordBatch, store: StateStore) -> pa.RecordBatch:
    """Changes without the slots of rows.  Slots agree only with changes that are all there, in their order, which a
    compacted topic has not got."""
    if not isinstance(store, KeyedStore):
        return changes
    slot = changes.schema.get_field_index(store.change_schema.names[-1])
    return changes.set_column(slot, changes.schema.field(slot), pa.nulls(changes.num_rows, changes.schema.field(slot).type))


class Expiring:
    """Up to where the changelog of an `IntervalStore` holds nothing but rows that have expired."""

    def __init__(self, store: IntervalStore) -> None:
        self._time = len(store.key_schema)
        self._pieces: deque[tuple[int, int]] = deque()
        """Where pieces end in the changelog, and the latest timestamp in each."""

    def written(self, end: int, rows: Any) -> None:
        """Note rows that are in the changelog before the offset ``end``, and behind all that were noted before."""
        if not rows.num_rows:
            return
        latest = int(np.max(np.asarray(rows.column(self._time))))
        if self._pieces and latest <= self._pieces[-1][1]:
            latest = self._pieces.pop()[1]
        self._pieces.append((end, latest))

    def over(self, store: IntervalStore) -> int:
        """The offset before which all have expired in the store; 0 if there is none, or it was told before."""
        end = 0
        while self._pieces and self._pieces[0][1] <= store.observed_ms - store.retention_ms:
            end = self._pieces.popleft()[0]
        return end
