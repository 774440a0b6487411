"""The database of a server, used over HTTP with the methods of `Database`.

The client splits a script into statements, so that SET, DEFINE and RUN SCRIPT (which reads a file of this machine) work as
for a local database.  Each request carries its session's settings.  Rows are sent as Arrow in both directions.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast
from urllib.parse import quote

import msgspec
import pyarrow as pa

from ..arguments import check_arguments
from ..engine.catalog import Catalog, DataSource
from ..engine.flow import FlowGraph
from ..engine.flow_picture import Flow
from ..engine.handles import StreamHandle, TableHandle, handle
from ..engine.intake.rows import columns_of
from ..engine.loading import create_from
from ..engine.parameters import Parameters, ScriptValues, parameter_names, with_values
from ..engine.results import Message, PushResult, Result, Table
from ..engine.settings import Settings, canonical_name
from ..engine.statements.scripts import Script
from ..engine.texts import check_text, pull_query, push_query
from ..errors import PenstockError, StatementError, UnsupportedError
from ..grammar import ast
from ..grammar.lexer import Lines, with_places
from ..grammar.parse import ParsedStatement, parse
from ..grammar.script_files import read_script
from ..grammar.substitute import substitute
from ..grammar.unparse import unparse
from ..paths import named_path
from ..runtime.clock import now_ms
from ..runtime.host import Token, names_to_wait_for
from ..runtime.subscriptions import Subscription
from ..storage.values.arrow_streams import to_arrow_stream
from .http import ARROW
from .remote_connection import RemoteConnection
from .remote_examiner import RemoteExaminer
from .remote_log import RemoteLog, RemoteLookup, bound, here_only
from .remote_results import RemotePrint, RemoteQuery
from .remote_rows import arrow_reader, schema_of, subscription_of, table_of
from .tokens import read_token, write_token
from .wire import catalog_of, error_of, graph_of, result_of

_TOKEN = "request.ksql.query.pull.consistency.token.vector"


@here_only
class RemoteDatabase(RemoteLog):
    """A connection to a server.  Thread-safe; close it, or use it as a context manager.

    Args:
        url: ``http://host:8088`` or ``https://..``; it may contain ``user:password@``.
        auth: user and password.
        token: a Bearer token, in place of user and password.
        verify: how to check the server's certificate: False accepts every certificate, a path names a file of certificate
            authorities (PEM).
        settings: the session's initial properties.
        timeout_s: the longest time for a request in seconds, except for push queries; None: no limit.

    Raises:
        ClientError: `httpx` is not installed, or the server cannot be reached.
        StatementError: an argument is wrong, or the server refuses the login.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        token: str | None = None,
        verify: bool | str = True,
        settings: Mapping[str, object] | None = None,
        timeout_s: float | None = 60.0,
    ) -> None:
        check_arguments(RemoteDatabase.__init__, locals())
        self._server = RemoteConnection(url, auth, token, verify, timeout_s)
        self.url = self._server.url
        self.path: Path | None = None
        self._guard = threading.RLock()
        self._settings = Settings()
        self._properties: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self._known: Catalog | None = None
        """The catalog that was fetched last; None after a statement that may have changed it."""
        self._given = dict(settings or {})
        for name, value in self._given.items():
            self._set(name, value)
        self._owned = True
        """Whether closing this object closes the connections."""
        self._server.get("/info", lambda facts: facts["KsqlServerInfo"])

    def session(
        self,
        properties: Mapping[str, object] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> RemoteDatabase:
        """Make a session with its own properties and variables, which uses the same connections; see `Database.session`.

        Args:
            user: ignored, since the server knows who has logged in.

        Raises:
            UnsupportedError: ``headers`` are given; a server takes them from each request instead.
        """
        if headers:
            raise UnsupportedError("a session over HTTP has no headers for records: send traceparent with requests")
        check_arguments(RemoteDatabase.session, locals())
        made = copy.copy(self)
        made._owned = False
        made._guard = threading.RLock()
        made._settings, made._properties, made._variables = Settings(), {}, {}
        for name, value in {**self._given, **(properties or {})}.items():
            made._set(name, value)
        for name, text in (variables or {}).items():
            made._variables[name.upper()] = text
        return made

    # --- statements ------------------------------------------------------------------------

    def execute(self, text: str, parameters: Parameters | None = None, *, path: str | Path | None = None) -> list[Result]:
        """See `Database.execute`.  RUN SCRIPT reads files of this machine."""
        return list(self.steps(text, parameters, path=path))

    def steps(self, text: str, parameters: Parameters | None = None, *, path: str | Path | None = None) -> Iterator[Result]:
        """See `Database.steps`."""
        check_text(text)
        try:
            values = ScriptValues(text, parameters)
        except StatementError as error:
            raise error.located(text) from error.__cause__
        if "${" not in text:
            yield from self._all(text, path, values)
            return
        for piece in with_places(text):
            yield from self._all(substitute(piece, self._variables), path, values)

    def _all(self, text: str, path: str | Path | None, values: ScriptValues) -> Iterator[Result]:
        script = Script(text, None if path is None else Path(path))
        for parsed in parse(text):
            try:
                yield from self._one(parsed.statement, parsed.text, path, values)
            except StatementError as error:
                raise _placed(error, parsed, script) from error.__cause__

    def _one(self, statement: ast.Statement, text: str, path: str | Path | None, values: ScriptValues) -> Iterator[Result]:
        """Yield the result of a statement; of RUN SCRIPT, the results of the script's statements."""
        sent_otherwise = bool(parameter_names(statement))
        if sent_otherwise:
            try:
                statement = values.into(statement, self._known_source)
            except StatementError as error:
                raise error.located(text) from error.__cause__
            text = unparse(statement)
        if not isinstance(statement, ast.RunScript):
            try:
                result = self._execute(statement, text)
            except StatementError as error:
                raise (_as_written(error) if sent_otherwise else error) from error.__cause__
            yield result
            return
        script = named_path(statement.path)
        if path is not None and not script.is_absolute():
            script = Path(path).parent / script
        try:
            content = read_script(script)
        except StatementError as error:
            raise StatementError(error.message, span=statement.span) from error
        yield from self.steps(content, path=script)

    def _execute(self, statement: ast.Statement, text: str) -> Result:
        match statement:
            case ast.Query(emit=None) | ast.TableQuery():
                return self.sql(text)
            case ast.Query():
                return self._push(text, statement, "block")
            case ast.Print(limit=limit):
                answer = self._server.opened("/query", self._request(text))
                return cast(Result, RemotePrint(answer, limit, self._server.reached))
            case ast.SetProperty(name=name, value=value):
                self._set(name, value)
            case ast.UnsetProperty(name=name):
                self._settings.unset(name)
                with self._guard:
                    self._properties.pop(canonical_name(name), None)
        result = self._server.post("/v1/execute", self._request(text + ";"), lambda found: result_of(*found))
        with self._guard:
            if isinstance(statement, ast.Define):
                self._variables[statement.name.upper()] = statement.value
            elif isinstance(statement, ast.Undefine):
                self._variables.pop(statement.name.upper(), None)
            elif isinstance(result, Message) and not isinstance(statement, ast.InsertValues | ast.Delete):
                self._known = None
        return result

    def _set(self, name: str, value: object) -> None:
        self._settings.set(name, value)
        with self._guard:
            self._properties[canonical_name(name)] = self._settings[canonical_name(name)]

    def sql(self, text: str, parameters: Parameters | None = None, *, after: Token | None = None) -> Table:
        """See `Database.sql`."""
        check_text(text)
        sent = bound(text, parameters)
        if "EMIT" in sent.upper() or not sent.isascii():
            pull_query(sent)  # a push query has no end, and not every text can be sent
        request = self._request(sent)
        if after is not None:
            request["requestProperties"] = {_TOKEN: write_token(after)}
        try:
            answer = self._server.send("POST", "/query", json=request, headers={"accept": ARROW})
        except StatementError as error:
            if error.span is None:
                pull_query(sent)  # what is no SELECT is told as in process
            if parameters is None:
                raise
            raise Script(text, None).locate(_as_written(error), pull_query(text)) from error.__cause__
        if not answer.headers.get("content-type", "").startswith(ARROW):
            raise StatementError("sql() takes a query that is answered once", suggestion="Use subscribe() or execute().")
        with self._server.understood("/query"):
            return table_of(answer.content)

    def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None:
        """See `Database.wait`."""
        told = {"token": write_token(Token.checked(token)), "names": names_to_wait_for(names), "timeout_s": timeout_s or 0}
        self._server.post("/v1/wait", told, dict)

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """See `Database.wait_idle`.  The server waits no longer than its own limit for requests (``request_timeout_s``)."""
        body = {} if timeout_s is None else {"timeout_s": timeout_s}
        return self._server.post("/v1/wait", body, lambda found: msgspec.convert(found["idle"], bool))

    def subscribe(
        self,
        text: str,
        parameters: Parameters | None = None,
        *,
        overflow: Literal["block", "drop"] = "block",
        resume: str | None = None,
    ) -> Subscription:
        """See `Database.subscribe`.

        Raises:
            UnsupportedError: ``resume`` is given; the server cannot know which of the rows that it sent were processed.
        """
        if resume is not None:
            raise UnsupportedError(
                "a subscription over HTTP cannot go on under a name: keep the key of the last row instead"
            )
        check_text(text)
        query = push_query(text)
        try:
            query = with_values(query, parameters)
        except StatementError as error:
            raise error.located(text) from error.__cause__
        if parameters is not None:
            text = unparse(query)
        return self._push(text, query, overflow).subscription

    def _push(self, text: str, query: ast.Query, overflow: Literal["block", "drop"]) -> PushResult:
        answer = self._server.opened("/query", self._request(text), ARROW)
        try:
            with self._server.understood("/query"):
                reader = arrow_reader(answer.iter_raw())
                schema, metadata = schema_of(reader.schema)
                query_id = metadata[b"penstock.query"].decode()
        except BaseException:
            answer.close()
            raise
        names = tuple(c.name for c in schema)
        limit = query.limit if isinstance(query.limit, int) else None
        return PushResult(subscription_of(answer, query_id, names, limit, overflow, reader), schema, query_id)

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
        """See `Database.insert`.  Rows without a ROWTIME get this machine's time."""
        return self.insert_many({source: rows}, durable=durable, producer=producer, sequence=sequence)

    def insert_many(
        self,
        rows: Mapping[str, Any],
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """See `Database.insert_many`."""
        names, streams = [], []
        for name, given in rows.items():
            source = self._source(name)
            arrays, times = columns_of(given, source, now_ms())
            streams.append(to_arrow_stream(pa.table({**arrays, "ROWTIME": pa.array(times)})))
            names.append("`" + source.name.replace("`", "``") + "`")
        if not names:
            return Token()
        parameters = {"durable": {True: "true", False: "false", None: None}[durable], "producer": producer}
        chosen = {k: v for k, v in parameters.items() if v is not None}
        if sequence is not None:
            chosen["sequence"] = str(sequence)
        headers = {"penstock-streams": ",".join(quote(name, safe="") for name in names), "content-type": ARROW}
        answer = self._server.send("POST", "/v1/arrow", params=chosen, content=b"".join(streams), headers=headers)
        with self._server.understood("/v1/arrow"):
            return read_token(answer.json()["token"])

    def _source(self, name: str) -> DataSource:
        """Find a source; fetch the catalog again if the known one lacks it.  Raises: StatementError, if there is none."""
        with self._guard:
            known = self._known
        if known is not None:
            with contextlib.suppress(StatementError):
                return known.named(name)
        return self.catalog.named(name)

    def _known_source(self, name: str) -> DataSource | None:
        """Find a source; None if there is none: the server's answer will say so."""
        try:
            return self._source("`" + name.replace("`", "``") + "`")
        except StatementError:
            return None

    def create_stream(
        self, name: str, data: Any, *, key: str | Sequence[str] | None = None, **properties: object
    ) -> Message:
        """See `Database.create_stream`.  A path names a file of this machine."""
        return self._created("STREAM", name, data, key, properties)

    def create_table(self, name: str, data: Any, *, key: str | Sequence[str], **properties: object) -> Message:
        """See `Database.create_table`.  A path names a file of this machine."""
        return self._created("TABLE", name, data, key, properties)

    def _created(
        self, kind: Literal["STREAM", "TABLE"], name: str, data: Any, key: Any, properties: Mapping[str, object]
    ) -> Message:
        own = name[1:-1].replace("``", "`") if len(name) > 2 and name[0] == name[-1] == "`" else name.upper()
        source = named_path(data) if isinstance(data, (str, Path)) else data
        return create_from(self, kind, own, source, key=key, properties=properties)

    # --- looking ---------------------------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """The present sources, types and queries; each access is a request."""
        found = self._server.get("/v1/catalog", catalog_of)
        with self._guard:
            self._known = found
        return found

    @property
    def settings(self) -> Settings:
        """The properties that this session has set; for the others, the defaults."""
        return self._settings

    @property
    def variables(self) -> Mapping[str, str]:
        return dict(self._variables)

    @property
    def user(self) -> str | None:
        """None: the server knows who has logged in."""
        return None

    @property
    def queries(self) -> Mapping[str, RemoteQuery]:
        """The persistent queries by id."""
        return {query_id: RemoteQuery(self, query_id) for query_id in self.catalog.queries}

    def topic_names(self) -> list[str]:
        return self._server.get("/v1/catalog", lambda found: msgspec.convert(found["topics"], list[str]))

    def function_names(self) -> list[str]:
        return self._server.get("/v1/catalog", lambda found: msgspec.convert(found["functions"], list[str]))

    def graph(self) -> FlowGraph:
        """See `Database.graph`.  It has only what the account may read."""
        return self._server.get("/v1/graph", graph_of)

    def describe_state(self) -> str:
        """Describe the database in one line, for a prompt."""
        return self._server.get("/v1/catalog", lambda found: f"{self.url}: {found['state']}")

    def flow(self) -> Flow:
        """See `Database.flow`."""
        return self._server.get("/v1/graph", lambda found: graph_of(found).picture())

    def examiner(self) -> RemoteExaminer:
        """See `Database.examiner`."""
        return RemoteExaminer(self._faults)

    def _faults(self, statements: Sequence[str]) -> list[PenstockError]:
        asked = {**self._request(""), "statements": list(statements)}
        return self._server.post("/v1/check", asked, lambda found: [error_of({"parts": p}) for p in found["faults"]])

    def stream(self, name: str) -> StreamHandle:
        """See `Database.stream`."""
        found = handle(self, name, "STREAM")
        assert isinstance(found, StreamHandle)
        return found

    def table(self, name: str) -> TableHandle:
        """See `Database.table`.  Each lookup is a request."""
        found = handle(self, name, "TABLE")
        assert isinstance(found, TableHandle)
        return found

    def key_lookup(self, name: str) -> RemoteLookup:
        """See `Session.key_lookup`."""
        return RemoteLookup(self, name)

    # --- requests --------------------------------------------------------------------------

    def _request(self, text: str) -> dict[str, Any]:
        with self._guard:
            return {
                "ksql": text,
                "streamsProperties": dict(self._properties),
                "sessionVariables": dict(self._variables),
            }

    # --- life cycle ------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections; the server and its queries continue."""
        if self._owned:
            self._server.close()

    def __enter__(self) -> RemoteDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<penstock.RemoteDatabase {self.url}>"


def _as_written(error: StatementError) -> StatementError:
    """Remove the place from an error.  It is one in the text that was sent, with the parameters filled in."""
    error.text = error.span = None
    return error


def _placed(error: StatementError, parsed: ParsedStatement, script: Script) -> StatementError:
    """Give the error of one statement its place in the script, as a local database does."""
    statement = parsed.statement
    if error.text is not None and error.text.removesuffix(";") == parsed.text and error.span is not None:
        start = statement.span.start
        error.span = Lines(script.text).span(start + error.span.start, start + error.span.end)
        error.text = None
        return error.located(script.text, None if script.path is None else str(script.path))
    return script.locate(error, statement)


__all__ = ["RemoteDatabase"]
