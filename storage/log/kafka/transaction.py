"""A transaction on Kafka's topics: gathered in memory, and handed to the brokers when it is committed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from ....errors import (
    InternalError,
    LogUnavailableError,
    OutOfOrderSequenceError,
    PartitionsLostError,
    ProducerFencedError,
    StorageError,
)
from ..local.segments.record import normalise, take_records
from ..partitioner import place
from ..protocol import Commit, Committing, Compression, Int64s, Records, TopicConfig, TopicPartition
from .ends import Ends, Place
from .faults import FENCED, GENERATION_OVER, error_of
from .messages import TIMESTAMP_HEADER
from .parts import Parts
from .service_state import Entry, ServiceState
from .topics import Topics
from .typed_values import encoded

__all__ = ["KafkaCommitting", "KafkaTransaction"]

_BATCHES_KEPT = 5
"""As many of a producer's batches in a partition are remembered as Kafka's brokers remember."""
_TRIES = 3


class KafkaCommitting:
    """See `protocol.Committing`; it is through when it is there."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit

    @property
    def done(self) -> bool:
        """See `protocol.Committing.done`."""
        return True

    def result(self) -> Commit:
        """See `protocol.Committing.result`."""
        return self._commit


class KafkaTransaction:
    """See `protocol.Transaction`."""

    def __init__(self, parts: Parts, topics: Topics, alone: str | None = None) -> None:
        self._log = parts
        self._topics = topics
        self._open = True
        self._alone = None if alone is None else parts.producers.exclusive(alone)
        self._parts: list[tuple[str, int, Records]] = []
        self._ids: dict[str, int] = {}
        self._positions: dict[str, dict[TopicPartition, int]] = {}
        self._metadata: dict[str, str] = {}
        self._sequences: dict[str, int] = {}
        self._producer: tuple[str, int, Mapping[TopicPartition, int]] | None = None

    def _check_open(self) -> None:
        self._log.check_process()
        if not self._open:
            raise InternalError("the transaction is over")

    # --- gathering ---------------------------------------------------------------------------------------------------

    def append(self, topic: str, records: Records, partition: int | None = None) -> None:
        """See `protocol.Transaction.append`."""
        config = self._config(topic, partition)
        records = self._as_bytes(topic, config, records)
        n = len(records)
        if n == 0:
            return
        if partition is None and config.partitions == 1:
            partition = 0
        if partition is not None:
            self._parts.append((topic, partition, records))
            return
        count = config.partitions
        chosen = place(
            records.keys,
            n,
            count,
            lambda free: ((self._log.next_turn(topic, free) + np.arange(free)) % count).astype(np.int32),
        )
        order = np.argsort(chosen, kind="stable")
        starts = np.flatnonzero(np.diff(chosen[order], prepend=-1))
        for rows in np.split(order, starts[1:]):
            part = records if len(rows) == n else take_records(records, rows)
            self._parts.append((topic, int(chosen[rows[0]]), part))

    def append_ranked(self, topic: str, parts: Sequence[tuple[int, Records, Int64s]]) -> None:
        """See `protocol.Transaction.append_ranked`; in each partition for itself."""
        for partition, records, _ in parts:
            self.append(topic, records, partition)

    def _config(self, topic: str, partition: int | None) -> TopicConfig:
        self._check_open()
        config = self._topics.need(topic)
        if partition is not None and not 0 <= partition < config.partitions:
            raise StorageError(f"the topic {topic!r} has the partitions 0 to {config.partitions - 1}, not {partition}")
        if topic not in self._ids:
            self._ids[topic] = self._topics.generation(topic)
        return config

    def _as_bytes(self, topic: str, config: TopicConfig, records: Records) -> Records:
        records = normalise(records, config.value_type)
        if records.values.type == pa.binary():
            return records
        return Records(records.keys, encoded(records.values), records.timestamps, records.headers)

    def set_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """See `protocol.Transaction.set_positions`."""
        self._check_open()
        self._positions.setdefault(group, {}).update(positions)

    def set_metadata(self, group: str, metadata: str) -> None:
        """See `protocol.Transaction.set_metadata`."""
        self._check_open()
        self._metadata[group] = metadata

    def set_sequence(self, producer_id: str, sequence: int) -> None:
        """See `protocol.Transaction.set_sequence`."""
        self._check_open()
        self._sequences[producer_id] = sequence

    def set_producer(self, producer_id: str, epoch: int, sequences: Mapping[TopicPartition, int] | None = None) -> None:
        """See `protocol.Transaction.set_producer`."""
        self._check_open()
        self._producer = (producer_id, epoch, sequences or {})

    def set_compression(self, compression: Compression) -> None:
        """See `protocol.Transaction.set_compression`: what goes to Kafka is compressed by its client anyway."""
        self._check_open()

    def abort(self) -> None:
        """See `protocol.Transaction.abort`."""
        self._open = False
        self._parts = []

    # --- committing --------------------------------------------------------------------------------------------------

    def begin_commit(self, durable: bool = True, after: Committing | None = None) -> KafkaCommitting:
        """See `protocol.Transaction.begin_commit`; it is through on return."""
        if after is not None:
            after.result()
        return KafkaCommitting(self.commit(durable))

    def commit(self, durable: bool = True) -> Commit:
        """See `protocol.Transaction.commit`; every commit is durable.

        Raises:
            PartitionsLostError: another process has the partitions whose positions it sets.
            further: as `protocol.Transaction.commit`.
        """
        self._check_open()
        self._open = False
        log = self._log
        log.check_open()
        for topic, generation in self._ids.items():
            if self._topics.generation(topic) != generation:
                raise StorageError(f"the topic {topic!r} was deleted and created again during a transaction")
        names: list[str] = sorted({*self._sequences, *([] if self._producer is None else [self._producer[0]])})
        if not names:
            return self._commit(log)
        with log.numbered(names):
            log.state.catch_up()
            for producer_id, sequence in self._sequences.items():
                last = log.state.get("sequence", producer_id)
                if last is not None and sequence <= last:
                    return Commit(log.epoch, {})
            self._check_producer(log)
            return self._commit(log)

    def write_entries(self, entries: list[Entry]) -> Commit:
        """Commit entries of the service's state, and nothing else.  Raises: StorageError."""
        self._open = False
        return self._commit(self._log, entries)

    def _check_producer(self, log: Parts) -> None:
        if self._producer is None:
            return
        producer_id, epoch, sequences = self._producer
        known = log.state.get("producer", producer_id)
        if known is None or known["epoch"] != epoch:
            raise ProducerFencedError(
                f"the producer {producer_id!r} was opened again since: this instance is not the newest"
            )
        for (topic, partition), number in sequences.items():
            batches = known["batches"].get(f"{topic}/{partition}", [])
            following = batches[-1][1] + 1 if batches else 0
            if number != following:
                raise OutOfOrderSequenceError(
                    f"the producer {producer_id!r} numbers its next record in {topic!r}, partition {partition}, {number}:"
                    f" {following} is due"
                )

    def _commit(self, log: Parts, more: Sequence[Entry] = ()) -> Commit:
        offsets, entries = self._split(log)
        entries += more
        if not self._parts and not entries and not offsets:
            return Commit(log.epoch, {})
        if self._alone is not None:
            try:
                return self._write(log, self._alone, offsets, list(entries))
            except KafkaException as failure:
                raise log.connection.fault(failure, "commit") from failure
        for last in range(_TRIES):
            try:
                with log.producers.one() as producer:
                    return self._write(log, producer, offsets, list(entries))
            except KafkaException as failure:
                error = error_of(failure)
                fresh = error.fatal() and error.code() not in FENCED
                if not fresh or last == _TRIES - 1:
                    raise log.connection.fault(failure, "commit") from failure
        raise InternalError("a commit was given up")

    def _split(self, log: Parts) -> tuple[dict[str, list[Any]], list[Entry]]:
        """Positions as Kafka keeps them, by group; and what goes to the service's state."""
        offsets: dict[str, list[Any]] = {}
        entries: list[Entry] = []
        topics = self._topics.all()
        for group in sorted({*self._positions, *self._metadata}):
            elsewhere = {}
            for (topic, partition), offset in self._positions.get(group, {}).items():
                if topic in topics and partition < topics[topic].partitions:
                    kafka = KafkaPartition(log.names.topic(topic), partition, offset)
                    offsets.setdefault(group, []).append(kafka)
                else:
                    elsewhere[topic, partition] = offset
            if group in self._metadata or elsewhere:
                entries.append(log.group_entry(group, self._metadata.get(group), elsewhere))
        entries += [(("sequence", name), number) for name, number in self._sequences.items()]
        return offsets, entries

    def _write(self, log: Parts, producer: Any, offsets: dict[str, list[Any]], entries: list[Entry]) -> Commit:
        """Raises: KafkaException; whatever it is, nothing happened (but see `_end`)."""
        delivered = _Delivered()
        producer.begin_transaction()
        committing = False
        try:
            for topic, partition, records in self._parts:
                _produce(producer, log.names.topic(topic), partition, records, delivered)
            if self._producer is not None:
                _flushed(producer, delivered, log)
                delivered.complete(log.ends, committed=False)
                entries.append(self._producer_entry(log, delivered))
            for key, value in ServiceState.written(entries):
                producer.produce(log.state.place[0], value=value, key=key, partition=0, on_delivery=delivered)
            for group, places in offsets.items():
                producer.send_offsets_to_transaction(places, log.members.metadata(group), log.settings.timeout_s)
            _flushed(producer, delivered, log)
            committing = True
            _end(producer, log)
        except BaseException as failure:
            if not committing:
                _abort(producer, failure, log)
            lost = error_of(failure)
            if lost is not None and lost.code() in GENERATION_OVER:
                raise PartitionsLostError(
                    "cannot commit: another process of the service has these partitions now"
                ) from failure
            raise
        delivered.complete(log.ends, committed=True)
        log.ends.committed(delivered.ends)
        starts = {(t, p): delivered.starts[log.names.topic(t), p] for t, p, _ in self._parts}
        ends = {(t, p): delivered.ends[log.names.topic(t), p] for t, p, _ in self._parts}
        return Commit(log.advance(), ends, starts)

    def _producer_entry(self, log: Parts, delivered: _Delivered) -> Entry:
        """What a producer has written, with this."""
        assert self._producer is not None
        producer_id, epoch, _ = self._producer
        known = log.state.get("producer", producer_id)
        batches = {name: list(kept) for name, kept in known["batches"].items()}
        written: dict[TopicPartition, int] = {}
        for topic, partition, records in self._parts:
            written[topic, partition] = written.get((topic, partition), 0) + len(records)
        for (topic, partition), count in written.items():
            kept = batches.setdefault(f"{topic}/{partition}", [])
            first = kept[-1][1] + 1 if kept else 0
            kept.append([first, first + count - 1, delivered.starts[log.names.topic(topic), partition]])
            del kept[:-_BATCHES_KEPT]
        return (("producer", producer_id), {"epoch": epoch, "batches": batches})


