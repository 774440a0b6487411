"""The log in Kafka: `protocol.Log` over the brokers of a cluster.

The parts: `Topics` knows the topics, `Ends` where partitions end, `Follower` and `Seekers` read, `Producers` and
`KafkaTransaction` write, `Members` keeps positions, and `ServiceState` what Kafka has no place for.  What of it differs
from the log on a machine is in docs/reference/kafka-log.md.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from confluent_kafka import TopicPartition as KafkaPartition

from ....errors import OffsetOutOfRangeError, PenstockError, StorageError
from ....limits import FRAME_ROWS_MAX
from ..partitioner import partitions_of
from ..protocol import (
    FetchedRecords,
    LogCapabilities,
    OffsetReset,
    Outcome,
    ProducedBatch,
    TopicConfig,
    TopicPartition,
    Transaction,
)
from .connection import Connection
from .ends import Ends
from .members import Members
from .names import Names
from .producers import Producers
from .reading import Follower, OutsideError, Seekers
from .service_state import Entry, ServiceState
from .settings import KafkaSettings
from .topics import Topics
from .transaction import KafkaTransaction
from .typed_values import decoded

__all__ = ["KafkaLog"]

_CAPABILITIES = LogCapabilities(
    total_order=False, typed_values=True, joint_epochs=False, stable_records=False, dense_offsets=False, shared=True
)


class KafkaLog:
    """See `protocol.Log`.

    Raises:
        StorageError: no broker answers, or it refuses this client.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.names = Names(settings.service_id)
        self.connection = Connection(settings)
        self.ends = Ends(self.connection)
        self.members = Members(self.connection, self.names)
        self.producers = Producers(self.connection)
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._epoch = 0
        self._closed = False
        self._turns: dict[str, int] = {}
        self._guard = threading.Lock()
        self._numbering: dict[str, threading.Lock] = {}
        self._seekers = Seekers(self.connection)
        self._follower = Follower(self.connection, self.ends.ends, self.advance)
        self.state = ServiceState(self.names.state, self.ends, self._seekers)
        self.topics_known = Topics(self.connection, self.names, self.state, self._write_entries)
        try:
            self.topics_known.make(self.names.state, TopicConfig(cleanup_policy="compact"))
            self.topics_known.refresh()
        except BaseException:
            self.close()
            raise

    def _write_entries(self, entries: list[Entry]) -> None:
        transaction = KafkaTransaction(self)
        transaction.write_entries(entries)
        self.state.catch_up()

    # --- what it is --------------------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> LogCapabilities:
        """See `protocol.Log.capabilities`."""
        return _CAPABILITIES

    @property
    def foreign(self) -> bool:
        """See `protocol.Log.foreign`."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        if self.foreign:
            raise StorageError(
                "this process was forked from the one that opened the log", action="open the database anew in this process"
            )

    def check_open(self) -> None:
        """Raises: StorageError, if it is closed."""
        self.check_process()
        if self._closed:
            raise StorageError("the log is closed")

    # --- topics ------------------------------------------------------------------------------------------------------

    def create_topic(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.create_topic`."""
        self.check_open()
        self.topics_known.create(name, config)

    def alter_topic(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.alter_topic`."""
        self.check_open()
        old = self.topics_known.need(name)
        if config.partitions < old.partitions:
            raise StorageError(f"the topic {name!r} has {old.partitions} partitions, and keeps them")
        have, want = old.value_type, config.value_type
        grown = have == want or (
            have is not None
            and want is not None
            and want.num_fields >= have.num_fields
            and all(want.field(i) == have.field(i) for i in range(have.num_fields))
        )
        if not grown:
            raise StorageError(
                f"the values of the topic {name!r} are {have}; they may gain fields at the end, not become {want}"
            )
        if config.partitions > old.partitions and self._has_keys(name, old.partitions):
            raise StorageError(
                f"the topic {name!r} has records with keys, which would be in two partitions",
                action="create a topic with more partitions and copy the records",
            )
        self.topics_known.alter(name, config)

    def _has_keys(self, topic: str, partitions: int) -> bool:
        return any(
            piece.keys is not None
            for partition in range(partitions)
            for piece in self.scan(topic, partition, self.start_offset(topic, partition))
        )

    def delete_topic(self, name: str) -> None:
        """See `protocol.Log.delete_topic`."""
        self.check_open()
        kafka = self.names.topic(name)
        self._follower.forget(kafka)
        self._seekers.forget(kafka)
        self.topics_known.delete(name)
        self.ends.forget(kafka)

    def topics(self) -> Mapping[str, TopicConfig]:
        """See `protocol.Log.topics`."""
        self.check_process()
        return self.topics_known.all()

    def config(self, topic: str) -> TopicConfig | None:
        """See `protocol.Log.config`."""
        self.check_process()
        return self.topics_known.one(topic)

    def topic_id(self, name: str) -> int:
        """See `protocol.Log.topic_id`."""
        self.check_process()
        return self.topics_known.id_of(name)

    # --- writing -----------------------------------------------------------------------------------------------------

    def transaction(self) -> KafkaTransaction:
        """See `protocol.Log.transaction`."""
        self.check_process()
        return KafkaTransaction(self)

    def commit_all(self, transactions: Sequence[tuple[Transaction, bool]], outcomes: list[Outcome | None]) -> None:
        """See `protocol.Log.commit_all`; one after the other."""
        for transaction, durable in transactions:
            try:
                outcomes.append(cast(KafkaTransaction, transaction).commit(durable))
            except PenstockError as error:
                outcomes.append(error)

    def next_turn(self, topic: str, count: int) -> int:
        """Whose turn it is among a topic's partitions to get the first of ``count`` records without a key."""
        with self._guard:
            turn = self._turns.get(topic, 0)
            self._turns[topic] = turn + count
            return turn

    @contextmanager
    def numbered(self, producer_ids: Sequence[str]) -> Iterator[None]:
        """While records of producers are numbered: those of each by one thread at a time."""
        with ExitStack() as held:
            for name in producer_ids:
                with self._guard:
                    lock = self._numbering.setdefault(name, threading.Lock())
                held.enter_context(lock)
            yield

    def flush(self) -> None:
        """See `protocol.Log.flush`: every commit is durable."""
        self.check_process()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _place(self, topic: str, partition: int) -> tuple[str, int]:
        config = self.topics_known.need(topic)
        if not 0 <= partition < config.partitions:
            raise StorageError(f"the topic {topic!r} has the partitions 0 to {config.partitions - 1}, not {partition}")
        return self.names.topic(topic), partition

    def read(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        rows_max: int,
        bytes_max: int | None = None,
        fields: Sequence[str] | None = None,
        reset: OffsetReset = "none",
    ) -> FetchedRecords:
        """See `protocol.Log.read`."""
        self.check_open()
        place = self._place(topic, partition)
        found = self._follower.read(place, offset, rows_max, bytes_max)
        if found is None or (not len(found) and found.next_offset < self.ends.floor(place)):
            try:
                found = self._seekers.read(place, offset, rows_max, bytes_max, self.ends.floor(place))
            except OutsideError:
                start, end = self.start_offset(topic, partition), self.end_offset(topic, partition)
                if reset == "none":
                    raise OffsetOutOfRangeError(topic, partition, offset, start, end) from None
                offset = start if reset == "earliest" else end
                found = self._seekers.read(place, offset, rows_max, bytes_max, self.ends.floor(place))
        return self._typed(topic, partition, found, fields)

    def _typed(self, topic: str, partition: int, records: FetchedRecords, fields: Sequence[str] | None) -> FetchedRecords:
        kind = self.topics_known.need(topic).value_type
        if kind is None:
            return records
        values = decoded(records.values, kind, fields, f"the topic {topic!r}, partition {partition},")
        return FetchedRecords(
            records.keys,
            values,
            records.timestamps,
            records.headers,
            records.offsets,
            records.arrivals,
            records.epoch,
            records.next_offset,
        )

    def scan(
        self, topic: str, partition: int, offset: int, *, fields: Sequence[str] | None = None
    ) -> Iterator[FetchedRecords]:
        """See `protocol.Log.scan`."""
        end = self.end_offset(topic, partition)
        while offset < end:
            piece = self.read(topic, partition, offset, rows_max=FRAME_ROWS_MAX, fields=fields)
            if len(piece):
                yield piece
            offset = piece.next_offset

    def start_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.start_offset`."""
        self.check_open()
        place = self._place(topic, partition)
        return self.ends.starts([place])[place]

    def end_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.end_offset`; the mark of a commit takes an offset, too."""
        self.check_open()
        place = self._place(topic, partition)
        return self.ends.ends([place])[place]

    def partition_sizes(self, topic: str) -> list[tuple[int, int]]:
        """See `protocol.Log.partition_sizes`; brokers do not tell clients of segments and bytes: 0."""
        return [(0, 0)] * self.topics_known.need(topic).partitions

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> tuple[int, Mapping[TopicPartition, int]]:
        """See `protocol.Log.end_offsets`; these partitions are followed from now on, and whoever waits is told what
        comes."""
        self.check_open()
        epoch = self.epoch
        places = {place: self._place(*place) for place in partitions}
        found = self._follower.ends(list(places.values()))
        return epoch, {mine: found[place] for mine, place in places.items()}

    def offset_for_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """See `protocol.Log.offset_for_time`."""
        self.check_open()
        place = self._place(topic, partition)
        end = self.end_offset(topic, partition)
        found = self.ends.for_time(place, timestamp_ms)
        if found is None:
            return end
        for piece in self.scan(
            topic, partition, found
        ):  # what the brokers do not know of timestamps below 1, see `messages`
            rows = np.flatnonzero(piece.timestamps >= timestamp_ms)
            if len(rows):
                return int(piece.offsets[rows[0]])
        return end

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """See `protocol.Log.delete_before`."""
        self.check_open()
        place = self._place(topic, partition)
        offset = min(offset, self.end_offset(topic, partition))

        def ask(left: float) -> None:
            futures = self.connection.admin().delete_records([KafkaPartition(*place, offset)], request_timeout=left)
            for future in futures.values():
                future.result(left)

        self.connection.call(f"delete records of the topic {topic!r}", ask)
        self._follower.drop_before(place, offset)
        self._seekers.forget(place[0])

    def partitions_of(self, keys: Any, partitions: int) -> npt.NDArray[np.int32]:
        """See `protocol.Log.partitions_of`."""
        return partitions_of(keys, partitions)

    # --- groups, producers -------------------------------------------------------------------------------------------

    def group_entry(self, group: str, metadata: str | None, elsewhere: Mapping[TopicPartition, int]) -> Entry:
        """What is kept of a group beside Kafka's positions, with changes."""
        known = self.state.get("group", group) or {"metadata": None, "positions": {}}
        positions = {**known["positions"], **{f"{topic}/{n}": offset for (topic, n), offset in elsewhere.items()}}
        return (("group", group), {"metadata": known["metadata"] if metadata is None else metadata, "positions": positions})

    def positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See `protocol.Log.positions`."""
        self.check_open()
        self.state.catch_up()
        entry = self.state.get("group", group)
        found = self.members.positions(group)
        if entry is not None:
            for name, offset in entry["positions"].items():
                topic, _, number = name.rpartition("/")
                found.setdefault((topic, int(number)), offset)
        return found

    def metadata(self, group: str) -> str | None:
        """See `protocol.Log.metadata`."""
        self.check_open()
        self.state.catch_up()
        entry = self.state.get("group", group)
        return None if entry is None else entry["metadata"]

    def groups(self) -> list[str]:
        """See `protocol.Log.groups`: those of this service."""
        self.check_open()
        self.state.catch_up()
        return sorted({*self.members.groups(), *self.state.of_kind("group")})

    def delete_group(self, group: str) -> None:
        """See `protocol.Log.delete_group`."""
        self.check_open()
        self.members.delete(group)
        self.state.catch_up()
        if self.state.get("group", group) is not None:
            self._write_entries([(("group", group), None)])

    def last_sequence(self, producer_id: str) -> int | None:
        """See `protocol.Log.last_sequence`."""
        self.check_open()
        self.state.catch_up()
        found = self.state.get("sequence", producer_id)
        return None if found is None else int(found)

    def open_producer(self, producer_id: str) -> int:
        """See `protocol.Log.open_producer`."""
        self.check_open()
        with self.numbered([producer_id]):
            self.state.catch_up()
            known = self.state.get("producer", producer_id)
            epoch = 0 if known is None else known["epoch"] + 1
            batches = {} if known is None else known["batches"]
            self._write_entries([(("producer", producer_id), {"epoch": epoch, "batches": batches})])
        return int(epoch)

    def produced(self, producer_id: str, topic: str, partition: int) -> list[ProducedBatch]:
        """See `protocol.Log.produced`."""
        self.check_open()
        self.state.catch_up()
        known = self.state.get("producer", producer_id)
        kept = [] if known is None else known["batches"].get(f"{topic}/{partition}", [])
        return [ProducedBatch(*batch) for batch in kept]

    # --- waiting -----------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """See `protocol.Log.epoch`; this process's own count of what it committed and of what came."""
        return self._epoch

    def advance(self) -> int:
        """There is something new: the next epoch."""
        with self._changed:
            self._epoch += 1
            self._changed.notify_all()
            return self._epoch

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """See `protocol.Log.wait`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while self._epoch <= epoch and not self._closed and not (until is not None and until()):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            return self._epoch

    def wake(self) -> None:
        """See `protocol.Log.wake`."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """See `protocol.Log.close`."""
        if self._closed or self.foreign:
            return
        self._closed = True
        self.wake()
        self._follower.close()
        self._seekers.close()
        self.producers.close()
