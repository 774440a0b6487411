"""The log in Kafka: `protocol.Log` over the brokers of a cluster.

The parts: `Topics` knows the topics, `Ends` where partitions end, `Follower` and `Seekers` read, `ProducerPool` and
`KafkaTransaction` write, `Members` keeps positions, and `ServiceState` what Kafka has no place for.  What of it differs
from the log on a machine is in docs/reference/kafka-log.md.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import TopicPartition as KafkaPartition

from ....errors import LogUnavailableError, OffsetOutOfRangeError, PartitionsLostError, PenstockError, StorageError
from ....limits import FRAME_ROWS_MAX
from ..keyed_rows import KeyedRows
from ..ownership import is_own_name
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
from ..topic_config import check_grown
from .connection import RETRY_S
from .identity import Identities
from .membership import KafkaMembership
from .parts import Parts
from .reading import Follower, OutsideError
from .service_state import Entry
from .settings import KafkaSettings
from .topics import TopicExistsError, Topics
from .transaction import KafkaTransaction
from .typed_values import decoded

__all__ = ["KafkaLog"]

_CAPABILITIES = LogCapabilities(
    total_order=False,
    typed_values=True,
    joint_epochs=False,
    stable_records=False,
    dense_offsets=False,
    shared=True,
    forgets_positions=False,
)


class KafkaLog:
    """See `protocol.Log`.

    Raises:
        StorageError: no broker answers, or it refuses this client.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._parts = parts = Parts(settings)
        self._follower = Follower(parts.connection, parts.ends.now, parts.advance)
        self._topics = Topics(parts.connection, parts.names, parts.state, self._write_entries, self._claim_entry)
        try:
            parts.connection.greet()
            self._topics.make(parts.names.state, TopicConfig(cleanup_policy="compact"))
            self._topics.refresh()
        except BaseException:
            self.close()
            raise

    def _write_entries(self, entries: list[Entry]) -> None:
        KafkaTransaction(self._parts, self._topics).write_entries(entries)
        self._parts.state.catch_up()

    def _claim_entry(self, entry: Entry, same: Callable[[Any], bool]) -> Any:
        """Commit an entry, unless an equivalent one is there.  Of several processes at the same time, one commits.

        Returns:
            the value that was there before; None if there was none.

        Raises:
            StorageError: no broker answers.
        """
        key, _ = entry
        while True:
            transaction = KafkaTransaction(self._parts, self._topics, "-".join(key))
            self._parts.state.catch_up()
            known = self._parts.state.get(*key)
            if known is not None and same(known):
                transaction.abort()
                return known
            try:
                transaction.write_entries([entry])
            except PartitionsLostError:
                continue  # another one has begun since: what does it write?
            self._parts.state.catch_up()
            return known

    def _once(self, name: str, made: Callable[[], str]) -> str:
        """The value that the log keeps under a name; the same for all processes of the service.  Raises: StorageError."""
        self._parts.state.catch_up()
        found = self._parts.state.get("log", name)
        if found is None:
            self._claim_entry((("log", name), made()), lambda _: True)
            found = self._parts.state.get("log", name)
        return str(found)

    # --- what it is --------------------------------------------------------------------------------------------------

    @property
    def measures(self) -> None:
        """See `protocol.Log.measures`: the brokers have them."""
        return None

    @property
    def capabilities(self) -> LogCapabilities:
        """See `protocol.Log.capabilities`."""
        return _CAPABILITIES

    @property
    def settings(self) -> KafkaSettings:
        """How the cluster is reached, and as whom."""
        return self._parts.settings

    @property
    def foreign(self) -> bool:
        """See `protocol.Log.foreign`."""
        return self._parts.foreign

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        self._parts.check_process()

    @property
    def identity(self) -> str:
        """Another one for every log that was ever begun under a service's id.  Raises: StorageError."""
        return self._once("identity", lambda: uuid.uuid4().hex)

    def service_key(self) -> str:
        """See `protocol.Log.service_key`: whoever may read the service's topics knows it."""
        self._parts.check_open()
        return self._once("key", lambda: secrets.token_hex(32))

    def advertise(self, address: str | None) -> None:
        """See `protocol.Log.advertise`."""
        self._parts.check_open()
        self._parts.state.catch_up()
        own = self.settings.instance
        entries: list[Entry] = [
            (("host", other), None)
            for other, known in self._parts.state.of_kind("host").items()
            if other != own and known == address
        ]
        if self._parts.state.get("host", own) != address:
            entries.append((("host", own), address))
        if entries:
            self._write_entries(entries)

    # --- topics ------------------------------------------------------------------------------------------------------

    def create_topic(self, name: str, config: TopicConfig, *, durable: bool = True) -> None:
        """See `protocol.Log.create_topic`.

        If another process of the service makes one of the engine's own topics at the same moment, that is no error.
        """
        self._parts.check_open()
        try:
            self._topics.create(name, config)
        except TopicExistsError:
            if not is_own_name(name):
                raise

    def alter_topic(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.alter_topic`."""
        self._parts.check_open()
        old = self._topics.need(name)
        if config.partitions < old.partitions:
            raise StorageError(f"the topic {name!r} has {old.partitions} partitions, and cannot get fewer")
        check_grown(name, old.value_type, config.value_type)
        if config.partitions > old.partitions and self._has_keys(name, old.partitions):
            raise StorageError(
                f"the topic {name!r} has records with keys, which would be in two partitions",
                action="create a topic with more partitions and copy the records",
            )
        self._topics.alter(name, config)

    def _has_keys(self, topic: str, partitions: int) -> bool:
        return any(
            piece.keys is not None
            for partition in range(partitions)
            for piece in self.scan(topic, partition, self.start_offset(topic, partition))
        )

    def delete_topic(self, name: str) -> None:
        """See `protocol.Log.delete_topic`.

        If another process of the service has deleted one of the engine's own topics, that is no error.
        """
        self._parts.check_open()
        kafka = self._parts.names.topic(name)
        self._follower.forget(kafka)
        self._parts.seekers.forget(kafka)
        self._topics.delete(name)
        self._parts.ends.forget(kafka)

    def topics(self) -> Mapping[str, TopicConfig]:
        """See `protocol.Log.topics`."""
        self.check_process()
        return self._topics.all()

    def config(self, topic: str) -> TopicConfig | None:
        """See `protocol.Log.config`."""
        self.check_process()
        return self._topics.one(topic)

    def topic_id(self, name: str) -> int:
        """See `protocol.Log.topic_id`."""
        self.check_process()
        return self._topics.id_of(name)

    # --- writing -----------------------------------------------------------------------------------------------------

    def transaction(self, alone: str | None = None, *, whole: bool = True) -> KafkaTransaction:
        """See `protocol.Log.transaction`."""
        self.check_process()
        return KafkaTransaction(self._parts, self._topics, alone, whole=whole)

    def join(
        self, group: str, topics: Sequence[str], changed: Callable[[frozenset[TopicPartition] | None], None], *, whole: bool
    ) -> KafkaMembership:
        """See `protocol.Log.join`."""
        self._parts.check_open()
        everything = frozenset((t, p) for t in topics for p in range(self._topics.need(t).partitions))

        def counts() -> dict[str, int]:
            return {topic: self._topics.need(topic).partitions for topic in topics}

        identities = Identities(self._parts, self._write_entries, group, topics)
        return KafkaMembership(
            self._parts, group, sorted(topics), changed, everything if whole else None, counts, identities
        )

    def own_end(self, topic: str, partition: int) -> int:
        """See `protocol.Log.own_end`."""
        return self._parts.ends.floor((self._parts.names.topic(topic), partition))

    def settle(self, partitions: Sequence[TopicPartition]) -> None:
        """See `protocol.Log.settle`."""
        self._parts.check_open()
        self._parts.ends.settle([self._place(*place) for place in partitions])

    def commit_all(self, transactions: Sequence[tuple[Transaction, bool]], outcomes: list[Outcome | None]) -> None:
        """See `protocol.Log.commit_all`; one after the other."""
        outcomes[:] = [None] * len(transactions)
        for number, (transaction, durable) in enumerate(transactions):
            try:
                outcomes[number] = cast(KafkaTransaction, transaction).commit(durable)
            except PenstockError as error:
                outcomes[number] = error

    def flush(self) -> None:
        """See `protocol.Log.flush`: every commit is durable."""
        self.check_process()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _place(self, topic: str, partition: int) -> tuple[str, int]:
        config = self._topics.need(topic)
        if not 0 <= partition < config.partitions:
            raise StorageError(f"the topic {topic!r} has the partitions 0 to {config.partitions - 1}, not {partition}")
        return self._parts.names.topic(topic), partition

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
        pieces: bool = False,
    ) -> FetchedRecords:
        """See `protocol.Log.read`."""
        self._parts.check_open()
        place = self._place(topic, partition)
        floor = self._parts.ends.floor(place)
        found = self._follower.read(place, offset, rows_max, bytes_max, floor)
        if found is None or (not len(found) and found.next_offset < floor):
            found = self._read_anywhere(topic, partition, offset, rows_max, bytes_max, floor, reset)
            self._follower.was_read(place, found.next_offset)
        return self._typed(topic, partition, found, fields)

    def _read_anywhere(
        self, topic: str, partition: int, offset: int, rows_max: int, bytes_max: int | None, floor: int, reset: OffsetReset
    ) -> FetchedRecords:
        """Raises: OffsetOutOfRangeError.  LogUnavailableError: no broker answers, or what one says does not hold."""
        place = self._place(topic, partition)
        deadline = time.monotonic() + self.settings.timeout_s
        while True:
            try:
                return self._parts.seekers.read(place, offset, rows_max, bytes_max, floor)
            except OutsideError:
                start, end = self.start_offset(topic, partition), self.end_offset(topic, partition)
                is_outside = not start <= offset <= end
                if is_outside and reset == "none":
                    raise OffsetOutOfRangeError(topic, partition, offset, start, end) from None
                if time.monotonic() > deadline:
                    raise LogUnavailableError(
                        f"the topic {topic!r}, partition {partition}, starts at {start} and ends at {end}, and its broker"
                        f" has nothing at {offset}",
                        action="look into the brokers' logs",
                    ) from None
                if is_outside:  # where it starts may have moved again when it is read
                    offset = start if reset == "earliest" else end
                else:  # a broker that has just come to lead the partition may not know all of it yet
                    time.sleep(RETRY_S)

    def _typed(self, topic: str, partition: int, records: FetchedRecords, fields: Sequence[str] | None) -> FetchedRecords:
        config = self._topics.need(topic)
        kind, rows = config.value_type, KeyedRows.of(config)
        if kind is None:
            return records
        where = f"the topic {topic!r}, partition {partition},"
        values = decoded(records.values, kind, None if rows is not None else fields, where)
        if rows is not None:
            if values.null_count:
                assert records.keys is not None
                keys = decoded(records.keys.filter(values.is_null()), rows.key_type(kind), None, where)
                values = rows.whole(values, keys)
            if fields is not None:
                chosen = [kind.field(name) for name in fields]
                values = pa.StructArray.from_arrays([values.field(f.name) for f in chosen], fields=chosen)
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
        self._parts.check_open()
        place = self._place(topic, partition)
        return self._parts.ends.starts([place])[place]

    def end_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.end_offset`; the mark of a commit takes an offset, too."""
        self._parts.check_open()
        place = self._place(topic, partition)
        return self._parts.ends.ends([place])[place]

    def partition_sizes(self, topic: str) -> list[tuple[int, int]]:
        """See `protocol.Log.partition_sizes`; brokers do not tell clients of segments and bytes: 0."""
        return [(0, 0)] * self._topics.need(topic).partitions

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> tuple[int, Mapping[TopicPartition, int]]:
        """See `protocol.Log.end_offsets`.  These partitions are followed from now on, and new records wake who waits."""
        self._parts.check_open()
        epoch = self.epoch
        places = {place: self._place(*place) for place in partitions}
        found = self._follower.ends(list(places.values()))
        floor = self._parts.ends.floor
        return epoch, {mine: max(found[place], floor(place)) for mine, place in places.items()}

    def offset_for_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """See `protocol.Log.offset_for_time`."""
        self._parts.check_open()
        place = self._place(topic, partition)
        end = self.end_offset(topic, partition)
        found = self._parts.ends.for_time(place, timestamp_ms)
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
        self._parts.check_open()
        place = self._place(topic, partition)
        offset = min(offset, self.end_offset(topic, partition))

        def ask(left: float) -> None:
            futures = self._parts.connection.admin().delete_records([KafkaPartition(*place, offset)], request_timeout=left)
            for future in futures.values():
                future.result(left)

        self._parts.connection.call(f"delete records of the topic {topic!r}", ask)
        self._follower.drop_before(place, offset)
        self._parts.seekers.forget(place[0])

    def partitions_of(self, keys: Any, partitions: int) -> npt.NDArray[np.int32]:
        """See `protocol.Log.partitions_of`."""
        return partitions_of(keys, partitions)

    # --- groups, producers -------------------------------------------------------------------------------------------

    def positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See `protocol.Log.positions`."""
        self._parts.check_open()
        self._parts.state.catch_up()
        entry = self._parts.state.get("group", group)
        places = [(name, number) for name, config in self._topics.lasting().items() for number in range(config.partitions)]
        found = self._parts.members.positions(group, places)
        if entry is not None:
            for name, offset in entry["positions"].items():
                topic, _, number = name.rpartition("/")
                found.setdefault((topic, int(number)), offset)
        return found

    def metadata(self, group: str) -> str | None:
        """See `protocol.Log.metadata`."""
        self._parts.check_open()
        self._parts.state.catch_up()
        entry = self._parts.state.get("group", group)
        return None if entry is None else entry["metadata"]

    def groups(self) -> list[str]:
        """See `protocol.Log.groups`: those of this service."""
        self._parts.check_open()
        self._parts.state.catch_up()
        return sorted({*self._parts.members.groups(), *self._parts.state.of_kind("group")})

    def delete_group(self, group: str) -> None:
        """See `protocol.Log.delete_group`."""
        self._parts.check_open()
        self._parts.members.delete(group)
        self._parts.state.catch_up()
        if self._parts.state.get("group", group) is not None:
            self._write_entries([(("group", group), None)])

    def last_sequence(self, producer_id: str) -> int | None:
        """See `protocol.Log.last_sequence`."""
        self._parts.check_open()
        self._parts.state.catch_up()
        found = self._parts.state.get("sequence", producer_id)
        return None if found is None else int(found)

    def open_producer(self, producer_id: str) -> int:
        """See `protocol.Log.open_producer`."""
        self._parts.check_open()
        with self._parts.numbered([producer_id]):
            self._parts.state.catch_up()
            known = self._parts.state.get("producer", producer_id)
            epoch = 0 if known is None else known["epoch"] + 1
            batches = {} if known is None else known["batches"]
            self._write_entries([(("producer", producer_id), {"epoch": epoch, "batches": batches})])
        return int(epoch)

    def produced(self, producer_id: str, topic: str, partition: int) -> list[ProducedBatch]:
        """See `protocol.Log.produced`."""
        self._parts.check_open()
        self._parts.state.catch_up()
        known = self._parts.state.get("producer", producer_id)
        kept = [] if known is None else known["batches"].get(f"{topic}/{partition}", [])
        return [ProducedBatch(*batch) for batch in kept]

    # --- waiting -----------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """See `protocol.Log.epoch`; this process's own count of what it committed and of what came."""
        return self._parts.epoch

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """See `protocol.Log.wait`."""
        return self._parts.wait(epoch, timeout_s, until)

    def wake(self) -> None:
        """See `protocol.Log.wake`."""
        self._parts.wake()

    def close(self) -> None:
        """See `protocol.Log.close`."""
        if self._parts.closed or self.foreign:
            return
        self._parts.closed = True
        self.wake()
        self._follower.close()
        self._parts.seekers.close()
        self._parts.producers.close()
        self._parts.members.close()