class _Delivered:
    """Is told of each message what became of it."""

    def __init__(self) -> None:
        self.starts: dict[Place, int] = {}
        self.ends: dict[Place, int] = {}
        self.counts: dict[Place, int] = {}
        self.untold: set[Place] = set()
        self.error: Any = None

    def __call__(self, error: Any, message: Any) -> None:
        if error is not None:
            if self.error is None:
                self.error = error
            return
        where = (message.topic(), message.partition())
        offset: int | None = message.offset()
        self.counts[where] = self.counts.get(where, 0) + 1
        if offset is None or offset < 0:
            self.untold.add(where)  # what follows it in its batch is counted from -1
        if where in self.untold or offset is None:
            return
        if where not in self.starts:
            self.starts[where] = offset
        self.ends[where] = offset + 1

    def complete(self, ends: Ends, *, committed: bool) -> None:
        """Where a broker gives a transaction's records their offsets when it is committed (Penstock's listener does), take
        what the ends say: exact, as long as nobody else writes to the partition at the same moment.

        Raises:
            StorageError: no broker answers.
        """
        if self.untold:
            for place, end in ends.ends(self.untold).items():
                self.starts[place] = end - self.counts[place] if committed else end
                if committed:
                    self.ends[place] = end


def _produce(producer: Any, topic: str, partition: int, records: Records, delivered: _Delivered) -> None:
    n = len(records)
    refreshed = False
    keys = [None] * n if records.keys is None else records.keys.to_pylist()
    headers: list[Any] = [None] * n if records.headers is None else records.headers.to_pylist()
    for key, value, stamp, heads in zip(keys, records.values.to_pylist(), records.timestamps.tolist(), headers, strict=True):
        listed = [(h["KEY"], h["VALUE"]) for h in heads] if heads else []
        if stamp <= 0:
            listed.append((TIMESTAMP_HEADER, str(stamp).encode()))
            stamp = 1
        while True:
            try:
                producer.produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    timestamp=stamp,
                    headers=listed or None,
                    on_delivery=delivered,
                )
                break
            except BufferError:
                producer.poll(0.05)
            except KafkaException as failure:
                if refreshed or error_of(failure).code() != KafkaError._UNKNOWN_PARTITION:
                    raise
                refreshed = True  # partitions were added since this producer last asked
                producer.list_topics(topic, 5.0)


