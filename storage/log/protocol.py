"""The log as everything outside this folder sees it.  `LocalLog` is the first implementation, `KafkaLog` the second.

A topic has partitions; a partition is a sequence of records with offsets.  Records become visible by commits only: a
transaction appends to any number of partitions and moves any number of groups' positions, and its commit is one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import StorageError
from .measures import CommitMeasures

Int64s = npt.NDArray[np.int64]
TopicPartition = tuple[str, int]
NO_POSITION = -1
"""In place of an offset: a group has no position there."""
CleanupPolicy = Literal["delete", "compact", "compact,delete"]
Compression = Literal["none", "lz4", "zstd"]
OffsetReset = Literal["none", "earliest", "latest"]
DELETE_RETENTION_MS = 24 * 60 * 60 * 1000
"""How long compaction keeps tombstones unless a topic says otherwise: Kafka's default."""
HEADERS = pa.list_(pa.struct([pa.field("KEY", pa.string()), pa.field("VALUE", pa.binary())]))


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What a topic is created with.

    Attributes:
        partitions: at least 1; more may be added while no record has a key.
        value_type: None for a topic of bytes; a struct type for typed (native ``ARROW``) values.  May gain fields later.
        cleanup_policy: ``delete`` drops old segments, ``compact`` keeps the last record per key.
        retention_ms, retention_bytes: None keeps everything.
        internal: changelogs and the like, not shown by SHOW TOPICS.
        properties: free text the owner wants to keep with the topic.
        segment_bytes: a segment that would grow beyond it is closed; None takes the log's `LogSettings.segment_bytes_max`.
        segment_ms: a segment whose first record was appended longer ago is closed; None never does.
        delete_retention_ms: compaction keeps tombstones this long, so that readers who are behind see the deletion.
        min_compaction_lag_ms: compaction leaves records alone that are younger.
        compression: of frames, as they are appended and as they are rewritten.

    `topic_config` has Kafka's names for them.
    """

    partitions: int = 1
    value_type: pa.StructType | None = None
    cleanup_policy: CleanupPolicy = "delete"
    retention_ms: int | None = None
    retention_bytes: int | None = None
    internal: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    segment_bytes: int | None = None
    segment_ms: int | None = None
    delete_retention_ms: int = DELETE_RETENTION_MS
    min_compaction_lag_ms: int = 0
    compression: Compression = "none"


@dataclass(frozen=True, slots=True)
class Records:
    """n records to append.

    Attributes:
        keys: binary[n] with nulls, or None if every key is null.
        values: binary[n] for a topic of bytes, or struct[n] of the topic's ``value_type``; null is a tombstone.
        timestamps: int64[n], milliseconds since the epoch.
        headers: `HEADERS`[n], or None if no record has any.
    """

    keys: Any | None
    values: Any
    timestamps: Int64s
    headers: Any | None = None

    def __len__(self) -> int:
        return len(self.timestamps)


@dataclass(frozen=True, slots=True)
class FetchedRecords(Records):
    """n records of one partition as read.

    Attributes:
        offsets: int64[n], ascending (with gaps after compaction).
        arrivals: int64[n], ascending: the place of each record in the log's total order, over all topics and partitions.
        epoch: of the commit that made the last of them visible.
        next_offset: where to read on (may exceed the last offset by more than 1).
    """

    offsets: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    arrivals: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    epoch: int = 0
    next_offset: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """What became durable (or, in relaxed mode, will): its epoch and, for every partition it touched, the offset of its
    first record there and the end offset.  Its records lie between them, in the order in which they were appended."""

    epoch: int
    ends: Mapping[TopicPartition, int]
    starts: Mapping[TopicPartition, int] = field(default_factory=dict)


Outcome = Commit | BaseException
"""How a transaction ended: its commit, or the error because of which it did not happen."""


@dataclass(frozen=True, slots=True)
class ProducedBatch:
    """What a producer wrote to one partition in one commit: the records numbered ``first`` to ``last`` lie at ``offset`` and
    the offsets after it."""

    first: int
    last: int
    offset: int


class Transaction(Protocol):
    """Used from one thread.  Until ``commit`` nobody sees any of it; after a crash before that, nothing happened."""

    def append(self, topic: str, records: Records, partition: int | None = None) -> None:
        """Append to a partition, or (None) to each key's: murmur2(key) % partitions; null keys go round robin.

        Raises:
            StorageError: unknown topic or partition; values of another type than the topic's.
        """

    def append_ranked(self, topic: str, parts: Sequence[tuple[int, Records, Int64s]]) -> None:
        """Append to several partitions (each named once) records that arrive in an order of their own.

        Args:
            parts: partition, records, and ascending ranks: those of all parts together are 0..total-1, and that is the
                order of arrival.

        Raises:
            StorageError: as for ``append``.
        """

    def set_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Where a consumer group reads on once this is committed; with `NO_POSITION` it has none there any more.

        Raises:
            StorageError: `NO_POSITION`, where the log cannot do that (`LogCapabilities.forgets_positions`).
        """

    def set_metadata(self, group: str, metadata: str) -> None:
        """What a group keeps beside its positions: text of its own, in place of what it kept before."""

    def set_sequence(self, producer_id: str, sequence: int) -> None:
        """The producer's sequence number; a commit whose number is not above the last one is a retry and is dropped."""

    def set_producer(self, producer_id: str, epoch: int, sequences: Mapping[TopicPartition, int] | None = None) -> None:
        """Number the records, partition by partition, as the next ones of a producer (see `Log.open_producer`).

        Args:
            sequences: which number the first record in a partition must get; where it is not the next one, the commit fails.
        """

    def set_compression(self, compression: Compression) -> None:
        """Compress what goes to topics whose own ``compression`` is ``none``."""

    def commit(self, durable: bool = True) -> Commit:
        """Make it happen; returns when it is durable, or (``durable=False``) when it is visible.

        Raises:
            ProducerFencedError: the producer was opened again since: nothing happened.
            OutOfOrderSequenceError: see ``set_producer``: nothing happened.
            StorageError: the disk is full, a file is damaged: nothing happened.
        """
        ...

    def begin_commit(self, durable: bool = True, after: Committing | None = None) -> Committing:
        """The same in two parts, so that the next one can be made while the disk works for this one.

        It has its place: of transactions that are begun one after the other those that happen do so in this order.  One that
        is small, or not durable, is through on return, and so are those that were begun before it.

        Args:
            after: one of this log's that was begun before; this one does not happen unless that one does.

        Raises:
            as ``commit``: nothing happened.
        """
        ...

    def abort(self) -> None:
        """Forget it."""


