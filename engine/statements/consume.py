"""Reads the records of topics as the log has them, for `Database.consume`."""

from __future__ import annotations

from collections.abc import Iterator

from ...runtime.clients.records import RawRecord, to_python
from ...storage.log.protocol import Log, OffsetReset

__all__ = ["partition_records"]


def partition_records(log: Log, topic: str, partition: int, offset: int | None, reset: OffsetReset) -> Iterator[RawRecord]:
    """The records that a partition has at this moment, from an offset on.

    Args:
        offset: None: begin at the first record.
        reset: where to begin if the partition does not have the offset.

    Raises:
        OffsetOutOfRangeError: the partition does not have this offset, and ``reset`` gives no other one.
        StorageError: the log is damaged.
    """
    end = log.end_offset(topic, partition)
    place = log.start_offset(topic, partition) if offset is None else offset
    while True:
        found = log.read(topic, partition, place, rows_max=10_000, reset="earliest" if offset is None else reset)
        yield from to_python(topic, partition, found)
        place = found.next_offset
        if place >= end:
            return
