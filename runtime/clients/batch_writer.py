"""Writes records of producers into one transaction of the log, and tells their senders the result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ...errors import ClientError, OutOfOrderSequenceError, PenstockError
from ...storage import interrupts
from ...storage.forks import Origin
from ...storage.log.partitioner import place
from ...storage.log.protocol import Commit, Log, ProducedBatch, Records, TopicConfig, TopicPartition, Transaction
from .. import user_code
from ..timeouts import checked_timeout
from .records import Headers, raw_columns, split

__all__ = [
    "BatchMetadata",
    "BatchWriter",
    "Bulk",
    "Delivery",
    "ProducerBatch",
    "RecordMetadata",
    "Send",
    "fail_all",
    "size_of",
]


class RecordMetadata(NamedTuple):
    """The place where a record was written.

    Attributes:
        offset: -1 for a duplicate whose batch is no longer remembered.
        timestamp: ms since the epoch.
        duplicate: a record with this sequence number had been written before; nothing was written now.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    duplicate: bool = False


class BatchMetadata(NamedTuple):
    """The places where the records of one `Producer.send_batch` were written.

    Attributes:
        offsets: partition -> offset of its first record there (-1: a duplicate no longer remembered), and the number of
            records.
        duplicate: records with these sequence numbers had been written before; nothing was written now.
    """

    topic: str
    offsets: dict[int, tuple[int, int]]
    duplicate: bool = False


Result = TypeVar("Result")


class ProducerBatch:
    """Records that one commit writes.

    Args:
        drive: called with this batch and the seconds its caller will wait (None: for ever); writes the batch now, unless
            another thread does or will soon.

    Attributes:
        told_by: the ident of the thread that tells the senders; 0 before that.
        error: why the batch was not written.
    """

    __slots__ = ("deadline_s", "done", "drive", "error", "items", "origin", "size", "taken", "told_by")

    def __init__(self, drive: Callable[[ProducerBatch, float | None], None], deadline_s: float) -> None:
        self.drive = drive
        self.origin = Origin()
        self.deadline_s = deadline_s
        self.items: list[Send | Bulk] = []
        self.size = 0
        self.taken = False
        self.told_by = 0
        self.error: PenstockError | None = None
        self.done = threading.Event()


class Delivery(Generic[Result]):
    """The result of sending a record, once it is known."""

    __slots__ = ("_batch", "_callbacks", "_error", "_result")

    def __init__(self, batch: ProducerBatch) -> None:
        self._batch = batch
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Delivery[Result]], object]] = []

    def done(self) -> bool:
        """Whether the record is written, or has failed."""
        return self._result is not None or self._error is not None

    def result(self, timeout_s: float | None = None) -> Result:
        """Wait until the record is written; returns its place.

        Raises:
            TimeoutError: it was not written in this time.
            ClientError, StorageError: it cannot be written.
        """
        error = self.exception(timeout_s)
        if error is not None:
            raise error
        assert self._result is not None
        return self._result

    @interrupts.deferring
    def exception(self, timeout_s: float | None = None) -> BaseException | None:
        """Wait as `result` does; returns the error, or None if the record was written."""
        timeout_s = checked_timeout(timeout_s, ClientError)
        if not self.done():
            self._batch.origin.check("the producer")
            self._batch.drive(self._batch, timeout_s)
            if not interrupts.wait_for_event(self._batch.done, timeout_s):
                raise TimeoutError(f"the record is not written after {timeout_s} s")
        return self._error

    @property
    def error(self) -> BaseException | None:
        """The error, if the record has failed already; does not wait."""
        return self._error

    def add_done_callback(self, function: Callable[[Delivery[Result]], object]) -> None:
        """Call ``function(self)`` when the record is written or has failed, on the thread that writes; at once if that has
        happened.

        The function must not raise: errors are ignored, since no caller could handle them.
        """
        self._callbacks.append(function)
        if self.done():
            self._call_back()

    def settle(self, result: Result | None, error: BaseException | None = None) -> None:
        """Set the result; only the first call counts."""
        if not self.done():
            self._result, self._error = result, error
            if self._callbacks:
                self._call_back()

    def _call_back(self) -> None:
        while self._callbacks:
            try:
                user_code.call(self._callbacks.pop(0), self)
            except user_code.UserCodeError:  # see add_done_callback
                continue


@dataclass(slots=True)
class Send:
    """One record to send; see `Producer.send`."""

    topic: str
    key: bytes | None
    value: Any
    timestamp: int
    headers: Headers
    partition: int | None
    sequence: int | None
    delivery: Delivery[RecordMetadata] = field(init=False)

    def join_batch(self, batch: ProducerBatch) -> Delivery[RecordMetadata]:
        self.delivery = Delivery(batch)
        return self.delivery

    def fail(self, error: BaseException) -> None:
        self.delivery.settle(None, error)


