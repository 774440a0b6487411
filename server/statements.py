"""``POST /ksql``: executes statements that define, change and list things; the answer has an entity for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..engine.results import Message, PrintResult, PushResult, Table
from ..errors import PenstockError
from ..grammar import ast
from .access import check
from .accounts import Account
from .commands import NOT_DISTRIBUTED, command_id, message
from .entities import Entities
from .problems import (
    BAD_REQUEST,
    BAD_STATEMENT,
    COMMAND_TIMED_OUT,
    NOT_ALLOWED,
    QUERY_ENDPOINT,
    ApiError,
    api_error,
)
from .service import Service
from .sessions import RequestSession, RequestStatement
from .telemetry import record_headers

_SILENT = {"insert values", "set", "unset", "define", "undefine"}
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """A request of the endpoints that take SQL.

    Attributes:
        sql: the SQL.
        properties: name -> value, as for SET.
        variables: name -> value for ``${name}``.
        request_properties: properties ``request.ksql...``, which have consistency tokens.
        after: the sequence number of a command that must have been executed before the request.
        parameters: values for ``?`` (a list) or ``$name`` (an object) in a SELECT.
        headers: the headers of records that the request writes: its trace.
    """

    sql: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    request_properties: Mapping[str, Any] = field(default_factory=dict)
    after: int | None = None
    parameters: Any = None
    headers: tuple[tuple[str, bytes], ...] = ()


def sql_request(body: Mapping[str, Any], chars_max: int, headers: Mapping[str, str] | None = None) -> SqlRequest:
    """Read a request.  Members may have the names of ``/ksql`` or those of ``/query-stream``.

    Args:
        chars_max: the largest number of characters of SQL.
        headers: lower-case name -> value of the HTTP request's headers.

    Raises:
        ApiError: the request is not valid.
    """
    sql = body.get("ksql", body.get("sql"))
    if not isinstance(sql, str):
        raise ApiError(BAD_REQUEST, "the request has no text of SQL: the member ksql (or sql) is missing")
    if len(sql) > chars_max:
        raise ApiError(BAD_REQUEST, f"the SQL has {len(sql):,} characters; the limit is {chars_max:,}")
    found: dict[str, Mapping[str, Any]] = {}
    for name, keys in (
        ("properties", ("streamsProperties", "properties")),
        ("variables", ("sessionVariables",)),
        ("request_properties", ("requestProperties",)),
    ):
        value: Any = next((body[key] for key in keys if body.get(key) is not None), {})
        if not isinstance(value, dict):
            raise ApiError(BAD_REQUEST, f"{keys[0]} must be an object")
        found[name] = value
    after = body.get("commandSequenceNumber")
    if after is not None and (isinstance(after, bool) or not isinstance(after, int)):
        raise ApiError(BAD_REQUEST, "commandSequenceNumber must be a whole number")
    parameters = body.get("parameters")
    if not isinstance(parameters, list | dict | None):
        raise ApiError(BAD_REQUEST, "parameters must be a list or an object")
    return SqlRequest(
        sql,
        found["properties"],
        found["variables"],
        found["request_properties"],
        after,
        parameters,
        record_headers(headers or {}),
    )


async def wait_for_command(service: Service, number: int | None) -> None:
    """Wait until a command has been executed.  Raises: ApiError, if that takes too long."""
    if number is None or number < 0:
        return
    deadline = time.monotonic() + service.config.command_timeout_s
    while service.database.statements_executed <= number:
        if time.monotonic() > deadline:
            raise ApiError(COMMAND_TIMED_OUT, f"the command {number} has not been executed in time")
        await asyncio.sleep(_LOOK_S)


@dataclass(slots=True)
class Answer:
    """The entities that answer a request, and the consistency token of its writes."""

    entities: list[dict[str, Any]]
    token: Any = None


class Statements:
    """Runs the statements of ``/ksql``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._entities = Entities(service.database, service.address, service.pushed)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, request: SqlRequest, account: Account) -> Answer:
        """Execute all statements in order.

        Raises:
            ApiError: a statement is wrong.  The statements before it are executed, and the error has their entities.
        """
        await wait_for_command(self._service, request.after)
        self._loop = asyncio.get_running_loop()
        return await self._service.workers.run(self._run, request, account)

    def _run(self, request: SqlRequest, account: Account) -> Answer:
        database = self._service.database
        session = RequestSession(database, request.properties, request.variables, account.name, request.headers)
        answer = Answer([])
        try:
            pieces = session.pieces(request.sql)
            found = False
            for piece in pieces:
                found = True
                try:
                    entity = self._execute(piece, session, account, answer)
                except (ApiError, PenstockError) as error:
                    problem = api_error(error, piece.text + ";")
                    if problem.code in (BAD_STATEMENT, QUERY_ENDPOINT, BAD_REQUEST) or problem.statement is not None:
                        problem.statement = problem.statement or piece.text + ";"
                        problem.entities = answer.entities
                    raise problem from error
                if entity is not None:
                    answer.entities.append(entity)
            if not found:
                raise ApiError(BAD_REQUEST, "the request has no statement")
        finally:
            session.close()
        return answer

    def _execute(
        self, piece: RequestStatement, session: RequestSession, account: Account, answer: Answer
    ) -> dict[str, Any] | None:
        service = self._service
        statement = piece.statement
        if isinstance(statement, ast.Query | ast.TableQuery | ast.Print):
            what = "PRINT" if isinstance(statement, ast.Print) else "SELECT"
            raise ApiError(
                QUERY_ENDPOINT, f"{what} gives rows: send it to /query or /query-stream", statement=piece.text + ";"
            )
        own = self._of_the_server(piece, account)
        if own is not None:
            return {"@type": own.pop("@type"), "statementText": piece.text + ";", "warnings": [], **own}
        before = service.database.catalog
        try:
            check(account, statement, before, session.topic_prefix)
        except ApiError as error:
            service.audit.refused(account.name, piece.text, error.message)
            raise
        number = service.database.statements_executed
        result = session.execute(piece)
        if isinstance(result, Table | PushResult | PrintResult):
            raise ApiError(QUERY_ENDPOINT, "this gives rows: send it to /query or /query-stream")
        if not isinstance(result, Message):
            return self._entities.of(piece, result, session, account)
        if result.kind not in ("set", "unset", "define", "undefine"):
            service.audit.changed(account.name, piece.text)
        if result.kind in _SILENT:
            token = result.details.get("token")
            if token is not None:
                answer.token = token if answer.token is None else answer.token | token
            return None
        if result.warning or isinstance(statement, ast.AssertTopic | ast.AssertSchema):
            return self._entities.of(piece, result, session, account)
        id_ = command_id(statement, result)
        query_id = result.details.get("query_id")
        status = "TERMINATED" if isinstance(statement, ast.ControlQuery) and statement.action == "TERMINATE" else "SUCCESS"
        command_status = service.commands.note(id_, status, message(statement, result, before), query_id)
        after = service.database.statements_executed
        return {
            "@type": "currentStatus",
            "statementText": piece.text + ";",
            "commandId": id_,
            "commandStatus": command_status,
            "commandSequenceNumber": after - 1 if after > number else NOT_DISTRIBUTED,
            "warnings": [],
        }

    def _of_the_server(self, piece: RequestStatement, account: Account) -> dict[str, Any] | None:
        """Answer statements that need no engine: TERMINATE of an open push query, and lists of connectors, which are empty.

        None for all other statements.
        """
        match piece.statement:
            case ast.ControlQuery(action="TERMINATE", query_id=str(asked)):
                found = next((id_ for id_, _ in self._service.pushed(account) if id_.upper() == asked.upper()), None)
                reader = None if found is None else self._service.open_queries.get(found)
                if found is None or reader is None or self._loop is None:
                    return None
                self._loop.call_soon_threadsafe(reader.end, "Query Completed")
                return {"@type": "terminate_query", "queryId": found, "wasTerminated": True}
            case ast.Show(what="CONNECTORS" | "SOURCE CONNECTORS" | "SINK CONNECTORS"):
                return {"@type": "connector_list", "connectors": []}
            case ast.Show(what="CONNECTOR PLUGINS"):
                return {"@type": "connector_plugins_list", "connectorsPlugins": []}
            case ast.DropConnector(name=name, if_exists=True) if account.is_admin:
                return {"@type": "warning_entity", "message": f"there is no connector {name}"}
        return None


