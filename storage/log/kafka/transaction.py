"""A transaction on Kafka's topics: gathered in memory, and handed to the brokers when it is committed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from confluent_kafka import KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from ....errors import (
    InternalError,
    LogUnavailableError,
    OutOfOrderSequenceError,
    PartitionsLostError,
    ProducerFencedError,
    StorageError,
)
from ..keyed_rows import KeyedRows
from ..local.segments.record import normalise, take_records
from ..partitioner import place
from ..protocol import NO_POSITION, Commit, Committing, Compression, Int64s, Records, TopicConfig, TopicPartition
from .connection import RETRY_S
from .deciding import was_committed
from .ends import Place
from .faults import FENCED, GENERATION_OVER, error_of, is_passing
from .parts import Parts
from .producers import Slot
from .service_state import Entry, ServiceState
from .topics import Topics
from .typed_values import encoded
from .writing import Delivered, UndecidedError, abort, end, flushed, in_parts, produce, reason, send_offsets

__all__ = ["KafkaCommitting", "KafkaTransaction"]

_BATCHES_KEPT = 5
"""As many of a producer's batches in a partition are remembered as Kafka's brokers remember."""


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

    def __init__(self, parts: Parts, topics: Topics, alone: str | None = None, *, whole: bool = True) -> None:
        self._whole = whole
        self._log = parts
        self._topics = topics
        self._open = True
        self._alone = None if alone is None else (alone, parts.producers.exclusive(alone, parts.ends))
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
        keys, values, rows = records.keys, records.values, KeyedRows.of(config)
        if rows is not None:
            if isinstance(values, pa.ChunkedArray):
                values = values.combine_chunks()
            assert isinstance(values, pa.StructArray)
            keys, values = encoded(rows.keys(values)), rows.with_tombstones(values)
        return Records(keys, encoded(values), records.timestamps, records.headers)

    def set_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """See `protocol.Transaction.set_positions`."""
        self._check_open()
        if NO_POSITION in positions.values():
            raise StorageError("a position on Kafka cannot be taken away by itself", action="delete the group")
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
                raise StorageError(
                    f"the topic {topic!r} was deleted and created again during a transaction",
                    action="begin the transaction again",
                )
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
                made = self._write(log, self._alone[1], offsets, list(entries))
                ends = {(log.names.topic(t), p): end for (t, p), end in made.ends.items()}
                log.producers.give_back(*self._alone, ends)
                return made
            except KafkaException as failure:
                raise log.connection.fault(failure, self._doing) from failure
            except UndecidedError as failure:
                lost = error_of(_error(failure))
                if lost is not None and lost.code() in FENCED:
                    raise log.connection.fault(lost, self._doing) from failure
                raise _unknown(log, failure) from failure
        if not self._whole and not entries and self._producer is None:
            return self._commit_in_parts(log, offsets)
        deadline = time.monotonic() + log.settings.timeout_s
        pause = RETRY_S
        with log.producers.one() as slot:
            while True:
                try:
                    return self._write(log, slot.producer, offsets, list(entries))
                except UndecidedError as failure:
                    done = self._decided(log, slot, offsets, failure)
                    if done is not None:
                        return done
                    cause: BaseException = failure
                except KafkaException as failure:
                    if not is_passing(failure):
                        raise log.connection.fault(failure, self._doing) from failure
                    cause = failure
                left = deadline - time.monotonic() - pause
                if left <= 0 or log.closed:
                    raise log.connection.fault(_error(cause), self._doing) from cause
                time.sleep(pause)
                pause = min(2 * pause, 1.0)
                slot.renew(left)

    def _commit_in_parts(self, log: Parts, offsets: dict[str, list[KafkaPartition]]) -> Commit:
        """Records, then positions, outside of a transaction.  Raises: StorageError, PartitionsLostError."""
        parts = [(log.names.topic(topic), partition, records) for topic, partition, records in self._parts]
        with log.producers.plain() as producer:
            try:
                delivered = in_parts(producer, parts, offsets, log)
            except KafkaException as failure:
                raise log.connection.fault(failure, self._doing) from failure
        return self._committed(log, delivered)

    def _decided(
        self, log: Parts, slot: Slot, offsets: dict[str, list[KafkaPartition]], undecided: UndecidedError
    ) -> Commit | None:
        """Have it decided whether a commit happened that nobody answered: what a producer has begun is over, one way or the
        other, once another one of its name has begun.

        Returns:
            the commit; None if it did not happen.

        Raises:
            LogUnavailableError: it is not known: no broker answers, or the records have gone since.
        """
        delivered = undecided.delivered
        try:
            slot.renew(log.settings.timeout_s)
            if delivered.starts:
                happened = was_committed(log, delivered, self._is_compacted)
            elif offsets and not delivered.untold:  # and nothing else: if these are the positions, it is as if it happened
                group, places = next(iter(offsets.items()))
                wanted = {(p.topic, p.partition): p.offset for p in places}
                happened = log.members.committed(group, list(wanted)) == wanted
            else:
                happened = None
        except LogUnavailableError as error:
            raise _unknown(log, undecided) from error
        if happened is None:
            raise _unknown(log, undecided) from undecided
        return self._committed(log, delivered) if happened else None

    def _is_compacted(self, place: Place) -> bool:
        name = self._log.names.engine_topic(place[0])
        config = None if name is None else self._topics.one(name)
        return config is None or "compact" in config.cleanup_policy

    @property
    def _doing(self) -> str:
        topics = sorted({topic for topic, _, _ in self._parts})
        return f"commit records of {', '.join(map(repr, topics[:5]))}" if topics else "commit"

    def _split(self, log: Parts) -> tuple[dict[str, list[KafkaPartition]], list[Entry]]:
        """Positions as Kafka keeps them, by group; and what goes to the service's state."""
        offsets: dict[str, list[KafkaPartition]] = {}
        entries: list[Entry] = []
        topics = self._topics.lasting(topic for places in self._positions.values() for topic, _ in places)
        for group in sorted({*self._positions, *self._metadata}):
            elsewhere = {}
            for (topic, partition), offset in self._positions.get(group, {}).items():
                if topic in topics and partition < topics[topic].partitions:
                    kafka = KafkaPartition(log.names.topic(topic), partition, offset)
                    offsets.setdefault(group, []).append(kafka)
                elif log.members.is_joined(group):  # as a member of its group this process may commit nowhere else
                    raise LogUnavailableError(
                        f"cannot commit the position in the topic {topic!r}, partition {partition}: it is not there now",
                        action="if it was deleted: DROP what reads it",
                    )
                else:
                    elsewhere[topic, partition] = offset
            if group in self._metadata or elsewhere:
                entries.append(log.group_entry(group, self._metadata.get(group), elsewhere))
        entries += [(("sequence", name), number) for name, number in self._sequences.items()]
        return offsets, entries

    def _write(
        self, log: Parts, producer: Producer, offsets: dict[str, list[KafkaPartition]], entries: list[Entry]
    ) -> Commit:
        """Raises: KafkaException, PartitionsLostError: nothing happened.  UndecidedError."""
        delivered = Delivered()
        producer.begin_transaction()
        try:
            for topic, partition, records in self._parts:
                produce(producer, log.names.topic(topic), partition, records, delivered)
            if self._producer is not None:
                flushed(producer, delivered, log)
                delivered.complete(log.ends, committed=False)
                entries.append(self._producer_entry(log, delivered))
            for key, value in ServiceState.written(entries):
                producer.produce(log.state.place[0], value=value, key=key, partition=0, on_delivery=delivered)
            for group, places in offsets.items():
                send_offsets(producer, places, log.members.metadata(group), log)
            flushed(producer, delivered, log)
        except BaseException as caught:
            failure = reason(producer, caught)
            abort(producer, failure, log)
            lost = error_of(failure)
            if lost is not None and lost.code() in GENERATION_OVER:
                raise PartitionsLostError(
                    "cannot commit: another process of the service has these partitions now"
                ) from failure
            if failure is not caught:
                raise failure from caught
            raise
        end(producer, delivered, log)
        return self._committed(log, delivered)

    def _committed(self, log: Parts, delivered: Delivered) -> Commit:
        delivered.complete(log.ends, committed=True)
        log.ends.committed(delivered.ends)
        starts = {(t, p): delivered.starts[log.names.topic(t), p] for t, p, _ in self._parts}
        ends = {(t, p): delivered.ends[log.names.topic(t), p] for t, p, _ in self._parts}
        return Commit(log.advance(), ends, starts)

    def _producer_entry(self, log: Parts, delivered: Delivered) -> Entry:
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


def _error(cause: BaseException) -> BaseException:
    return cause.__cause__ or cause


def _unknown(log: Parts, failure: UndecidedError) -> StorageError:
    return LogUnavailableError(
        "Kafka gives no answer to a commit, and it is not known whether it happened:"
        f" no Kafka broker answers at {log.settings.servers} ({_error(failure)})",
        action="look, when the brokers answer again; queries do so, and go on from what was committed",
    )
