"""Everything that runs in one engine: queries, subscriptions, the scheduler and the views.

The engine calls this after lowering a statement.  It gets dataflows, never SQL.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from ..errors import DataError, StatementError
from ..limits import STEP_ROWS_MAX, UNREAD_ROWS_MAX
from ..storage.layout import CHANGELOG_PREFIX
from ..storage.log.protocol import Commit, Log, TopicConfig, TopicPartition
from .clients.coordinator import is_client_group
from .dataflow import Dataflow
from .lookups import PointReader
from .memory import keep_freed_memory
from .metrics import RecoveryMeter, RecoveryProgress
from .processing_log import TOPIC, VALUE_TYPE
from .push_queries import PushQueries
from .query.lifecycle import QueryRun
from .query.recovery import Checkpoints, NoCheckpoints
from .query.repartitioning import COPY_OF
from .query.services import Services
from .scheduler import Scheduler
from .source import DecodedTopics
from .timeouts import deadline_after
from .views import TableSnapshot, snapshots
from .wakes import LogWakes

_LOGGER = logging.getLogger("penstock.queries")
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.001, 0.05
"""How long to wait, in seconds, before looking again whether queries have taken in what they should; longer each time."""


@dataclass(frozen=True, slots=True)
class Token:
    """Marks where a write ended.

    A read with it in ``after`` waits until every query that it reads from has processed the write.
    """

    ends: Mapping[TopicPartition, int] = field(default_factory=dict)

    @staticmethod
    def of(commit: Commit) -> Token:
        """The token of a commit."""
        return Token(dict(commit.ends))

    @staticmethod
    def checked(given: object) -> Token:
        """Check that a value is a token.  Raises: StatementError."""
        if not isinstance(given, Token):
            raise StatementError(
                f"what to wait for is the token that insert() gave, not {type(given).__name__}",
                suggestion="Use wait_idle() to wait for all there is.",
            )
        return given

    def __or__(self, other: Token) -> Token:
        ends = dict(self.ends)
        for place, end in other.ends.items():
            ends[place] = max(end, ends.get(place, 0))
        return Token(ends)


def names_to_wait_for(given: object) -> list[str]:
    """The names of tables and streams, of which one alone may be given.  Raises: StatementError, if they are none."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        raise StatementError(f"tables to wait for are names, not {type(given).__name__}")
    names = list(given)
    for name in names:
        if not isinstance(name, str):
            raise StatementError(f"tables to wait for are names, not {type(name).__name__}")
    return names


class _Pause(NamedTuple):
    """What to do before looking again: wait for a commit after ``epoch``, at most for so many seconds.

    Attributes:
        counted: `Scheduler.counted` before looking; waiting ends when that has moved, too.
    """

    epoch: int
    counted: int
    seconds: float


_COMMITS_MAX = 32
"""The number of queries whose commits can wait for the same sync."""


