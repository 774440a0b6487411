"""Reading partitions: at their ends as records come (`Follower`), and anywhere (`Seekers`)."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ....errors import StorageError
from ..protocol import FetchedRecords
from .connection import KafkaConnection
from .ends import Place
from .messages import cut, joined, record_bytes, records_of, without

__all__ = ["Follower", "OutsideError", "Seekers"]

_LOGGER = logging.getLogger("penstock.storage.kafka")
POLL_S = 0.1
COMING_S = 0.2
"""How long is waited for what comes to a follower anyway, before another consumer looks for it."""
MESSAGES_MAX = 10_000
"""Messages that are taken from the client at once."""
SEEKERS_MAX = 8
"""Consumers that read anywhere, at the same time."""
UNREAD_S = 10.0
"""A partition that stands still, because nobody has read so long what is kept of it, is followed anew, from its present end:
other processes may have read it, and who reads it next may begin behind the place where it stands still."""
UNUSED_S = 120.0
"""A partition that nobody asked for so long is not followed any more."""
_OUTSIDE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION)
_READING = {"enable.partition.eof": True, "queued.max.messages.kbytes": 65_536, "queued.min.messages": 50_000}


class OutsideError(Exception):
    """There are no records at an offset."""


def _bounded(pieces: Sequence[FetchedRecords], rows_max: int, bytes_max: int | None) -> FetchedRecords:
    """The first records of pieces that follow each other: ``rows_max`` at most, and about ``bytes_max``, but at least
    one."""
    chosen: list[FetchedRecords] = []
    rows = size = 0
    for piece in pieces:
        stop = min(len(piece), rows_max - rows)
        if bytes_max is not None:
            sizes = np.cumsum(record_bytes(piece)[:stop]) + size
            fits = int(np.searchsorted(sizes, bytes_max, "right"))
            size = int(sizes[-1]) if len(sizes) else size
            stop = min(stop, max(fits, 0 if rows else 1))
        if stop:
            chosen.append(cut(piece, 0, stop))
            rows += stop
        if stop < len(piece) or rows >= rows_max:
            break
    return joined(chosen)


def _size(piece: FetchedRecords) -> int:
    """About the memory of records, in bytes."""
    return int(record_bytes(piece).sum()) + 64 * len(piece)


# --- following ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tail:
    """A partition that is followed: its newest records, without gaps but those that the partition has."""

    start: int
    end: int
    """Where the client reads on: what is before it is here, or was dropped."""
    pieces: deque[FetchedRecords] = field(default_factory=deque)
    size: int = 0
    paused: bool = False
    asked_s: float = field(default_factory=time.monotonic)
    """When somebody last asked for its end ..."""
    read_s: float = field(default_factory=time.monotonic)
    """... or read of it."""


class Follower:
    """Follows partitions from their ends on, on a thread of its own, and keeps what comes until it is read.

    Where nobody reads, a partition's fetching pauses when `partition_bytes_max` is reached; who is further behind than
    what is kept reads elsewhere (`Seekers`).

    Args:
        on_records: is called when there is something new.
        start_of: ends of partitions, from which they are followed.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        start_of: Callable[[Iterable[Place]], dict[Place, int]],
        on_records: Callable[[], object],
    ) -> None:
        self._connection = connection
        self._start_of = start_of
        self._on_records = on_records
        self._guard = threading.Condition()
        self._tails: dict[Place, _Tail] = {}
        self._changes: deque[tuple[str, Place, int]] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None

    def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """The ends of partitions, which are followed from now on.  Raises: StorageError."""
        now = time.monotonic()
        with self._guard:
            for place in places:
                tail = self._tails.get(place)
                if tail is not None and tail.paused and now - tail.read_s > UNREAD_S:
                    del self._tails[place]
                    self._changes.append(("unassign", place, 0))
            missing = [p for p in places if p not in self._tails]
        if missing:
            starts = self._start_of(missing)
            with self._guard:
                for place, start in starts.items():
                    if place not in self._tails:
                        self._tails[place] = _Tail(start, start)
                        self._changes.append(("assign", place, start))
                self._begin()
        found: dict[Place, int] = {}
        with self._guard:
            for place in places:
                if (tail := self._tails.get(place)) is not None:
                    tail.asked_s = now
                    found[place] = tail.end
        lost = [place for place in places if place not in found]
        return {**found, **self._start_of(lost)} if lost else found  # (they are followed again when they are asked for)

    def read(self, place: Place, offset: int, rows_max: int, bytes_max: int | None, floor: int = 0) -> FetchedRecords | None:
        """Records from ``offset`` on, if they are in memory; else None.

        Args:
            floor: an end that the partition has reached.  Records before it are on their way, and are waited for a moment.
        """

        def is_coming() -> bool:
            tail = self._tails.get(place)
            return tail is not None and not tail.paused and tail.start <= offset == tail.end < floor and not self._closed

        with self._guard:
            self._guard.wait_for(lambda: not is_coming(), COMING_S)
            tail = self._tails.get(place)
            if tail is None or not tail.start <= offset <= tail.end:
                return None
            tail.asked_s = time.monotonic()
            tail.read_s = tail.asked_s
            if offset == tail.end:
                return without(offset)
            found: list[FetchedRecords] = []
            rows = 0
            for piece in tail.pieces:
                if piece.next_offset <= offset or not len(piece):
                    continue
                at = int(np.searchsorted(piece.offsets, offset))
                if at < len(piece):
                    found.append(cut(piece, at, len(piece)))
                    rows += len(piece) - at
                if rows >= rows_max:
                    break
            if not found:
                return without(tail.end)
            read = _bounded(found, rows_max, bytes_max)
            if int(read.offsets[-1]) == int(tail.pieces[-1].offsets[-1]):
                read = replace(read, next_offset=tail.end)
            # Where it pauses, what is read now must make room: at the end, where it stands still, nobody reads again.
            self._drop(place, tail, read.next_offset if tail.paused else offset)
            return read

    def was_read(self, place: Place, offset: int) -> None:
        """Note that somebody has read a partition up to an offset, elsewhere.  Where it pauses, this makes room."""
        with self._guard:
            tail = self._tails.get(place)
            if tail is not None and tail.paused and offset > tail.start:
                tail.read_s = time.monotonic()
                self._drop(place, tail, offset)

    def _drop(self, place: Place, tail: _Tail, offset: int) -> None:
        """Let go of pieces before ``offset`` where much is kept, so that there is room for more."""
        half = self._connection.settings.partition_bytes_max // 2
        while tail.pieces and tail.size > half and tail.pieces[0].next_offset <= offset:
            piece = tail.pieces.popleft()
            tail.size -= _size(piece)
            tail.start = piece.next_offset
        if tail.paused and tail.size <= half:
            tail.paused = False
            self._changes.append(("resume", place, 0))

    def drop_before(self, place: Place, offset: int) -> None:
        """Forget records before ``offset``."""
        with self._guard:
            tail = self._tails.get(place)
            if tail is None:
                return
            while tail.pieces and tail.pieces[0].next_offset <= offset:
                tail.size -= _size(tail.pieces.popleft())
            tail.start = max(tail.start, min(offset, tail.end))

    def forget(self, topic: str) -> None:
        """Forget a topic that is being deleted."""
        with self._guard:
            for place in [p for p in self._tails if p[0] == topic]:
                del self._tails[place]
                self._changes.append(("unassign", place, 0))

    def close(self) -> None:
        """Follow nothing any more."""
        with self._guard:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="penstock-kafka-follower", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            try:
                self._follow()
            except Exception:  # whatever it is: else all would stand still for good, and nobody would know why
                _LOGGER.exception("partitions are followed anew")
                with self._guard:
                    self._tails.clear()
                    self._changes.clear()
                    self._guard.notify_all()
                self._on_records()
                time.sleep(POLL_S)

    def _follow(self) -> None:
        consumer = self._connection.consumer(
            {"group.id": f"penstock-{self._connection.settings.service_id}-follower", "fetch.wait.max.ms": 50, **_READING}
        )
        assigned: set[Place] = set()
        swept = time.monotonic()
        try:
            while not self._closed:
                self._carry_out(consumer, assigned)
                if not assigned:
                    time.sleep(0.01)
                    continue
                first = consumer.poll(POLL_S)
                self._connection.probe(consumer)
                if first is None:
                    if time.monotonic() - swept > UNUSED_S / 4:
                        swept = time.monotonic()
                        self._sweep()
                    continue
                self._take_in([first, *consumer.consume(MESSAGES_MAX, 0)])
        finally:
            consumer.close()

    def _sweep(self) -> None:
        """Follow no more what nobody asks for."""
        before = time.monotonic() - UNUSED_S
        with self._guard:
            for place in [p for p, tail in self._tails.items() if tail.asked_s < before]:
                del self._tails[place]
                self._changes.append(("unassign", place, 0))

    def _carry_out(self, consumer: Consumer, assigned: set[Place]) -> None:
        while self._changes:
            what, place, offset = self._changes.popleft()
            where = TopicPartition(*place, offset)
            try:
                if what == "assign":
                    if place in assigned:
                        assigned.discard(place)
                        consumer.incremental_unassign([where])
                    consumer.incremental_assign([where])
                    assigned.add(place)
                    consumer.resume([where])  # it may have stood still when it was followed before
                elif place not in assigned:
                    continue
                elif what == "unassign":
                    assigned.discard(place)
                    consumer.incremental_unassign([where])
                elif what == "resume":
                    consumer.resume([where])
                else:
                    consumer.pause([where])
            except KafkaException:  # of a partition that is going: whoever reads it is told
                with self._guard:
                    self._tails.pop(place, None)

    def _take_in(self, messages: Sequence[Any]) -> None:
        by_place: dict[Place, list[Any]] = {}
        ended: dict[Place, int] = {}
        lost: set[Place] = set()
        for message in messages:
            error = message.error()
            place = (message.topic(), message.partition())
            if error is None:
                by_place.setdefault(place, []).append(message)
                ended.pop(place, None)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended[place] = message.offset()
            elif message.topic() is not None and not error.retriable():
                lost.add(place)
        pieces = {place: records_of(own) for place, own in by_place.items()}
        news = False
        with self._guard:
            anew = {place for what, place, _ in self._changes if what in ("assign", "unassign")}
            for place, piece in pieces.items():
                tail = self._tails.get(place)
                if tail is None or place in anew:
                    continue  # of what was followed before
                piece = cut(piece, int(np.searchsorted(piece.offsets, tail.end)), len(piece))
                if not len(piece):
                    continue
                tail.pieces.append(piece)
                tail.size += _size(piece)
                tail.end = piece.next_offset
                news = True
                if tail.size > self._connection.settings.partition_bytes_max and not tail.paused:
                    tail.paused = True
                    self._changes.append(("pause", place, 0))
            for place, end in ended.items():
                tail = self._tails.get(place)
                if tail is not None and place not in anew and end > tail.end:
                    tail.end = end
                    news = True
            for place in lost:  # asked for again, it is looked for again
                self._tails.pop(place, None)
                self._changes.append(("unassign", place, 0))
            self._guard.notify_all()
        if news or lost:
            self._on_records()


