"""A producer: sends records in batches, each of them one commit; with an id it numbers them, and it has transactions."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal

from ...errors import ClientError, PenstockError
from ...storage import interrupts
from ...storage.log.ownership import refused_write
from ...storage.log.protocol import Log, TopicPartition
from .accumulator import Accumulator
from .batch_writer import BatchMetadata, Bulk, Delivery, ProducerBatch, RecordMetadata, Send, fail_all, size_of
from .beginning import BatchBeginner
from .consumer import Consumer
from .coordinator import Coordinator, GroupMetadata
from .producer_options import ProducerOptions
from .records import Headers, records_of_columns

__all__ = ["Producer", "ProducerOptions", "ProducerTransaction"]


@interrupts.doors(but={"send"})  # (which `Accumulator.add` sees to: it is called for every record)
class Producer:
    """Sends records.  Thread-safe; close it, or use it as a context manager.

    Records that wait are written even if nobody closes the producer: when it is dropped, and when the process ends in the
    usual way.  A producer without a thread of its own (``background=False``) writes them only in the second case.

    Args:
        producer_id: with an id, records are numbered per partition.  A repeated number is recognised also after a crash, and
            an older producer with the same id is fenced.
        clock_ms: gives the timestamps of records without one.
        admit: is called with the topics before a write, and may wait until there is room for it.
        refused: gets a topic, and says in one clause why nobody may write to it; None if anybody may.
    """

    def __init__(
        self,
        log: Log,
        coordinator: Coordinator,
        producer_id: str | None,
        options: ProducerOptions,
        *,
        clock_ms: Callable[[], int],
        admit: Callable[[Sequence[str]], None] = lambda topics: None,
        refused: Callable[[str], str | None] = lambda topic: None,
    ) -> None:
        options.check()
        if producer_id is not None and (not isinstance(producer_id, str) or not producer_id):
            raise ClientError("the id of a producer must be text")
        self.id = producer_id
        self.use: object = None
        """Keeps the log open, for whoever made the producer."""
        self._log = log
        self._coordinator = coordinator
        self._options = options
        self._clock_ms = clock_ms
        self._refused = refused
        identity = None if producer_id is None else (producer_id, log.open_producer(producer_id))
        self._beginner = BatchBeginner(log, options, identity, admit)
        in_flight = 1 if producer_id is not None else options.max_in_flight  # what it numbers next, the log knows after it
        self._accumulator = Accumulator(options, in_flight, self._beginner.begin)
        weakref.finalize(self, self._accumulator.abandon).atexit = False

    # --- sending ---------------------------------------------------------------------------

    def send(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: Any = None,
        headers: Headers = (),
        timestamp: int | None = None,
        partition: int | None = None,
        sequence: int | None = None,
    ) -> Delivery[RecordMetadata]:
        """Add a record to the next batch.

        Args:
            value: bytes, or a dict for a topic of typed values; None is a tombstone.
            timestamp: ms since the epoch; by default now.
            partition: by default that of the key; records without a key are spread in turn.
            sequence: the record's sequence number in its partition, to send again what may have been written before a crash:
                see `last_sequence`.  By default the next one.

        Returns:
            the future result; ``result()`` waits for it.

        Raises:
            ClientError: the topic or partition does not exist; a number without a producer id; the producer is closed.
            BufferExhaustedError: the buffer stayed full for ``max_block_ms``.
        """
        self._check(topic, partition, sequence)
        size = size_of(key, value, headers)
        stamp = self._clock_ms() if timestamp is None else timestamp
        send = Send(topic, key, value, stamp, headers, partition, sequence)
        self._accumulator.add(send, size)
        return send.delivery

    def send_batch(
        self, topic: str, rows: Any, *, partition: int | None = None, sequence: int | None = None
    ) -> Delivery[BatchMetadata]:
        """Add many records, to be written in one commit.

        Args:
            rows: an Arrow table, or dicts, of ``key``, ``value``, ``timestamp``, ``headers``: see `records_of_columns`.
            partition: by default that of each key.
            sequence: the number of the first; needs ``partition``.

        Raises:
            ClientError: as `send`; the topic cannot hold the records.
            BufferExhaustedError: as `send`.
        """
        self._check(topic, partition, sequence)
        if sequence is not None and partition is None:
            raise ClientError("numbers count per partition: send_batch(.., sequence=..) needs a partition")
        records = records_of_columns(topic, self._log.topics()[topic], rows, self._clock_ms())
        columns = [records.keys, records.values, records.headers]
        bulk = Bulk(topic, records, partition, sequence)
        size = sum(c.nbytes for c in columns if c is not None) + records.timestamps.nbytes
        self._accumulator.add(bulk, min(size, self._options.buffer_memory))
        return bulk.delivery

    def _check(self, topic: str, partition: int | None, sequence: int | None) -> None:
        self._log.check_process()
        try:
            self._log.topic_id(topic)
        except PenstockError:
            raise ClientError(f"there is no topic {topic}") from None
        refused = refused_write(topic, self._log.config(topic)) or self._refused(topic)
        if refused is not None:
            raise ClientError(refused)
        if partition is not None:
            count = self._log.topics()[topic].partitions
            if not isinstance(partition, int) or not 0 <= partition < count:
                raise ClientError(f"the topic {topic} has the partitions 0 to {count - 1}, not {partition!r}")
        if sequence is not None and (self.id is None or not isinstance(sequence, int) or sequence < 0):
            raise ClientError(
                "a sequence must be a whole number of at least 0, and needs a producer with an id: producer(id)"
            )

    def flush(self) -> None:
        """Wait until all that was sent before is written, or has failed (see its `Delivery`).

        Raises:
            StorageError, ClientError: the error of a batch that this call wrote.
        """
        self._log.check_process()
        self._accumulator.flush()

    def last_sequence(self, topic: str, partition: int = 0) -> int | None:
        """The sequence number of this producer's last committed record in a partition; None if there is none.

        A loader that was interrupted continues after it.

        Raises:
            ClientError: the producer has no id; the topic or partition does not exist.
        """
        if self.id is None:
            raise ClientError("a producer without an id has no numbers: producer(id)")
        self._check(topic, partition, None)
        found = self._log.produced(self.id, topic, partition)
        return found[-1].last if found else None

    # --- transactions ----------------------------------------------------------------------

    def transaction(self) -> ProducerTransaction:
        """Begin a transaction: records of any topics and partitions, and offsets of consumers, committed together or not at
        all.

        Use it as a context manager: it commits at the end, and aborts if the block raises.
        """
        if self._accumulator.closed:
            raise ClientError("the producer is closed")
        return ProducerTransaction(self)

    # --- life cycle ------------------------------------------------------------------------

    @property
    def accumulator(self) -> Accumulator:
        """What waits to be written; it outlives the producer."""
        return self._accumulator

    def close(self) -> None:
        """Write what waits, and close.  In a process forked from the one that opened the log this does nothing.

        Raises:
            StorageError, ClientError: the last batch could not be written; the producer is closed nevertheless.
        """
        if self._log.foreign:
            return
        self._accumulator.close()

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def __repr__(self) -> str:
        return f"<penstock.Producer {'without an id' if self.id is None else self.id}>"


def _not_yet(batch: ProducerBatch, timeout_s: float | None) -> None:
    if not batch.taken:
        raise ClientError("the transaction is not committed yet")


@interrupts.doors()
class ProducerTransaction:
    """A transaction; see `Producer.transaction`.  Use it from one thread."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._batch = ProducerBatch(_not_yet, 0.0)
        self._offsets: list[tuple[GroupMetadata, dict[TopicPartition, int]]] = []
        self._open = True

    def send(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: Any = None,
        headers: Headers = (),
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> Delivery[RecordMetadata]:
        """Like `Producer.send`; the result is known after `commit`."""
        self._check_open()
        producer = self._producer
        producer._check(topic, partition, None)
        stamp = producer._clock_ms() if timestamp is None else timestamp
        send = Send(topic, key, value, stamp, headers, partition, None)
        self._batch.items.append(send)
        return send.join_batch(self._batch)

    def send_batch(self, topic: str, rows: Any, *, partition: int | None = None) -> Delivery[BatchMetadata]:
        """Like `Producer.send_batch`; the result is known after `commit`."""
        self._check_open()
        producer = self._producer
        producer._check(topic, partition, None)
        records = records_of_columns(topic, producer._log.topics()[topic], rows, producer._clock_ms())
        bulk = Bulk(topic, records, partition, None)
        self._batch.items.append(bulk)
        return bulk.join_batch(self._batch)

    def send_offsets(self, consumer: Consumer | GroupMetadata, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Commit the offsets of a consumer's group with the records.

        Args:
            offsets: of the next records to read; by default all positions of the consumer.

        Raises:
            ClientError: the consumer has no group; offsets are missing.
        """
        self._check_open()
        if isinstance(consumer, Consumer):
            offsets = consumer.positions() if offsets is None else offsets
            consumer = consumer.group_metadata()
        if offsets is None:
            raise ClientError("send_offsets() with the metadata of a group needs the offsets")
        for offset in offsets.values():
            if not isinstance(offset, int) or offset < 0:
                raise ClientError(f"an offset must be a whole number of at least 0, not {offset!r}")
        self._offsets.append((consumer, dict(offsets)))

    def commit(self) -> None:
        """Commit everything at one instant.

        Raises:
            CommitFailedError: a partition of a consumer belongs to another member now.
            ProducerFencedError: a newer producer with the same id exists.
            ClientError: a topic cannot hold one of the records.
            StorageError: the disk failed.  In each case nothing was written.
        """
        self._check_open()
        self._producer._log.check_process()
        self._open = False
        producer = self._producer
        items = self._batch.items
        try:
            with ExitStack() as held, producer._accumulator.turn():
                positions: dict[str, dict[TopicPartition, int]] = {}
                for who, offsets in self._offsets:
                    group = producer._coordinator.group(who.group)
                    held.enter_context(group.committing(who, offsets))
                    positions.setdefault(group.stored_name, {}).update(offsets)
                writer, committing = producer._beginner.begin(items, positions, whole=True)
                commit = committing.result()
            writer.settle(commit)
        except BaseException as error:
            fail_all(items, error)
            raise
        finally:
            self._batch.taken = True
            self._batch.done.set()

    def abort(self) -> None:
        """Drop the transaction; nobody will have seen any of it."""
        self._check_open()
        self._open = False
        fail_all(self._batch.items, ClientError("the transaction was aborted"))
        self._batch.taken = True
        self._batch.done.set()

    def _check_open(self) -> None:
        if not self._open:
            raise ClientError("the transaction is over")

    def __enter__(self) -> ProducerTransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if self._open:
            if kind is None:
                self.commit()
            else:
                self.abort()
        return False