@dataclass(slots=True)
class Bulk:
    """Many records to send; see `Producer.send_batch`."""

    topic: str
    records: Records
    partition: int | None
    sequence: int | None
    delivery: Delivery[BatchMetadata] = field(init=False)

    def join_batch(self, batch: ProducerBatch) -> Delivery[BatchMetadata]:
        self.delivery = Delivery(batch)
        return self.delivery

    def fail(self, error: BaseException) -> None:
        self.delivery.settle(None, error)


@dataclass(slots=True)
class BatchWriter:
    """Fills one transaction.

    Attributes:
        producer: id and epoch, for records with sequence numbers.
        next_turn: (topic, count) -> the partition for the first of so many records without a key.
        counts: records in the transaction by partition.
    """

    log: Log
    transaction: Transaction
    producer: tuple[str, int] | None
    next_turn: Callable[[str, int], int]
    counts: dict[TopicPartition, int] = field(default_factory=dict)
    _sent: list[tuple[Sequence[Send], list[tuple[int, int]]]] = field(default_factory=list)
    """The sends of one topic; for each its partition, and its rank among the transaction's records there."""
    _bulks: list[tuple[Bulk, dict[int, tuple[int, int]]]] = field(default_factory=list)
    _expected: dict[TopicPartition, int] = field(default_factory=dict)
    """The sequence number expected of the first record in a partition."""
    _next: dict[TopicPartition, int] = field(default_factory=dict)

    def add(self, items: Sequence[Send | Bulk]) -> None:
        """Append items in their order.  One that cannot be written gets its error and is skipped."""
        known = self.log.topics()
        for (topic, is_bulk), run in groupby(items, lambda i: (i.topic, isinstance(i, Bulk))):
            members = list(run)
            config = known.get(topic)
            if config is None:
                for item in members:
                    item.fail(ClientError(f"there is no topic {topic}"))
            elif is_bulk:
                for item in members:
                    assert isinstance(item, Bulk)
                    self._add_bulk(item, config)
            else:
                self._add_sends(topic, config, [i for i in members if isinstance(i, Send)])
        if self.producer is not None:
            self.transaction.set_producer(*self.producer, self._expected)

    def refused(self, items: Sequence[Send | Bulk]) -> BaseException | None:
        """The error of the first item that was skipped."""
        return next((error for item in items if (error := item.delivery.error) is not None), None)

    def _add_sends(self, topic: str, config: TopicConfig, sends: list[Send]) -> None:
        sends, records = _columns(topic, config, sends)
        if records is None:
            return
        chosen = self._chosen(topic, config, records, [s.partition for s in sends])
        if self.producer is not None and any(s.sequence is not None for s in sends):
            kept = [i for i, send in enumerate(sends) if self._is_next(send, int(chosen[i]))]
            if len(kept) < len(sends):
                sends, chosen = [sends[i] for i in kept], chosen[kept]
                sends, records = _columns(topic, config, sends)
                if records is None:
                    return
        elif self.producer is not None:
            for number in set(chosen.tolist()):
                self._advance((topic, number), int((chosen == number).sum()))
        places = []
        for number in chosen.tolist():
            place = self.counts.get((topic, number), 0)
            self.counts[topic, number] = place + 1
            places.append((number, place))
        self._sent.append((sends, places))
        self.transaction.append_ranked(topic, split(records, chosen, config.partitions))

    def _add_bulk(self, bulk: Bulk, config: TopicConfig) -> None:
        n = len(bulk.records)
        if n == 0:
            bulk.delivery.settle(BatchMetadata(bulk.topic, {}))
            return
        if bulk.sequence is not None and bulk.partition is not None and not self._bulk_is_next(bulk, bulk.partition):
            return
        chosen = self._chosen(bulk.topic, config, bulk.records, [bulk.partition] * n)
        offsets: dict[int, tuple[int, int]] = {}
        parts = split(bulk.records, chosen, config.partitions)
        for number, part, _ in parts:
            place = (bulk.topic, number)
            if bulk.sequence is None:
                self._advance(place, len(part))
            offsets[number] = (self.counts.get(place, 0), len(part))
            self.counts[place] = offsets[number][0] + len(part)
        self._bulks.append((bulk, offsets))
        self.transaction.append_ranked(bulk.topic, parts)

    def _chosen(self, topic: str, config: TopicConfig, records: Records, asked: Sequence[int | None]) -> Any:
        """int32[n]: the requested partition, else that of the key, else the next in turn."""
        n, count = len(records), config.partitions
        if count == 1:
            return np.zeros(n, np.int32)
        wanted = np.array([-1 if number is None else number for number in asked], np.int32)
        if (wanted >= 0).all():
            return wanted
        return place(
            records.keys,
            n,
            count,
            lambda free: (self.next_turn(topic, free) + np.arange(free)) % count,
            asked=wanted,
            hashed=self.log.partitions_of,
        )

    # --- numbers ---------------------------------------------------------------------------

    def _known(self, place: TopicPartition) -> Sequence[ProducedBatch]:
        assert self.producer is not None
        return self.log.produced(self.producer[0], *place)

    def _number(self, place: TopicPartition) -> int:
        """The sequence number of the next record in a partition."""
        if place not in self._next:
            batches = self._known(place)
            self._next[place] = batches[-1].last + 1 if batches else 0
        return self._next[place]

    def _advance(self, place: TopicPartition, count: int) -> None:
        if self.producer is not None:
            first = self._number(place)
            self._expected.setdefault(place, first)
            self._next[place] = first + count

    def _is_next(self, send: Send, partition: int) -> bool:
        """Whether to write a record.  A duplicate is not written, nor a record that leaves a gap."""
        place = (send.topic, partition)
        wanted = self._number(place)
        if send.sequence is None or send.sequence == wanted:
            self._advance(place, 1)
            return True
        if send.sequence > wanted:
            send.fail(_gap(place, send.sequence, wanted))
        else:
            offset = _offset_of(self._known(place), send.sequence)
            send.delivery.settle(RecordMetadata(send.topic, partition, offset, send.timestamp, True))
        return False

    def _bulk_is_next(self, bulk: Bulk, partition: int) -> bool:
        assert bulk.sequence is not None
        place, n = (bulk.topic, partition), len(bulk.records)
        wanted = self._number(place)
        if bulk.sequence == wanted:
            self._advance(place, n)
            return True
        if bulk.sequence + n <= wanted:
            offset = _offset_of(self._known(place), bulk.sequence)
            bulk.delivery.settle(BatchMetadata(bulk.topic, {partition: (offset, n)}, True))
        else:
            bulk.fail(_gap(place, bulk.sequence, wanted))
        return False

    # --- the end ---------------------------------------------------------------------------

    def settle(self, commit: Commit) -> None:
        """Tell all senders where their records are."""
        for sends, places in self._sent:
            for send, (number, index) in zip(sends, places, strict=True):
                offset = commit.starts[send.topic, number] + index
                send.delivery.settle(RecordMetadata(send.topic, number, offset, send.timestamp))
        for bulk, offsets in self._bulks:
            found = {p: (commit.starts[bulk.topic, p] + place, n) for p, (place, n) in offsets.items()}
            bulk.delivery.settle(BatchMetadata(bulk.topic, found))


