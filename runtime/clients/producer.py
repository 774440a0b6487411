"""A producer: sends records in batches, each batch one commit; numbered, if it has an id; in transactions, if asked.

Batches are begun one after the other, and a large one is begun while the disk still works for those before it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Literal

from ...errors import BufferExhaustedError, ClientError, PenstockError
from ...storage.log.protocol import Committing, Compression, Log, TopicPartition
from .consumer import Consumer
from .coordinator import Coordinator, GroupMetadata
from .outgoing import BatchMetadata, Bulk, Delivery, Flight, Outgoing, RecordMetadata, Send, size_of
from .records import Headers, records_of_columns

__all__ = ["Producer", "ProducerOptions", "ProducerTransaction"]


@dataclass(frozen=True, slots=True)
class _Begun:
    """A batch that has its place in the log."""

    flight: Flight
    outgoing: Outgoing
    committing: Committing


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """Kafka's settings of a producer, with its names where there is one.

    Attributes:
        compression: of topics whose own ``compression.type`` is none; None leaves it to the topics.
        linger_ms: how long a record may wait for others, to be written with them.
        batch_bytes: so many do not wait any longer (``batch.size``, over all partitions), and what comes behind is another
            batch.
        max_in_flight: batches that are on their way to the disk at most
            (``max.in.flight.requests.per.connection``).  A producer with an id sends one after the other.
        buffer_memory: bytes that wait to be written at most; then `Producer.send` waits.
        max_block_ms: but no longer than this.
        durable: whether a record counts as written when it is on disk (``acks=all``), or as soon as readers see it.
        background: whether a thread writes what waits; without it that is up to `Producer.flush` and `Delivery.result`.
    """

    compression: Compression | None = None
    linger_ms: float = 0
    batch_bytes: int = 1024 * 1024
    max_in_flight: int = 5
    buffer_memory: int = 32 * 1024 * 1024
    max_block_ms: int = 60_000
    durable: bool = True
    background: bool = True

    def check(self) -> None:
        """Raises: ClientError, for a value that an option cannot have."""
        if self.compression not in (None, "none", "lz4", "zstd"):
            raise ClientError(f"compression is none, lz4 or zstd, not {self.compression!r}")
        for name in ("linger_ms", "max_block_ms"):
            if getattr(self, name) < 0:
                raise ClientError(f"{name} is at least 0, not {getattr(self, name)}")
        for name in ("batch_bytes", "max_in_flight", "buffer_memory"):
            if getattr(self, name) < 1:
                raise ClientError(f"{name} is at least 1, not {getattr(self, name)}")


class Producer:
    """Sends records.  Thread-safe; close it, or use it as a context manager.

    Args:
        producer_id: with one, records are numbered per partition, a repeated number is recognised also after a crash, and
            an older producer with the same id is fenced.
        clock_ms: the timestamps of records without one.
        admit: called with the topics that are about to be written; may wait.
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
    ) -> None:
        options.check()
        if producer_id is not None and (not isinstance(producer_id, str) or not producer_id):
            raise ClientError("the id of a producer is text")
        self.id = producer_id
        self._log = log
        self._coordinator = coordinator
        self._options = options
        self._clock_ms = clock_ms
        self._admit = admit
        self._identity = None if producer_id is None else (producer_id, log.open_producer(producer_id))
        self._guard = threading.Lock()
        self._sending = threading.RLock()
        """Held by whoever begins a batch: they are begun one after the other, so records keep their order."""
        self._waiting: deque[Flight] = deque()
        """Batches that nobody has begun; the last one takes more, unless it is full."""
        self._flying: list[Flight] = []
        """Batches that were taken and are not done."""
        self._slots = threading.BoundedSemaphore(1 if producer_id is not None else options.max_in_flight)
        self._begun: SimpleQueue[_Begun | None] = SimpleQueue()
        self._lander: threading.Thread | None = None
        """Waits for the disk, while ``_thread`` begins the next batch."""
        self._buffered = 0
        self._turns: dict[str, int] = {}
        self._wakeup = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

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
        """Give a record to be written with the next batch.

        Args:
            value: bytes, or a dict for a topic of typed values; None is a tombstone.
            timestamp: ms since the epoch; by default now.
            partition: by default that of the key; records without a key go round.
            sequence: the record's number in its partition, to send again what may have been written before a crash: see
                `last_sequence`.  By default the next one.

        Returns:
            what becomes of it; ``result()`` waits.

        Raises:
            ClientError: there is no such topic or partition; a number without a producer id; the producer is closed.
            BufferExhaustedError: the buffer stayed full for ``max_block_ms``.
        """
        self._check(topic, partition, sequence)
        size = size_of(key, value, headers)
        stamp = self._clock_ms() if timestamp is None else timestamp
        send = Send(topic, key, value, stamp, headers, partition, sequence)
        self._enqueue(send, size)
        return send.delivery

    def send_batch(
        self, topic: str, rows: Any, *, partition: int | None = None, sequence: int | None = None
    ) -> Delivery[BatchMetadata]:
        """Give many records to be written, in one commit.

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
        self._enqueue(bulk, min(size, self._options.buffer_memory))
        return bulk.delivery

    def _check(self, topic: str, partition: int | None, sequence: int | None) -> None:
        try:
            self._log.topic_id(topic)
        except PenstockError:
            raise ClientError(f"there is no topic {topic}") from None
        if partition is not None:
            count = self._log.topics()[topic].partitions
            if not isinstance(partition, int) or not 0 <= partition < count:
                raise ClientError(f"the topic {topic} has the partitions 0 to {count - 1}, not {partition!r}")
        if sequence is not None and (self.id is None or not isinstance(sequence, int) or sequence < 0):
            raise ClientError("a sequence is a number from 0 on, of a producer with an id: producer(id)")

    def _last_flight(self) -> Flight:
        """What takes the next item.  Called with ``_guard`` held."""
        if not self._waiting or self._waiting[-1].size >= self._options.batch_bytes:
            self._waiting.append(Flight(self._drive, time.monotonic() + self._options.linger_ms / 1000))
        return self._waiting[-1]

    def _enqueue(self, item: Send | Bulk, size: int) -> None:
        if size > self._options.buffer_memory:
            raise ClientError(
                f"a record of {size} bytes is larger than the buffer: buffer_memory={self._options.buffer_memory}"
            )
        while True:
            with self._guard:
                if self._closed:
                    raise ClientError("the producer is closed")
                if self._buffered + size <= self._options.buffer_memory:
                    flight = self._last_flight()
                    item.board(flight)
                    flight.items.append(item)
                    flight.size += size
                    self._buffered += size
                    first, full = len(flight.items) == 1, flight.size >= self._options.batch_bytes
                    break
            self._make_room()
        if self._options.background:
            if self._thread is None:
                self._start_thread()
            if first or full:
                self._wakeup.set()
        elif full:
            self._send_pending()

    def _make_room(self) -> None:
        """The buffer is full: write what waits, or wait for what is being written.  Raises: BufferExhaustedError."""
        deadline_s = time.monotonic() + self._options.max_block_ms / 1000
        with suppress(TimeoutError):
            if self._send_next(deadline_s=deadline_s):
                return
            flying = self._others()
            if not flying or self._wait_for(flying[0], deadline_s):
                return
        raise BufferExhaustedError(
            f"the buffer of {self._options.buffer_memory} bytes was full for {self._options.max_block_ms} ms: records "
            "come faster than they can be written"
        )

    def flush(self) -> None:
        """Return when all that was sent before is written, or has failed (see its `Delivery`).

        Raises:
            StorageError, ClientError: why a batch that this call wrote failed.
        """
        error = self._send_pending()
        for flight in self._others():
            self._wait_for(flight)
        if error is not None:
            raise error

    def _others(self) -> list[Flight]:
        """What is on its way, but for those that this thread is telling about: it may be a sender's callback that asks."""
        with self._guard:
            return [flight for flight in self._flying if flight.told_by != threading.get_ident()]

    def _wait_for(self, flight: Flight, deadline_s: float | None = None) -> bool:
        """Returns: whether it is done."""
        while not flight.done.is_set() and self._land_one():
            pass
        return flight.done.wait(_left_s(deadline_s))

    def _land_one(self) -> bool:
        """If this is the thread that waits for the disk, and a sender's callback has it wait for something else: nobody else
        would do its work meanwhile.  Returns: whether there was any."""
        if threading.current_thread() is not self._lander:
            return False
        try:
            begun = self._begun.get_nowait()
        except Empty:
            return False
        if begun is not None:
            self._land(begun)
        return True

    def _send_pending(self) -> PenstockError | None:
        """Write what waits by now.  Returns: why the first one failed, of those that did."""
        with self._guard:
            pending = self._waiting[-1] if self._waiting else None
        found = None
        while pending is not None and not pending.taken:
            errors: list[PenstockError] = []
            self._send_next(errors)
            found = found or next(iter(errors), None)
        return found

    def _send_next(
        self, errors: list[PenstockError] | None = None, *, ahead: bool = False, deadline_s: float | None = None
    ) -> bool:
        """Write the first batch that waits.  Returns: whether there was one.

        Args:
            errors: gets why it failed.
            ahead: whether another thread may wait for the disk.
            deadline_s: until when to wait for one's turn.

        Raises:
            TimeoutError: it did not come.
        """
        while not self._slots.acquire(blocking=False):  # before _sending: who has a slot may want that
            if not self._land_one():
                if not self._slots.acquire(timeout=_left_s(deadline_s)):
                    raise TimeoutError
                break
        if not self._sending.acquire(timeout=-1 if deadline_s is None else max(0.0, deadline_s - time.monotonic())):
            self._slots.release()
            raise TimeoutError
        try:
            with self._guard:
                flight = self._waiting.popleft() if self._waiting else None
                if flight is not None:
                    flight.taken = True
                    self._flying.append(flight)
            if flight is None:
                self._slots.release()
                return False
            try:
                begun = _Begun(flight, *self._begin(flight.items, self._identity))
            except BaseException as error:
                self._slots.release()
                self._end(flight, error)
                if not isinstance(error, PenstockError):
                    raise
                if errors is not None:
                    errors.append(error)
                return True
        finally:
            self._sending.release()
        if ahead and not begun.committing.done:
            self._begun.put(begun)
            if self._lander is None:
                self._lander = threading.Thread(target=self._land_in_background, name="penstock-sender", daemon=True)
                self._lander.start()
            return True
        failure = self._land(begun)
        if failure is not None and errors is not None:
            errors.append(failure)
        return True

    def _land(self, begun: _Begun) -> PenstockError | None:
        """Wait until a batch is written.  Returns: why it was not."""
        begun.flight.told_by = threading.get_ident()
        try:
            try:
                commit = begun.committing.result()
            finally:
                self._slots.release()
            begun.outgoing.settle(commit)
        except BaseException as error:
            self._end(begun.flight, error)
            if isinstance(error, PenstockError):
                return error
            raise
        self._end(begun.flight)
        return None

    def _end(self, flight: Flight, error: BaseException | None = None) -> None:
        """A batch is done."""
        if error is not None:
            _fail(flight.items, error)
        with self._guard:
            self._buffered -= flight.size
            self._flying.remove(flight)
        flight.items = []
        flight.done.set()

    def _write(
        self,
        items: Sequence[Send | Bulk],
        identity: tuple[str, int] | None,
        positions: Mapping[str, Mapping[TopicPartition, int]] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        """Write items and positions of groups in one commit, and tell the senders.  Called with ``_sending`` held."""
        outgoing, committing = self._begin(items, identity, positions, whole=whole)
        outgoing.settle(committing.result())

    def _begin(
        self,
        items: Sequence[Send | Bulk],
        identity: tuple[str, int] | None,
        positions: Mapping[str, Mapping[TopicPartition, int]] | None = None,
        *,
        whole: bool = False,
    ) -> tuple[Outgoing, Committing]:
        """Give items and positions of groups their place in the log.  Called with ``_sending`` held.

        Args:
            whole: all of the items or none; otherwise those that can be written.
        """
        self._admit(list(dict.fromkeys(item.topic for item in items)))
        transaction = self._log.transaction()
        if self._options.compression is not None:
            transaction.set_compression(self._options.compression)
        outgoing = Outgoing(self._log, transaction, identity, self._next_turn)
        outgoing.add(items)
        refused = outgoing.refused(items) if whole else None
        if refused is not None:
            transaction.abort()
            raise refused
        for group, places in (positions or {}).items():
            transaction.set_positions(group, places)
        return outgoing, transaction.begin_commit(self._options.durable)

    def _next_turn(self, topic: str, count: int) -> int:
        turn = self._turns.get(topic, 0)
        self._turns[topic] = turn + count
        return turn

    def last_sequence(self, topic: str, partition: int = 0) -> int | None:
        """The number of this producer's last record in a partition, as committed; None if there is none.

        A loader that was interrupted goes on after it.

        Raises:
            ClientError: the producer has no id; there is no such topic or partition.
        """
        if self.id is None:
            raise ClientError("a producer without an id has no numbers: producer(id)")
        self._check(topic, partition, None)
        found = self._log.produced(self.id, topic, partition)
        return found[-1].last if found else None

    # --- transactions ----------------------------------------------------------------------

    def transaction(self) -> ProducerTransaction:
        """Records of any topics and partitions, and offsets of consumers, that are committed together or not at all.

        Use it as a context manager: it is committed at the end, and aborted if the block raises.
        """
        with self._guard:
            if self._closed:
                raise ClientError("the producer is closed")
        return ProducerTransaction(self)

    # --- life cycle ------------------------------------------------------------------------

    def _drive(self, flight: Flight, timeout_s: float | None) -> None:
        """What `Delivery.result` calls: with nothing to linger for, whoever waits writes, and spares a change of threads."""
        lands = threading.current_thread() is self._lander
        if self._options.background and not lands and (self._options.linger_ms > 0 or timeout_s is not None):
            return
        while not flight.taken:
            self._send_next()
        if lands:
            self._wait_for(flight)

    def _start_thread(self) -> None:
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_in_background, name="penstock-producer", daemon=True)
                self._thread.start()

    def _send_in_background(self) -> None:
        while not self._closed:
            self._wakeup.clear()
            due_s = self._due_s()
            if due_s is None or due_s > 0:
                self._wakeup.wait(due_s)
                continue
            with suppress(Exception):  # whoever sent a record is told of what it was
                self._send_next(ahead=True)

    def _land_in_background(self) -> None:
        while (begun := self._begun.get()) is not None:
            with suppress(Exception):  # the same
                self._land(begun)

    def _due_s(self) -> float | None:
        """In how many seconds there is something to do; None if nothing waits."""
        with self._guard:
            if not self._waiting:
                return None
            flight = self._waiting[0]
            return 0.0 if flight.size >= self._options.batch_bytes else flight.deadline_s - time.monotonic()

    def close(self) -> None:
        """Write what waits, and end.

        Raises:
            StorageError, ClientError: the last batch could not be written; the producer is closed all the same.
        """
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self._wakeup.set()
        try:
            self.flush()
        finally:
            self._begun.put(None)
            for thread in (self._thread, self._lander):
                if thread is not None and thread is not threading.current_thread():
                    thread.join()

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def __repr__(self) -> str:
        return f"<penstock.Producer {'without an id' if self.id is None else self.id}>"


