"""The composition root: opens a directory, replays its statements, executes new ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from ..errors import StatementError, StorageError
from ..grammar import ast
from ..grammar.parse import parse, parse_statement
from ..grammar.substitute import substitute
from ..grammar.unparse import unparse
from ..runtime import processing_log
from ..runtime.clients.clients import Clients
from ..runtime.clients.records import RawRecord
from ..runtime.clock import SYSTEM_CLOCK, Clock, now_ms, use_clock
from ..runtime.host import QueryHost, Token
from ..runtime.metrics import Progress, RecoveryProgress
from ..runtime.subscriptions import Subscription
from ..storage.backup import Backup, backup_directory
from ..storage.layout import open_directory
from ..storage.log.local.local_log import LocalLog
from ..storage.log.protocol import OffsetReset
from ..storage.state.checkpoint import CheckpointFiles
from .catalog import Catalog, DataSource, FormatInfo
from .clients import ClientMethods
from .functions import load_built_ins
from .functions.registry import Registry
from .functions.user import USER_FUNCTIONS
from .plan.explain import explain as plan_text
from .results import Message, Result, Submitted, Table
from .schema import Column, Schema
from .schema_log import open_registry
from .settings import Settings, canonical_name
from .statements import adhoc, create_query, records, select, topics
from .statements.context import Engine
from .statements.dispatch import Script, execute, read_script
from .statements.journal import Journal
from .statements.planning import copies
from .statements.raw import raw_records
from .statements.submit import Submission
from .statements.topics import TopicDescription
from .texts import check_text, pull_query, with_places
from .types import from_arrow

__all__ = ["Database", "QueryHandle", "RawRecord", "connect"]

PROCESSING_LOG = "KSQL_PROCESSING_LOG"
_SUBSTITUTION = "ksql.variable.substitution.enable"


def connect(
    path: str | Path | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    threads: int | None = None,
    clock: Clock | None = None,
    one_partition: bool = False,
    registry: Registry | None = None,
    progress: Callable[[RecoveryProgress], None] | None = None,
    **properties: object,
) -> Database:
    """Open a database, or make a new one.

    Args:
        path: its directory; None keeps everything in memory.
        settings: properties by name, as SET takes them.
        threads: worker threads that run queries; 0 leaves all work to `Database.drain` (default: the property
            ``penstock.threads``, 2).
        clock: where the present time comes from.
        one_partition: give every topic one physical partition, so that results do not depend on how keys are spread.
        registry: the functions; by default the built-in ones and those registered with decorators.
        progress: is told how far the state of the queries has been brought back, often, on any thread.  It returns when
            that is done, so every answer is whole.
        properties: further settings, with ``_`` for the dots: ``auto_offset_reset="earliest"``.

    Raises:
        StatementError: a setting does not exist, or has a value that it cannot have.
        StorageError: the directory is damaged, of another version, or open elsewhere.
    """
    named = {name.replace("_", "."): value for name, value in properties.items()}
    chosen = Settings({**named, **(settings or {})})
    return Database(path, chosen, threads, clock or SYSTEM_CLOCK, one_partition, registry, progress)


class Database(ClientMethods):
    """An open database.  Thread-safe; close it, or use it as a context manager."""

    def __init__(
        self,
        path: str | Path | None,
        settings: Settings,
        threads: int | None,
        clock: Clock,
        one_partition: bool,
        registry: Registry | None,
        progress: Callable[[RecoveryProgress], None] | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self._clock = clock
        self._lock = threading.RLock()
        self._closed = False
        load_built_ins()
        functions = registry if registry is not None else Registry(USER_FUNCTIONS)
        with use_clock(clock), ExitStack() as undo:
            files = open_directory(path)
            undo.callback(files.close)
            log = LocalLog(files, clock_ms=clock.now_ms, owns_files=True)
            log.settings.relaxed_delay_s = settings.integer("penstock.durability.relaxed.ms") / 1000
            undo.pop_all()
            undo.callback(log.close)
            schemas = open_registry(log, settings["ksql.schema.registry.url"])
            host = QueryHost(
                log,
                None if path is None else CheckpointFiles(files),
                threads=settings.integer("penstock.threads") if threads is None else threads,
                rows_max=settings.integer("penstock.rows.per.step"),
            )
            undo.callback(host.close)
            self._clients = Clients(log, clock_ms=clock.now_ms, admit=host.admit)
            self._engine = Engine(log, host, functions, settings, Journal(log), clock, schemas, one_partition)
            self._engine.catalog = self._engine.catalog.with_source(_processing_log())
            with host.recovering(progress):
                self._replay()
            undo.pop_all()

    def _replay(self) -> None:
        """Rebuild the catalog from the journal and start the queries that are left."""
        engine = self._engine
        engine.replaying = True
        try:
            last = engine.journal.next_offset - 1
            for entry in engine.journal.entries():
                engine.replayed, engine.unfinished = entry, entry.offset == last
                try:
                    execute(engine, parse_statement(entry.statement))
                except StatementError as error:
                    raise StorageError(
                        f"statement {entry.offset} of the journal cannot be replayed: {error.message}: {entry.statement}",
                        action="register the functions it uses before connect(), or open it with the version that made it",
                    ) from error
            create_query.start_replayed(engine)
        finally:
            engine.replaying = False

    # --- statements ------------------------------------------------------------------------

    def execute(self, text: str, *, path: str | Path | None = None) -> list[Result]:
        """Execute a script, statement by statement, and return one result for each.

        Syntax errors are found before anything is executed.  A statement that fails has changed nothing; those before it
        stay executed.

        Args:
            path: the file that the script is from: errors name it, and RUN SCRIPT looks for files beside it (without it:
                in the current directory).

        Raises:
            StatementError: a statement is wrong, at the place that the error shows.
            StorageError: the disk failed.
        """
        with self._lock:
            return list(self.steps(text, path=path))

    def steps(self, text: str, *, path: str | Path | None = None) -> Iterator[Result]:
        """Like `execute`, with each result as soon as its statement is executed and before the next one is.

        Raises:
            StatementError, StorageError: see `execute`.
        """
        check_text(text)
        statements = self._statements(text, None if path is None else Path(path))
        while True:
            with self._lock, use_clock(self._clock):
                self._check_open()
                step = next(statements, None)
                if step is None:
                    return
                statement, script = step
                try:
                    result = execute(self._engine, statement)
                except StatementError as error:
                    raise script.locate(error, statement) from error.__cause__
            yield result

    def _statements(
        self, text: str, path: Path | None, around: tuple[Path, ...] = ()
    ) -> Iterator[tuple[ast.Statement, Script]]:
        """A script's statements, those of the scripts that it runs in their places.  Raises: StatementError."""
        parsed = self._parsed(text)
        while True:
            try:
                statement, source = next(parsed)
            except StopIteration:
                return
            except StatementError as error:
                raise error.located(text, None if path is None else str(path)) from error.__cause__
            script = Script(source, path)
            if not isinstance(statement, ast.RunScript):
                yield statement, script
                continue
            try:
                inner, content = read_script(statement, path, around)
            except StatementError as error:
                raise script.locate(error, statement) from error.__cause__
            yield from self._statements(content, inner, (*around, inner.resolve()))

    def submit(self, text: str, name: str, *, path: str | Path | None = None) -> Submitted:
        """Execute a script's statements, each of them once ever, however often the script is submitted under this name.

        A script that was submitted before may have grown at its end.  Its statements are compared in canonical form, so
        comments and layout may change.  SET, UNSET, DEFINE and UNDEFINE, which change the session only, are executed
        every time.  A statement and the note that it was executed are one commit, so a crash repeats nothing.

        Args:
            path: the script's file, see `execute`.

        Raises:
            StatementError: a statement is wrong, or one that was submitted before was changed or is gone; the statements
                before it are submitted.
            StorageError: the disk failed.
        """
        with self._lock, use_clock(self._clock):
            self._check_open()
            check_text(text)
            submission = Submission(self._engine, name)
            known: list[str] = []
            results: list[Result] = []
            for statement, script in self._statements(text, None if path is None else Path(path)):
                try:
                    outcome = submission.submit(statement, lambda s=statement: execute(self._engine, s))  # type: ignore[misc]
                except StatementError as error:
                    raise script.locate(error, statement) from error.__cause__
                if outcome is None:
                    known.append(unparse(statement))
                else:
                    results.append(outcome)
            submission.finish()
            return Submitted(name, tuple(known), tuple(results))

    def _parsed(self, text: str) -> Iterator[tuple[ast.Statement, str]]:
        """The statements of a script with the text each one's spans point into, variables replaced.

        Everything up to the next RUN SCRIPT is parsed before the first statement is handed out; what comes after it may
        use the variables that the other script defines.
        """
        if "${" not in text:
            yield from [(parsed.statement, text) for parsed in parse(text)]
            return
        pieces = with_places(text)
        while pieces:
            variables = dict(self._engine.variables)
            replacing = self._engine.settings.boolean(_SUBSTITUTION)
            ready: list[tuple[ast.Statement, str]] = []
            while pieces:
                piece = pieces.pop(0)
                replaced = substitute(piece, variables) if replacing else piece
                for parsed in parse(replaced):
                    ready.append((parsed.statement, replaced))
                    match parsed.statement:
                        case ast.Define(name=name, value=value):
                            variables[name.upper()] = value
                        case ast.Undefine(name=name):
                            variables.pop(name.upper(), None)
                        case ast.SetProperty(name=name, value=value) if canonical_name(name) == _SUBSTITUTION:
                            replacing = value.strip().lower() == "true"
                        case ast.UnsetProperty(name=name) if canonical_name(name) == _SUBSTITUTION:
                            replacing = True
                if ready and isinstance(ready[-1][0], ast.RunScript):
                    break
            yield from ready

    def sql(
        self, text: str, *, after: Token | None = None, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> Table:
        """Answer one SELECT over tables and streams: the dialect's pull queries, and any SELECT that DuckDB can run.

        All tables are read as of one moment between steps of their queries, so a step is never half visible.  Rows of one
        insert into one partition are taken in by one step, unless ``penstock.rows.per.step`` cuts them; rows in several
        partitions, and several queries, may be apart by a step: ``after`` waits until all have arrived.

        Args:
            after: what `insert` gave: wait until every table that the query names has taken it in.
            parameters: values for ``?`` or ``$name`` (DuckDB's).

        Raises:
            StatementError: the query is wrong, asks for what is locked, or has not taken in ``after`` in time.
        """
        with use_clock(self._clock):
            self._check_open()
            check_text(text)
            query = None if parameters is not None else pull_query(text)
            if after is not None:
                self.wait(after, [] if query is None else [query.source.name])
            if query is None:
                return adhoc.query(self._engine, text, parameters)
            try:
                return select.pull(self._engine, query)
            except StatementError as refused:
                try:
                    return adhoc.query(self._engine, text)
                except StatementError:
                    raise refused.located(text) from None

    def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None:
        """Block until the named tables (all, if none is named) have taken in a write.

        Raises:
            StatementError: the time is up, or a query on the way is paused.
            DataError: a query on the way has failed.
        """
        catalog = self._engine.catalog
        wanted = [catalog.sources[n].query_id for n in names if n in catalog.sources] if names else list(catalog.queries)
        self._engine.host.wait_for(token, [q for q in wanted if q is not None and q in catalog.queries], timeout_s)

    def subscribe(self, text: str, *, overflow: Literal["block", "drop"] = "block") -> Subscription:
        """The rows of a push query, as they come: iterate it, also with ``async for``.

        Args:
            overflow: what happens when it is read too slowly: the query waits, or drops rows and says how many.

        Raises:
            StatementError: it is no push query, or it is wrong.
        """
        with self._lock, use_clock(self._clock):
            self._check_open()
            check_text(text)
            query = parse_statement(text)
            if not isinstance(query, ast.Query) or query.emit is None:
                raise StatementError(
                    "subscribe() takes a push query", span=query.span, text=text, suggestion="Write SELECT .. EMIT CHANGES."
                )
            try:
                return select.push(self._engine, query, overflow).subscription
            except StatementError as error:
                raise error.located(text) from error.__cause__

    # --- data ------------------------------------------------------------------------------

    def insert(
        self,
        source: str,
        rows: Any,
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append rows to a stream or table, all of them in one commit.

        Args:
            rows: dicts, or an Arrow table, pandas or polars frame, or whatever has ``__arrow_c_stream__``; columns are
                found by name, a column ``rowtime`` (ms or timestamps) gives the timestamps.
            durable: return when it is on disk (True), or as soon as it is visible (False); None: as the property
                ``penstock.durability`` says.
            producer, sequence: who writes, and a number that rises from one insert of this producer to its next.  An
                insert whose number is not above `last_sequence` is a retry and writes nothing: after a crash, a loader
                repeats what it does not know to have happened.

        Returns:
            a token for ``sql(.., after=token)``.

        Raises:
            StatementError: there is no such source, or a row does not fit it; nothing was written.
        """
        return self.insert_many({source: rows}, durable=durable, producer=producer, sequence=sequence)

    def insert_many(
        self,
        rows: Mapping[str, Any],
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append rows to several streams and tables in one commit: all of it happens, or none.

        Args:
            rows: by source, each as `insert` takes them.
            durable, producer, sequence: as with `insert`.

        Raises:
            StatementError: as with `insert`; nothing was written.
        """
        with use_clock(self._clock):
            self._check_open()
            return records.insert(self._engine, rows, durable=durable, producer=producer, sequence=sequence)

    def last_sequence(self, producer: str) -> int | None:
        """The sequence number of a producer's last commit; None if it never wrote."""
        self._check_open()
        return self._engine.log.last_sequence(producer)

    def produce(
        self,
        topic: str,
        *,
        key: bytes | None = None,
        value: Any = None,
        timestamp: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append one record as it is.

        Args:
            value: bytes, or a dict for a topic of typed values; None is a tombstone.
            timestamp: ms since the epoch; by default now.
            partition: by default that of the key.
            producer, sequence: as with `insert`.

        Raises:
            StatementError: there is no such topic, or the value is not what it holds.
        """
        with use_clock(self._clock):
            self._check_open()
            config = self._engine.topic(topic)
            if config is None:
                raise StatementError(f"there is no topic {topic}")
            if config.internal:
                raise StatementError(f"the topic {topic} is internal: only the engine writes to it")
            return records.produce(
                self._engine,
                topic,
                config,
                (key, value, now_ms() if timestamp is None else timestamp, headers),
                partition=partition,
                durable=durable,
                producer=producer,
                sequence=sequence,
            )

    def consume(
        self, topic: str, *, offset: int | None = None, partition: int | None = None, reset: OffsetReset = "none"
    ) -> Iterator[RawRecord]:
        """The records that a topic holds now, partition by partition.

        Args:
            offset: where to begin in each partition; None: at the first record that there is.
            reset: what to do where a partition holds no such offset (any more): ``none`` is an error, ``earliest`` and
                ``latest`` begin at its start or its end.

        Raises:
            StatementError: there is no such topic or partition.
            OffsetOutOfRangeError: see ``reset``.
        """
        self._check_open()
        config = self._engine.topic(topic)
        if config is None:
            raise StatementError(f"there is no topic {topic}")
        if not isinstance(offset, int | None) or (partition is not None and partition not in range(config.partitions)):
            raise StatementError(f"the topic {topic} has the partitions 0 to {config.partitions - 1}, offsets are numbers")
        for number in range(config.partitions) if partition is None else [partition]:
            yield from raw_records(self._engine.log, topic, number, offset, reset)

    def create_topic(
        self, name: str, *, partitions: int = 1, replicas: int = 1, config: Mapping[str, object] | None = None
    ) -> None:
        """Make a topic of bytes.

        Args:
            config: by Kafka's names, ``{"retention.ms": 3_600_000}``; see docs/reference/log.md.

        Raises:
            StatementError: it exists, or cannot have so many partitions or such a config.
            StorageError: the disk failed.
        """
        self._check_open()
        with self._lock:
            topics.create(self._engine, name, partitions, replicas, config)

    def alter_topic(self, name: str, config: Mapping[str, object] | None = None, *, partitions: int | None = None) -> None:
        """Set a topic's config (None as a value: back to the default), or add partitions.

        Raises: StatementError, StorageError: see `topics.alter`; nothing has changed.
        """
        self._check_open()
        with self._lock:
            topics.alter(self._engine, name, config, partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic that no source and no query stands on.  Raises: StatementError, StorageError."""
        self._check_open()
        with self._lock:
            topics.delete(self._engine, name)

    def describe_topic(self, name: str) -> TopicDescription:
        """Its config, and what its partitions hold.  Raises: StatementError, StorageError."""
        self._check_open()
        return topics.describe(self._engine, name)

    def drain(self) -> None:
        """Process everything that is there, query by query in order of creation, on this thread.

        Raises:
            DataError: a query failed.
        """
        with use_clock(self._clock):
            self._check_open()
            self._engine.host.drain()

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Block until all running queries have taken in everything there is.

        Paused and failed queries are not waited for.

        Returns:
            whether it came to that before the time was up.
        """
        with use_clock(self._clock):
            self._check_open()
            return self._engine.host.wait_idle(timeout_s)

    # --- looking ---------------------------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """Sources, types and queries, as of now."""
        return self._engine.catalog

    @property
    def settings(self) -> Settings:
        return self._engine.settings

    @property
    def functions(self) -> Registry:
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
        """Topics that are not internal, sorted."""
        return sorted(name for name, config in self._engine.log.topics().items() if not config.internal)

    def function_names(self) -> list[str]:
        return self._engine.functions.names()

    def describe_state(self) -> str:
        """One line for a prompt: where it is, and how much there is."""
        catalog = self._engine.catalog
        streams = sum(s.kind == "STREAM" and s.name != PROCESSING_LOG for s in catalog.sources.values())
        tables = sum(s.kind == "TABLE" for s in catalog.sources.values())
        place = "in memory" if self.path is None else str(self.path)
        counts = [(streams, "stream"), (tables, "table"), (len(catalog.queries), "query")]
        words = [f"{n} {w if n == 1 else 'queries' if w == 'query' else w + 's'}" for n, w in counts]
        return f"{place}: {', '.join(words)}"

    def backup(self, directory: str | Path, progress: Callable[[int, int], None] | None = None) -> Backup:
        """Copy all commits so far into a new directory while writers go on; ``progress``: bytes copied, bytes in all.

        Raises:
            StatementError: the database is in memory.
            StorageError: the directory is not empty, a file is damaged, the disk is full or failing.
        """
        self._check_open()
        if self.path is None:
            raise StatementError("a database in memory has no files to back up")
        if isinstance(self._engine.log, LocalLog):
            self._engine.log.flush()
        return backup_directory(self.path, directory, progress)

    # --- life cycle ------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StatementError("the database is closed")

    def close(self) -> None:
        """Stop the queries after the steps in hand and close the log.  Nothing committed is lost."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self._clients.close()  # without the lock: a consumer's listener may be waiting for it
        finally:
            with self._lock:
                self._engine.host.close()
                self._engine.log.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<penstock.Database {'closed' if self._closed else self.describe_state()}>"


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
        """Records of its inputs that it has not taken in."""
        return self.progress().lag

    @property
    def statement(self) -> str:
        return self.database.catalog.queries[self.id].statement

    def progress(self) -> Progress:
        """What it has read, used, dropped and written, and how far it is.  Raises: KeyError, once it is terminated."""
        return self.database._engine.host.run(self.id).progress()

    def explain(self) -> str:
        """Its plan."""
        return plan_text(self.database._engine.planned[self.id].plan)

    @property
    def internal_topics(self) -> Mapping[str, DataSource]:
        """The topics to which it copies what it re-keys and what its joins keep (``penstock.internal.topics``), by name."""
        return copies(self.database._engine.planned[self.id].plan)

    def pause(self) -> Message:
        return self._control("PAUSE")

    def resume(self) -> Message:
        return self._control("RESUME")

    def terminate(self) -> Message:
        return self._control("TERMINATE")

    def _control(self, action: str) -> Message:
        (message,) = self.database.execute(f"{action} `{self.id}`;")
        assert isinstance(message, Message)
        return message


def _processing_log() -> DataSource:
    """The stream over the processing log, which is there in every database."""
    columns = tuple(Column(f.name, from_arrow(f.type)) for f in processing_log.VALUE_TYPE)
    return DataSource(
        PROCESSING_LOG,
        "STREAM",
        Schema(columns),
        processing_log.TOPIC,
        FormatInfo("NONE"),
        FormatInfo("ARROW"),
        read_only=True,
        statement="(made by the engine)",
    )
