"""Records as the log holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...runtime.batch import python_values
from ...storage.log.protocol import Log, OffsetReset

__all__ = ["RawRecord", "raw_records"]


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as the log holds it: ``value`` is bytes, or a dict for typed topics; headers are (name, bytes) pairs."""

    key: bytes | None
    value: Any
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int
    offset: int


def raw_records(log: Log, topic: str, partition: int, offset: int | None, reset: OffsetReset) -> Iterator[RawRecord]:
    """What a partition holds now, from an offset (None: its first) on.

    Raises:
        OffsetOutOfRangeError: it holds no such offset, and ``reset`` says nothing else.
        StorageError: the log is damaged.
    """
    end = log.end_offset(topic, partition)
    place = log.start_offset(topic, partition) if offset is None else offset
    while True:
        found = log.read(topic, partition, place, rows_max=10_000, reset="earliest" if offset is None else reset)
        count = len(found)
        keys = [None] * count if found.keys is None else found.keys.to_pylist()
        headers = [None] * count if found.headers is None else found.headers.to_pylist()
        values = python_values(found.values)
        for i in range(count):
            pairs = tuple((h["KEY"], h["VALUE"]) for h in headers[i] or ())
            yield RawRecord(keys[i], values[i], int(found.timestamps[i]), pairs, partition, int(found.offsets[i]))
        place = found.next_offset
        if place >= end:
            return
