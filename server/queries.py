"""``/query`` and ``/query-stream``: run one SELECT or PRINT, and send its rows in the requested format."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..engine.results import PrintResult, PushResult, Table
from ..engine.schema import Column, Schema
from ..engine.types import from_arrow
from ..errors import PenstockError
from ..grammar import ast
from .access import Need, check, check_need
from .accounts import Account
from .http import ARROW, DELIMITED, EVENTS, FRAMES_MAX, JSON, KSQL_JSON, Disconnected, Request, until_disconnect
from .problems import (
    BAD_REQUEST,
    BAD_STATEMENT,
    NOT_ACCEPTABLE,
    TOO_MANY_PUSH_QUERIES,
    ApiError,
    api_error,
)
from .push import PrintReader, PushReader
from .rowtexts import ArrowStream, JsonArray, RowFormat, make_format
from .service import Service
from .sessions import RequestSession, RequestStatement
from .statements import SqlRequest, sql_request, wait_for_command
from .tokens import read_token, write_token

_PULL_TOKEN = "request.ksql.query.pull.consistency.token.vector"
_PUSH_TOKEN = "request.ksql.query.push.continuation.token"
_FLUSH_ROWS = 1_000
"""The number of rows of a pull query that are sent by one write."""
_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class StartedQuery:
    """A started query, of which exactly one of the three kinds is set.  Closing its session ends it."""

    session: RequestSession
    table: Table | None = None
    push: PushResult | None = None
    printed: PrintResult | None = None


class Queries:
    """Runs the queries of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._plain = service.database.session()
        """The session for lookups by key of requests without properties or variables."""

    async def open(self, request: SqlRequest, account: Account) -> StartedQuery:
        """Start the query of a request.

        Raises:
            ApiError: the query is wrong or not allowed, or the request has no query.
        """
        if request.request_properties.get(_PUSH_TOKEN):  # clients that were given none send an empty one
            raise ApiError(
                BAD_REQUEST,
                f"{_PUSH_TOKEN}: this server has given no continuation token, so it cannot go on from one; leave it out, and"
                " say by auto.offset.reset where the query begins",
            )
        await wait_for_command(self._service, request.after)
        await self._wait_for_token(request)
        return await self._service.workers.run(self._open, request, account)

    async def _wait_for_token(self, request: SqlRequest) -> None:
        """Wait until all tables include the write of the request's consistency token.  Raises: ApiError."""
        text = request.request_properties.get(_PULL_TOKEN)
        if not text:
            return
        token, limit_s = read_token(text), self._service.config.request_timeout_s
        try:
            await self._service.workers.run_long(self._service.database.wait, token, (), limit_s)
        except PenstockError as error:
            raise api_error(error, request.sql) from error

    def _open(self, request: SqlRequest, account: Account) -> StartedQuery:
        session = RequestSession(self._service.database, request.properties, request.variables, account.name)
        piece: RequestStatement | None = None
        try:
            pieces = iter(session.pieces(request.sql))
            for piece in pieces:
                if not isinstance(piece.statement, _BEFORE_A_QUERY):
                    break
                check(account, piece.statement, self._service.database.catalog)
                session.execute(piece)
                piece = None
            if piece is None:
                raise ApiError(BAD_REQUEST, "the request has no query")
            if (further := next(pieces, None)) is not None:
                raise ApiError(
                    BAD_STATEMENT, "one query was expected, but another statement follows it", statement=further.text + ";"
                )
            return self._start(piece, request, account, session)
        except BaseException as error:
            session.close()
            if isinstance(error, PenstockError):
                raise api_error(error, request.sql) from error
            raise

    def _start(
        self, piece: RequestStatement, request: SqlRequest, account: Account, session: RequestSession
    ) -> StartedQuery:
        statement = piece.statement
        if not isinstance(statement, ast.Query | ast.TableQuery | ast.Print):
            raise ApiError(
                BAD_STATEMENT, "this endpoint takes SELECT and PRINT; others go to /ksql", statement=piece.text + ";"
            )
        try:
            check(account, statement, self._service.database.catalog)
        except ApiError as error:
            self._service.audit.refused(account.name, piece.text, error.message)
            raise
        if isinstance(statement, ast.TableQuery) or (isinstance(statement, ast.Query) and statement.emit is None):
            return StartedQuery(session, table=session.pull(piece, request.parameters))
        if isinstance(statement, ast.Query):
            self._check_room()
        result = session.execute(piece)
        if isinstance(result, PushResult):
            return StartedQuery(session, push=result)
        assert isinstance(result, PrintResult)
        return StartedQuery(session, printed=result)

    def _check_room(self) -> None:
        limit = min(self._service.config.push_queries_max, self._service.database.settings.options.push_queries_max)
        if len(self._service.open_queries) >= limit:
            raise ApiError(
                TOO_MANY_PUSH_QUERIES, f"{limit} push queries are open, which is the server's limit: close one of them"
            )

    # --- answers ---------------------------------------------------------------------------

    async def answer(self, request: Request, account: Account, *, stream: bool) -> None:
        """Answer a request of ``/query-stream`` (if ``stream``) or ``/query``."""
        offered = (DELIMITED, JSON, KSQL_JSON, ARROW, EVENTS) if stream else (KSQL_JSON, JSON, ARROW, EVENTS)
        content_type = request.accepts(offered, DELIMITED if stream else KSQL_JSON)
        asked = sql_request(await request.json(), self._service.config.statement_chars_max)
        quick = self._quick(asked, account)
        if quick is not None:
            await self._pull(request, quick, make_answer_format(content_type, stream=stream, push=False), asked, stream)
            return
        opened = await self.open(asked, account)
        try:
            if opened.printed is not None:
                await self._print(request, opened.printed, content_type, account, stream=stream)
                return
            push = opened.push is not None
            format_ = make_answer_format(content_type, stream=stream, push=push)
            if opened.table is not None:
                await self._pull(request, opened.table, format_, asked, stream)
            else:
                assert opened.push is not None
                await self._push(request, opened.push, format_, account, asked.sql)
        finally:
            opened.session.close()

    def _quick(self, asked: SqlRequest, account: Account) -> Table | None:
        """Answer a lookup by key on the event loop if a similar one was answered before; None for all other requests.

        A lookup takes microseconds, less than waking a thread would take.

        Raises:
            ApiError: the account may not read the table.
        """
        if asked.properties or asked.variables or asked.request_properties or asked.parameters or asked.after is not None:
            return None
        known = self._plain.lookup(asked.sql.strip().removesuffix(";").rstrip())
        if known is None:
            return None
        source, answer = known
        need = Need("read", (source.name, source.topic), f"the source {source.name}")
        try:
            check_need(account, need)
        except ApiError as error:
            self._service.audit.refused(account.name, asked.sql, error.message)
            raise
        return answer()

    async def _pull(self, request: Request, table: Table, format_: RowFormat, asked: SqlRequest, stream: bool) -> None:
        schema = schema_of(table)
        arrow = table.arrow()
        if isinstance(format_, ArrowStream):
            format_.facts = {b"penstock.limit_reached": b"true" if table.limit_reached else b"false"}
            if table.final_message:
                format_.facts[b"penstock.final_message"] = table.final_message.encode()
            if table.rows_left_out:
                format_.facts[b"penstock.rows_left_out"] = str(table.rows_left_out).encode()
        query_id = None if stream else f"query_{uuid.uuid4().int % 10**16}"
        parts = [format_.head(query_id, schema)]
        token = asked.request_properties.get(_PULL_TOKEN)
        if format_.content_type == ARROW:
            for batch in arrow.to_batches():
                parts += format_.rows(batch.columns, schema, None)
        else:
            single = request.is_http2 and arrow.num_rows <= FRAMES_MAX
            for start in range(0, max(1, arrow.num_rows), _FLUSH_ROWS):
                piece = arrow.slice(start, _FLUSH_ROWS)
                rows = format_.rows(piece.columns, schema, None)
                parts += rows if single else [b"".join(rows)]
                if start:
                    await asyncio.sleep(0)  # other requests go on between the pieces of a large answer
        if token is not None:
            parts.append(format_.note("consistencyToken", token if token else write_token_of_nothing()))
        parts.append(format_.tail(table.final_message or None))
        await request.respond_in_parts(parts, format_.content_type)

    async def _push(self, request: Request, push: PushResult, format_: RowFormat, account: Account, sql: str) -> None:
        service = self._service
        query_id = push.query_id or f"transient_{next(_NUMBERS)}"
        reader = PushReader(push.subscription, push.schema, query_id, account.name)
        service.opened(query_id, reader, sql)
        request.lasts()
        gone = asyncio.ensure_future(_closing(request, reader))
        try:
            await request.start(200, format_.content_type, _NO_CACHE)
            await request.write(format_.head(query_id, push.schema))
            try:
                while (rows := await reader.next()) is not None:
                    for text in rows.texts(format_):
                        await request.write(text)
                    service.measures.rows_pushed += len(rows)
            except ApiError as error:
                await request.write(format_.error(error))
                if format_.content_type == ARROW:
                    raise Disconnected from error
            await request.write(format_.tail(reader.final_message), more=False)
        finally:
            gone.cancel()
            service.ended(query_id)
            reader.close()

    async def _print(
        self, request: Request, printed: PrintResult, content_type: str, account: Account, *, stream: bool
    ) -> None:
        if stream and content_type != DELIMITED:
            raise ApiError(NOT_ACCEPTABLE, f"PRINT is answered as {DELIMITED} here, not as {content_type}")
        query_id = f"print_{next(_NUMBERS)}"
        closing = PrintReader(printed, account.name)
        self._service.opened(query_id, closing)
        request.lasts()
        gone = asyncio.ensure_future(_closing(request, closing))
        try:
            await request.start(200, content_type, _NO_CACHE)
            async for line in print_lines(printed):
                await request.write(line.encode() + b"\n")
            await request.write(b"", more=False)
        finally:
            gone.cancel()
            self._service.ended(query_id)
            printed.close()