async def terminate_cluster(service: Service, topics: list[str], account: Account) -> list[dict[str, Any]]:
    """``POST /ksql/terminate``: end all queries, drop all sources, and delete the topics whose names match.

    Args:
        topics: Java's regular expressions, each of which must match the whole name of a topic.

    Raises:
        ApiError: the account is not an admin, or an expression is not valid or takes too long.  Nothing has changed then.
    """
    from ..engine.java.regex_matching import compile_java

    if not account.is_admin:
        service.audit.refused(account.name, "TERMINATE CLUSTER", "no admin")
        raise ApiError(NOT_ALLOWED, f"{account.name} does not have the role admin")
    if not isinstance(topics, list) or not all(isinstance(pattern, str) for pattern in topics):
        raise ApiError(BAD_REQUEST, "deleteTopicList must be a list of texts, each a regular expression")
    try:
        patterns = [compile_java(rf"\A(?:{pattern})\z") for pattern in topics]
        names = {*service.database.topic_names(), *(s.topic for s in service.database.catalog.sources.values())}
        doomed = {name for name in names if any(pattern.search(name) for pattern in patterns)}
    except ValueError as error:
        raise ApiError(BAD_REQUEST, f"deleteTopicList has something that is not a regular expression: {error}") from error
    service.audit.changed(account.name, "TERMINATE CLUSTER")
    await service.workers.run(_terminate, service, doomed)
    service.terminated = True
    command_status = service.commands.note(
        "cluster/TerminateCluster/terminate", "SUCCESS", "The cluster is terminated.", None
    )
    return [
        {
            "@type": "currentStatus",
            "statementText": "TERMINATE CLUSTER;",
            "commandId": "cluster/TerminateCluster/terminate",
            "commandStatus": command_status,
            "commandSequenceNumber": service.database.statements_executed - 1,
            "warnings": [],
        }
    ]


def _terminate(service: Service, doomed: set[str]) -> None:
    database = service.database
    database.execute("TERMINATE ALL;")
    while left := [s for s in database.catalog.sources.values() if not s.statement.startswith("(")]:
        dropped = 0
        for source in reversed(left):
            shared = any(s.topic == source.topic and s.name != source.name for s in database.catalog.sources.values())
            delete = " DELETE TOPIC" if source.topic in doomed and not shared and not source.read_only else ""
            name = source.name.replace("`", "``")
            try:
                database.execute(f"DROP {source.kind} `{name}`{delete};")
                dropped += 1
            except PenstockError:
                continue
        if not dropped:
            break
    for topic in database.topic_names():
        if topic in doomed:
            try:
                database.delete_topic(topic)
            except PenstockError:
                continue


__all__ = ["Answer", "SqlRequest", "Statements", "sql_request", "terminate_cluster", "wait_for_command"]
