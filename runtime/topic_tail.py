"""The records of a topic, existing and new, in order of arrival over all partitions.

Unlike a subscription it has no query: the reader itself reads the log, and waits for commits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import StorageError
from ..storage import interrupts
from ..storage.log.protocol import FetchedRecords, Log
from .timeouts import deadline_after
from .wakes import LogWakes

_READ_ROWS = 1_000
_WAIT_S = 0.2
"""How long one wait for new records lasts, in seconds; after it, ``close()`` from another thread is noticed."""


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """A record of the log: ``key`` is bytes, ``value`` bytes or (typed topics) a dict; None where there is none."""

    key: bytes | None
    value: Any
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int
    offset: int


@interrupts.doors()
class TopicTail:
    """An iterator over a topic's records.  It ends after ``limit`` records, when the topic is deleted, or by ``close()``.

    Args:
        from_beginning: begin with the oldest record, not with the next new one.
        every: return only every n-th record, beginning with the first.
        wakes: wakes ``async for``.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        wakes: LogWakes,
        *,
        from_beginning: bool = False,
        every: int = 1,
        limit: int | None = None,
    ) -> None:
        self.topic = topic
        self.use: object = None
        """Keeps what it reads open, for whoever made it."""
        self.limited = limit is not None
        self.limit_reached = limit == 0
        self._log = log
        self._wakes = wakes
        self._every = every
        self._limit = limit
        self._seen = 0
        self._given = 0
        self._closed = threading.Event()
        self._ready: deque[TopicRecord] = deque()
        count = log.topics()[topic].partitions
        place = log.start_offset if from_beginning else log.end_offset
        self._offsets = [place(topic, partition) for partition in range(count)]

    def poll(self, timeout_s: float | None = 0.0) -> TopicRecord | None:
        """Wait at most so long (None: for ever) for the next record; None if none came in time, or there are no more.

        Raises:
            StorageError: the log is damaged.
        """
        deadline = deadline_after(timeout_s)
        while not self.finished:
            epoch = self._log.epoch
            if not self._ready:
                try:
                    self._fetch()
                except StorageError:
                    if self.topic in self._log.topics():
                        raise
                    self.close()  # it was deleted while it was being read
            while self._ready:
                record = self._ready.popleft()
                self._seen += 1
                if (self._seen - 1) % self._every:
                    continue
                self._given += 1
                self.limit_reached = self._limit is not None and self._given >= self._limit
                return record
            left = _WAIT_S if deadline is None else min(_WAIT_S, deadline - time.monotonic())
            if left <= 0:
                return None
            if not self.finished and not self._behind():
                self._log.wait(epoch, left)
        return None

    def _behind(self) -> bool:
        places = [(self.topic, partition) for partition in range(len(self._offsets))]
        try:
            _, ends = self._log.end_offsets(places)
        except StorageError:
            return True  # deleted: the next look finds that
        return any(offset < ends[place] for place, offset in zip(places, self._offsets, strict=True))

    def _fetch(self) -> None:
        """Read on.  Of each partition, take only records that arrived before all unread records of every partition."""
        if self.topic not in self._log.topics():
            self.close()
            return
        _, ends = self._log.end_offsets([(self.topic, p) for p in range(len(self._offsets))])
        pieces: list[tuple[int, FetchedRecords]] = []
        whole_until = 2**63 - 1
        for partition, offset in enumerate(self._offsets):
            end = ends[self.topic, partition]
            if offset >= end:
                continue
            records = self._log.read(self.topic, partition, offset, rows_max=_READ_ROWS, reset="earliest")
            pieces.append((partition, records))
            if records.next_offset < end and len(records):
                whole_until = min(whole_until, int(records.arrivals[-1]))
            elif not len(records):
                self._offsets[partition] = max(records.next_offset, end)
        found: list[tuple[int, TopicRecord]] = []
        for partition, records in pieces:
            for arrival, record in records_of(partition, records):
                if arrival <= whole_until and record.offset < ends[self.topic, partition]:
                    found.append((arrival, record))
                    self._offsets[partition] = record.offset + 1
        found.sort(key=lambda pair: pair[0])
        self._ready.extend(record for _, record in found)

    @property
    def finished(self) -> bool:
        """Whether no record will come."""
        return self.limit_reached or self._closed.is_set()

    def close(self) -> None:
        """End all iteration."""
        self._closed.set()

    def __iter__(self) -> Iterator[TopicRecord]:
        try:
            while (record := self.poll(None)) is not None:
                yield record
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[TopicRecord]:
        try:
            while not self.finished:
                epoch = self._log.epoch
                record = self.poll(0.0)
                if record is not None:
                    yield record
                elif not self.finished:
                    await self._wakes.wait(epoch, _WAIT_S)
        finally:
            self.close()

    def __enter__(self) -> TopicTail:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def records_of(partition: int, records: FetchedRecords) -> Iterator[tuple[int, TopicRecord]]:
    """Convert records of a partition to Python values, each with its place in the log's order of arrival."""
    count = len(records)
    keys = [None] * count if records.keys is None else records.keys.to_pylist()
    headers = [None] * count if records.headers is None else records.headers.to_pylist()
    values = records.values.to_pylist()
    for i in range(count):
        pairs = tuple((h["KEY"], h["VALUE"]) for h in headers[i] or ())
        yield (
            int(records.arrivals[i]),
            TopicRecord(keys[i], values[i], int(records.timestamps[i]), pairs, partition, int(records.offsets[i])),
        )