class Committing(Protocol):
    """A commit that was begun.  Nobody sees it before it is durable."""

    @property
    def done(self) -> bool:
        """Whether it is known what became of it."""
        ...

    def result(self) -> Commit:
        """Returns when it is durable; whoever waits has the disk work for all that were begun so far.

        Raises:
            StorageError: it did not happen, and neither did any that was on its way with it.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogCapabilities:
    """What a log may not have.  Whoever needs one of these asks for it, and has another way, or refuses; nobody asks which
    log it is.

    Attributes:
        total_order: `FetchedRecords.arrivals` are one order over all topics and partitions.  Without it they are one per
            partition.
        typed_values: topics may have a ``value_type``.  Without it every topic is one of bytes.
        joint_epochs: `Log.end_offsets` gives the ends of several partitions as of one commit.  Without it each is as of a
            commit of its own.
        stable_records: a record can be read by its place, quickly and for as long as the partition starts before it: who
            keeps places need not keep records.
        dense_offsets: records that follow each other have offsets that do, and a partition ends after its last record.
            Without it the mark of a commit takes an offset, too.
        shared: other processes write to it as well, and share its partitions.
        forgets_positions: a group's position in one partition can be taken away.  Without it only whole groups are deleted.
    """

    total_order: bool
    typed_values: bool
    joint_epochs: bool
    stable_records: bool
    dense_offsets: bool = True
    shared: bool = False
    forgets_positions: bool = True


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that has partitions.

    Attributes:
        name: its client's name in Kafka, and the machine.
        address: where it can be asked (``http://host:port``), see `Log.advertise`; None if nowhere.
    """

    name: str
    address: str | None = None

    def __str__(self) -> str:
        return self.name if self.address is None else f"{self.name} ({self.address})"