# --- reading anywhere ---------------------------------------------------------------------------------------------------


class _Seeker:
    """A consumer that reads one partition from some offset on."""

    def __init__(self, connection: KafkaConnection) -> None:
        self.lock = threading.Lock()
        self.place: Place | None = None
        self.next = -1
        self.used_s = 0.0
        self.forgotten: set[str] = set()
        """Topics that were to be forgotten while this one read."""
        self._connection = connection
        self._kept: list[FetchedRecords] = []
        self._ended: int | None = None
        self._consumer: Consumer | None = None

    def read(self, place: Place, offset: int, rows_max: int, bytes_max: int | None, floor: int) -> FetchedRecords:
        """Raises: StorageError, OutsideError."""
        if self._consumer is None:
            config = {"group.id": f"penstock-{self._connection.settings.service_id}-reader", "fetch.wait.max.ms": 10}
            self._consumer = self._connection.consumer({**config, **_READING})
        forgotten, self.forgotten = self.forgotten, set()
        if self.place != place or self.next != offset or place[0] in forgotten:
            self._kept, self._ended = [], None
            self.place = None
            self._consumer.assign([TopicPartition(*place, offset)])
            self.place, self.next = place, offset
        deadline = time.monotonic() + self._connection.settings.timeout_s
        while not self._kept and (self._ended is None or self._ended < floor):
            self._take_in(place, 0.05)
            if time.monotonic() > deadline:
                self.place = None
                raise self._connection.fault(TimeoutError(), f"read the topic {place[0]!r}, partition {place[1]}")
        while self._kept and self._ended is None and sum(map(len, self._kept)) < rows_max and self._take_in(place, 0):
            pass
        if not self._kept:
            found = without(offset if self._ended is None else max(offset, self._ended))
            self.let_go()
            return found
        found = _bounded(self._kept, rows_max, bytes_max)
        after = int(found.offsets[-1]) + 1
        rest = []
        for piece in self._kept:
            at = int(np.searchsorted(piece.offsets, after))
            if at < len(piece):
                rest.append(cut(piece, at, len(piece)))
        self._kept = rest
        self.next = found.next_offset
        if not rest and self._ended is not None:
            found = replace(found, next_offset=max(after, self._ended))
            self.let_go()
        return found

    def _take_in(self, place: Place, seconds: float) -> bool:
        assert self._consumer is not None
        if seconds:
            first = self._consumer.poll(seconds)
            if first is None:
                return False
            messages = [first, *self._consumer.consume(MESSAGES_MAX, 0)]
        else:
            messages = self._consumer.consume(MESSAGES_MAX, 0)
        good = []
        for message in messages:
            error = message.error()
            if message.topic() is not None and (message.topic(), message.partition()) != place:
                continue
            if error is None:
                good.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ended = message.offset()
            elif error.code() in _OUTSIDE:
                self.place = None
                raise OutsideError
            elif not error.retriable() and error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
                self.place = None
                raise self._connection.fault(error, f"read the topic {place[0]!r}, partition {place[1]}")
        if good:
            self._kept.append(records_of(good))
        return bool(good)

    def let_go(self) -> None:
        """Fetch nothing any more."""
        self.place, self._kept, self._ended = None, [], None
        if self._consumer is not None:
            self._consumer.unassign()

    def close(self) -> None:
        if self._consumer is not None:
            with suppress(KafkaException, RuntimeError):
                self._consumer.close()
            self._consumer = None


