"""A database of another process, over HTTP, with the methods of `Database`.

Statements are split here, so that SET, DEFINE and RUN SCRIPT (of a file of this machine) work as for a local database; each
request carries the settings of its session.  Rows travel as Arrow in both directions.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote, urlsplit

import pyarrow as pa

from .. import __version__
from ..engine.catalog import Catalog, DataSource
from ..engine.flow import FlowGraph
from ..engine.flow_picture import Flow
from ..engine.handles import StreamHandle, TableHandle, handle
from ..engine.intake.rows import columns_of
from ..engine.loading import create_from, read_file
from ..engine.parameters import Parameters, ScriptValues, parameter_names, with_values
from ..engine.results import Message, PushResult, Result, Table
from ..engine.schema import Schema
from ..engine.settings import Settings, canonical_name
from ..engine.statements.scripts import Script
from ..engine.texts import check_text, pull_query, push_query
from ..errors import ClientError, StatementError, UnsupportedError
from ..grammar import ast
from ..grammar.lexer import Lines, with_places
from ..grammar.parse import ParsedStatement, parse
from ..grammar.script_files import read_script
from ..grammar.substitute import substitute
from ..grammar.unparse import unparse
from ..paths import named_path
from ..runtime.clock import now_ms
from ..runtime.host import Token, names_to_wait_for
from ..runtime.metrics import Progress
from ..runtime.subscriptions import Subscription
from ..storage.values.arrow_streams import from_arrow_stream, to_arrow_stream
from .http import ARROW
from .remote_examiner import RemoteExaminer
from .remote_log import RemoteLog, RemoteLookup, bound, here_only
from .remote_rows import arrow_reader, subscription_of
from .rowtexts import SCHEMA_KEY
from .tokens import read_token, write_token
from .wire import CLIENT_HEADER, catalog_of, column_of, error_of, graph_of, progress_of, result_of

if TYPE_CHECKING:
    import httpx

_TOKEN = "request.ksql.query.pull.consistency.token.vector"
_CONNECTIONS_MAX = 1_000
"""Open connections at most; each push query keeps one."""


@here_only
class RemoteDatabase(RemoteLog):
    """A connection to a server.  Thread-safe; close it, or use it as a context manager.

    Args:
        url: ``http://host:8088`` or ``https://..``; it may contain ``user:password@``.
        auth: user and password.
        token: a Bearer token, instead of them.
        verify: how to check the server's certificate: False trusts any, a path names a file of authorities.
        settings: the session's initial properties.
        timeout_s: the longest time for a request, except push queries.

    Raises:
        ClientError: `httpx` is not installed, or the server cannot be reached.
        StatementError: the server refuses the login.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        token: str | None = None,
        verify: bool | str = True,
        settings: Mapping[str, object] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ClientError("connecting to a server needs httpx: pip install 'penstock[client]'") from error
        parts = urlsplit(url)
        if auth is None and parts.username is not None:
            auth = (parts.username, parts.password or "")
        headers = {CLIENT_HEADER: __version__}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self.path: Path | None = None
        self._failures = httpx.HTTPError
        self._http: httpx.Client = httpx.Client(
            base_url=self.url,
            auth=auth,
            headers=headers,
            verify=verify,
            timeout=httpx.Timeout(timeout_s, pool=None),
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=20),
        )
        self._guard = threading.RLock()
        self._settings = Settings()
        self._properties: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self._known: Catalog | None = None
        """The catalog as last fetched; None after a statement has changed it."""
        self._given = dict(settings or {})
        for name, value in self._given.items():
            self._set(name, value)
        self._owned = True
        """Whether closing this object closes the connections."""
        self._get("/info")

    def session(
        self,
        properties: Mapping[str, object] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> RemoteDatabase:
        """A session with its own SET and DEFINE over the same connections; see `Database.session`.

        Args:
            user: ignored: the server knows who has logged in.

        Raises:
            UnsupportedError: ``headers``; a server gets them with each request.
        """
        if headers:
            raise UnsupportedError("a session over HTTP has no headers for records: send traceparent with requests")
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
        """See `Database.execute`; RUN SCRIPT reads files of this machine."""
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
        """The result of a statement, or the results of the script that it runs, a file of this machine."""
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
                return cast(Result, RemotePrint(self._opened("/query", text, None), limit))
            case ast.SetProperty(name=name, value=value):
                self._set(name, value)
            case ast.UnsetProperty(name=name):
                self._settings.unset(name)
                with self._guard:
                    self._properties.pop(canonical_name(name), None)
        (found,) = self._post("/v1/execute", self._request(text + ";"))
        result = result_of(found)
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
            answer = self._send("POST", "/query", json=request, headers={"accept": ARROW})
        except StatementError as error:
            if error.span is None:
                pull_query(sent)  # what is no SELECT is told as in process
            if parameters is None:
                raise
            raise Script(text, None).locate(_as_written(error), pull_query(text)) from error.__cause__
        if not answer.headers.get("content-type", "").startswith(ARROW):
            raise StatementError("sql() takes a query that is answered once", suggestion="Use subscribe() or execute().")
        table = from_arrow_stream(answer.content)
        metadata = table.schema.metadata
        schema = Schema(tuple(column_of(field) for field in json.loads(metadata[SCHEMA_KEY])))
        final = metadata.get(b"penstock.final_message")
        return Table(
            table.replace_schema_metadata(None),
            schema,
            limit_reached=metadata.get(b"penstock.limit_reached") == b"true",
            final_message=None if final is None else final.decode(),
            rows_left_out=int(metadata.get(b"penstock.rows_left_out", 0)),
        )

    def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None:
        """See `Database.wait`."""
        told = {"token": write_token(Token.checked(token)), "names": names_to_wait_for(names), "timeout_s": timeout_s or 0}
        self._post("/v1/wait", told)

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """See `Database.wait_idle`.  The server waits at most as long as its time limit for requests."""
        body = {} if timeout_s is None else {"timeout_s": timeout_s}
        return bool(self._post("/v1/wait", body)["idle"])

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
            UnsupportedError: ``resume``: the server cannot know which of the sent rows were processed.
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
        answer = self._opened("/query", text, ARROW)
        try:
            reader = arrow_reader(answer.iter_raw())
        except self._failures as error:
            raise self._unreachable(error) from error
        metadata = reader.schema.metadata
        schema = Schema(tuple(column_of(field) for field in json.loads(metadata[SCHEMA_KEY])))
        query_id = metadata[b"penstock.query"].decode()
        names = tuple(c.name for c in schema)
        limit = query.limit if isinstance(query.limit, int) else None
        return PushResult(subscription_of(answer, query_id, names, limit, overflow, reader), schema, query_id)

    def _opened(self, path: str, text: str, accept: str | None) -> httpx.Response:
        """Open an answer whose body is read as it comes.  Raises: PenstockError."""
        headers = {} if accept is None else {"accept": accept}
        self._check_open()
        request = self._http.build_request("POST", path, json=self._request(text), headers=headers, timeout=None)
        try:
            answer = self._http.send(request, stream=True)
            if answer.status_code != 200:
                answer.read()
                raise error_of(answer.json())
        except self._failures as error:
            raise self._unreachable(error) from error
        return answer

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
        answer = self._send("POST", "/v1/arrow", params=chosen, content=b"".join(streams), headers=headers)
        return read_token(answer.json()["token"])

    def _source(self, name: str) -> DataSource:
        """A source of the known catalog; the catalog is fetched again if it is not there.  Raises: StatementError."""
        with self._guard:
            known = self._known
        if known is not None:
            with contextlib.suppress(StatementError):
                return known.named(name)
        return self.catalog.named(name)

    def _known_source(self, name: str) -> DataSource | None:
        """A source by its own name; None if there is none, which the server will say."""
        try:
            return self._source("`" + name.replace("`", "``") + "`")
        except StatementError:
            return None

    def create_stream(
        self, name: str, data: Any, *, key: str | Sequence[str] | None = None, **properties: object
    ) -> Message:
        """See `Database.create_stream`; files are of this machine."""
        return self._created("STREAM", name, data, key, properties)

    def create_table(self, name: str, data: Any, *, key: str | Sequence[str], **properties: object) -> Message:
        """See `Database.create_table`; files are of this machine."""
        return self._created("TABLE", name, data, key, properties)

    def _created(
        self, kind: Literal["STREAM", "TABLE"], name: str, data: Any, key: Any, properties: Mapping[str, object]
    ) -> Message:
        own = name[1:-1].replace("``", "`") if len(name) > 2 and name[0] == name[-1] == "`" else name.upper()
        source = read_file(named_path(data)) if isinstance(data, (str, Path)) else data
        return create_from(self, kind, own, source, key=key, properties=properties)

    # --- looking ---------------------------------------------------------------------------

    @property
    def catalog(self) -> Catalog:
        """The present sources, types and queries; each access is a request."""
        found = catalog_of(self._get("/v1/catalog"))
        with self._guard:
            self._known = found
        return found

    @property
    def settings(self) -> Settings:
        """The properties that this session has set, over the defaults."""
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
        return list(self._get("/v1/catalog")["topics"])

    def function_names(self) -> list[str]:
        return list(self._get("/v1/catalog")["functions"])

    def graph(self) -> FlowGraph:
        """See `Database.graph`; only what the account may read."""
        return graph_of(self._get("/v1/graph"))

    def describe_state(self) -> str:
        """One line about the database, for a prompt."""
        return f"{self.url}: {self._get('/v1/catalog')['state']}"

    def flow(self) -> Flow:
        """See `Database.flow`."""
        return self.graph().picture()

    def examiner(self) -> RemoteExaminer:
        """See `Database.examiner`."""
        return RemoteExaminer(self._faults)

    def _faults(self, statements: Sequence[str]) -> list[dict[str, Any]]:
        found = self._post("/v1/check", {**self._request(""), "statements": list(statements)})
        return cast(list[dict[str, Any]], found["faults"])

    def stream(self, name: str) -> StreamHandle:
        """See `Database.stream`."""
        found = handle(self, name, "STREAM")
        assert isinstance(found, StreamHandle)
        return found

    def table(self, name: str) -> TableHandle:
        """See `Database.table`; each lookup is a request."""
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

    def _get(self, path: str) -> Any:
        return self._send("GET", path).json()

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._send("POST", path, json=body).json()

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send a request.  Raises: PenstockError: the server's error, it cannot be reached, or `close` was called."""
        self._check_open()
        try:
            answer = self._http.request(method, path, **how)
        except (self._failures, RuntimeError) as error:
            raise self._unreachable(error) from error
        if answer.status_code >= 400:
            try:
                entity = answer.json()
            except ValueError as error:
                raise ClientError(f"{self.url} answered {answer.status_code}") from error
            raise error_of(entity)
        return answer

    def _check_open(self) -> None:
        """Raises: StatementError: `close` was called."""
        if self._http.is_closed:
            raise StatementError("the database is closed")

    def _unreachable(self, error: Exception) -> ClientError:
        return ClientError(f"the server {self.url} cannot be reached: {error or type(error).__name__}")

    # --- life cycle ------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections; the server and its queries continue."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> RemoteDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<penstock.RemoteDatabase {self.url}>"


def _as_written(error: StatementError) -> StatementError:
    """The error without its place, which is not the caller's: the statement was sent with its parameters filled in."""
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


class RemotePrint:
    """The output of PRINT, as lines for a person; see `PrintResult`.

    Attributes:
        limited, limit_reached: whether there is a LIMIT, and whether it has been reached.
    """

    def __init__(self, answer: httpx.Response, limit: int | None) -> None:
        self._answer = answer
        self._limit = limit
        self.limited = limit is not None
        self.limit_reached = False

    @property
    def tail(self) -> RemotePrint:
        return self

    def __iter__(self) -> Iterator[str]:
        """The records as lines: over HTTP they come as text."""
        return (line for line in self.lines() if line.startswith("rowtime: "))

    def __repr__(self) -> str:
        return "<PRINT: iterate it for its records>"

    def lines(self) -> Iterator[str]:
        """Yield the lines as records come."""
        records = 0
        for line in self._answer.iter_lines():
            records += line.startswith("rowtime: ")
            self.limit_reached = records == self._limit
            yield line

    def close(self) -> None:
        """Stop the output."""
        self._answer.close()


class RemoteQuery:
    """A persistent query on a server; see `QueryHandle`."""

    def __init__(self, database: RemoteDatabase, id: str) -> None:
        self.database = database
        self.id = id

    @property
    def state(self) -> str:
        return self.progress().state

    @property
    def lag(self) -> int:
        return self.progress().lag

    @property
    def statement(self) -> str:
        return self.database.catalog.queries[self.id].statement

    def progress(self) -> Progress:
        """See `QueryHandle.progress`."""
        return progress_of(self._facts()["progress"])

    def explain(self) -> str:
        """The query's plan."""
        return str(self._facts()["plan"])

    def _facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.database._get(f"/v1/queries/{quote(self.id, safe='')}")
        return found

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


__all__ = ["RemoteDatabase", "RemotePrint", "RemoteQuery"]
