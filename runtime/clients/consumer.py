"""A consumer: reads records of topics, alone or as a member of a group."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Literal

from ...errors import ClientError
from ...limits import BATCH_ROWS_MAX
from ...storage import interrupts
from ...storage.log.protocol import Log, TopicPartition
from ..timeouts import checked_timeout
from .consumer_options import ConsumerOptions
from .coordinator import Coordinator, GroupMetadata
from .membership import Listener, Listeners, Membership, Topics
from .reading import Reading, existing
from .records import ConsumedBatch, RawRecord, to_python

__all__ = ["Consumer"]

_PATIENCE_MS = 1_000
"""How long iteration waits for records before it checks whether the consumer was closed, in ms."""
_LOOK_S = 0.1
"""How often a waiting consumer checks whether other members have fallen silent, in seconds.  Commits and changes of members
wake it at once.
"""


@interrupts.doors(but={"assignment", "member_id", "paused"})
class Consumer:
    """Reads topics.  Use it from one thread at a time (`close` from any); close it, or use it as a context manager.

    Args:
        topics: names, or a compiled pattern that must match whole names; topics may be created later.  None: see `assign`.
        on_assigned, on_revoked, on_lost: are called inside `poll` with partitions that were assigned, that will be revoked
            (commit here), and that are already lost.  Without ``on_lost``, ``on_revoked`` is called, as in Kafka.
        seconds: a monotonic clock.
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
        self.use: object = None
        """Keeps the log open, for whoever made the consumer."""
        self._log = log
        self._options = options
        self._seconds = seconds
        self._lock = threading.RLock()
        self._closing = self._closed = False
        self._reading = Reading(log, options.auto_offset_reset)
        group = None if options.group is None else coordinator.group(options.group)
        listeners = Listeners(on_assigned, on_revoked, on_lost or on_revoked)
        self._membership = Membership(log, group, options, self._reading, listeners, seconds)
        if topics is not None:
            self.subscribe(topics)

    # --- what is read ----------------------------------------------------------------------

    def subscribe(self, topics: Topics) -> None:
        """Subscribe to topics: as a member of the group, or (without a group) to all their partitions.

        Raises:
            ClientError: no topic is named.
        """
        with self._used():
            self._membership.subscribe(topics)

    def unsubscribe(self) -> None:
        """Stop reading; leave the group."""
        with self._used():
            self._membership.leave()
            self._membership.topics = None

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions, whatever other members of the group read.

        Raises:
            ClientError: the consumer has subscribed; a partition does not exist.
        """
        with self._used():
            if self._membership.topics is not None:
                raise ClientError("a consumer that has subscribed cannot assign(): unsubscribe() first")
            wanted = [existing(self._log, place) for place in partitions]
            owned = self._reading.owned
            self._reading.forget([p for p in owned if p not in wanted])
            self._membership.take({place: 0 for place in wanted if place not in owned})

    def subscription(self) -> frozenset[str]:
        """The existing topics to which it is subscribed."""
        with self._used():
            return frozenset(name for name in self._membership.wanted() if name in self._log.topics())

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions assigned to it, as of the last `poll`."""
        return frozenset(self._reading.owned)

    @property
    def member_id(self) -> str | None:
        """Its member id in the group, after the first poll."""
        return self._membership.member

    def group_metadata(self) -> GroupMetadata:
        """The metadata that `ProducerTransaction.send_offsets` needs.  Raises: ClientError, without a group."""
        return self._membership.metadata()

    # --- reading ---------------------------------------------------------------------------

    def poll(self, timeout_ms: int = 0, max_records: int | None = None) -> list[RawRecord]:
        """Return the next records by partition.  The partitions take turns at being first.

        Args:
            timeout_ms: how long to wait if there are none.
            max_records: by default ``max_poll_records``.

        Raises:
            OffsetOutOfRangeError: a partition's next record is gone and ``auto_offset_reset`` is ``none``.
            ClientError: nothing is subscribed or assigned; there is no committed offset and the reset is ``none``; the
                consumer is closed, or another thread uses it.
            StorageError: a record is damaged.
        """
        wanted = self._options.max_poll_records if max_records is None else max_records
        found: list[RawRecord] = []
        for batch in self.poll_batches(timeout_ms, wanted):
            found.extend(to_python(batch.topic, batch.partition, batch.records))
        return found

    def poll_batches(self, timeout_ms: int = 0, max_records: int = BATCH_ROWS_MAX) -> list[ConsumedBatch]:
        """Like `poll`, as columns."""
        if not isinstance(max_records, int) or max_records < 1:
            raise ClientError(f"max_records must be at least 1, not {max_records!r}")
        wait_ms = checked_timeout(timeout_ms, ClientError)
        deadline_s = math.inf if wait_ms is None else self._seconds() + wait_ms / 1000
        with self._used():
            try:
                return self._poll(deadline_s, max_records)
            finally:
                self._membership.poll_ended()

    def _poll(self, deadline_s: float, max_records: int) -> list[ConsumedBatch]:
        membership, reading = self._membership, self._reading
        if membership.topics is None and not reading.owned:
            raise ClientError("the consumer reads nothing: subscribe() or assign() first")
        while True:
            epoch = self._log.epoch
            version = self._version
            membership.update()
            membership.commit_in_time()
            found = reading.fetch(max_records)
            left_s = deadline_s - self._seconds()
            if found or left_s <= 0 or self._closing:
                return found
            if self._version != version:
                continue
            self._log.wait(epoch, min(left_s, _LOOK_S), lambda seen=version: self._something_new(seen))  # type: ignore[misc]

    @property
    def _version(self) -> int:
        """The group's version; it changes with every change of a member."""
        return 0 if self._membership.group is None else self._membership.group.version

    def _something_new(self, version: int) -> bool:
        """Whether there may be news.  The log calls it, so it takes no lock."""
        return self._closing or self._version != version

    def __iter__(self) -> Iterator[RawRecord]:
        """Iterate over records, until the consumer is closed or ``consumer_timeout_ms`` pass without one.

        Positions advance with the records that the loop has reached, so leaving the loop early loses none.
        """
        patience_ms = self._options.consumer_timeout_ms
        positions = self._reading.positions
        while not self._closing:
            batches = self.poll_batches(_PATIENCE_MS if patience_ms is None else patience_ms, self._options.max_poll_records)
            if not batches and patience_ms is not None:
                return
            places = [(batch.topic, batch.partition) for batch in batches]
            for place, batch in zip(places, batches, strict=True):
                positions[place] = int(batch.records.offsets[0])
            for place, batch in zip(places, batches, strict=True):
                at = int(batch.records.offsets[0])
                for record in to_python(batch.topic, batch.partition, batch.records):
                    if positions.get(place) != at:
                        break  # it was sought elsewhere, or taken away, inside the loop
                    at = positions[place] = record.offset + 1
                    yield record
                else:
                    if positions.get(place) == at:
                        positions[place] = batch.records.next_offset

    # --- positions -------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to read.

        Raises:
            ClientError: the partition is not assigned, or has no position (reset ``none``).
        """
        with self._used():
            return self._reading.position(self._reading.mine(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue at an offset.  If the partition does not have it, `poll` deals with that.  Raises: ClientError."""
        with self._used():
            if not isinstance(offset, int) or offset < 0:
                raise ClientError(f"an offset must be a whole number of at least 0, not {offset!r}")
            self._reading.positions[self._reading.mine(partition)] = offset

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Continue at the first record; without arguments, in all assigned partitions."""
        with self._used():
            for place in partitions or tuple(self._reading.owned):
                self._reading.positions[self._reading.mine(place)] = self._log.start_offset(*place)

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Continue after the last record; without arguments, in all assigned partitions."""
        with self._used():
            for place in partitions or tuple(self._reading.owned):
                self._reading.positions[self._reading.mine(place)] = self._log.end_offset(*place)

    def seek_to_committed(self) -> None:
        """Return to the group's committed offsets, as is needed after a transaction was aborted."""
        with self._used():
            self._reading.go_back(self.committed())

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """The first offset with a timestamp of at least the given one (ms); None where there is none."""
        with self._used():
            found: dict[TopicPartition, int | None] = {}
            for place, at in times.items():
                offset = self._log.offset_for_time(*existing(self._log, place), at)
                found[place] = None if offset >= self._log.end_offset(*place) else offset
            return found

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition."""
        return {p: self._log.start_offset(*existing(self._log, p)) for p in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The end offset of each partition, all as of one commit."""
        return dict(self._log.end_offsets([existing(self._log, p) for p in partitions])[1])

    def lag(self) -> dict[TopicPartition, int]:
        """How many offsets the position of each assigned partition is behind its end."""
        with self._used():
            positions = self._reading.positions
            ends = self.end_offsets(self._reading.owned)
            return {p: max(0, end - positions[p]) for p, end in ends.items() if p in positions}

    def pause(self, *partitions: TopicPartition) -> None:
        """Stop returning records of these partitions until `resume`."""
        with self._used():
            self._reading.paused.update(self._reading.mine(place) for place in partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """The reverse of `pause`."""
        with self._used():
            self._reading.paused.difference_update(self._reading.mine(place) for place in partitions)

    def paused(self) -> frozenset[TopicPartition]:
        """The paused partitions."""
        return frozenset(self._reading.paused)

    # --- committing ------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None) -> None:
        """Commit offsets of the group durably, in one commit.

        Args:
            offsets: of the *next* records to read; by default all positions.

        Raises:
            CommitFailedError: a partition belongs to another member now.
            ClientError: the consumer has no group; an offset is not valid.
            StorageError: the disk failed; nothing was committed.
        """
        with self._used():
            self._membership.commit(dict(self._reading.positions) if offsets is None else offsets)

    def committed(self, partitions: Iterable[TopicPartition] | None = None) -> dict[TopicPartition, int]:
        """The group's committed offsets of the given partitions (by default all)."""
        found = self._membership.committed()
        if partitions is None:
            return dict(found)
        return {p: found[p] for p in (existing(self._log, place) for place in partitions) if p in found}

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of every assigned partition."""
        with self._used():
            return dict(self._reading.positions)

    # --- life cycle ------------------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Mark the consumer as in use.  Raises: ClientError, if another thread is using it, or it is closed."""
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
        """Commit (with auto-commit) and leave the group.  If another thread waits in `poll`, that call returns at once.

        Raises:
            CommitFailedError, StorageError: the last commit failed; the consumer is closed nevertheless.
        """
        if self._closing or self._log.foreign:
            return
        self._closing = True
        self._log.wake()
        with self._lock:
            try:
                self._membership.leave()
            finally:
                self._closed = True
                self._membership.drop()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if kind is not None:
            self._membership.auto = False  # what was being worked on is not done
        self.close()
        return False

    def __repr__(self) -> str:
        return f"<penstock.Consumer {self._options.group or 'without a group'}: {len(self._reading.owned)} partitions>"
