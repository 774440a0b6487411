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
    """What a commit made durable, or will make durable in relaxed mode.

    It has the commit's epoch and, for each partition that it touched, the offset of its first record there and the end
    offset.  Between them lie its records, in the order in which they were appended.
    """

    epoch: int
    ends: Mapping[TopicPartition, int]
    starts: Mapping[TopicPartition, int] = field(default_factory=dict)


Outcome = Commit | BaseException
"""How a transaction ended: its commit, or the error because of which it did not happen."""


@dataclass(frozen=True, slots=True)
class ProducedBatch:
    """What a producer wrote to one partition in one commit.

    The records numbered ``first`` to ``last`` lie at ``offset`` and the offsets after it.
    """

    first: int
    last: int
    offset: int


class Transaction(Protocol):
    """A transaction, used from one thread.  Nobody sees any of it before ``commit``; a crash before that leaves nothing of
    it.
    """

    def append(self, topic: str, records: Records, partition: int | None = None) -> None:
        """Append to a partition, or (None) to the partition of each key.

        That is murmur2(key) % partitions; records without a key go round robin.

        Raises:
            StorageError: unknown topic or partition; values of another type than the topic's.
        """

    def append_ranked(self, topic: str, parts: Sequence[tuple[int, Records, Int64s]]) -> None:
        """Append records to several partitions, in one order of arrival over all of them.

        Args:
            parts: a partition (no two parts have the same), its records, and their ranks, ascending.  The ranks of all
                parts together are 0..total-1: the order of arrival.

        Raises:
            StorageError: as for ``append``.
        """

    def set_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Set where a consumer group reads on after this commit; `NO_POSITION` takes its position away.

        Raises:
            StorageError: `NO_POSITION`, where the log cannot do that (`LogCapabilities.forgets_positions`).
        """

    def set_metadata(self, group: str, metadata: str) -> None:
        """Replace the text that a group keeps beside its positions."""

    def set_sequence(self, producer_id: str, sequence: int) -> None:
        """Give a producer's sequence number.  One that is not above the last marks a retry, whose commit does nothing."""

    def set_producer(self, producer_id: str, epoch: int, sequences: Mapping[TopicPartition, int] | None = None) -> None:
        """Number the records of each partition as the next ones of a producer (see `Log.open_producer`).

        Args:
            sequences: the number of the first record in each partition; if it is not the producer's next one, the commit
                fails.
        """

    def set_compression(self, compression: Compression) -> None:
        """Compress records of topics whose own ``compression`` is ``none``."""

    def commit(self, durable: bool = True) -> Commit:
        """Commit; returns when the commit is durable, or (``durable=False``) when it is visible.

        Raises:
            ProducerFencedError: the producer was opened again since; nothing happened.
            OutOfOrderSequenceError: see ``set_producer``; nothing happened.
            StorageError: the disk is full, or a file is damaged; nothing happened.
        """
        ...

    def begin_commit(self, durable: bool = True, after: Committing | None = None) -> Committing:
        """Begin to commit, so that the next transaction can be made while the disk works for this one.

        Commits happen in the order in which they were begun.  A small commit, or one that need not be durable, has ended on
        return, and so have those before it.

        Args:
            after: a commit of this log that was begun before; this one does not happen unless that one does.

        Raises:
            as ``commit``: nothing happened.
        """
        ...

    def abort(self) -> None:
        """Drop the transaction."""


