"""A consumer: reads records of topics, alone or as a member of a group."""

from __future__ import annotations

import math
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from ...errors import ClientError, StorageError
from ...limits import BATCH_ROWS_MAX
from ...storage import interrupts
from ...storage.log.protocol import Log, OffsetReset, TopicPartition
from ..timeouts import checked_timeout
from .coordinator import Coordinator, Group, GroupMetadata
from .records import ConsumedBatch, RawRecord, to_python

__all__ = ["Consumer", "ConsumerOptions", "Topics"]

Topics = str | Sequence[str] | re.Pattern[str]
Listener = Callable[[list[TopicPartition]], object]

_PATIENCE_MS = 1_000
"""How long iteration waits for records before it looks again whether the consumer was closed."""
_LOOK_S = 0.1
"""How often a consumer that waits looks whether other members have fallen silent (commits and members' doings wake it)."""


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """Kafka's settings of a consumer, with its names and defaults.

    Attributes:
        group: ``group.id``; None reads all partitions and commits nothing.
        auto_offset_reset: where to read a partition without a committed offset, or whose offset is gone.
        isolation_level: only ``read_committed`` is there: nobody sees what is not committed, or was aborted.
        enable_auto_commit: commit what earlier polls returned, every ``auto_commit_interval_ms`` in a poll, and when
            partitions are given up or the consumer is closed.
        max_poll_records: records that one `Consumer.poll` returns at most.
        max_poll_interval_ms: a member that does not poll for so long is expelled.
        partition_assignment_strategy: ``cooperative-sticky``, ``sticky``, ``range`` or ``roundrobin``.
        consumer_timeout_ms: iteration ends after so long without a record; None waits for ever.
        client_id: the first part of member ids.
        durable: whether commits wait for the disk.
    """

    group: str | None = None
    auto_offset_reset: OffsetReset = "latest"
    isolation_level: str = "read_committed"
    enable_auto_commit: bool = True
    auto_commit_interval_ms: int = 5_000
    max_poll_records: int = 500
    max_poll_interval_ms: int = 300_000
    partition_assignment_strategy: str = "cooperative-sticky"
    consumer_timeout_ms: int | None = None
    client_id: str = "consumer"
    durable: bool = True

    def check(self) -> None:
        """Raises: ClientError, for a value that an option cannot have."""
        if self.auto_offset_reset not in ("earliest", "latest", "none"):
            raise ClientError(f"auto_offset_reset is earliest, latest or none, not {self.auto_offset_reset!r}")
        if self.isolation_level != "read_committed":
            raise ClientError(
                f"isolation_level {self.isolation_level!r} is not supported: records that are not committed cannot be read, "
                "so it is always read_committed"
            )
        for name in ("max_poll_records", "max_poll_interval_ms"):
            if getattr(self, name) < 1:
                raise ClientError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.auto_commit_interval_ms < 0:
            raise ClientError(f"auto_commit_interval_ms is at least 0, not {self.auto_commit_interval_ms}")


