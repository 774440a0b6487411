"""The log on this machine: `protocol.Log` over segments and a commit journal.

Reading takes no lock: each partition shows a `View` that commits replace.  Writing goes through the `Committer`, whose
write lock also guards topics and segments.  Lock order: maintenance, write lock, ``_changed`` (held while the manifest
changes), then the guards inside segments and files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ....errors import OffsetOutOfRangeError, StorageError
from ... import interrupts
from ...files import Files, discard
from ...forks import Origin
from ...layout import open_directory, partition_directory, topic_directory, upgrade
from ..partitioner import partitions_of
from ..protocol import FetchedRecords, OffsetReset, Outcome, ProducedBatch, TopicConfig, TopicPartition, Transaction
from ..settings import LogSettings
from .commit.committer import Committer
from .commit.recovery import recover
from .commit.transaction import LocalTransaction
from .maintenance.housekeeper import Housekeeper
from .maintenance.maintenance import maintain_partition
from .maintenance.rewriting import Interrupted, Pace
from .manifest import (
    Committed,
    Entry,
    GroupDeleted,
    ProducerOpened,
    SegmentsReplaced,
    TopicDefined,
    TopicDeleted,
    config_of,
    state_of,
)
from .segments.partition import Partition, check_unkeyed
from .segments.record import fields_hold_dictionaries

__all__ = ["LocalLog"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is open."""

    id: int
    config: TopicConfig
    partitions: tuple[Partition, ...]