class Membership(Protocol):
    """A process's place among those that share the partitions of some topics.  A commit that sets positions of its group
    happens only while that place is its own: else it is a `PartitionsLostError`."""

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions that are this process's now."""
        ...

    @property
    def trouble(self) -> StorageError | None:
        """Why it has no place yet, or nothing comes, as far as that is known."""
        ...

    def check_topics(self, *, now: bool) -> None:
        """Check that the topics are the ones that the group began with.

        Args:
            now: ask the log; else what was found last counts.

        Raises:
            StorageError: one was deleted and created again, or was given partitions, or (``now``) the log does not answer.
        """

    def owners(self) -> Mapping[TopicPartition, Owner]:
        """Which process has each partition.  Raises: StorageError."""
        ...

    def spares(self, deaths: int) -> frozenset[TopicPartition]:
        """The partitions that would come to this process if so many of the others ended.  Raises: StorageError."""
        ...

    def leave(self) -> None:
        """Give them up."""


class Log(Protocol):
    """Thread-safe.  The promise is what `tests/contracts/log.py` checks; this says it in words."""

    @property
    def capabilities(self) -> LogCapabilities:
        """What this log has of what not every log has."""
        ...

    @property
    def measures(self) -> CommitMeasures | None:
        """What commits have cost since it was opened; None where it does not know that (its files are elsewhere)."""
        ...

    @property
    def foreign(self) -> bool:
        """Whether this process was forked from the one that opened the log.  It has neither its threads nor a right to its
        files: nothing can be done here, `close` does nothing, and the parent's log is as it was."""
        ...

    def check_process(self) -> None:
        """Raises: StorageError, if it is ``foreign``.  Every call does that; this one is for who takes locks of his own
        before, which threads that are not here may have held."""

    def create_topic(self, name: str, config: TopicConfig, *, durable: bool = True) -> None:
        """Make a topic.

        Args:
            durable: False returns when it is visible: a crash may lose it, but keeps no durable commit that came after it
                without it.  (A log that cannot do less makes it durable all the same.)

        Raises:
            StorageError: it exists.
        """

    def alter_topic(self, name: str, config: TopicConfig) -> None:
        """Change a topic; ``value_type`` may only gain fields at its end, partitions may be added while no record has a key.

        Raises:
            StorageError: unknown topic, or a change that is not allowed.
        """

    def delete_topic(self, name: str) -> None:
        """Raises: StorageError, if it does not exist."""

    def topics(self) -> Mapping[str, TopicConfig]:
        """All topics by name, internal ones included."""
        ...

    def config(self, topic: str) -> TopicConfig | None:
        """One topic's; None if there is none of this name."""
        ...

    def topic_id(self, name: str) -> int:
        """A topic's number; one that is deleted and created again gets another.  Raises: StorageError, if there is none."""
        ...

    def transaction(self, alone: str | None = None, *, whole: bool = True) -> Transaction:
        """A new one.

        Args:
            whole: it happens as a whole or not at all.  Else, where that is quicker, its records first and its positions
                then: if its commit fails, records may be there, and readers may have seen them.  Positions never happen
                without the records.
            alone: it happens only if no other transaction of this name, of any process, has been begun since; else its
                commit is a `PartitionsLostError`.
        """
        ...

    def join(
        self, group: str, topics: Sequence[str], changed: Callable[[frozenset[TopicPartition] | None], None], *, whole: bool
    ) -> Membership | None:
        """Share the partitions of topics with other processes; None if nobody else can write to this log.  Of topics with
        equal numbers of partitions, a process has the same ones.

        Args:
            group: positions of this group are committed as this member.
            changed: is told which partitions are this process's from now on, on a thread of the log's; None: none, until
                they are given out again.  Others get what is not when it returns.
            whole: one process gets all partitions, and the others none.
        """
        ...

    def advertise(self, address: str | None) -> None:
        """Tell the other processes of the service where this one can be asked (``http://host:port``); None: nowhere any
        more.  Raises: StorageError."""

    def service_key(self) -> str:
        """What the processes that share this log know, and nobody else: who shows it is one of them.

        Raises:
            StorageError: it cannot be read.
        """
        ...

    def own_end(self, topic: str, partition: int) -> int:
        """The offset after the last record that this process has committed there; 0 if there is none that it knows of."""
        ...

    def settle(self, partitions: Sequence[TopicPartition]) -> None:
        """Wait until what others may have begun to commit in these partitions has happened, or never will."""

    def commit_all(self, transactions: Sequence[tuple[Transaction, bool]], outcomes: list[Outcome | None]) -> None:
        """Commit several transactions in this order, each for itself, and with one sync.

        Args:
            transactions: with each whether it shall be durable, see `Transaction.commit`.
            outcomes: gets what became of each, also if this is interrupted; None: it did not happen.
        """

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
        """Visible records from ``offset`` on, at most ``rows_max`` (at least one if there is one); may be empty.

        ``reset`` says what happens where ``offset`` is before the partition's start or beyond its end: it is an error, or
        the reading goes on at the start (``earliest``) or the end (``latest``), as in Kafka's ``auto.offset.reset``.

        ``fields`` picks fields of a typed topic's values (others are not decoded).  Typed values of an older
        ``value_type`` come with null fields added.

        With ``pieces`` values that are bytes may be a `pa.ChunkedArray` of the pieces that they were written in, which
        spares a copy of all of them.

        Raises:
            OffsetOutOfRangeError: see ``reset``.
            StorageError: unknown topic; a damaged frame (file, offset, what to do), never data from it.
        """
        ...

    def scan(
        self, topic: str, partition: int, offset: int, *, fields: Sequence[str] | None = None
    ) -> Iterator[FetchedRecords]:
        """All records from ``offset`` to what is the end when the scan begins (if pieces are merged meanwhile, to the end of
        the piece that has it), in the pieces they were written in: never empty, at most `FRAME_ROWS_MAX` rows.  Nothing is
        copied, which `read` does to fill its rows.

        What was yielded keeps the memory it lies in.  A scan that is behind what retention removed meanwhile raises.

        Raises:
            StorageError, OffsetOutOfRangeError: as `read`, at the piece that is concerned.
        """
        ...

    def start_offset(self, topic: str, partition: int) -> int: ...

    def end_offset(self, topic: str, partition: int) -> int:
        """The offset after the last visible record."""
        ...

    def partition_sizes(self, topic: str) -> Sequence[tuple[int, int]]:
        """How many segments and bytes each partition has."""
        ...

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> tuple[int, Mapping[TopicPartition, int]]:
        """The newest visible epoch and the end offsets of several partitions, all as of that one commit."""
        ...

    def offset_for_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset whose record has a timestamp >= ``timestamp_ms``; the end offset if none."""
        ...

    def positions(self, group: str) -> Mapping[TopicPartition, int]:
        """A consumer group's committed positions; empty for an unknown one."""
        ...

    def metadata(self, group: str) -> str | None:
        """What a group keeps (see `Transaction.set_metadata`); None if it keeps nothing."""
        ...

    def groups(self) -> Sequence[str]:
        """The names of all consumer groups: those with positions or metadata."""
        ...

    def delete_group(self, group: str) -> None: ...

    def last_sequence(self, producer_id: str) -> int | None:
        """See `Transaction.set_sequence`; None if there was none."""
        ...

    def open_producer(self, producer_id: str) -> int:
        """The epoch of a new instance of a producer, durably: instances of older epochs can commit nothing any more."""
        ...

    def produced(self, producer_id: str, topic: str, partition: int) -> Sequence[ProducedBatch]:
        """A producer's newest batches in a partition, oldest first; empty if it never wrote there."""
        ...

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Records below ``offset`` may be dropped (whole segments are)."""

    @property
    def epoch(self) -> int:
        """Of the newest visible commit."""
        ...

    def flush(self) -> None:
        """Make relaxed commits durable now.

        Raises:
            StorageError: they are not.
        """

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """Block until a commit newer than ``epoch`` is visible, ``until`` holds (it is asked at every commit and `wake`),
        or the time is up; returns the newest epoch."""
        ...

    def wake(self) -> None:
        """Have everyone who waits look again whether what they wait for holds."""

    def partitions_of(self, keys: Any, partitions: int) -> npt.NDArray[np.int32]:
        """murmur2(key) % partitions for binary[n] keys, as Kafka's default partitioner places them; -1 for null keys."""
        ...

    def close(self) -> None: ...


def partitions(log: Log, topic: str) -> int:
    """How many partitions a topic has.  Raises: StorageError, if there is none of this name."""
    config = log.config(topic)
    if config is None:
        raise StorageError(f"there is no topic {topic!r}")
    return config.partitions
