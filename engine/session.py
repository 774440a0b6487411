"""Sessions: each executes the statements of one user, with its own properties and variables."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from ..arguments import checked
from ..errors import StatementError
from ..grammar import ast
from ..grammar.unparse import unparse
from ..paths import named_path
from ..runtime.clients.clients import Clients
from ..runtime.clients.records import RawRecord
from ..runtime.clock import now_ms, use_clock
from ..runtime.host import Token, names_to_wait_for
from ..runtime.subscriptions import Subscription
from ..runtime.topic_tail import TopicTail
from ..storage import interrupts
from ..storage.log.ownership import refused_write
from ..storage.log.protocol import OffsetReset, Transaction
from .analysis.with_clause import CREATE_SOURCE, WithClause
from .catalog import Catalog, DataSource, UnknownSourceError
from .clients import ClientMethods
from .file_following import first_lines, follow_file
from .handles import StreamHandle, TableHandle, handle
from .loading import as_arrow, create_from, read_file
from .parameters import Parameters, ScriptValues, with_values
from .results import Message, PrintResult, PushResult, Result, Submitted, Table
from .session_state import SessionState
from .settings import Settings
from .state import Engine
from .statements import duckdb_query, records, select
from .statements.answers import sources_named
from .statements.consume import partition_records
from .statements.context import Context
from .statements.dispatch import execute
from .statements.examine import Examiner
from .statements.follow_file import set_followed
from .statements.lookups import KeyLookup
from .statements.scripts import statements_of
from .statements.submit import Submission
from .texts import check_name, check_text, pull_query, push_query
from .types import quoted

__all__ = ["Session"]


@interrupts.doors()
@checked("create_stream", "create_table", "consume", "key_lookup", "last_sequence", "steps", "submit")
class Session(ClientMethods):
    """One user's view of an open database.  It has its own SET, DEFINE and ASSERT VALUES, and shares all else with other
    sessions.

    `Database.session` makes it.  Several threads may use it.  The statements of all sessions run one at a time; queries that
    only read run at the same time.  A session is cheap, so a server makes one for each connection or request.

    Attributes:
        user: the user given to `Database.session`; None without one.
    """

    def __init__(
        self,
        engine: Engine,
        clients: Clients,
        state: SessionState,
        lookup: Callable[[str], Any] = lambda name: None,
        use: object = None,
    ) -> None:
        """
        Args:
            lookup: finds data of the program by name.
            use: keeps the database open, see `penstock.engine.opened.Use`; None for the engine's own sessions.
        """
        self._engine = engine
        self._use = use
        self._lookup = lookup
        self._clients = clients
        self._state = state

    @property
    def settings(self) -> Settings:
        """The properties of this session."""
        return self._state.settings

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables that DEFINE has set in this session, by name in upper case."""
        return self._state.variables

    @property
    def user(self) -> str | None:
        return self._state.user

    # --- statements ------------------------------------------------------------------------

    def execute(self, text: str, parameters: Parameters | None = None, *, path: str | Path | None = None) -> list[Result]:
        """Execute a script, statement by statement, and return one result for each.

        Syntax errors are found before anything is executed.  If a statement fails, it has changed nothing; the statements
        before it stay executed.

        Args:
            parameters: values for ``?``, in the order of the whole text, or for ``$name``, by name.  Each becomes a constant
                in the text.
            path: the script's file.  Errors name it, and RUN SCRIPT looks for files in its directory (without it in the
                current directory).

        Raises:
            StatementError: a statement is wrong.  The error shows the place.
            StorageError: the disk failed.
        """
        self._check_open()
        with self._engine.lock:
            return list(self.steps(text, parameters, path=path))

    def steps(self, text: str, parameters: Parameters | None = None, *, path: str | Path | None = None) -> Iterator[Result]:
        """Like `execute`, but yields each result before the next statement is executed.

        Raises:
            StatementError, StorageError: see `execute`.
        """
        check_text(text)
        file = None if path is None else Path(path)
        try:
            values = ScriptValues(text, parameters)
        except StatementError as error:
            raise error.located(text, None if path is None else str(path)) from error.__cause__
        statements = statements_of(self._state, text, file)
        while True:
            interrupts.check()
            self._check_open()
            with interrupts.DEFERRED, self._engine.lock, use_clock(self._engine.clock):
                self._check_open()
                step = next(statements, None)
                if step is None:
                    return
                statement, script = step
                try:
                    statement = (
                        values.into(statement, self._engine.catalog.sources.get)
                        if script.path == file
                        else with_values(statement, None)
                    )
                    result = self._execute(statement, script=script.path)
                except StatementError as error:
                    raise script.locate(self._hinted(error, text), statement) from error.__cause__
            yield result

    def examiner(self) -> Examiner:
        """Make an object that finds errors of statements without running them, while they are typed."""
        return Examiner(self._engine, self._state)

    def _execute(
        self,
        statement: ast.Statement,
        alongside: Callable[[Transaction], None] | None = None,
        script: Path | None = None,
    ) -> Result:
        if isinstance(statement, ast.CreateFrom):
            return self._create_from_file(statement, alongside, script)
        result = execute(Context(self._engine, self._state, alongside), statement)
        if isinstance(result, PushResult):
            self._reads(result.subscription)
        elif isinstance(result, PrintResult):
            self._reads(result.tail)
        return result

    def _reads(self, reader: Subscription | TopicTail) -> None:
        """Close a reader together with the session.  Until then it keeps the database open."""
        self._state.reading.add(reader)
        reader.use = self._use

    def _create_from_file(
        self, statement: ast.CreateFrom, alongside: Callable[[Transaction], None] | None, script: Path | None
    ) -> Message:
        """CREATE .. FROM a file.  Relative paths start at the script's directory, if there is one.

        Raises:
            StatementError: see `loading.create_from` and `file_following.follow_file`.
        """
        if alongside is not None:
            raise StatementError(
                "CREATE .. FROM reads a file, which cannot be one commit with a script that is submitted",
                span=statement.span,
                suggestion="Write CREATE .. (columns), and load the file by `insert` or `penstock import`; or run it "
                "by `penstock -f`.",
            )
        WithClause(statement.properties, CREATE_SOURCE | {"KEY", "FOLLOW"})  # checked before a long file is read
        path = named_path(statement.path)
        if script is not None and not path.is_absolute():
            path = script.parent / path
        properties = {p.name.upper(): p.value for p in statement.properties}
        key = properties.pop("KEY", None)
        wanted = properties.pop("FOLLOW", None)
        follow = "false" if wanted is None else str(getattr(wanted, "value", wanted)).lower()
        if follow not in ("true", "false"):
            raise StatementError(f"FOLLOW must be true or false, not {follow}", span=statement.span)
        texts = {name: getattr(value, "value", value) for name, value in properties.items()}
        fresh = self._engine.topic(str(texts.get("KAFKA_TOPIC", statement.name))) is None
        made = create_from(
            self,
            statement.kind,
            statement.name,
            first_lines(path) if follow == "true" else read_file(path),
            key=None if key is None else [part.strip() for part in str(getattr(key, "value", key)).split(",")],
            properties=texts,
            if_not_exists=statement.if_not_exists,
        )
        context = Context(self._engine, self._state)
        if follow == "false":
            if wanted is not None and made.warning and self._engine.catalog.source(statement.name).followed is not None:
                text = f"{statement.name} no longer follows a file"
                made = Message(made.kind, text, made.statement, details={**made.details, "source": statement.name})
                set_followed(context, statement.name, None, made)
            return made
        own = Session(self._engine, self._clients, SessionState(copy.copy(self.settings)))
        done, followed = follow_file(self._engine, own, statement.name, path, made, fresh=fresh)
        if not self._engine.log.capabilities.shared:  # otherwise every process would follow it
            set_followed(context, statement.name, followed, done)
        self._engine.followers[statement.name].start()
        return done

    def create_stream(
        self, name: str, data: Any, *, key: str | Sequence[str] | None = None, **properties: object
    ) -> Message:
        """Create a stream from existing data: its columns, and a record for each of its rows.

        Args:
            name: as in SQL.
            data: a frame, an Arrow table, columns, rows with names, or the path of a file (Parquet, CSV, JSON lines, Arrow).
            key: the columns of the key.
            properties: of the WITH clause: ``partitions=4, timestamp="TS"``.

        Raises:
            StatementError: a source of this name exists, a column has no SQL type, or a row is refused.  Nothing is created.
        """
        return self._create_from_data("STREAM", name, data, key, properties)

    def create_table(self, name: str, data: Any, *, key: str | Sequence[str], **properties: object) -> Message:
        """Create a table from existing data, see `create_stream`; ``key`` is its primary key."""
        return self._create_from_data("TABLE", name, data, key, properties)

    def _create_from_data(
        self,
        kind: Literal["STREAM", "TABLE"],
        name: str,
        data: Any,
        key: str | Sequence[str] | None,
        properties: Mapping[str, object],
    ) -> Message:
        self._check_open()
        own = name[1:-1].replace("``", "`") if len(name) > 2 and name[0] == name[-1] == "`" else name.upper()
        source = named_path(data) if isinstance(data, (str, Path)) else data
        return create_from(self, kind, own, source, key=key, properties=properties)

    def submit(self, text: str, name: str, *, path: str | Path | None = None) -> Submitted:
        """Execute each statement of a script only once, however often the script is submitted under this name.

        A script that is submitted again may have new statements at its end.  Statements are compared in canonical form, so
        comments and layout may change.  SET, UNSET, DEFINE and UNDEFINE are executed every time, because they change only
        the session.  A statement, and the note that it was executed, are one commit, so no crash makes it run twice.

        Args:
            path: the script's file, see `execute`.

        Raises:
            StatementError: a statement is wrong, or a statement that was submitted before was changed or is missing.  The
                statements before it are submitted.
            StorageError: the disk failed.
        """
        self._check_open()
        with self._engine.lock, use_clock(self._engine.clock):
            self._check_open()
            check_text(text)
            submission = Submission(self._engine, name)
            known: list[str] = []
            results: list[Result] = []
            for statement, script in statements_of(self._state, text, None if path is None else Path(path)):
                try:
                    with_values(statement, None)
                    answer = submission.submit(statement, lambda also, s=statement: self._execute(s, also))  # type: ignore[misc]
                except StatementError as error:
                    raise script.locate(error, statement) from error.__cause__
                if answer is None:
                    known.append(unparse(statement))
                else:
                    results.append(answer)
            submission.finish()
            return Submitted(name, tuple(known), tuple(results))

    def sql(self, text: str, parameters: Parameters | None = None, *, after: Token | None = None) -> Table:
        """Answer a pull query: one SELECT over tables and streams, with any clauses of the dialect.

        All tables are read at the same moment between steps of their queries, so no step is visible only in part.  The rows
        of one insert into one partition are processed in one step, unless ``penstock.rows.per.step`` or the time limit of a
        step splits them.  Rows in several partitions, and several queries, may differ by a step; ``after`` waits until all
        have processed the write.

        Args:
            parameters: values for ``?``, in order, or for ``$name``, by name.
            after: the token of an `insert`: wait until every table that the query names has processed it.

        Raises:
            StatementError: the query is wrong, or ``after`` was not processed in time.
        """
        with use_clock(self._engine.clock):
            self._check_open()
            check_text(text)
            context = Context(self._engine, self._state)
            if (
                parameters is None
                and (known := self._engine.lookups.find(context.catalog, context.options, text)) is not None
            ):
                plan, key = known
                if after is not None:
                    self.wait(after, [quoted(plan.source.name)])
                return plan.answer(key)
            try:
                query = with_values(pull_query(text), parameters)
                if after is not None:
                    self.wait(after, [quoted(name) for name in sources_named(context, query)])
                return select.pull(context, query, text if parameters is None else None)
            except StatementError as error:
                raise self._hinted(error, text).located(text) from error.__cause__

    def lookup(self, text: str) -> tuple[DataSource, Callable[[], Table]] | None:
        """Find the quick way to answer a lookup by key.  It exists once `sql` has answered a similar query.

        Returns:
            the table, and a function that gives the answer without waiting for anything.  None if `sql` must be used: no
            similar query was answered before, or the query is not a lookup by key.
        """
        context = Context(self._engine, self._state)
        known = self._engine.lookups.find(context.catalog, context.options, text)
        return None if known is None else (known[0].source, partial(known[0].answer, known[1]))

    def duckdb(self, text: str, parameters: Parameters | None = None, *, after: Token | None = None) -> Table:
        """Answer one SELECT in DuckDB's own SQL, with its functions, types and meaning, over the same tables and streams.

        DuckDB is locked down: it cannot reach files, the network, extensions or settings.

        Args:
            parameters: values for ``?`` or ``$name``.
            after: see `sql`; this waits for all tables.

        Raises:
            StatementError: the query is wrong, asks for what is locked, or needs more memory than it may use.
        """
        with use_clock(self._engine.clock):
            self._check_open()
            check_text(text)
            if after is not None:
                self.wait(after)
            return duckdb_query.query(Context(self._engine, self._state), text, parameters, self._frame)

    def register(self, name: str, data: Any) -> None:
        """Give data of the program a name for `duckdb`: a frame, an Arrow table, columns or rows.

        ``session.insert("orders", session.duckdb("SELECT .. FROM frame"))`` loads the result of a SELECT over it.

        Args:
            name: compared without regard to case.  Nothing in the database may have this name.

        Raises:
            StatementError: the name is not valid, a stream or table has it, or the data has no columns.
        """
        self._check_open()
        check_name(name, "what data is registered under")
        if {name, name.upper()} & self.catalog.sources.keys():
            raise StatementError(
                f"{name} cannot be registered: a stream or table has this name", suggestion="Register it under another name."
            )
        self._state.frames[name.lower()] = as_arrow(data)

    def unregister(self, name: str) -> None:
        """Remove registered data.

        Raises:
            StatementError: no registered data has this name.
        """
        if not isinstance(name, str) or self._state.frames.pop(name.lower(), None) is None:
            raise StatementError(f"nothing is registered as {name}")

    def _hinted(self, error: StatementError, text: str) -> StatementError:
        """Add a hint to the error for an unknown stream or table, if a variable of the program with this name holds data."""
        if isinstance(error, UnknownSourceError) and error.span is not None:
            name = text[error.span.start : error.span.end].strip("`")
            if name and self._frame(name) is not None:
                error.suggestion = (
                    f"{name} is data of the program: db.duckdb(..) reads it, db.insert(stream, {name}) stores it, and "
                    f'db.create_stream("{name}", {name}) makes a stream of it.'
                )
        return error

    def _frame(self, name: str) -> Any:
        found = self._state.frames.get(name.lower())
        return self._lookup(name) if found is None else found

    def key_lookup(self, name: str) -> KeyLookup:
        """The lookup that `TableHandle` uses.

        Raises:
            StatementError: no query keeps the rows of the table.
        """
        return KeyLookup(self._engine, name, self._check_open)

    def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None:
        """Wait until tables have processed a write.

        Args:
            names: of tables and streams, or one name; none means all.  As in SQL, upper and lower case are the same without
                quotes.
            timeout_s: how long to wait at most, in seconds; None: for ever.

        Raises:
            StatementError: a source does not exist, the time is over, a query that must process the write is paused, or the
                token is not valid.
            DataError: a query that must process the write has failed.
        """
        self._check_open()
        token = Token.checked(token)
        catalog = self._engine.catalog
        wanted = [catalog.named(n).query_id for n in names_to_wait_for(names)] or list(catalog.queries)
        self._engine.host.wait_for(token, [q for q in wanted if q is not None and q in catalog.queries], timeout_s)

    def subscribe(
        self,
        text: str,
        parameters: Parameters | None = None,
        *,
        overflow: Literal["block", "drop"] = "block",
        resume: str | None = None,
    ) -> Subscription:
        """Subscribe to the rows of a push query.  Iterate the result, also with ``async for``.

        Args:
            parameters: see `execute`.
            overflow: what happens if the program reads too slowly: the query waits (``block``), or drops rows and says how
                many (``drop``).
            resume: a name for the reader.  Its position is kept in the database, and the next subscription of this name
                continues there.  A row counts as read when the next one is asked for, or the subscription is closed.  After
                a crash, the rows of the last half second may come again.

        Raises:
            StatementError: it is not a push query, or it is wrong; with ``resume``: it joins or aggregates, another reader
                has this name, or the name is not valid.
        """
        self._check_open()
        if resume is not None:
            check_name(resume, "the name of a reader")
        with self._engine.lock, use_clock(self._engine.clock):
            self._check_open()
            check_text(text)
            query = push_query(text)
            try:
                query = with_values(query, parameters)
                subscription = select.push(Context(self._engine, self._state), query, overflow, resume).subscription
            except StatementError as error:
                raise self._hinted(error, text).located(text) from error.__cause__
            self._reads(subscription)
            return subscription

    @property
    def catalog(self) -> Catalog:
        """The sources, types and queries at this moment."""
        return self._engine.catalog

    def stream(self, name: str) -> StreamHandle:
        """A stream as an object: insert, subscribe, scan, filter, schema.

        Args:
            name: as in SQL: without quotes, upper and lower case are the same.

        Raises:
            StatementError: there is no such stream.
        """
        self._check_open()
        found = handle(self, name, "STREAM")
        assert isinstance(found, StreamHandle)
        return found

    def table(self, name: str) -> TableHandle:
        """A table as an object: get, scan, filter, insert, subscribe, schema.

        Args:
            name: as in SQL: without quotes, upper and lower case are the same.

        Raises:
            StatementError: there is no such table.
        """
        self._check_open()
        found = handle(self, name, "TABLE")
        assert isinstance(found, TableHandle)
        return found

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
            rows: a list of dicts, tuples or objects, or one of them.  Or columns: a dict of them, an Arrow table, a pandas
                or polars frame, or any object with ``__arrow_c_stream__``.  Columns are found by name.  A column ``rowtime``
                (milliseconds or timestamps) gives the timestamps.  A value is stored without loss, or refused: see
                docs/reference/python.md.
            durable: True: return when the rows are on disk.  False: return as soon as they are visible.  None: as the
                property ``penstock.durability`` says.
            producer, sequence: a name for the writer, and a number that rises with each of its inserts.  An insert whose
                number is not above `last_sequence` is a retry, and writes nothing.  So after a crash, a program can repeat
                inserts whose result it does not know.

        Returns:
            a token for ``sql(.., after=token)``.

        Raises:
            StatementError: the source does not exist, or a row does not fit it.  Nothing was written.
        """
        if not isinstance(source, str):
            raise StatementError(f"the name of a stream or table must be text, not {type(source).__name__}")
        return self.insert_many({source: rows}, durable=durable, producer=producer, sequence=sequence)

    def insert_many(
        self,
        rows: Mapping[str, Any],
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """Append rows to several streams and tables in one commit: all of them, or none.

        Args:
            rows: for each source its rows, as for `insert`.
            durable, producer, sequence: as for `insert`.

        Raises:
            StatementError: as for `insert`.  Nothing was written.
        """
        with use_clock(self._engine.clock):
            self._check_open()
            if not isinstance(rows, Mapping):
                raise StatementError(f"the rows of several sources are a mapping by their names, not {type(rows).__name__}")
            return records.insert(
                self._engine,
                rows,
                durable=self._durable(durable),
                producer=producer,
                sequence=sequence,
                headers=self._state.headers,
            )

    def _durable(self, wanted: bool | None) -> bool:
        return self.settings.options.durable if wanted is None else wanted

    def last_sequence(self, producer: str) -> int | None:
        """The sequence number of a producer's last commit; None if it has never written."""
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
        """Append one record unchanged.

        Args:
            value: bytes, or a dict for a topic of typed values; None is a tombstone.
            timestamp: in milliseconds since 1970-01-01 UTC; by default the current time.
            partition: by default the partition of the key.
            producer, sequence: as for `insert`.

        Raises:
            StatementError: the topic does not exist, or cannot hold the value.
        """
        with use_clock(self._engine.clock):
            self._check_open()
            check_name(topic, "the name of a topic")
            config = self._engine.topic(topic)
            if config is None:
                raise StatementError(f"there is no topic {topic}", suggestion="SHOW TOPICS; lists them.")
            refused = refused_write(topic, config) or self._engine.catalog.refused_write(topic)
            if refused is not None:
                raise StatementError(refused)
            return records.produce(
                self._engine,
                topic,
                config,
                (key, value, now_ms() if timestamp is None else timestamp, headers),
                partition=partition,
                durable=self._durable(durable),
                producer=producer,
                sequence=sequence,
            )

    def consume(
        self, topic: str, *, offset: int | None = None, partition: int | None = None, reset: OffsetReset = "none"
    ) -> Iterator[RawRecord]:
        """Read the records that a topic has at this moment, partition by partition.

        Args:
            offset: where to begin in each partition; None: at its first record.
            reset: what to do if a partition does not have this offset, or no longer: ``none`` raises an error, ``earliest``
                and ``latest`` begin at its start or its end.

        Raises:
            StatementError: the topic or partition does not exist.
            OffsetOutOfRangeError: see ``reset``.
        """
        self._check_open()
        config = self._engine.topic(topic)
        if config is None:
            raise StatementError(f"there is no topic {topic}", suggestion="SHOW TOPICS; lists them.")
        if not isinstance(offset, int | None) or (partition is not None and partition not in range(config.partitions)):
            raise StatementError(
                f"the topic {topic} has the partitions 0 to {config.partitions - 1}, and an offset is a whole number or None"
            )
        for number in range(config.partitions) if partition is None else [partition]:
            yield from partition_records(self._engine.log, topic, number, offset, reset)

    # --- life cycle ------------------------------------------------------------------------

    def _check_open(self) -> None:
        self._engine.check_open()
        if self._state.closed:
            raise StatementError("the session is closed")

    def close(self) -> None:
        """Close the session, and stop its push queries and PRINTs.  Its properties and variables are gone; the database
        stays open.
        """
        self._state.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        who = "" if self.user is None else f" of {self.user}"
        return f"<penstock.Session{who}{' closed' if self._state.closed or self._engine.closed else ''}>"