_QUICK = {"foreign", "check_process", "epoch", "arrival_end", "topics", "config", "topic_id", "topic", "next_turn"}
"""What takes no lock (or one of C's, for nothing but a number)."""


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
        self._origin = Origin()
        self._files = files
        self._owns_files = owns_files
        journal, self._manifest = recover(files)
        upgrade(files)
        self._topics: dict[str, Topic] = {}
        for name in self._manifest.topics:
            self._open_topic(name)
        self._turns: dict[str, int] = {}
        self._turns_guard = threading.Lock()
        self._changed = threading.Condition()
        self._epoch = self._manifest.epoch
        self._arrival_end = self._manifest.next_arrival
        self._closed = False
        self._closing = False
        self._maintenance = threading.Lock()
        self.committer = Committer(self, files, journal, self._manifest, self.settings)
        self.housekeeper = Housekeeper(self, clock_ms)

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
    def foreign(self) -> bool:
        """See `protocol.Log.foreign`."""
        return self._origin.foreign

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        self._origin.check(self._files.root)

    # ------------------------------------------------------------------------------------------------------- topics

    def create_topic(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.create_topic`."""
        self._origin.check(self._files.root)
        if config.partitions < 1:
            raise StorageError(f"the topic {name!r} needs at least one partition")
        if not name:
            raise StorageError("a topic needs a name")
        if config.value_type is not None and fields_hold_dictionaries(config.value_type):
            raise StorageError(f"the value type of the topic {name!r} has a dictionary inside, which frames cannot hold")
        with self.committer.write_lock:
            if name in self._topics:
                raise StorageError(f"the topic {name!r} exists")
            state = state_of(config, self._manifest.next_topic_id, config.partitions)
            self._files.make_directories([partition_directory(name, state.id, i) for i in range(config.partitions)])
            self.committer.record(TopicDefined(name, state))

    def alter_topic(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.alter_topic`."""
        self._origin.check(self._files.root)
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
                raise StorageError(f"the topic {name!r} has {topic.config.partitions} partitions, and keeps them")
            if more:
                check_unkeyed(topic.partitions, looked_at, topic.config.value_type)
            old, new = topic.config.value_type, config.value_type
            grown = old == new or (
                old is not None
                and new is not None
                and new.num_fields >= old.num_fields
                and all(new.field(i) == old.field(i) for i in range(old.num_fields))
                and not fields_hold_dictionaries(new)
            )
            if not grown:
                raise StorageError(
                    f"the values of the topic {name!r} are {old}; they may gain fields at the end, not become {new}"
                )
            have = len(topic.partitions)
            self._files.make_directories([partition_directory(name, topic.id, have + i) for i in range(more)])
            self.committer.record(TopicDefined(name, state_of(config, topic.id, more)))

    def delete_topic(self, name: str) -> None:
        """See `protocol.Log.delete_topic`."""
        self._origin.check(self._files.root)
        with self.committer.write_lock:
            topic = self.topic(name)
            self.committer.record(TopicDeleted(name))
            for partition in topic.partitions:
                self.committer.forget(partition)
                partition.close()
            discard(self._files, topic_directory(name, topic.id), directory=True)

    def topics(self) -> Mapping[str, TopicConfig]:
        """See `protocol.Log.topics`."""
        self._origin.check(self._files.root)
        return {name: topic.config for name, topic in dict(self._topics).items()}

    def config(self, topic: str) -> TopicConfig | None:
        """See `protocol.Log.config`."""
        self._origin.check(self._files.root)
        known = self._topics.get(topic)
        return None if known is None else known.config

    def topic_id(self, name: str) -> int:
        """See `protocol.Log.topic_id`."""
        self._origin.check(self._files.root)
        return self.topic(name).id

    def topic(self, name: str) -> Topic:
        """An open topic.

        Raises:
            StorageError: there is none of this name.
        """
        topic = self._topics.get(name)
        if topic is None:
            raise StorageError(f"there is no topic {name!r}")
        return topic

    def _partition(self, name: str, number: int) -> Partition:
        partitions = self.topic(name).partitions
        if not 0 <= number < len(partitions):
            raise StorageError(f"the topic {name!r} has the partitions 0 to {len(partitions) - 1}, not {number}")
        return partitions[number]

    def _open_topic(self, name: str) -> None:
        state = self._manifest.topics[name]
        known = self._topics.get(name)
        have = () if known is None else known.partitions
        more = [
            Partition(self._files, name, state.id, i, state.partitions[i]) for i in range(len(have), len(state.partitions))
        ]
        partitions = (*have, *more)
        self._topics[name] = Topic(state.id, config_of(state), partitions)

    # ------------------------------------------------------------------------------------------------------ writing

    def transaction(self) -> LocalTransaction:
        """See `protocol.Log.transaction`."""
        self._origin.check(self._files.root)
        return LocalTransaction(self)

    def commit_all(self, transactions: Sequence[tuple[Transaction, bool]], outcomes: list[Outcome | None]) -> None:
        """See `protocol.Log.commit_all`."""
        self._origin.check(self._files.root)
        own = [(cast(LocalTransaction, transaction), durable) for transaction, durable in transactions]
        for transaction, _ in own:
            transaction.prepare()
        self.committer.commit(own, outcomes)

    def next_turn(self, topic: str, count: int) -> int:
        """Whose turn it is among a topic's partitions to get the first of ``count`` records without a key."""
        with self._turns_guard:
            turn = self._turns.get(topic, 0)
            self._turns[topic] = turn + count
            return turn

    def publish(self, entries: Sequence[Entry]) -> None:
        """Step 5: let the entries be seen.  Called by the committer, in the order of the journal."""
        with self._changed:  # whoever asks for several ends sees all of a commit or nothing
            touched: set[TopicPartition] = set()
            for entry in entries:
                self._manifest.apply(entry)
                match entry:
                    case Committed():
                        touched.update([(p.topic, p.partition) for p in entry.appended])
                    case TopicDefined():
                        self._open_topic(entry.name)
                    case TopicDeleted():
                        del self._topics[entry.name]
                    case SegmentsReplaced():
                        self._topics[entry.topic].partitions[entry.partition].swapped()
            for topic, number in touched:  # (what is published together is transactions, or one other entry)
                self._topics[topic].partitions[number].refresh()
            self._arrival_end = self._manifest.next_arrival
            self._epoch = self._manifest.epoch
            self._changed.notify_all()

    def flush(self) -> None:
        """Make relaxed commits durable now.

        Raises:
            StorageError: they are not.
        """
        self._origin.check(self._files.root)
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
    ) -> FetchedRecords:
        """See `protocol.Log.read`."""
        self._origin.check(self._files.root)
        place = self._partition(topic, partition)
        wanted_type = self.topic(topic).config.value_type
        while True:
            try:
                return place.read(offset, rows_max, bytes_max, fields, wanted_type)
            except OffsetOutOfRangeError as outside:
                if reset == "none":
                    raise
                offset = outside.start if reset == "earliest" else outside.end

    def scan(
        self, topic: str, partition: int, offset: int, *, fields: Sequence[str] | None = None
    ) -> Iterator[FetchedRecords]:
        """See `protocol.Log.scan`."""
        self._origin.check(self._files.root)
        pieces = self._partition(topic, partition).scan(offset, fields, self.topic(topic).config.value_type)
        while True:
            with interrupts.DEFERRED:
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def start_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.start_offset`."""
        self._origin.check(self._files.root)
        return self._partition(topic, partition).view.start

    def end_offset(self, topic: str, partition: int) -> int:
        """See `protocol.Log.end_offset`."""
        self._origin.check(self._files.root)
        return self._partition(topic, partition).view.end

    def partition_sizes(self, topic: str) -> list[tuple[int, int]]:
        """See `protocol.Log.partition_sizes`."""
        self._origin.check(self._files.root)
        found = [tuple(p.state.segments) for p in self.topic(topic).partitions]
        return [(len(segments), sum(s.length for s in segments)) for segments in found]

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> tuple[int, Mapping[TopicPartition, int]]:
        """See `protocol.Log.end_offsets`."""
        self._origin.check(self._files.root)
        with self._changed:
            topics = self._topics
            try:  # there may be thousands
                ends = {place: topics[place[0]].partitions[place[1]].view.end for place in partitions}
            except LookupError:
                for topic, number in partitions:
                    self._partition(topic, number)  # says which there is not
                raise
            return self._epoch, ends

    def offset_for_time(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """See `protocol.Log.offset_for_time`."""
        self._origin.check(self._files.root)
        return self._partition(topic, partition).offset_for_time(timestamp_ms)

    def partitions_of(self, keys: Any, partitions: int) -> npt.NDArray[np.int32]:
        """See `protocol.Log.partitions_of`."""
        return partitions_of(keys, partitions)

    # ---------------------------------------------------------------------------------------------- groups, producers

    def positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See `protocol.Log.positions`."""
        self._origin.check(self._files.root)
        with self._changed:
            remembered = self._manifest.groups.get(group, {})
            return {(topic, partition): at for topic, places in remembered.items() for partition, at in places.items()}

    def groups(self) -> list[str]:
        """See `protocol.Log.groups`."""
        self._origin.check(self._files.root)
        with self._changed:
            return sorted(self._manifest.groups)

    def lag(self, group: str) -> Mapping[TopicPartition, int]:
        """How many offsets a group is behind, for every partition it has a position in."""
        self._origin.check(self._files.root)
        lags = {}
        for (topic, partition), position in self.positions(group).items():
            view = self._partition(topic, partition).view
            lags[topic, partition] = view.end - min(max(position, view.start), view.end)
        return lags

    def delete_group(self, group: str) -> None:
        """See `protocol.Log.delete_group`."""
        self._origin.check(self._files.root)
        with self.committer.write_lock:
            if group in self._manifest.groups:
                self.committer.record(GroupDeleted(group))

    def last_sequence(self, producer_id: str) -> int | None:
        """See `protocol.Log.last_sequence`."""
        self._origin.check(self._files.root)
        with self._changed:
            return self._manifest.sequences.get(producer_id)

    def open_producer(self, producer_id: str) -> int:
        """See `protocol.Log.open_producer`."""
        self._origin.check(self._files.root)
        with self.committer.write_lock:
            known = self._manifest.producers.get(producer_id)
            epoch = 0 if known is None else known.epoch + 1
            self.committer.record(ProducerOpened(producer_id, epoch))
            return epoch

    def produced(self, producer_id: str, topic: str, partition: int) -> list[ProducedBatch]:
        """See `protocol.Log.produced`."""
        self._origin.check(self._files.root)
        with self._changed:
            known = self._manifest.producers.get(producer_id)
            return [] if known is None else list(known.batches.get(topic, {}).get(partition, ()))

    # -------------------------------------------------------------------------------------------- time and housekeeping

    @property
    def epoch(self) -> int:
        """See `protocol.Log.epoch`."""
        return self._epoch

    @property
    def arrival_end(self) -> int:
        """The arrival that the next record will get."""
        return self._arrival_end

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None = None) -> int:
        """See `protocol.Log.wait`."""
        self._origin.check(self._files.root)
        with self._changed:
            interrupts.wait_for(
                self._changed,
                lambda: self._epoch > epoch or self._closed or (until is not None and until()),
                timeout_s,
            )
            return self._epoch

    def wake(self) -> None:
        """See `protocol.Log.wake`."""
        self._origin.check(self._files.root)
        with self._changed:
            self._changed.notify_all()

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """See `protocol.Log.delete_before`."""
        self._origin.check(self._files.root)
        with self.committer.write_lock:
            place = self._partition(topic, partition)
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

    def maintain(self, now_ms: int | None = None) -> None:
        """Apply retention and compaction, merge the small frames of sealed segments.  Safe at any time, in any thread.

        Args:
            now_ms: the present time; None leaves out what depends on it.

        Raises:
            StorageError: a file is damaged, or the disk is full.
        """
        self._origin.check(self._files.root)
        pace = Pace(self.settings.maintenance_bytes_per_s, lambda: self._closing)
        with self._maintenance, suppress(Interrupted):  # two rewrites of one segment would write the same file
            for topic in dict(self._topics).values():
                for partition in topic.partitions:
                    if partition.view.segments:
                        maintain_partition(self, self._files, partition, topic.config, now_ms, pace)

    def close(self) -> None:
        """See `protocol.Log.close`."""
        if self._closed or self.foreign:
            return
        self._closing = True
        self.housekeeper.stop()
        try:
            self.committer.close()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            for topic in self._topics.values():
                for partition in topic.partitions:
                    partition.store_indexes(self.settings.index_frames_min)
                    partition.close()
            if self._owns_files:
                self._files.close()
