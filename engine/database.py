"""The composition root: opens a directory, reads its statements from the journal, and executes new ones."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakSet

from ..arguments import check_arguments, checked
from ..errors import StatementError
from ..paths import named_path
from ..runtime.clients.records import RawRecord
from ..runtime.clock import Clock, ManualClock, use_clock
from ..runtime.metrics import Progress, RecoveryProgress
from ..storage import interrupts
from ..storage.backup import Backup, backup_directory
from ..storage.log.kafka.settings import is_client_property
from ..storage.log.measures import CommitMeasures
from ..storage.log.protocol import Log
from .callers import frame_of_caller
from .catalog import DataSource
from .flow import FlowGraph, flow_graph
from .flow_picture import Flow
from .functions.registry import Registry
from .kafka_opening import KafkaPlace
from .long_work import tell
from .opened import PROCESSING_LOG, ConnectArguments, opened
from .plan.explain import explain as plan_text
from .query_options import QueryOptions
from .results import Message
from .session import Session
from .session_state import SessionState
from .settings import Settings
from .statements import topics
from .statements.planning import copies
from .statements.topics import TopicDescription

__all__ = ["Database", "QueryHandle", "RawRecord", "connect"]


def connect(
    path: str | Path | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    threads: int | None = None,
    clock: Clock | None = None,
    one_partition: bool = False,
    registry: Registry | None = None,
    progress: Callable[[RecoveryProgress], None] | None = None,
    create: bool = True,
    kafka: str | None = None,
    service_id: str | None = None,
    **properties: object,
) -> Database:
    """Open a database, or make a new one.

    If this process has the directory open already, it is shared.  All `Database` objects of a directory see the same data,
    but each has its own SET and DEFINE.  The last `Database.close` closes the files.  Another process cannot open the
    directory in the meantime.

    A `Database` object that was garbage collected without `Database.close` does not count, unless something that was made
    from it (a session, a producer, a consumer, a subscription) still exists.  But garbage collection closes nothing.  Such a
    directory stays open until the process ends, or until another object of the directory is opened and closed.

    Args:
        path: the directory; ``~`` stands for your home.  None keeps everything in memory.
        settings: properties by name, as for SET.
        threads: worker threads that run queries; 0 leaves all work to `Database.drain` (default: the property
            ``penstock.threads``, 2).
        clock: gives the current time.
        one_partition: give every topic one physical partition, so that results do not depend on the partition of a key.
        registry: the functions; by default the built-in ones and those registered with decorators.
        progress: is called often, on any thread, with how much of the queries' state is restored.  `connect` returns when
            all is restored, so every answer is complete.
        create: make a database if there is none.
        kafka: ``host:port`` of Kafka brokers, which hold the log; the directory then keeps copies of state.  The setting
            ``bootstrap.servers`` does the same.  See docs/reference/kafka-log.md.  It needs ``penstock[kafka]``.
        service_id: processes with the same service id share statements and the work of queries (default: ``default_``).
        properties: further settings, with ``_`` for the dots: ``auto_offset_reset="earliest"``.

    Raises:
        StatementError: an argument has the wrong type; a setting does not exist, or its value is not allowed; this process
            has the directory open with other threads, functions, clock or settings of the database.
        StorageError: the directory is damaged, of another version, or open in another process, which the error names; or
            there is no database and ``create`` is false.
    """
    directory = None if path is None else named_path(path)
    check_arguments(connect, locals())
    if threads is not None and threads < 0:
        raise StatementError(f"threads must be 0 or more, not {threads}")
    named = {name.replace("_", "."): value for name, value in properties.items()}
    given = {**named, **(settings or {})}
    place = None
    servers = given.pop("bootstrap.servers", None)
    kafka = kafka if servers is None else str(servers)
    client = {} if kafka is None else {name: given.pop(name) for name in list(given) if is_client_property(name)}
    chosen = Settings(given)
    if kafka is not None:
        place = KafkaPlace(kafka, service_id or QueryOptions.of(chosen).service_id, client)
    elif service_id is not None:
        raise StatementError(
            "a service id is for a log in Kafka", suggestion="connect(kafka='host:9092', service_id='shop')"
        )
    database: Database | None = None
    try:
        with interrupts.DEFERRED:
            how = ConnectArguments(threads, clock, one_partition, registry, create, progress, place)
            database = Database(directory, chosen, how)
        return database
    except BaseException:
        if database is not None:  # interrupted: the caller does not get it
            database.close()
        raise


@interrupts.doors()
@checked("alter_topic", "backup", "create_topic", "graph", "is_behind", "partition_rows", "session")
class Database(Session):
    """An open database.  Close it, or use it as a context manager.  Several threads may use it.

    It is its own default session: the methods of `Session` work here with the SET and DEFINE of this object.
    """

    def __init__(self, path: Path | None, settings: Settings, how: ConnectArguments) -> None:
        """Use `connect` instead."""
        self.path = path
        self._opened, self._held = opened(path, settings, how)
        self._closed = False
        self._sessions: WeakSet[Session] = WeakSet()
        engine = self._opened.engine
        try:
            self._base = settings.other_than(self._opened.settings)[1]
            state = SessionState(engine.settings.for_session(self._base))
            super().__init__(engine, self._opened.clients, state, frame_of_caller, self._held)
        except BaseException:
            self._opened.release(self._held)
            raise

    # --- sessions --------------------------------------------------------------------------

    def session(
        self,
        properties: Mapping[str, object] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Session:
        """Make a session: a user of this database with its own SET and DEFINE.  Close it, or use it in ``with``.

        The database itself is its default session.

        Args:
            properties: the initial properties, to which UNSET returns; by default those given to `connect`.
            variables: the initial variables.
            user: the name of the user; only `Session.user` shows it.
            headers: names and values that are added to every record that the session writes by INSERT, DELETE and `insert`,
                to show where it came from.

        Raises:
            StatementError: a property does not exist, belongs to the database, may not be set, or its value is not allowed;
                or a variable's name is not valid.
        """
        self._check_open()
        state = SessionState(
            self._engine.settings.for_session({**self._base, **(properties or {})}), variables, user, headers
        )
        session = Session(self._engine, self._clients, state, use=self._use)
        self._sessions.add(session)
        return session

    # --- topics ----------------------------------------------------------------------------

    def create_topic(
        self, name: str, *, partitions: int = 1, replicas: int = 1, config: Mapping[str, object] | None = None
    ) -> None:
        """Create a topic of bytes.

        Args:
            config: by Kafka's names, ``{"retention.ms": 3_600_000}``; see docs/reference/log.md.

        Raises:
            StatementError: it exists, or the number of partitions or a config entry is not allowed.
            StorageError: the disk failed.
        """
        self._check_open()
        with self._engine.lock:
            topics.create(self._engine, name, partitions, replicas, config)

    def alter_topic(self, name: str, config: Mapping[str, object] | None = None, *, partitions: int | None = None) -> None:
        """Set config entries of a topic (the value None means the default), or add partitions.

        Raises:
            StatementError, StorageError: see `topics.alter`.  Nothing has changed.
        """
        self._check_open()
        with self._engine.lock:
            topics.alter(self._engine, name, config, partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic that no source and no query uses.

        Raises:
            StatementError: there is no such topic, it is internal, or it is used.
            StorageError: the disk failed.
        """
        self._check_open()
        with self._engine.lock:
            topics.delete(self._engine, name)

    def describe_topic(self, name: str) -> TopicDescription:
        """Describe a topic: its config, and the contents of its partitions.

        Raises:
            StatementError: there is no such topic.
            StorageError: the log is damaged.
        """
        self._check_open()
        return topics.describe(self._engine, name)

    def drain(self) -> None:
        """Process everything on this thread, query by query in the order in which they were created.

        Raises:
            DataError: a query failed.
        """
        with use_clock(self._engine.clock):
            self._check_open()
            self._engine.host.drain()

    def advance(self, **by: float) -> int:
        """Let time pass, for tests, as if a record of the new time had come.

        The clock moves, queries no longer wait for idle partitions, and windows that are over close, also with EMIT FINAL.

        Args:
            by: as for `datetime.timedelta`: ``advance(minutes=5)``.

        Returns:
            the new time in milliseconds.

        Raises:
            StatementError: the database was not opened with a `ManualClock`, or time would go backwards.
            DataError: a query failed.
        """
        self._check_open()
        clock = self._engine.clock
        by_ms = round(datetime.timedelta(**by).total_seconds() * 1000)
        if not isinstance(clock, ManualClock):
            raise StatementError(
                "only a ManualClock can be advanced", suggestion="Open it with connect(clock=ManualClock())."
            )
        if by_ms < 0:
            raise StatementError(f"time does not go backwards: {by_ms} ms")
        with use_clock(clock):
            self._engine.host.drain()
            now = clock.advance(by_ms)
            self._engine.host.advance(now)
        return now

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until all running queries have processed everything.

        It does not wait for paused and failed queries.

        Args:
            timeout_s: how long to wait at most, in seconds; None: for ever.

        Returns:
            whether they have; False if the time is over.
        """
        with use_clock(self._engine.clock):
            self._check_open()
            return self._engine.host.wait_idle(timeout_s)

    # --- looking ---------------------------------------------------------------------------

    @property
    def commit_measures(self) -> CommitMeasures | None:
        """The durations of commits and the number of syncs since the database was opened; None if it has no files."""
        return self._engine.log.measures

    @property
    def statements_executed(self) -> int:
        """The number of statements that have defined or changed something since the directory was made.  It never falls."""
        return self._engine.journal.next_offset

    @property
    def log(self) -> Log:
        """The log, for programs that work with topics and records instead of rows.

        They must keep the rules of the dialect, too: internal topics belong to the engine.
        """
        self._check_open()
        return self._engine.log

    def now_ms(self) -> int:
        """The current time of the database's clock, in milliseconds since 1970-01-01 UTC."""
        return self._engine.clock.now_ms()

    def is_behind(self, topics: Sequence[str]) -> bool:
        """Whether a running query on one of the topics is so far behind that writers should wait."""
        return self._engine.host.is_behind(topics)

    @property
    def functions(self) -> Registry:
        """The functions that statements can call."""
        return self._engine.functions

    @property
    def schema_registry(self) -> Any:
        """The schemas of AVRO, PROTOBUF and JSON_SR topics."""
        return self._engine.schemas

    @property
    def queries(self) -> Mapping[str, QueryHandle]:
        """The persistent queries by id."""
        return {query_id: QueryHandle(self, query_id) for query_id in self._engine.catalog.queries}

    def topic_names(self) -> list[str]:
        """The names of all topics that are not internal, sorted."""
        return sorted(name for name, config in self._engine.log.topics().items() if not config.internal)

    def function_names(self) -> list[str]:
        """The names of all functions, sorted."""
        return self._engine.functions.names()

    def graph(self, sees: Callable[[DataSource], bool] = lambda source: True) -> FlowGraph:
        """Topics, streams, tables and queries, how data flows between them, and their places in a drawing.

        Args:
            sees: decides which sources are shown.  A query is shown if all its sources and its sink are.
        """
        self._check_open()
        return flow_graph(self._engine, sees)

    def service_key(self) -> str:
        """A secret that only the processes of a service know, see `penstock.storage.log.protocol.Log.service_key`."""
        self._check_open()
        return self._engine.log.service_key()

    def advertise(self, address: str | None) -> None:
        """Publish the address of this process to the others of its service
        (`penstock.storage.log.protocol.Log.advertise`).
        """
        self._check_open()
        self._engine.log.advertise(address)

    def partition_rows(self, query_id: str, partitions: Sequence[int], keys: Sequence[Any] | None) -> Any:
        """The rows of some partitions, as an Arrow table, for another process of the service.

        See `penstock.runtime.host.QueryHost.partition_rows`.
        """
        self._check_open()
        return self._engine.host.partition_rows(query_id, partitions, keys)

    def describe_state(self) -> str:
        """One line for a prompt: where the database is, and its size."""
        catalog = self._engine.catalog
        streams = sum(s.kind == "STREAM" and s.name != PROCESSING_LOG for s in catalog.sources.values())
        tables = sum(s.kind == "TABLE" for s in catalog.sources.values())
        place = "in memory" if self.path is None else str(self.path)
        if (kafka := self._opened.how.kafka) is not None:
            place = f"{kafka.service_id} on Kafka at {kafka.servers}"
        counts = [(streams, "stream"), (tables, "table"), (len(catalog.queries), "query")]
        words = [f"{n} {w if n == 1 else 'queries' if w == 'query' else w + 's'}" for n, w in counts]
        return f"{place}: {', '.join(words)}"

    def flow(self) -> Flow:
        """How data flows between streams, tables and persistent queries, as a picture (`Flow.svg`) and in words."""
        return self.graph().picture()

    def backup(self, directory: str | Path, progress: Callable[[int, int], None] | None = None) -> Backup:
        """Copy all commits so far into a new directory.  Others can write in the meantime.

        Args:
            progress: is called with the number of bytes copied, and of all bytes.

        Raises:
            StatementError: the database is in memory.
            StorageError: the directory is not empty, a file is damaged, or the disk is full or failing.
        """
        self._check_open()
        if self._opened.how.kafka is not None:
            raise StatementError(
                "a database whose log is in Kafka has no backup of its own",
                suggestion="Copy its topics to another cluster, with MirrorMaker for example.",
            )
        if self.path is None:
            raise StatementError("a database in memory has no files to back up")
        self._engine.log.flush()
        return backup_directory(self.path, named_path(directory), progress or partial(tell, unit="bytes"))

    # --- life cycle ------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StatementError("the database is closed")
        self._engine.check_open()

    def close(self) -> None:
        """Stop the queries after their current steps, and close the log.  Nothing committed is lost.

        If this process has opened the directory several times, this ends what was made from this object (sessions and push
        queries).  The last ``close()`` closes the directory; `connect` says which objects count.  In a process that was
        forked from the one that opened the directory, nothing happens.
        """
        if self._closed or self._engine.log.foreign:
            return
        self._closed = True
        for session in self._sessions:
            session.close()
        super().close()
        self._opened.release(self._held)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<penstock.Database {'closed' if self._closed else self.describe_state()}>"