@interrupts.doors(but={"assignment", "member_id", "paused"})
class Consumer:
    """Reads topics.  Used from one thread at a time (`close` from any); close it, or use it as a context manager.

    Args:
        topics: names, or a compiled pattern that whole names match; topics may be created later.  None: see `assign`.
        on_assigned, on_revoked, on_lost: called inside `poll` with partitions that come, that are about to go (commit here),
            and that are gone already; ``on_lost`` is ``on_revoked`` unless it is given, as in Kafka.
        seconds: a clock that never goes back.
    """

    def __init__(
        self,
        log: Log,
        coordinator: Coordinator,
        topics: Topics | None,
        options: ConsumerOptions,
        *,
        on_assigned: Listener | None = None,
        on_revoked: Listener | None = None,
        on_lost: Listener | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        options.check()
        self._log = log
        self._options = options
        self._group: Group | None = None if options.group is None else coordinator.group(options.group)
        self._on_assigned, self._on_revoked, self._on_lost = on_assigned, on_revoked, on_lost or on_revoked
        self._seconds = seconds
        self._auto = options.enable_auto_commit and self._group is not None
        self._committed_s = seconds()
        self._lock = threading.RLock()
        self._closing = self._closed = False
        self._topics: frozenset[str] | re.Pattern[str] | None = None
        self._member: str | None = None
        self._finalizer: weakref.finalize[[str], Consumer] | None = None
        self._generation = 0
        self._owned: dict[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        if topics is not None:
            self.subscribe(topics)

    # --- what is read ----------------------------------------------------------------------

    def subscribe(self, topics: Topics) -> None:
        """Read these topics: as a member of the group, or (without one) all their partitions.

        Raises:
            ClientError: no topic is named.
        """
        with self._used():
            if isinstance(topics, re.Pattern):
                wanted: frozenset[str] | re.Pattern[str] = topics
            else:
                wanted = frozenset([topics] if isinstance(topics, str) else topics)
                if not wanted or not all(isinstance(name, str) and name for name in wanted):
                    raise ClientError("subscribe() takes names of topics, or a compiled pattern")
            if self._topics is None:
                self._forget(list(self._owned))
            self._topics = wanted

    def unsubscribe(self) -> None:
        """Read nothing; leave the group."""
        with self._used():
            self._leave()
            self._topics = None

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions, with nothing to do with what other members of the group read.

        Raises:
            ClientError: the consumer has subscribed; there is no such partition.
        """
        with self._used():
            if self._topics is not None:
                raise ClientError("a consumer that has subscribed cannot assign(): unsubscribe() first")
            wanted = [self._place(place) for place in partitions]
            self._forget([p for p in self._owned if p not in wanted])
            self._take({place: 0 for place in wanted if place not in self._owned})

    def subscription(self) -> frozenset[str]:
        """The topics that are there and subscribed to."""
        with self._used():
            return frozenset(name for name in self._wanted() if name in self._log.topics())

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that it reads, as of the last `poll`."""
        return frozenset(self._owned)

    @property
    def member_id(self) -> str | None:
        """Its name in the group, once it has polled."""
        return self._member

    def group_metadata(self) -> GroupMetadata:
        """What `Transaction.send_offsets` needs.  Raises: ClientError, without a group."""
        if self._group is None:
            raise ClientError("a consumer without a group commits no offsets: consumer(..., group=...)")
        return GroupMetadata(self._group.name, self._member, self._generation)

    def _wanted(self) -> frozenset[str]:
        topics = self._topics
        if topics is None:
            return frozenset()
        if isinstance(topics, frozenset):
            return topics
        return frozenset(
            name for name, config in self._log.topics().items() if not config.internal and topics.fullmatch(name)
        )

    def _place(self, place: TopicPartition) -> TopicPartition:
        """Raises: ClientError, if there is no such partition."""
        try:
            topic, partition = place
            count = self._log.topics()[topic].partitions
        except (TypeError, ValueError, KeyError):
            raise ClientError(f"there is no topic partition {place!r}: give (topic, partition)") from None
        if not isinstance(partition, int) or not 0 <= partition < count:
            raise ClientError(f"the topic {topic!r} has the partitions 0 to {count - 1}, not {partition!r}")
        return topic, partition

    # --- assignment ------------------------------------------------------------------------

    def _update(self) -> None:
        """Take part in the group: give up and take partitions.  Listeners are called."""
        if self._topics is None:
            return
        if self._group is None:
            self._follow_topics()
            return
        while True:
            wanted = self._wanted()
            if self._member is None:
                self._join(self._group, wanted)
            assert self._member is not None
            standing = self._group.poll_started(self._member, wanted)
            self._lose({} if standing is None else standing.owned)
            if standing is None:
                self._set_member(None)
                continue
            self._generation = standing.generation
            if standing.surplus:
                self._give_up(sorted(standing.surplus))
                continue
            standing = self._group.acquire(self._member)
            if standing is not None:
                self._generation = standing.generation
                self._take({p: since for p, since in standing.owned.items() if p not in self._owned})
                return

    def _join(self, group: Group, wanted: frozenset[str]) -> None:
        options = self._options
        self._set_member(
            group.join(options.client_id, wanted, options.partition_assignment_strategy, options.max_poll_interval_ms / 1000)
        )

    def _set_member(self, member_id: str | None) -> None:
        if self._finalizer is not None:
            self._finalizer.detach()
            self._finalizer = None
        self._member = member_id
        if member_id is not None:
            assert self._group is not None
            self._finalizer = weakref.finalize(self, self._group.abandoned, member_id)
            self._finalizer.atexit = False

    def _follow_topics(self) -> None:
        """Without a group: all partitions of all the topics."""
        known = self._log.topics()
        wanted = {
            (name, number): self._log.topic_id(name)
            for name in self._wanted()
            if name in known
            for number in range(known[name].partitions)
        }
        self._lose(wanted)
        self._take({place: number for place, number in wanted.items() if place not in self._owned})

    def _lose(self, owned: Mapping[TopicPartition, int]) -> None:
        """Forget what is not owned any more (or was lost and owned again)."""
        lost = sorted(place for place, since in self._owned.items() if owned.get(place) != since)
        if lost:
            self._forget(lost)
            if self._on_lost is not None:
                self._on_lost(lost)

    def _give_up(self, places: list[TopicPartition]) -> None:
        self._commit_aside({p: self._positions[p] for p in places if p in self._positions})
        if self._on_revoked is not None:
            self._on_revoked(places)
        assert self._group is not None and self._member is not None
        self._group.release(self._member, places)
        self._forget(places)

    def _take(self, places: Mapping[TopicPartition, int]) -> None:
        self._owned.update(places)
        committed = {} if self._group is None or not places else self._group.committed()
        for place in sorted(places):
            self._begin(place, committed.get(place))
        if places and self._on_assigned is not None and self._topics is not None:
            self._on_assigned(sorted(places))

    def _forget(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self._owned.pop(place, None)
            self._positions.pop(place, None)
            self._paused.discard(place)

    def _leave(self) -> None:
        if self._member is not None and self._group is not None:
            standing = self._group.poll_started(self._member, self._wanted())
            self._lose({} if standing is None else standing.owned)
            if self._owned:
                self._give_up(sorted(self._owned))
            self._group.leave(self._member)
            self._set_member(None)
        elif self._topics is None:
            self._commit_aside(self._positions)
        self._forget(list(self._owned))

    # --- reading ---------------------------------------------------------------------------

    def poll(self, timeout_ms: int = 0, max_records: int | None = None) -> list[RawRecord]:
        """The next records, partition by partition; the partitions take turns in being the first.

        Args:
            timeout_ms: how long to wait if there are none.
            max_records: by default ``max_poll_records``.

        Raises:
            OffsetOutOfRangeError: a partition's next record is gone and ``auto_offset_reset`` is ``none``.
            ClientError: nothing is subscribed to or assigned; there is no committed offset and the reset is ``none``; the
                consumer is closed, or in use in another thread.
            StorageError: a record is damaged.
        """
        wanted = self._options.max_poll_records if max_records is None else max_records
        found: list[RawRecord] = []
        for batch in self.poll_batches(timeout_ms, wanted):
            found.extend(to_python(batch.topic, batch.partition, batch.records))
        return found

    def poll_batches(self, timeout_ms: int = 0, max_records: int = BATCH_ROWS_MAX) -> list[ConsumedBatch]:
        """As `poll`, in columns."""
        if not isinstance(max_records, int) or max_records < 1:
            raise ClientError(f"max_records is at least 1, not {max_records!r}")
        wait_ms = checked_timeout(timeout_ms, ClientError)
        deadline_s = math.inf if wait_ms is None else self._seconds() + wait_ms / 1000
        with self._used():
            try:
                return self._poll(deadline_s, max_records)
            finally:
                if self._member is not None and self._group is not None:
                    self._group.poll_ended(self._member)

    def _poll(self, deadline_s: float, max_records: int) -> list[ConsumedBatch]:
        if self._topics is None and not self._owned:
            raise ClientError("the consumer reads nothing: subscribe() or assign() first")
        while True:
            epoch = self._log.epoch
            version = 0 if self._group is None else self._group.version
            self._update()
            self._commit_in_time()
            found = self._fetch(max_records)
            left_s = deadline_s - self._seconds()
            if found or left_s <= 0 or self._closing:
                return found
            if self._group is not None and self._group.version != version:
                continue
            self._log.wait(epoch, min(left_s, _LOOK_S), lambda seen=version: self._something_new(seen))  # type: ignore[misc]

    def _something_new(self, version: int) -> bool:
        """Asked inside the log: takes no lock."""
        return self._closing or (self._group is not None and self._group.version != version)

    def _fetch(self, rows_left: int) -> list[ConsumedBatch]:
        places = sorted(p for p in self._owned if p not in self._paused)
        if not places:
            return []
        start = self._turn % len(places)
        self._turn += 1
        known = self._log.topics()
        positions = {p: self._position(p) for p in places if p[0] in known}
        _, ends = self._log.end_offsets(list(positions))
        batches: list[ConsumedBatch] = []
        for place in places[start:] + places[:start]:
            if place not in ends or positions[place] == ends[place] or rows_left == 0:
                continue
            try:
                records = self._log.read(*place, positions[place], rows_max=rows_left, reset=self._options.auto_offset_reset)
            except StorageError:
                if not batches:
                    raise
                break  # what was read before is returned; the next poll finds the same
            self._positions[place] = records.next_offset
            if len(records):
                batches.append(ConsumedBatch(*place, records))
                rows_left -= len(records)
        return batches

    def __iter__(self) -> Iterator[RawRecord]:
        """Record by record, until the consumer is closed or ``consumer_timeout_ms`` pass without one.

        Positions move with the records that the loop has come to, so leaving it early loses none.
        """
        patience_ms = self._options.consumer_timeout_ms
        while not self._closing:
            batches = self.poll_batches(_PATIENCE_MS if patience_ms is None else patience_ms, self._options.max_poll_records)
            if not batches and patience_ms is not None:
                return
            places = [(batch.topic, batch.partition) for batch in batches]
            for place, batch in zip(places, batches, strict=True):
                self._positions[place] = int(batch.records.offsets[0])
            for place, batch in zip(places, batches, strict=True):
                at = int(batch.records.offsets[0])
                for record in to_python(batch.topic, batch.partition, batch.records):
                    if self._positions.get(place) != at:
                        break  # it was sought elsewhere, or taken away, inside the loop
                    at = self._positions[place] = record.offset + 1
                    yield record
                else:
                    if self._positions.get(place) == at:
                        self._positions[place] = batch.records.next_offset

    # --- positions -------------------------------------------------------------------------

    def _begin(self, place: TopicPartition, committed: int | None) -> None:
        """Where reading starts: the committed offset, or what ``auto_offset_reset`` says (``none``: see `_position`)."""
        if committed is not None:
            self._positions[place] = committed
        elif self._options.auto_offset_reset == "earliest":
            self._positions[place] = self._log.start_offset(*place)
        elif self._options.auto_offset_reset == "latest":
            self._positions[place] = self._log.end_offset(*place)

    def _position(self, place: TopicPartition) -> int:
        found = self._positions.get(place)
        if found is None:
            raise ClientError(
                f"there is no committed offset for {place[0]!r}, partition {place[1]}, and auto_offset_reset is none: "
                "seek() first"
            )
        return found

    def position(self, partition: TopicPartition) -> int:
        """The offset of the record that is read next.

        Raises:
            ClientError: the partition is not assigned, or has no position (reset ``none``).
        """
        with self._used():
            return self._position(self._mine(partition))

    def _mine(self, place: TopicPartition) -> TopicPartition:
        if tuple(place) not in self._owned:
            raise ClientError(f"the partition {place!r} is not assigned to this consumer")
        return place[0], place[1]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset; one that the partition has not is met by `poll`.  Raises: ClientError."""
        with self._used():
            if not isinstance(offset, int) or offset < 0:
                raise ClientError(f"an offset is a number from 0 on, not {offset!r}")
            self._positions[self._mine(partition)] = offset

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Read on from the first record that there is; without arguments, in all assigned partitions."""
        with self._used():
            for place in partitions or tuple(self._owned):
                self._positions[self._mine(place)] = self._log.start_offset(*place)

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Read on after the last record that there is; without arguments, in all assigned partitions."""
        with self._used():
            for place in partitions or tuple(self._owned):
                self._positions[self._mine(place)] = self._log.end_offset(*place)

    def seek_to_committed(self) -> None:
        """Go back to what the group has committed: what to do after a transaction was aborted."""
        with self._used():
            committed = self.committed()
            for place in self._owned:
                self._positions.pop(place, None)
                self._begin(place, committed.get(place))

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """The first offset with a timestamp of at least the given one (ms); None where there is none."""
        with self._used():
            found: dict[TopicPartition, int | None] = {}
            for place, at in times.items():
                offset = self._log.offset_for_time(*self._place(place), at)
                found[place] = None if offset >= self._log.end_offset(*place) else offset
            return found

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset that each partition has."""
        return {p: self._log.start_offset(*self._place(p)) for p in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition, all as of one commit."""
        return dict(self._log.end_offsets([self._place(p) for p in partitions])[1])

    def lag(self) -> dict[TopicPartition, int]:
        """How many offsets the position of each assigned partition is behind its end."""
        with self._used():
            ends = self.end_offsets(self._owned)
            return {p: max(0, end - self._positions[p]) for p, end in ends.items() if p in self._positions}

    def pause(self, *partitions: TopicPartition) -> None:
        """Return no records of these partitions until `resume`."""
        with self._used():
            self._paused.update(self._mine(place) for place in partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """The reverse of `pause`."""
        with self._used():
            self._paused.difference_update(self._mine(place) for place in partitions)

    def paused(self) -> frozenset[TopicPartition]:
        """Partitions that are paused."""
        return frozenset(self._paused)

    # --- committing ------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Note durably, in one commit, where the group reads on.

        Args:
            offsets: of the records to be read *next*; by default all positions.

        Raises:
            CommitFailedError: a partition belongs to another member by now.
            ClientError: the consumer has no group; an offset is none.
            StorageError: the disk failed; nothing was committed.
        """
        with self._used():
            self.group_metadata()
            self._commit(dict(self._positions) if offsets is None else offsets)

    def committed(self, partitions: Iterable[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """What the group has committed, of the given partitions (by default all)."""
        self.group_metadata()
        assert self._group is not None
        found = self._group.committed()
        return dict(found) if partitions is None else {p: found[p] for p in map(self._place, partitions) if p in found}

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of every assigned partition."""
        with self._used():
            return dict(self._positions)

    def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        assert self._group is not None
        for place, offset in offsets.items():
            self._place(place)
            if not isinstance(offset, int) or offset < 0:
                raise ClientError(f"an offset is a number from 0 on, not {offset!r}")
        self._committed_s = self._seconds()
        if not offsets:
            return
        with self._group.committing(self.group_metadata(), offsets):
            transaction = self._log.transaction()
            transaction.set_positions(self._group.stored_name, offsets)
            transaction.commit(self._options.durable)

    def _commit_in_time(self) -> None:
        if self._auto and (self._seconds() - self._committed_s) * 1000 >= self._options.auto_commit_interval_ms:
            self._commit_aside(self._positions)

    def _commit_aside(self, positions: Mapping[TopicPartition, int]) -> None:
        """With auto-commit: commit those of the positions that are news."""
        if self._auto and self._group is not None:
            committed, known = self._group.committed(), self._log.topics()
            self._commit({p: at for p, at in positions.items() if committed.get(p) != at and p[0] in known})

    # --- life cycle ------------------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Raises: ClientError, if another thread is using the consumer, or it is closed."""
        self._log.check_process()
        if not self._lock.acquire(blocking=False):
            raise ClientError("a consumer is used from one thread at a time")
        try:
            if self._closed:
                raise ClientError("the consumer is closed")
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Commit (with auto-commit), leave the group.  From another thread: a `poll` that waits returns at once.

        Raises:
            CommitFailedError, StorageError: the last commit failed; the consumer is closed all the same.
        """
        if self._closing or self._log.foreign:
            return
        self._closing = True
        self._log.wake()
        with self._lock:
            try:
                self._leave()
            finally:
                self._closed = True
                if self._member is not None and self._group is not None:
                    self._group.leave(self._member)
                    self._set_member(None)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if kind is not None:
            self._auto = False  # what was being worked on is not done
        self.close()
        return False

    def __repr__(self) -> str:
        return f"<penstock.Consumer {self._options.group or 'without a group'}: {len(self._owned)} partitions>"