class QueryHost:
    """Runs queries over a log.  Thread-safe.

    Args:
        log: the log.
        checkpoints: where state is checkpointed; None for an engine in memory.
        threads: worker threads that step queries; 0 leaves all stepping to `drain`.
        rows_max: the largest number of rows in one step of a query.
        durable: state is kept in changelogs; by default where there are checkpoints.
    """

    def __init__(
        self,
        log: Log,
        checkpoints: Checkpoints | None,
        *,
        threads: int = 2,
        rows_max: int = STEP_ROWS_MAX,
        durable: bool | None = None,
    ) -> None:
        self.log = log
        if TOPIC not in log.topics():
            log.create_topic(TOPIC, TopicConfig(1, VALUE_TYPE))
        if threads:
            keep_freed_memory()
        self._pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="penstock-task") if threads > 1 else None
        self._checkpointer = ThreadPoolExecutor(1, thread_name_prefix="penstock-checkpoint") if threads else None
        self._committer = ThreadPoolExecutor(_COMMITS_MAX, thread_name_prefix="penstock-commit") if threads else None
        self.services = Services(
            log,
            DecodedTopics(log),
            checkpoints or NoCheckpoints(),
            durable=checkpoints is not None if durable is None else durable,
            pool=self._pool,
            committer=self._committer,
            checkpointer=self._checkpointer,
            rows_max=rows_max,
        )
        self._scheduler = Scheduler(log, threads, lambda: self.pushes.reap())
        self.services.reassigned = self._scheduler.reassigned
        self._threads = threads
        self._runs: dict[str, QueryRun] = {}
        self.pushes = PushQueries(self.services, self._scheduler)
        self._readers: dict[str, PointReader] = {}
        self.wakes = LogWakes(log)
        """For coroutines that wait for commits."""

    # --- persistent queries ----------------------------------------------------------------

    def start(
        self, query_id: str, dataflow: Dataflow, order: int, *, paused: bool = False, opening: bool = False
    ) -> QueryRun:
        """Start a persistent query, or resume it from its last commit.

        Args:
            opening: a query whose state cannot be read gets the state ERROR, and the others run.

        Raises:
            StorageError: the state cannot be read, and ``opening`` is false.
        """
        run = QueryRun(query_id, dataflow, self.services, opening=opening)
        if paused:
            run.pause()
        self._runs[query_id] = run
        self._scheduler.add(run, order)
        if not paused:
            _LOGGER.info("query %s runs%s", query_id, " again" if opening else "")
        return run

    @contextmanager
    def recovering(self, report: Callable[[RecoveryProgress], None] | None) -> Iterator[None]:
        """Inside this context, queries that are started report how much of their state is restored."""
        if report is None:
            yield
            return
        changelogs = {t: c.partitions for t, c in self.log.topics().items() if t.startswith(CHANGELOG_PREFIX)}
        places = [(topic, number) for topic, count in changelogs.items() for number in range(count)]
        changes = sum(self.log.end_offset(*place) - self.log.start_offset(*place) for place in places)
        before = self.services.recovered
        self.services.recovered = RecoveryMeter(changes + self.services.checkpoints.rows(), report).add
        try:
            yield
        finally:
            self.services.recovered = before

    def replace(self, query_id: str, dataflow: Dataflow, order: int) -> QueryRun:
        """Replace a query's dataflow; it keeps its positions and state (CREATE OR REPLACE)."""
        old = self._runs[query_id]
        if self.log.capabilities.shared:
            return self._replace_shared(old, dataflow, order)
        with old.lock:  # no step can come between; if the new one cannot start, the old one goes on
            run = QueryRun(query_id, dataflow, self.services, inherit=old)
            paused = old.state == "PAUSED"
            old.state = "TERMINATED"
        if paused:
            run.pause()
        self._runs[query_id] = run
        self._scheduler.add(run, order)
        old.parts.forget_copies(run.parts.copies)
        return run

    def _replace_shared(self, old: QueryRun, dataflow: Dataflow, order: int) -> QueryRun:
        """`replace` for shared partitions: the new query reads what is committed, as any other process would."""
        paused = old.state == "PAUSED"
        old.stop()
        run = self.start(old.query_id, dataflow, order, paused=paused)
        old.parts.forget_copies(run.parts.copies)
        return run

    @contextmanager
    def ending_soon(self, query_ids: Iterable[str]) -> Iterator[None]:
        """Let these queries begin no step, and wait for the end of those in hand.  Unknown ids are passed over.

        Raises:
            StatementError: a step did not end in time, see `QueryRun.ending_soon`.
        """
        with ExitStack() as stack:
            for run in [self._runs[query_id] for query_id in query_ids if query_id in self._runs]:
                stack.enter_context(run.ending_soon())
            yield

    def terminate(self, query_id: str) -> None:
        """Stop a persistent query and delete its state and positions."""
        run = self._runs.pop(query_id)
        self._readers.pop(query_id, None)
        self._scheduler.remove(query_id)
        run.terminate()
        _LOGGER.info("query %s ended", query_id)

    def forget_others(self) -> None:
        """Delete changelogs, copies of inner rows, positions and checkpoints of queries that do not exist.

        A crash between a statement that ends (or replaces) a query and the end of its work leaves them behind.  Call it
        after all queries have been started.
        """
        if self.log.capabilities.shared:  # other processes may know of newer statements
            return
        groups = {group for run in self._runs.values() for group in run.groups}
        changelogs = {topic for run in self._runs.values() for topic in run.status.changelogs}
        copies = {topic for run in self._runs.values() for topic in run.parts.copies}
        for topic, config in self.log.topics().items():
            if not config.internal:
                continue  # somebody named it
            left = topic.startswith(CHANGELOG_PREFIX) and topic not in changelogs
            if left or (COPY_OF in config.properties and topic not in copies):
                self.log.delete_topic(topic)
        for group in self.log.groups():
            if group not in groups and not is_client_group(group):
                self.log.delete_group(group)
        for query_id in self.services.checkpoints.queries():
            if query_id not in self._runs:
                self.services.checkpoints.delete(query_id)

    def run(self, query_id: str) -> QueryRun:
        """The run of a query.  Raises: KeyError."""
        return self._runs[query_id]

    @property
    def runs(self) -> Mapping[str, QueryRun]:
        return dict(self._runs)

    def resume(self, query_id: str) -> None:
        self._runs[query_id].resume()
        self._scheduler.wake(query_id)
        _LOGGER.info("query %s runs again", query_id)

    def advance(self, time_ms: int) -> None:
        """Advance stream time to an instant in the windows of all queries, in order of creation; see `QueryRun.advance`.

        Raises:
            DataError: a query failed.
        """
        self.drain()
        for run in self._scheduler.runs():
            run.advance(time_ms)
            self.drain()

    def drain(self) -> None:
        """Process everything on this thread, query by query in order of creation.

        Raises:
            DataError: a query failed.
        """
        self._scheduler.drain()

    def delete_topic(self, topic: str, what: str | None = None) -> None:
        """Delete a topic from the log, and its cached records.  Push queries that read it end with an error.

        Args:
            what: is deleted, in the user's words.

        Raises:
            StorageError: it does not exist.
        """
        if topic in self.log.topics():
            self.pushes.end_readers(topic, what or f"the topic {topic}")
        self.log.delete_topic(topic)
        self.services.decoded.forget(topic)

    @property
    def subscriptions(self) -> int:
        """The number of open push queries."""
        return len(self.pushes)

    # --- tables ----------------------------------------------------------------------------

    def tables(self, queries: Mapping[str, str]) -> dict[str, TableSnapshot]:
        """Consistent snapshots of the tables of several queries: name -> query id."""
        return snapshots({name: self._runs[query_id] for name, query_id in queries.items()})

    def partition_rows(self, query_id: str, partitions: Sequence[int], keys: Sequence[Any] | None) -> pa.Table | None:
        """Rows of a query's table for another process that shares it, in the shape of its `TableView`; None if this process
        does not have these partitions.

        Args:
            keys: see `TableSnapshot.lookup`; None: all rows.

        Raises:
            KeyError: the query does not exist.
        """
        run = self._runs[query_id]
        parts = run.parts_for_others(partitions)
        if parts is None:
            return None
        found = TableSnapshot(run.view, parts)
        return found.table() if keys is None else found.lookup(keys)

    def point_reader(self, query_id: str) -> PointReader:
        """Lookups of single keys in a query's table.  (A lookup raises KeyError once the query is gone.)"""
        reader = self._readers.get(query_id)
        if reader is None:
            reader = self._readers[query_id] = PointReader(lambda: self._runs[query_id])
        return reader

    def wait_for(self, token: Token, query_ids: Sequence[str], timeout_s: float | None = 30.0) -> None:
        """Block until the given queries have processed what ``token`` stands for, including all queries in between.

        Where queries write in a circle (INSERT INTO), a second round is not waited for.

        Raises:
            StatementError: the time is up, or a query on the way is paused or terminated.
            DataError: a query on the way has failed.
        """
        for pause in self._until_taken_in(token, query_ids, timeout_s):
            self._rest(pause)

    def _rest(self, pause: _Pause) -> None:
        self.log.wait(pause.epoch, pause.seconds, lambda: self._scheduler.counted != pause.counted)

    async def taken_in(self, token: Token, query_ids: Sequence[str], timeout_s: float | None = 30.0) -> None:
        """`wait_for` for an event loop: it blocks no thread."""
        for pause in self._until_taken_in(token, query_ids, timeout_s):
            await self.wakes.wait(pause.epoch, pause.seconds)

    def _until_taken_in(self, token: Token, query_ids: Sequence[str], timeout_s: float | None) -> Iterator[_Pause]:
        deadline = deadline_after(timeout_s)
        done: set[str] = set()
        writers: dict[str, list[str]] = {}
        for query_id, run in self.runs.items():
            for topic in run.writes:
                writers.setdefault(topic, []).append(query_id)
        concerned = {topic for topic, _ in token.ends} | writers.keys()
        for query_id in query_ids:
            waited = self._runs.get(query_id)
            if waited is not None and waited.shares is None and waited.reads.isdisjoint(concerned):
                continue  # nothing can come to it; there may be thousands such
            yield from self._wait_for(token, query_id, deadline, done, writers)

    def _wait_for(
        self, token: Token, query_id: str, deadline: float | None, done: set[str], writers: Mapping[str, Sequence[str]]
    ) -> Iterator[_Pause]:
        """Args: ``done``: queries already waited for; ``writers``: the queries that write to each topic."""
        if query_id in done:
            return
        done.add(query_id)
        run = self._runs.get(query_id)
        if run is None:
            raise StatementError(f"the query {query_id} has been terminated")
        targets = {place: end for place, end in token.ends.items() if place[0] in run.reads}
        for topic in run.reads:
            others = [other for other in writers.get(topic, ()) if other != query_id]
            for other in others:
                yield from self._wait_for(token, other, deadline, done, writers)
            if others:
                for partition in range(self.log.topics()[topic].partitions):
                    end = self.log.end_offset(topic, partition)
                    targets[topic, partition] = max(targets.get((topic, partition), 0), end)
        yield from self._wait_until(run, targets, deadline)
        for topic in run.parts.moving:  # what it has taken in is on its way to the partition of another key
            ends = {(topic, p): self.log.end_offset(topic, p) for p in range(self.log.topics()[topic].partitions)}
            yield from self._wait_until(run, ends, deadline)

    def _wait_until(self, run: QueryRun, targets: Mapping[TopicPartition, int], deadline: float | None) -> Iterator[_Pause]:
        pause_s = _PAUSE_S_MIN
        while True:
            epoch, counted = self.log.epoch, self._scheduler.counted
            if self._threads == 0:
                self._scheduler.drain_one(run)
            if run.status.has_taken_in(targets):
                return
            if run.state == "ERROR":
                raise DataError(f"query {run.query_id} has failed: {run.error}")
            if run.state == "TERMINATED":
                raise StatementError(f"the query {run.query_id} has been terminated")
            if run.state != "RUNNING":
                raise StatementError(
                    f"query {run.query_id} is {run.state.lower()} and does not process what was written",
                    suggestion=f"RESUME {run.query_id};",
                )
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise StatementError(f"query {run.query_id} has not processed what was written in the time given")
            # a commit is visible a moment before the query counts it: look again soon
            yield _Pause(epoch, counted, pause_s if left is None else min(left, pause_s))
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Block until all running queries have processed everything, push queries included.  It does not wait for paused and
        failed queries, nor for push queries with a slow reader.

        Returns:
            whether that happened before the time was up.
        """
        for pause in self._until_idle(timeout_s):
            if pause.seconds <= 0:
                return False
            self._rest(pause)
        return True

    async def idle(self, timeout_s: float | None = None) -> bool:
        """`wait_idle` for an event loop: it blocks no thread of the loop's."""
        pauses = self._until_idle(timeout_s)
        elsewhere = self.log.capabilities.shared  # then looking asks the log's brokers
        while (pause := await asyncio.to_thread(next, pauses, None) if elsewhere else next(pauses, None)) is not None:
            if pause.seconds <= 0:
                return False
            await self.wakes.wait(pause.epoch, pause.seconds)
        return True

    def _until_idle(self, timeout_s: float | None) -> Iterator[_Pause]:
        if self._threads == 0:
            self.drain()
        deadline = deadline_after(timeout_s)
        before, pause_s = -1, _PAUSE_S_MIN
        while True:
            epoch, counted = self.log.epoch, self._scheduler.counted
            behind = any(run.state == "RUNNING" and run.status.lag for run in self.runs.values()) or self.pushes.behind()
            if not behind and not self._has_missed() and self.log.epoch == epoch:
                return
            # a commit is visible a moment before its query counts it: look again soon
            pause_s = _PAUSE_S_MIN if epoch != before else min(2 * pause_s, _PAUSE_S_MAX)
            before = epoch
            left = None if deadline is None else deadline - time.monotonic()
            yield _Pause(epoch, counted, pause_s if left is None else min(left, pause_s))

    def _has_missed(self) -> bool:
        """Whether what running queries read holds more than this process has heard of: others write to the log, too."""
        if not self.log.capabilities.shared:
            return False
        return (
            any(run.state == "RUNNING" and run.status.has_missed for run in self.runs.values()) or self.pushes.have_missed()
        )

    def admit(self, topics: Sequence[str]) -> None:
        """Make a producer wait while `is_behind`."""
        while self.is_behind(topics):
            self.log.wait(self.log.epoch, 0.5)

    def is_behind(self, topics: Sequence[str]) -> bool:
        """Whether a running query on one of the topics is too far behind for more to be written to them."""
        if self._threads == 0:
            return False
        wanted = set(topics)
        readers = [r for r in self.runs.values() if wanted & r.reads]
        return any(r.state == "RUNNING" and r.status.lag > UNREAD_ROWS_MAX for r in readers)

    def close(self) -> None:
        """Stop everything after the present steps; nothing committed is lost.

        Readers of push queries get the rows at hand, then their end.
        """
        for run in self._scheduler.runs():
            run.interrupt()
        self._scheduler.stop()
        for run in self._scheduler.runs():
            run.stop()
        self.pushes.end_all()
        self.wakes.close()
        for pool in (self._pool, self._committer, self._checkpointer):
            if pool is not None:
                pool.shutdown(wait=True)
