"""The state of Kafka's clients that the listener keeps besides records, in a compacted internal topic.

Keys and values are msgpack; a null value removes an entry.  There are four kinds of keys:

* ``["pid"]``: the next unused producer id;
* ``["producer", id, topic, partition]``: `ProducedTo`, written in the commit of the records;
* ``["transactional", id]``: `TransactionalId`;
* ``["offset", group, topic, partition]``: the text beside a committed offset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from ..storage.log.protocol import Log, Records, TopicConfig, Transaction
from .log_access import STATE_TOPIC

__all__ = ["Entry", "ProducedTo", "StateTopic", "TransactionalId"]

Entry = tuple[tuple[Any, ...], Any]
"""A key and its value; None removes the entry."""


class TransactionalId(msgspec.Struct, array_like=True):
    """The state of a transactional id.

    Attributes:
        epoch: of its newest producer; producers with older epochs are fenced.
        status: whether a transaction is open, and how the last one ended.
        last_producer_id, last_epoch: if the newest producer itself asked for its present epoch (KIP-360), the id and epoch
            that it had before, else -1.  It may ask again with these if the answer was lost.
    """

    producer_id: int
    epoch: int
    timeout_ms: int
    status: Literal["empty", "ongoing", "committed", "aborted"] = "empty"
    last_producer_id: int = -1
    last_epoch: int = -1


class ProducedTo(msgspec.Struct, array_like=True):
    """The last batch of a producer in a partition."""

    epoch: int
    last_sequence: int


class StateTopic:
    """Reads the entries, and writes changes as part of the transactions that they belong to."""

    def __init__(self, log: Log, now_ms: Callable[[], int]) -> None:
        self._log = log
        self._now_ms = now_ms
        if log.config(STATE_TOPIC) is None:
            config = TopicConfig(cleanup_policy="compact", internal=True, segment_ms=24 * 60 * 60 * 1000)
            log.create_topic(STATE_TOPIC, config)

    def read(self) -> Mapping[tuple[Any, ...], Any]:
        """Read all entries: key -> latest value."""
        found: dict[tuple[Any, ...], Any] = {}
        for piece in self._log.scan(STATE_TOPIC, 0, self._log.start_offset(STATE_TOPIC, 0)):
            for key, value in zip(
                piece.keys.to_pylist() if piece.keys is not None else [], piece.values.to_pylist(), strict=True
            ):
                name = tuple(msgspec.msgpack.decode(key))
                if value is None:
                    found.pop(name, None)
                else:
                    found[name] = msgspec.msgpack.decode(value)
        return found

    def append(self, transaction: Transaction, entries: Sequence[Entry]) -> None:
        """Change entries as part of a transaction."""
        if not entries:
            return
        encode = msgspec.msgpack.encode
        keys = pa.array([encode(key) for key, _ in entries], pa.binary())
        values = pa.array([None if value is None else encode(value) for _, value in entries], pa.binary())
        transaction.append(STATE_TOPIC, Records(keys, values, np.full(len(entries), self._now_ms(), np.int64)), 0)
