"""The schema registry of a database: its records live in a topic of the log, as a registry server keeps them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ..runtime.clock import now_ms
from ..storage.formats import EmbeddedRegistry
from ..storage.log.protocol import Log, Records, TopicConfig

TOPIC = "_schemas"
_READ_ROWS = 10_000


def open_registry(log: Log) -> EmbeddedRegistry:
    """The registry with all schemas registered so far; a registration is durable when it returns.

    Raises:
        StorageError: the topic cannot be read or made.
    """
    if TOPIC not in log.topics():
        log.create_topic(TOPIC, TopicConfig(internal=True))

    def append(key: bytes, value: bytes | None) -> None:
        transaction = log.transaction()
        keys, values = pa.array([key], pa.binary()), pa.array([value], pa.binary())
        transaction.append(TOPIC, Records(keys, values, np.array([now_ms()], np.int64)), 0)
        transaction.commit()

    return EmbeddedRegistry(_records(log), append)


def _records(log: Log) -> Iterator[tuple[bytes, bytes | None]]:
    offset, end = log.start_offset(TOPIC, 0), log.end_offset(TOPIC, 0)
    while offset < end:
        records = log.read(TOPIC, 0, offset, rows_max=_READ_ROWS)
        assert records.keys is not None
        yield from zip(records.keys.to_pylist(), records.values.to_pylist())
        offset = records.next_offset
