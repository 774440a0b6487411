"""The push queries of an engine: their readers, and which of them share a running query.

A reader begins with a query of its own, which reads existing records.  When it reaches the place of another query of the
same shape, both would put out the same rows from then on.  Then its reader moves to that query, and its own query ends.  So
a thousand readers of a table cost as much as one, except for passing them the rows.  A slow reader moves out again, to a
query of its own that continues from its place, so that nobody waits for another's reader.

Queries share if they keep no state and the caller says that they mean the same (`PushQueries.subscribe`: ``shape``).
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import DataError, LogUnavailableError, StatementError, StorageError
from ..storage.log.protocol import Log, TopicPartition
from .batch import Batch
from .dataflow import Dataflow, Source
from .query.ledger import Beginning, Ledger, NoLedger
from .query.lifecycle import QueryRun
from .query.services import Services
from .resuming import Resumption
from .scheduler import Scheduler
from .subscriptions import Feed, Shared, Subscription

__all__ = ["PushQueries"]

_ORDER = 1_000_000_000
"""Push queries come after all persistent ones."""

_ATTEMPTS = 3
"""How often two queries are stepped to reach the same place.  Records that come faster keep them apart."""
_JOIN_S = 1.0
"""How long a query that would join another one waits for the end of its step, in seconds."""


class _Readers:
    """The feeds that get a running query's rows.  Replaced as a whole, under `PushQueries._lock`.

    Attributes:
        topics: that the query reads.
    """

    def __init__(self, feeds: tuple[Feed, ...], log: Log) -> None:
        self.feeds = feeds
        self.topics: frozenset[str] = frozenset()
        self._log = log

    def receive(self, batch: Batch) -> None:
        shared = Shared(batch)
        for feed in self.feeds:
            feed.receive(shared)

    def ready(self) -> bool:
        """Whether any reader wants more.  (A reader that does not is moved out after the step.)"""
        return any(feed.ready() for feed in self.feeds)

    def fail(self, error: BaseException) -> None:
        if isinstance(error, StorageError) and not isinstance(error, LogUnavailableError):
            there = self._log.topics()
            for topic in sorted(self.topics - there.keys()):
                error = deleted_under(f"the topic {topic}", error)
        for feed in self.feeds:
            feed.fail(error)

    def overtaken(self, records: int) -> None:
        for feed in self.feeds:
            feed.overtaken(records)


def deleted_under(what: str, cause: BaseException | None = None) -> DataError:
    """The error of a push query whose records are gone."""
    error = DataError(f"{what} was deleted while this query was reading it, so the query has ended")
    error.__cause__ = cause
    return error


@dataclass(slots=True, eq=False)
class _Running:
    """A running query and its readers.

    Attributes:
        shape: equal for queries that may share; None: shares with none.
    """

    run: QueryRun
    readers: _Readers
    shape: Hashable | None


@dataclass(slots=True, eq=False)
class _Push:
    """A push query from its reader's side.

    Attributes:
        running: the query that runs for it at present.
    """

    feed: Feed
    dataflow_for: Callable[[Callable[[Batch], None]], Dataflow]
    number: int
    running: _Running
    resumption: Resumption | None = None


class PushQueries:
    """The push queries; see the module's text.  Thread-safe."""

    def __init__(self, services: Services, scheduler: Scheduler) -> None:
        self._services = services
        self._scheduler = scheduler
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        """Held for an instant when a reader moves.  Taken after the locks of queries."""
        self._pushes: dict[str, _Push] = {}
        self._shared: dict[Hashable, _Running] = {}
        """For each shape the query that others join."""
        self._abandoned: deque[str] = deque()
        """Push queries whose subscriptions are garbage."""

    def subscribe(
        self,
        dataflow_for: Callable[[Callable[[Batch], None]], Dataflow],
        columns: tuple[str, ...],
        *,
        limit: int | None = None,
        overflow: Literal["block", "drop"] = "block",
        to_columns: Callable[[Batch], Sequence[Any]] = lambda batch: batch.columns,
        prefix: str = "transient",
        resume: tuple[str, str] | None = None,
        shape: Hashable | None = None,
    ) -> Subscription:
        """Start a transient query whose rows go to the returned subscription.

        Args:
            dataflow_for: makes the dataflow, given the function that its `Tap` calls.
            columns: names of the rows' values.
            prefix: of the query's id.
            resume: a name for the reader, and the source that it reads: it continues where the reader of this name stopped.
            shape: equal for queries that put out the same rows for the same records, apart from LIMIT; None shares nothing.

        Raises:
            StatementError: the name is in use.
        """
        self.reap()
        resumption = None if resume is None else Resumption(self._services.log, *resume)
        if resumption is not None and any(
            p.resumption is not None and p.resumption.group == resumption.group for p in list(self._pushes.values())
        ):
            raise StatementError("another reader has this name now", suggestion="Close it, or choose another name.")
        number = next(self._numbers)
        query_id = f"{prefix}_{number}"
        feed = Feed(
            limit=limit,
            overflow=overflow,
            on_close=lambda: self._end(query_id),
            on_room=lambda: self._wake(query_id),
            on_abandon=lambda: self._abandoned.append(query_id),
        )
        running = self._made(query_id, feed, dataflow_for, resumption or NoLedger(), shape)
        if resumption is not None:
            feed.reader = resumption
            resumption.begin(feed, running.run.status.positions)
        self._pushes[query_id] = _Push(feed, dataflow_for, number, running, resumption)
        self._schedule(running, number)
        return Subscription(columns, feed, to_columns=to_columns, query_id=query_id)

    def _made(
        self,
        query_id: str,
        feed: Feed,
        dataflow_for: Callable[[Callable[[Batch], None]], Dataflow],
        ledger: Ledger,
        shape: Hashable | None,
    ) -> _Running:
        readers = _Readers((feed,), self._services.log)
        resumption = ledger if isinstance(ledger, Resumption) else None
        dataflow = dataflow_for(readers.receive if resumption is None else resumption.receive)
        readers.topics = frozenset(n.topic for n in dataflow.nodes if isinstance(n, Source))
        run = QueryRun(
            query_id,
            dataflow,
            self._services,
            ledger=ledger,
            on_failure=readers.fail,
            on_gap=readers.overtaken,
            on_slices=None if resumption is None else resumption.note_slices,
        )
        shares = shape is not None and resumption is None and not run.status.keeps_stores
        return _Running(run, readers, shape if shares else None)

    def _schedule(self, running: _Running, number: int) -> None:
        moving = None if running.shape is None else lambda caught_up: self._rearrange(running, caught_up)
        self._scheduler.add(running.run, _ORDER + number, ready=running.readers.ready, stepped=moving)

    def _wake(self, query_id: str) -> None:
        push = self._pushes.get(query_id)
        if push is not None:
            self._scheduler.wake(push.running.run.query_id)

    # --- moving ----------------------------------------------------------------------------

    def _rearrange(self, running: _Running, caught_up: bool) -> None:
        """After a step: move slow readers out, and let a query that has caught up join the one of its shape."""
        if len(running.readers.feeds) > 1:
            self._move_out(running)
        if not caught_up or running.run.state != "RUNNING":
            return
        with self._lock:
            leader = self._shared.get(running.shape)
            if leader is None or leader.run.state != "RUNNING":
                leader = self._shared[running.shape] = running
        if leader is not running:
            self._join(running, leader)

    def _move_out(self, running: _Running) -> None:
        """Give each reader that wants no more for now a query of its own, which waits at the reader's place."""
        slow = [feed for feed in running.readers.feeds if not feed.ready()]
        if not slow:
            return
        with running.run.lock:
            reading = running.run.status.reading
            for feed in slow:
                found = next(((i, p) for i, p in list(self._pushes.items()) if p.feed is feed), None)
                if found is None or feed.finished or feed.limit_reached:
                    continue  # it ends
                query_id, push = found
                own = self._made(
                    f"{query_id}_{next(self._numbers)}", feed, push.dataflow_for, Beginning(reading), running.shape
                )
                with self._lock:
                    if query_id not in self._pushes:
                        continue
                    running.readers.feeds = tuple(f for f in running.readers.feeds if f is not feed)
                    push.running = own
                self._schedule(own, push.number)

    def _join(self, running: _Running, leader: _Running) -> None:
        """Move a query's readers to another query, if both reach the same place."""
        if not leader.run.lock.acquire(timeout=_JOIN_S):
            return  # another time: its step may be one that never ends
        try:
            joined = self._joined(running, leader)
        finally:
            leader.run.lock.release()
        if joined:
            self._stop(running)

    def _joined(self, running: _Running, leader: _Running) -> bool:
        """Whether the readers were moved.  The leader's lock is held."""
        with running.run.lock:
            for _ in range(_ATTEMPTS):
                if leader.run.state != "RUNNING" or running.run.state != "RUNNING":
                    return False
                theirs, ours = leader.run.status.reading, running.run.status.reading
                if theirs == ours:
                    break
                behind = leader if _is_behind(theirs, ours) else running
                if not behind.readers.ready() or not behind.run.step():
                    return False
            else:
                return False
            with self._lock:
                if self._shared.get(leader.shape) is not leader or not running.readers.feeds:
                    return False
                for push in self._pushes.values():
                    if push.running is running:
                        push.running = leader
                leader.readers.feeds += running.readers.feeds
                running.readers.feeds = ()
        return True

    # --- ending ----------------------------------------------------------------------------

    def _end(self, query_id: str) -> None:
        """End a push query whose reader has closed it, or is gone."""
        with self._lock:
            push = self._pushes.pop(query_id, None)
            if push is None:
                return
            running = push.running
            running.readers.feeds = tuple(f for f in running.readers.feeds if f is not push.feed)
            over = not running.readers.feeds
            if over and self._shared.get(running.shape) is running:
                del self._shared[running.shape]
        if push.resumption is not None:
            push.resumption.close()
        if over:
            self._stop(running)

    def _stop(self, running: _Running) -> None:
        self._scheduler.remove(running.run.query_id)
        running.run.stop()

    def reap(self) -> None:
        """End push queries whose subscriptions were garbage-collected.  (The collector itself cannot do it: it may run while
        any lock is held.)
        """
        while self._abandoned:
            try:
                query_id = self._abandoned.popleft()
            except IndexError:
                return  # another thread was quicker
            self._end(query_id)

    def end_readers(self, topic: str, what: str) -> None:
        """End the push queries that read a topic, which is about to be deleted.

        Args:
            what: is deleted, in the user's words.
        """
        runnings = {id(p.running): p.running for p in list(self._pushes.values())}
        for running in runnings.values():
            if topic in running.readers.topics:
                self._scheduler.remove(running.run.query_id)
                running.run.fail(deleted_under(what))

    def end_all(self) -> None:
        """End all; readers get the rows at hand, then their end."""
        for push in list(self._pushes.values()):
            if push.resumption is not None:
                push.resumption.close()
            push.feed.end()

    # --- looking ---------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of open push queries."""
        self.reap()
        return len(self._pushes)

    @property
    def running(self) -> int:
        """The running queries."""
        return len({id(push.running) for push in list(self._pushes.values())})

    def behind(self) -> bool:
        """Whether a running query, whose reader has room, has records to process."""
        return any(run.status.lag for run in self._awaited())

    def have_missed(self) -> bool:
        """Whether one of these has something to read that has not come to this process yet."""
        return any(run.status.has_missed for run in self._awaited())

    def _awaited(self) -> list[QueryRun]:
        runnings = {id(p.running): p.running for p in list(self._pushes.values())}
        return [r.run for r in runnings.values() if r.run.state == "RUNNING" and r.readers.ready()]


_Reading = Mapping[str, Mapping[TopicPartition, int]]


def _is_behind(one: _Reading, other: _Reading) -> bool:
    """Whether a query has read less than another one in some partition."""
    return any(offset < other[name][place] for name, places in one.items() for place, offset in places.items())