def _left_s(deadline_s: float | None) -> float | None:
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())


def _fail(items: Sequence[Send | Bulk], error: BaseException) -> None:
    for item in items:
        item.fail(error)


def _not_yet(flight: Flight, timeout_s: float | None) -> None:
    if not flight.taken:
        raise ClientError("the transaction is not committed yet")


class ProducerTransaction:
    """See `Producer.transaction`.  Used from one thread."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._flight = Flight(_not_yet, 0.0)
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
        """As `Producer.send`; the result is there after `commit`."""
        self._check_open()
        producer = self._producer
        producer._check(topic, partition, None)
        stamp = producer._clock_ms() if timestamp is None else timestamp
        send = Send(topic, key, value, stamp, headers, partition, None)
        self._flight.items.append(send)
        return send.board(self._flight)

    def send_batch(self, topic: str, rows: Any, *, partition: int | None = None) -> Delivery[BatchMetadata]:
        """As `Producer.send_batch`; the result is there after `commit`."""
        self._check_open()
        producer = self._producer
        producer._check(topic, partition, None)
        records = records_of_columns(topic, producer._log.topics()[topic], rows, producer._clock_ms())
        bulk = Bulk(topic, records, partition, None)
        self._flight.items.append(bulk)
        return bulk.board(self._flight)

    def send_offsets(self, consumer: Consumer | GroupMetadata, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Commit where a consumer's group reads on, with the records.

        Args:
            offsets: of the records to be read next; by default all positions of the consumer.

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
                raise ClientError(f"an offset is a number from 0 on, not {offset!r}")
        self._offsets.append((consumer, dict(offsets)))

    def commit(self) -> None:
        """Make all of it happen, at one instant.

        Raises:
            CommitFailedError: a partition of a consumer belongs to another member by now.
            ProducerFencedError: a newer producer with the same id is there.
            ClientError: a topic cannot hold one of the records.
            StorageError: the disk failed.  In each case nothing happened.
        """
        self._check_open()
        self._open = False
        producer = self._producer
        items = self._flight.items
        try:
            with ExitStack() as held, producer._sending:
                positions: dict[str, dict[TopicPartition, int]] = {}
                for who, offsets in self._offsets:
                    group = producer._coordinator.group(who.group)
                    held.enter_context(group.committing(who, offsets))
                    positions.setdefault(group.stored_name, {}).update(offsets)
                producer._write(items, producer._identity, positions, whole=True)
        except BaseException as error:
            _fail(items, error)
            raise
        finally:
            self._flight.taken = True
            self._flight.done.set()

    def abort(self) -> None:
        """Forget it: nobody will have seen any of it."""
        self._check_open()
        self._open = False
        _fail(self._flight.items, ClientError("the transaction was aborted"))
        self._flight.taken = True
        self._flight.done.set()

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