def fail_all(items: Sequence[Send | Bulk], error: BaseException) -> None:
    """Tell all senders of an error."""
    for item in items:
        item.fail(error)


def _columns(topic: str, config: TopicConfig, sends: list[Send]) -> tuple[list[Send], Records | None]:
    """Convert sends to columns.  Those that the topic cannot hold get their error and are skipped."""

    def columns(of: Sequence[Send]) -> Records:
        return raw_columns(
            topic, config, [s.key for s in of], [s.value for s in of], [s.timestamp for s in of], [s.headers for s in of]
        )

    try:
        return sends, columns(sends) if sends else None
    except ClientError as error:
        if len(sends) == 1:
            sends[0].fail(error)
            return [], None
    kept = [send for send in sends if _columns(topic, config, [send])[1] is not None]
    return _columns(topic, config, kept)


def _gap(place: TopicPartition, sequence: int, wanted: int) -> OutOfOrderSequenceError:
    return OutOfOrderSequenceError(
        f"number {sequence} is not the next one in {place[0]!r}, partition {place[1]}: {wanted} is"
    )


def _offset_of(batches: Sequence[ProducedBatch], sequence: int) -> int:
    for batch in batches:
        if batch.first <= sequence <= batch.last:
            return batch.offset + sequence - batch.first
    return -1


def size_of(key: Any, value: Any, headers: Any) -> int:
    """The approximate size of a record in memory, in bytes."""
    size = _RECORD_BYTES + (len(key) if key is not None else 0)
    if isinstance(value, bytes | bytearray | str):
        size += len(value)
    elif value is not None:
        size += _value_size(value)
    return size + sum(len(name) + len(data or b"") for name, data in headers) if headers else size


_RECORD_BYTES = 200
"""The size of a record's Python objects, besides its bytes."""


def _value_size(value: Any) -> int:
    if isinstance(value, bytes | bytearray | str):
        return 50 + len(value)
    if isinstance(value, dict):
        return 64 + sum(_value_size(v) for v in value.values())
    if isinstance(value, list | tuple):
        return 56 + sum(_value_size(v) for v in value)
    return 32