def _flushed(producer: Any, delivered: _Delivered, log: Parts) -> None:
    """Wait until all messages have their offsets.  Raises: KafkaException, StorageError."""
    left = producer.flush(log.settings.timeout_s)
    if delivered.error is not None:
        raise KafkaException(delivered.error)
    if left:
        raise log.connection.fault(TimeoutError(), f"write {left} records")


def _end(producer: Any, log: Parts) -> None:
    """Commit.  Where no answer comes, it is asked for again until one comes or the time is up.

    Raises:
        KafkaException: it did not happen.
        StorageError: it is not known whether it did.
    """
    deadline = time.monotonic() + 4 * log.settings.timeout_s
    while True:
        try:
            producer.commit_transaction(log.settings.timeout_s)
            return
        except KafkaException as failure:
            error = error_of(failure)
            if error.txn_requires_abort():
                _abort(producer, failure, log)
                raise
            if error.fatal() or (not error.retriable() and error.code() != KafkaError._TIMED_OUT):
                raise
            if time.monotonic() > deadline:
                raise LogUnavailableError(
                    f"Kafka gives no answer to a commit, and it is not known whether it happened: {error.str()}",
                    action="when the brokers answer again, RESUME the query: it goes on from what was committed",
                ) from failure


def _abort(producer: Any, failure: BaseException, log: Parts) -> None:
    """Nothing of it happens: also where the brokers do not answer now, they abort it themselves before long."""
    error = error_of(failure)
    if error is not None and error.fatal():
        return
    try:
        producer.purge()
        producer.abort_transaction(min(5.0, log.settings.timeout_s))
    except KafkaException:
        return