_BEFORE_A_QUERY = (ast.SetProperty, ast.UnsetProperty, ast.Define, ast.Undefine)
_NO_CACHE = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


async def print_lines(printed: PrintResult) -> AsyncIterator[str]:
    """Yield the lines of PRINT as records come."""
    shown: dict[str, str] = {}
    async for record in printed:
        for side, format_ in (("Key", record.key_format), ("Value", record.value_format)):
            if format_ != "none" and shown.get(side) != format_:
                shown[side] = format_
                yield f"{side} format: {format_}"
        yield str(record)


async def _closing(request: Request, reader: PushReader | PrintReader) -> None:
    """Close a query when its client closes the connection."""
    with suppress(asyncio.CancelledError):
        await until_disconnect(request.receive)
        reader.close()


def make_answer_format(content_type: str, *, stream: bool, push: bool) -> RowFormat:
    """Make the format of an answer.  ``application/json`` stands for another format in ``/query-stream`` (``stream``)."""
    return JsonArray() if stream and content_type == JSON else make_format(content_type, push=push)


def schema_of(table: Table) -> Schema:
    """The schema of a result; if it has none, the types of its columns follow from Arrow's."""
    if table.schema is not None:
        return table.schema
    return Schema(tuple(Column(field.name, from_arrow(field.type)) for field in table.arrow().schema))


def write_token_of_nothing() -> str:
    """The consistency token of a request that wrote nothing: reads with it do not wait."""
    from ..runtime.host import Token

    return write_token(Token())


async def close_query(service: Service, body: dict[str, Any], account: Account) -> None:
    """``/close-query``: end a push query.  Raises: ApiError, if it is not open or belongs to another account."""
    query_id = body.get("queryId")
    if not isinstance(query_id, str):
        raise ApiError(BAD_REQUEST, "the member queryId is missing")
    reader = service.open_queries.get(query_id)
    if reader is None or not (account.is_admin or reader.account == account.name):
        raise ApiError(BAD_REQUEST, f"there is no query {query_id}")
    reader.end("Query Completed")


__all__ = ["StartedQuery", "Queries", "close_query", "print_lines", "schema_of"]