def is_closed(database: Database) -> bool:
    """Whether `Database.close` was called."""
    return database._closed


@interrupts.doors()
@dataclass(frozen=True, slots=True)
class QueryHandle:
    """A persistent query of an open database."""

    database: Database
    id: str

    @property
    def state(self) -> str:
        """RUNNING, PAUSED or ERROR."""
        return self.progress().state

    @property
    def lag(self) -> int:
        """The number of records of its inputs that it has not processed."""
        return self.progress().lag

    @property
    def statement(self) -> str:
        """The statement that made the query, in its canonical text."""
        return self.database.catalog.queries[self.id].statement

    def progress(self) -> Progress:
        """How many records it has read, used, dropped and written, and how far it is.

        Raises:
            KeyError: it was terminated.
        """
        return self.database._engine.host.run(self.id).status.progress

    @property
    def owners(self) -> Mapping[tuple[str, int], str]:
        """The partitions of its input topics that other processes of the service own.

        Returns:
            for each (topic, partition) the address of the process (``host:port``), or its name if it has no address.  Empty
            if no other process can own any.

        Raises:
            StorageError: Kafka does not answer.
        """
        shares = self.database._engine.host.run(self.id).shares
        if shares is None:
            return {}
        return {
            place: owner.name if owner.address is None else owner.address.partition("://")[2]
            for place, owner in shares.places().items()
            if place not in shares.mine
        }

    @property
    def standbys(self) -> Sequence[tuple[str, int]]:
        """The partitions of topics for which this process keeps standby copies of state, while other processes own them."""
        kept = self.database._engine.host.run(self.id).parts.standbys
        return () if kept is None else sorted(kept.places)

    def explain(self) -> str:
        """The query's plan as text."""
        return plan_text(self.database._engine.planned[self.id].plan)

    @property
    def internal_topics(self) -> Mapping[str, DataSource]:
        """The internal topics by name: copies of re-keyed rows and of the stores of joins (``penstock.internal.topics``)."""
        return copies(self.database._engine.planned[self.id].plan)

    def pause(self) -> Message:
        """Stop the query after its current step.  Its state and positions stay.

        Raises:
            StatementError: there is no such query any more, or it is in the wrong state.
        """
        return self._control("PAUSE")

    def resume(self) -> Message:
        """Run the query again from where it was paused.

        Raises:
            StatementError: there is no such query any more, or it is in the wrong state.
        """
        return self._control("RESUME")

    def terminate(self) -> Message:
        """End the query, and delete its state and positions.  Its result stays.

        Raises:
            StatementError: there is no such query any more.
        """
        return self._control("TERMINATE")

    def _control(self, action: str) -> Message:
        (message,) = self.database.execute(f"{action} `{self.id}`;")
        assert isinstance(message, Message)
        return message