class Seekers:
    """Reads from any offset.  A read that begins where another one ended costs no new seek.  Thread-safe."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._guard = threading.Condition()
        self._all: list[_Seeker] = []
        self._closed = False

    def read(self, place: Place, offset: int, rows_max: int, bytes_max: int | None, floor: int) -> FetchedRecords:
        """Records from ``offset`` on; none only if there are none.

        Args:
            floor: records before it are known to be there, or to come soon.

        Raises:
            OutsideError: there is nothing at ``offset``.
            StorageError: the topic is gone, or no broker answers.
        """
        seeker = self._taken(place, offset)
        try:
            return seeker.read(place, offset, rows_max, bytes_max, floor)
        except KafkaException as failure:
            raise self._connection.fault(failure, f"read the topic {place[0]!r}, partition {place[1]}") from failure
        finally:
            seeker.used_s = time.monotonic()
            seeker.lock.release()
            with self._guard:
                self._guard.notify()

    def _taken(self, place: Place, offset: int) -> _Seeker:
        with self._guard:
            while True:
                if self._closed:
                    raise StorageError("the log is closed")
                free = [s for s in self._all if s.lock.acquire(blocking=False)]
                chosen = next((s for s in free if s.place == place and s.next == offset), None)
                idle = next((s for s in free if s.place is None), None)
                if chosen is None and idle is None and len(self._all) < SEEKERS_MAX:
                    idle = _Seeker(self._connection)
                    idle.lock.acquire()
                    self._all.append(idle)
                if chosen is None:
                    chosen = idle or min(free, key=lambda s: s.used_s, default=None)
                for seeker in free:
                    if seeker is not chosen:
                        seeker.lock.release()
                if chosen is not None:
                    return chosen
                self._guard.wait(0.5)

    def forget(self, topic: str) -> None:
        """Forget a topic that is being deleted."""
        with self._guard:
            for seeker in self._all:
                if not seeker.lock.acquire(blocking=False):  # it reads, and may wait for a broker
                    seeker.forgotten.add(topic)
                    continue
                try:
                    if seeker.place is not None and seeker.place[0] == topic:
                        seeker.let_go()
                finally:
                    seeker.lock.release()

    def close(self) -> None:
        """Close all consumers."""
        with self._guard:
            self._closed = True
            seekers, self._all = self._all, []
        for seeker in seekers:
            with seeker.lock:
                seeker.close()
