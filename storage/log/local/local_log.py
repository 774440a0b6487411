"""The log on this machine: `protocol.Log` over segments and a commit journal.

The parts: `LogState` is what can be seen, `Committer` what writes, `Housekeeper` and the maintenance what keeps it in order.
Here they are put together, topics are defined and deleted, and partitions are read: each shows a `PartitionView`, which
commits replace, so reading takes no lock.  Lock order: maintenance, write lock, `LogState.changed` (held while the manifest
changes), then the guards inside segments and files.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ....errors import OffsetOutOfRangeError, StorageError
from ... import interrupts
from ...files import Files, RealFiles, discard
from ...layout import open_directory, partition_directory, topic_directory, upgrade
from ..measures import CommitMeasures
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
from ..settings import LogSettings
from ..topic_config import check_grown
from .commit.committer import Committer
from .commit.contents import Contents
from .commit.recovery import recover
from .commit.transaction import LocalTransaction
from .log_state import LogState, Topic
from .maintenance.housekeeper import Housekeeper
from .maintenance.maintenance import maintain_partition
from .maintenance.rewriting import Interrupted, RateLimiter
from .maintenance.subject import Maintained
from .manifest import GroupDeleted, ProducerOpened, SegmentsReplaced, TopicDefined, TopicDeleted, state_of
from .segments.partition import Partition, check_unkeyed
from .segments.record import fields_hold_dictionaries

__all__ = ["LocalLog"]


_CAPABILITIES = LogCapabilities(total_order=True, typed_values=True, joint_epochs=True, stable_records=True)
_NUMBERS = {"capabilities", "measures", "foreign", "check_process", "epoch", "arrival_end", "next_turn"}
_QUICK = {"topics", "config", "topic_id", "topic", *_NUMBERS}
"""Methods that take no lock, or only a lock inside C code around a single number."""


@interrupts.doors(but=_QUICK)
class LocalLog:
    """See `protocol.Log`.

    Args:
        files: the database's directory, held by this process (see `layout.open_directory`); closed with the log if
            ``owns_files``.
        settings: see `LogSettings`.
        clock_ms: the present time, for retention by time; without it retention waits for `maintain`.

    Raises:
        StorageError: the log is damaged.
    """

    def __init__(
        self,
        files: Files,
        settings: LogSettings | None = None,
        clock_ms: Callable[[], int] | None = None,
        owns_files: bool = False,
    ) -> None:
        self.settings = settings or LogSettings()
        self._files = files
        self._service_key = secrets.token_hex(32)
        self._owns_files = owns_files
        journal, manifest = recover(files)
        upgrade(files)
        self._state = LogState(files, manifest)
        self._turns: dict[str, int] = {}
        self._turns_guard = threading.Lock()
        self._closing = False
        self._maintenance = threading.Lock()
        self.housekeeper = Housekeeper(self, self.settings, clock_ms)
        self.committer = Committer(self._state, files, journal, self.settings, self.housekeeper.wake)
        self._parts = Maintained(self._state, self.committer, files, self.settings)
        self._finalizer: weakref.finalize[..., LocalLog] | None = None
        """Called when the process ends, or the log is garbage, without having been closed."""
        if isinstance(files, RealFiles):
            self._finalizer = weakref.finalize(self, _left, self._state, self.committer)
        self.housekeeper.start()

    @classmethod
    def open(
        cls,
        path: str | Path | None,
        settings: LogSettings | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> LocalLog:
        """Open (or create) the database in a directory; None keeps it in memory.

        Raises:
            StorageError: it is open elsewhere, or damaged.
        """
        files = open_directory(path)
        if path is None:  # memory needs no sync, so nothing is gained by copying appends into the journal
            settings = replace(settings or LogSettings(), embedded_bytes_max=0)
        try:
            return cls(files, settings, clock_ms, owns_files=True)
        except BaseException:
            files.close()
            raise

    @property
    def capabilities(self) -> LogCapabilities:
        """See `protocol.Log.capabilities`: all of them."""
        return _CAPABILITIES

    @property
    def measures(self) -> CommitMeasures:
        """See `protocol.Log.measures`."""
        return self.committer.measures

    @property
    def foreign(self) -> bool:
        """See `protocol.Log.foreign`."""
        return self._state.foreign

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        self._state.check_process()

    # ------------------------------------------------------------------------------------------------------- topics

    def create_topic(self, name: str, config: TopicConfig, *, durable: bool = True) -> None:
        """See `protocol.Log.create_topic`."""
        self._state.check_process()
        if config.partitions < 1:
            raise StorageError(f"the topic {name!r} needs at least one partition")
        if not name:
            raise StorageError("a topic needs a name")
        if config.value_type is not None and fields_hold_dictionaries(config.value_type):
            raise StorageError(f"the value type of the topic {name!r} has a dictionary inside, which frames cannot hold")
        with self.committer.write_lock:
            if name in self._state.topics:
                raise StorageError(f"the topic {name!r} exists")
            state = state_of(config, self._state.manifest.next_topic_id, config.partitions)
            directories = [partition_directory(name, state.id, i) for i in range(config.partitions)]
            if durable:
                self._files.make_directories(directories)
            else:
                self.committer.begun(self._files.begin_directories(directories))
            self.committer.record(TopicDefined(name, state), durable=durable)

    def alter_topic(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.alter_topic`."""
        self._state.check_process()
        topic = self.topic(name)
        looked_at = [0] * len(topic.partitions)
        if config.partitions > topic.config.partitions:
            looked_at = check_unkeyed(
                topic.partitions, looked_at, topic.config.value_type
            )  # the bulk of it, while others may write
        with self.committer.write_lock:
            topic = self.topic(name)
            more = config.partitions - topic.config.partitions
            if more < 0:
                raise StorageError(f"the topic {name!r} has {topic.config.partitions} partitions, and cannot get fewer")
            if more:
                check_unkeyed(topic.partitions, looked_at, topic.config.value_type)
            check_grown(
                name, topic.config.value_type, config.value_type, takes=lambda kind: not fields_hold_dictionaries(kind)
            )
            have = len(topic.partitions)
            self._files.make_directories([partition_directory(name, topic.id, have + i) for i in range(more)])
            self.committer.record(TopicDefined(name, state_of(config, topic.id, more)))

    def delete_topic(self, name: str) -> None:
        """See `protocol.Log.delete_topic`."""
        self._state.check_process()
        with self.committer.write_lock:
            topic = self.topic(name)
            self.committer.record(TopicDeleted(name))
            self.committer.forget(topic_directory(name, topic.id))
            for partition in topic.partitions:
                partition.close()
            discard(self._files, topic_directory(name, topic.id), directory=True)

    def topics(self) -> Mapping[str, TopicConfig]:
        """See `protocol.Log.topics`."""
        self._state.check_process()
        return {name: topic.config for name, topic in dict(self._state.topics).items()}

    def config(self, topic: str) -> TopicConfig | None:
        """See `protocol.Log.config`."""
        self._state.check_process()
        known = self._state.topics.get(topic)
        return None if known is None else known.config

    def topic_id(self, name: str) -> int:
        """See `protocol.Log.topic_id`."""
        self._state.check_process()
        return self.topic(name).id

    def topic(self, name: str) -> Topic:
        """An open topic.

        Raises:
            StorageError: there is none of this name.
        """
        return self._state.topic(name)

    # ------------------------------------------------------------------------------------------------------ writing

    def transaction(self, alone: str | None = None, *, whole: bool = True) -> LocalTransaction:
        """See `protocol.Log.transaction`; no other process writes here, and all of it happens as a whole."""
        self._state.check_process()
        return LocalTransaction(self._state, self.committer, self.settings, self.next_turn)

    def commit_all(self, transactions: Sequence[tuple[Transaction, bool]], outcomes: list[Outcome | None]) -> None:
        """See `protocol.Log.commit_all`."""
        self._state.check_process()
        found: list[Outcome | None] = [None] * len(transactions)
        places: list[int] = []
        prepared: list[tuple[Contents, bool]] = []
        for place, (transaction, durable) in enumerate(transactions):
            try:
                prepared.append((cast(LocalTransaction, transaction).prepare(), durable))
                places.append(place)
            except StorageError as error:
                found[place] = error
        own: list[Outcome | None] = []
        try:
            self.committer.commit(prepared, own)
        finally:
            for place, outcome in zip(places, own):
                found[place] = outcome
            outcomes[:] = found

    def join(
        self, group: str, topics: Sequence[str], changed: Callable[[frozenset[TopicPartition] | None], None], *, whole: bool
    ) -> None:
        """See `protocol.Log.join`."""

    def advertise(self, address: str | None) -> None:
        """See `Log.advertise`: there are no others."""

    def service_key(self) -> str:
        """See `Log.service_key`: nobody else knows it."""
        return self._service_key

    def own_end(self, topic: str, partition: int) -> int:
        """See `protocol.Log.own_end`; nobody else writes here."""
        return self.end_offset(topic, partition)

    def settle(self, partitions: Sequence[TopicPartition]) -> None:
        """See `protocol.Log.settle`."""

    def next_turn(self, topic: str, count: int) -> int:
        """The partition that gets the first of ``count`` records without a key, round robin."""
        with self._turns_guard:
            turn = self._turns.get(topic, 0)
            self._turns[topic] = turn + count
            return turn

    def flush_beside(self) -> None:
        """Like `flush`, but hold no lock while the disk works.  Raises: StorageError."""
        self.committer.flush_beside()

    def flush(self) -> None:
        """Make relaxed commits durable now.

        Raises:
            StorageError: they are not.
        """
        self._state.check_process()
        self.committer.flush()

    # ------------------------------------------------------------------------------------------------------ reading

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
        self._state.check_process()
        place = self._state.partition(topic, partition)
        wanted_type = self.topic(topic).config.value_type
        while True:
            try:
                return place.read(offset, rows_max, bytes_max, fields, wanted_type, pieces=pieces)
            except OffsetOutOfRangeError as outside:
                if reset == "none":
                    raise
                offset = outside.start if reset == "earliest" else outside.end

    def scan(
        self, topic: str, partition: int, offset: int, *, fields: Sequence[str] | None = None
    ) -> Iterator[FetchedRecords]:
        """See `protocol.Log.scan`."""
        self._state.check_process()
        pieces = self._state.partition(topic, partition).scan(offset, fields, self.topic(topic).config.value_type)
        while True:
            with interrupts.DEFERRED:
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def start_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.start_offset`."""
        self._state.check_process()
        return self._state.partition(topic, partition).view.start

    def end_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.end_offset`."""
        self._state.check_process()
        return self._state.partition(topic, partition).view.end

    def partition_sizes(self, topic: str) -> list[tuple[int, int]]:
        """See `protocol.Log.partition_sizes`."""
        self._state.check_process()
        found = [tuple(p.state.segments) for p in self.topic(topic).partitions]
        return [(len(segments), sum(s.length for s in segments)) for segments in found]

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> tuple[int, Mapping[TopicPartition, int]]:
        """See `protocol.Log.end_offsets`."""
        self._state.check_process()
        return self._state.end_offsets(partitions)

    def offset_for_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """See `protocol.Log.offset_for_time`."""
        self._state.check_process()
        return self._state.partition(topic, partition).offset_for_time(timestamp_ms)

    def partitions_of(self, keys: Any, partitions: int) -> npt.NDArray[np.int32]:
        """See `protocol.Log.partitions_of`."""
        return partitions_of(keys, partitions)

    # ---------------------------------------------------------------------------------------------- groups, producers

    def positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See `protocol.Log.positions`."""
        self._state.check_process()
        return self._state.positions(group)

    def metadata(self, group: str) -> str | None:
        """See `protocol.Log.metadata`."""
        self._state.check_process()
        return self._state.metadata(group)

    def groups(self) -> list[str]:
        """See `protocol.Log.groups`."""
        self._state.check_process()
        return self._state.groups()

    def lag(self, group: str) -> Mapping[TopicPartition, int]:
        """How many offsets a group is behind, for every partition it has a position in."""
        self._state.check_process()
        lags = {}
        for (topic, partition), position in self.positions(group).items():
            view = self._state.partition(topic, partition).view
            lags[topic, partition] = view.end - min(max(position, view.start), view.end)
        return lags

    def delete_group(self, group: str) -> None:
        """See `protocol.Log.delete_group`."""
        self._state.check_process()
        with self.committer.write_lock:
            if group in self._state.groups():
                self.committer.record(GroupDeleted(group))

    def last_sequence(self, producer_id: str) -> int | None:
        """See `protocol.Log.last_sequence`."""
        self._state.check_process()
        return self._state.last_sequence(producer_id)

    def open_producer(self, producer_id: str) -> int:
        """See `protocol.Log.open_producer`."""
        self._state.check_process()
        with self.committer.write_lock:
            known = self._state.manifest.producers.get(producer_id)
            epoch = 0 if known is None else known.epoch + 1
            self.committer.record(ProducerOpened(producer_id, epoch))
            return epoch

    def produced(self, producer_id: str, topic: str, partition: int) -> list[ProducedBatch]:
        """See `protocol.Log.produced`."""
        self._state.check_process()
        return self._state.produced(producer_id, topic, partition)

    # -------------------------------------------------------------------------------------------- time and housekeeping

    @property
    def epoch(self) -> int:
        """See `protocol.Log.epoch`."""
        return self._state.epoch

    @property
    def arrival_end(self) -> int:
        """The arrival of the next record."""
        return self._state.arrival_end

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """See `protocol.Log.wait`."""
        self._state.check_process()
        return self._state.wait(epoch, timeout_s, until)

    def wake(self) -> None:
        """See `protocol.Log.wake`."""
        self._state.check_process()
        self._state.wake()

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """See `protocol.Log.delete_before`."""
        self._state.check_process()
        with self.committer.write_lock:
            place = self._state.partition(topic, partition)
            state = place.state
            start = min(max(offset, state.start), state.end)
            if start == state.start:
                return
            gone = [s for s in state.segments if s.end <= start and (s.sealed or s is not state.segments[-1])]
            if state.segments and state.segments[-1].end <= start and state.segments[-1] not in gone:
                gone.append(state.segments[-1])
            self._drop(place, start, gone)

    def _drop(self, place: Partition, start: int, gone: Sequence[Any]) -> None:
        """Move a partition's start and remove the segments before it.  Crash before the entry is durable => nothing
        happened; after => the files are removed on open."""
        segments = {place.segment_of(s) for s in gone}
        keys = [(s.base, s.generation) for s in gone]
        self.committer.record(SegmentsReplaced(place.topic, place.number, start, keys, []))
        self.committer.forget_segments(segments)
        for segment in segments:
            segment.remove()

    @property
    def appended_bytes(self) -> int:
        """The bytes appended since the log was opened."""
        return self.committer.appended_bytes

    def maintain(self, now_ms: int | None = None) -> None:
        """Apply retention and compaction, merge the small frames of sealed segments.  Safe at any time, in any thread.

        Args:
            now_ms: the present time; None leaves out what depends on it.

        Raises:
            StorageError: a file is damaged, or the disk is full.
        """
        self._state.check_process()
        limiter = RateLimiter(self.settings.maintenance_bytes_per_s, lambda: self._closing)
        with self._maintenance, suppress(Interrupted):  # two rewrites of one segment would write the same file
            for topic in dict(self._state.topics).values():
                for partition in topic.partitions:
                    if partition.view.segments:
                        maintain_partition(self._parts, partition, topic.config, now_ms, limiter)

    def close(self) -> None:
        """See `protocol.Log.close`."""
        if self._state.closed or self.foreign:
            return
        self._closing = True
        if self._finalizer is not None:
            self._finalizer.detach()
        self.housekeeper.stop()
        try:
            self.committer.close()
        finally:
            self._state.close()
            for topic in self._state.topics.values():
                for partition in topic.partitions:
                    partition.store_indexes(self.settings.index_frames_min)
                    partition.close()
            if self._owns_files:
                self._files.close()


def _left(state: LogState, committer: Committer) -> None:
    """Make relaxed commits durable although the log was not closed: it was dropped, or the process ends."""
    if not state.foreign:
        with interrupts.DEFERRED, suppress(StorageError):  # nobody is there to be told; it was never promised
            committer.flush()