class Committing(Protocol):
    """A commit that was begun.  Nobody sees it before it is durable."""

    @property
    def done(self) -> bool:
        """Whether the commit has ended, well or not."""
        ...

    def result(self) -> Commit:
        """Wait until the commit is durable.  The disk then works for all commits that were begun so far.

        Raises:
            StorageError: it did not happen, and neither did those that were under way with it.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogCapabilities:
    """What some logs have and others lack.

    Whoever needs one of these asks for it, and otherwise goes another way or refuses.  Nobody asks which log it is.

    Attributes:
        total_order: `FetchedRecords.arrivals` are one order over all topics and partitions; else there is one per partition.
        typed_values: topics may have a ``value_type``; else every topic is one of bytes.
        joint_epochs: `Log.end_offsets` gives the ends of several partitions as of one commit; else each has a commit of its
            own.
        stable_records: a record can be read again by its offset, quickly and as long as the partition starts before it.  So
            offsets can be kept in place of records.
        dense_offsets: the offsets of neighbouring records are neighbours, and a partition ends after its last record; else
            the mark of a commit takes an offset, too.
        shared: other processes write to the log, too, and share its partitions.
        forgets_positions: a group's position in one partition can be taken away; else only whole groups are deleted.
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
        name: the name of its client in Kafka, and the machine.
        address: where it answers requests (``http://host:port``), see `Log.advertise`; None if nowhere.
    """

    name: str
    address: str | None = None

    def __str__(self) -> str:
        return self.name if self.address is None else f"{self.name} ({self.address})"


class Membership(Protocol):
    """A process's membership among those that share the partitions of some topics.

    A commit that sets positions of the group happens only while the membership holds; else it raises `PartitionsLostError`.
    """

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """The partitions that are this process's now."""
        ...

    @property
    def trouble(self) -> StorageError | None:
        """Why the process has no place yet, or gets no records, as far as is known."""
        ...

    def check_topics(self, *, now: bool) -> None:
        """Check that the topics are the ones that the group began with.

        Args:
            now: ask the log; else the last answer counts.

        Raises:
            StorageError: a topic was deleted and created again or has more partitions, or (``now``) the log does not answer.
        """

    def owners(self) -> Mapping[TopicPartition, Owner]:
        """Which process has each partition.  Raises: StorageError."""
        ...

    def spares(self, deaths: int) -> frozenset[TopicPartition]:
        """The partitions that would come to this process if that many of the others ended.  Raises: StorageError."""
        ...

    def leave(self) -> None:
        """Leave the group, and give up the partitions."""


class Log(Protocol):
    """A log.  Thread-safe.  `tests/contracts/log.py` checks what is said here."""

    @property
    def capabilities(self) -> LogCapabilities:
        """What this log can do that not every log can."""
        ...

    @property
    def measures(self) -> CommitMeasures | None:
        """What commits have cost since the log was opened; None if it cannot know, because its files are elsewhere."""
        ...

    @property
    def foreign(self) -> bool:
        """Whether this process was forked from the one that opened the log.

        A forked process has neither the log's threads nor a right to its files.  It can do nothing here, its `close` does
        nothing, and the parent's log is as it was.
        """
        ...

    def check_process(self) -> None:
        """Check that the process is not ``foreign``.

        Every method checks that itself.  A caller that takes a lock of its own asks before: in a forked process the lock may
        be held by a thread that exists only in the parent.

        Raises:
            StorageError: the process is ``foreign``.
        """

    def create_topic(self, name: str, config: TopicConfig, *, durable: bool = True) -> None:
        """Create a topic.

        Args:
            durable: False: return as soon as the topic is visible.  A crash may lose it, unless a durable commit came
                later.  A log that can only create durably does so.

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
        """The config of a topic; None if there is no topic of this name."""
        ...

    def topic_id(self, name: str) -> int:
        """The number of a topic; one that is deleted and created again gets another one.  Raises: StorageError, if there is
        none.
        """
        ...

    def transaction(self, alone: str | None = None, *, whole: bool = True) -> Transaction:
        """Make a transaction.

        Args:
            whole: it happens as a whole or not at all.  False allows the log, where that is quicker, to write the records
                first and the positions then.  If the commit fails, records may be there, and readers may have seen them;
                positions never happen without the records.
            alone: a name.  If another transaction of this name has been begun since, in any process, the commit raises a
                `PartitionsLostError`, and nothing happens.
        """
        ...

    def join(
        self, group: str, topics: Sequence[str], changed: Callable[[frozenset[TopicPartition] | None], None], *, whole: bool
    ) -> Membership | None:
        """Share the partitions of topics with other processes; None if nobody else can write to this log.

        Topics with equal numbers of partitions are shared alike: a process has the same partitions of each.

        Args:
            group: positions of this group are committed as this member.
            changed: is called on a thread of the log's with the partitions that this process has from now on (None: none,
                until they are given out again).  When it returns, other processes get the rest.
            whole: one process gets all partitions, and the others none.
        """
        ...

    def advertise(self, address: str | None) -> None:
        """Tell the other processes of the service where this one answers requests (``http://host:port``); None: nowhere.

        Raises: StorageError.
        """

    def service_key(self) -> str:
        """A key that only the processes which share this log know, to show each other that they do.

        Raises:
            StorageError: it cannot be read.
        """
        ...

    def own_end(self, topic: str, partition: int) -> int:
        """The offset after the last record that this process is known to have committed there; 0 if there is none."""
        ...

    def settle(self, partitions: Sequence[TopicPartition]) -> None:
        """Wait until every commit that others may have begun in these partitions has ended."""

    def commit_all(self, transactions: Sequence[tuple[Transaction, bool]], outcomes: list[Outcome | None]) -> None:
        """Commit several transactions in this order, with one sync for all.  One that fails does not stop the others.

        Args:
            transactions: each with whether it shall be durable, see `Transaction.commit`.
            outcomes: is given the outcome of each, also if this call is interrupted; None: it did not happen.
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
        """Yield all records from ``offset`` to the end that the partition has when the scan begins.

        They come in the pieces in which they were written: never empty, at most `FRAME_ROWS_MAX` rows, and not copied, as
        `read` copies to fill its rows.  If pieces are merged meanwhile, the scan goes to the end of the piece with that end.

        What was yielded keeps its memory.  A scan that retention overtakes raises.

        Raises:
            StorageError, OffsetOutOfRangeError: as `read`, at the piece at fault.
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
        """Make a new instance of a producer, durably; returns its epoch.  Earlier instances can commit nothing any more."""
        ...

    def produced(self, producer_id: str, topic: str, partition: int) -> Sequence[ProducedBatch]:
        """A producer's newest batches in a partition, oldest first; empty if it never wrote there."""
        ...

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Records below ``offset`` may be dropped (whole segments are)."""

    @property
    def epoch(self) -> int:
        """The number of the newest visible commit."""
        ...

    def flush(self) -> None:
        """Make relaxed commits durable now.

        Raises:
            StorageError: they are not.
        """

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """Block until a commit newer than ``epoch`` is visible, ``until`` holds, or the time is up; returns the newest
        epoch.

        ``until`` is asked at every commit and `wake`.
        """
        ...

    def wake(self) -> None:
        """Have everyone who waits check ``until`` again."""

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
