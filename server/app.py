"""The routes of a server, as one ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.routing import Match, Route

from . import info, openapi, websocket
from .accounts import EVERYBODY, Account
from .checking import check_text
from .guard import Guard
from .http import ARROW, JSON, KSQL_JSON, Receive, Request, Scope, Send, refuse_socket
from .inserts import insert_arrow, inserts_stream
from .log_api import LogApi
from .metrics import exposition, families
from .own_api import OwnApi
from .partitions import PartitionsApi
from .problems import NOT_ALLOWED, ApiError
from .queries import Queries, close_query
from .registry import RegistryApi
from .service import Service
from .statements import Statements, sql_request, terminate_cluster
from .static import ConsoleFiles
from .tokens import HEADER, write_token
from .topics import TopicsApi

CONSOLE = Path(__file__).parent / "console" / "dist"
"""The directory of the console's built files; it exists only if the console was built."""


class Application:
    """The ASGI application of one server.  It routes requests to the handlers, behind the checks of `guard`."""

    def __init__(self, service: Service, names: tuple[str, ...]) -> None:
        self._service = service
        self._guard = Guard(service, names)
        self._statements = Statements(service)
        self._queries = Queries(service)
        self._registry = RegistryApi(service)
        self._own = OwnApi(service)
        self._topics = TopicsApi(service)
        self._log = LogApi(service)
        self._partitions = PartitionsApi(service)
        registry = self._registry.answer
        table: list[tuple[str, str, Callable[[Request, Account], Awaitable[None]]]] = [
            ("GET", "/", self._root),
            ("GET", "/info", self._facts(info.server_info)),
            ("GET", "/healthcheck", self._facts(info.health)),
            ("GET", "/v1/metadata", self._facts(info.metadata)),
            ("GET", "/v1/metadata/id", self._facts(info.metadata_id)),
            ("GET", "/chc/live", self._alive),
            ("GET", "/chc/ready", self._alive),
            ("POST", "/ksql", self._ksql),
            ("POST", "/ksql/terminate", self._terminate),
            ("POST", "/query", self._query),
            ("POST", "/query-stream", self._query_stream),
            ("POST", "/close-query", self._close_query),
            ("POST", "/inserts-stream", self._inserts),
            ("POST", "/v1/arrow", self._arrow),
            ("POST", "/v1/arrow/{stream}", self._arrow),
            ("POST", "/v1/complete", self._complete),
            ("POST", "/v1/check", self._check),
            ("POST", "/v1/execute", self._execute),
            ("GET", "/v1/account", self._account),
            ("GET", "/v1/catalog", self._catalog),
            ("GET", "/v1/queries/{id}", self._one_query),
            ("GET", "/v1/topics", self._all_topics),
            ("GET", "/v1/topics/{name}", self._one_topic),
            ("GET", "/v1/topics/{name}/records", self._records),
            ("POST", "/v1/partitions/{id}", self._partitions.answer),
            ("POST", "/v1/wait", self._wait),
            ("POST", "/v1/submit", self._submit),
            ("GET", "/v1/producers/{producer}", self._producer),
            ("POST", "/v1/topics/{name}", self._log.change),
            ("PATCH", "/v1/topics/{name}", self._log.change),
            ("DELETE", "/v1/topics/{name}", self._log.change),
            ("POST", "/v1/topics/{name}/records", self._log.produce),
            ("GET", "/v1/graph", self._graph),
            ("GET", "/status", self._all_statuses),
            ("GET", "/status/{type}/{entity:path}/{action}", self._status),
            ("GET", "/clusterStatus", self._facts(info.cluster_status)),
            ("GET", "/is_valid_property/{name}", self._property),
            ("GET", "/metrics", self._metrics),
            ("GET", "/openapi.json", self._openapi),
        ]
        self._handlers = {(method, path): handler for method, path, handler in table}
        self._routes = [Route(path, _unused, methods=[method]) for method, path, _ in table if "{" in path]
        self._exact = {(method, path) for method, path, _ in table if "{" not in path}
        self._prefixes = {"subjects": registry, "schemas": registry, "config": registry, "compatibility": registry}
        self._prefixes |= {"mode": registry, "contexts": registry}
        self._console = ConsoleFiles(CONSOLE) if CONSOLE.is_dir() else None

    @property
    def routes(self) -> frozenset[tuple[str, str]]:
        """(method, path) of all routes, except those of the schema registry and of the console's files."""
        return frozenset(self._handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or serve a WebSocket, as ASGI calls an application."""
        match scope["type"]:
            case "http":
                route, handler = self._find(scope)
                await self._guard.http(scope, receive, send, route, handler)
            case "websocket":
                if scope["path"] != "/ws/query":
                    await receive()
                    await refuse_socket(send, 404)
                    return
                await self._guard.socket(scope, receive, send, self._socket)
            case "lifespan":
                await _lifespan(receive, send)

    def _find(self, scope: Scope) -> tuple[str, Callable[[Request, Account], Awaitable[None]]]:
        """Find the handler of a request, and its route's name for metrics, which has no parameters filled in."""
        method, path = scope["method"], scope["path"]
        wanted = "GET" if method == "HEAD" else method
        if (wanted, path) in self._exact:
            return path, self._handlers[wanted, path]
        for route in self._routes:
            match, found = route.matches(scope)
            if match == Match.FULL:
                scope.update(found)
                return route.path, self._handlers[wanted, route.path]
        first = path.lstrip("/").split("/", 1)[0]
        if first in self._prefixes:
            return f"/{first}", self._prefixes[first]
        if first == "console" and self._console is not None and wanted == "GET":
            return "/console", self._static
        scope["penstock.allow"] = sorted({m for m, known in self._exact if known == path} | self._methods_of(scope))
        if scope["penstock.allow"]:
            return "(wrong method)", self._wrong_method
        if (wanted, path) == ("GET", "/ws/query"):
            return "(no websocket)", self._no_socket
        return "(none)", self._nothing

    def _methods_of(self, scope: Scope) -> set[str]:
        """The methods of the routes that match the request's path."""
        fitting = [route for route in self._routes if route.matches(scope)[0] != Match.NONE]
        return {method for route in fitting for method in route.methods or ()}

    # --- handlers --------------------------------------------------------------------------

    async def _root(self, request: Request, account: Account) -> None:
        await request.respond(b"", None, 307, [(b"location", b"/info")])

    def _facts(self, made: Callable[[Service], Any]) -> Callable[[Request, Account], Awaitable[None]]:
        async def answer(request: Request, account: Account) -> None:
            _check_known(account)
            content_type = request.accepts((KSQL_JSON, JSON), KSQL_JSON)
            found = await self._service.workers.run(made, self._service)
            await request.respond_json(found, content_type=content_type)

        return answer

    async def _alive(self, request: Request, account: Account) -> None:
        await request.respond_json({})

    async def _ksql(self, request: Request, account: Account) -> None:
        content_type = request.accepts((KSQL_JSON, JSON), KSQL_JSON)
        asked = sql_request(await request.json(), self._service.config.statement_chars_max, request.headers)
        answer = await self._statements.run(asked, account)
        headers = [] if answer.token is None else [(HEADER, write_token(answer.token).encode())]
        await request.respond_json(answer.entities, headers=headers, content_type=content_type)

    async def _terminate(self, request: Request, account: Account) -> None:
        body = await request.json()
        found = await terminate_cluster(self._service, body.get("deleteTopicList") or [], account)
        await request.respond_json(found, content_type=KSQL_JSON)

    async def _query(self, request: Request, account: Account) -> None:
        await self._queries.answer(request, account, stream=False)

    async def _query_stream(self, request: Request, account: Account) -> None:
        await self._queries.answer(request, account, stream=True)

    async def _close_query(self, request: Request, account: Account) -> None:
        await close_query(self._service, await request.json(), account)
        await request.respond(b"", None)

    async def _inserts(self, request: Request, account: Account) -> None:
        await inserts_stream(self._service, request, account)

    async def _arrow(self, request: Request, account: Account) -> None:
        await insert_arrow(self._service, request, account)

    async def _complete(self, request: Request, account: Account) -> None:
        _check_known(account)
        body = await request.json()
        found = await self._service.workers.run(info.completions, self._service, body, account)
        await request.respond_json(found)

    async def _check(self, request: Request, account: Account) -> None:
        _check_known(account)
        body = await request.json()
        await request.respond_json(await self._service.workers.run(check_text, self._service, body, account))

    async def _account(self, request: Request, account: Account) -> None:
        asked = account is not EVERYBODY
        found = {"name": account.name, "role": account.role, "prefixes": dict(account.prefixes), "authenticated": asked}
        await request.respond_json(found)

    async def _all_topics(self, request: Request, account: Account) -> None:
        _check_known(account)
        await request.respond_json(await self._service.workers.run(self._topics.all, account))

    async def _one_topic(self, request: Request, account: Account) -> None:
        name = request.path_parameters["name"]
        await request.respond_json(await self._service.workers.run(self._topics.one, name, account))

    async def _records(self, request: Request, account: Account) -> None:
        if request.accepts((JSON, ARROW), JSON) == ARROW:
            await self._log.consume(request, account)
            return
        name, asked = request.path_parameters["name"], request.query
        await request.respond_json(await self._service.workers.run(self._topics.records, name, asked, account))

    async def _execute(self, request: Request, account: Account) -> None:
        asked = sql_request(await request.json(), self._service.config.statement_chars_max, request.headers)
        status, found = await self._service.workers.run(self._own.execute, asked, account)
        await request.respond_json(found, status)

    async def _catalog(self, request: Request, account: Account) -> None:
        _check_known(account)
        await request.respond_json(await self._service.workers.run(self._own.catalog, account))

    async def _one_query(self, request: Request, account: Account) -> None:
        found = await self._service.workers.run(self._own.query, request.path_parameters["id"], account)
        await request.respond_json(found)

    async def _submit(self, request: Request, account: Account) -> None:
        body = await request.json()
        asked = sql_request(body, self._service.config.statement_chars_max, request.headers)
        await request.respond_json(await self._service.workers.run(self._log.submit, asked, body.get("name"), account))

    async def _producer(self, request: Request, account: Account) -> None:
        producer = request.path_parameters["producer"]
        await request.respond_json(await self._service.workers.run(self._log.last_sequence, producer, account))

    async def _wait(self, request: Request, account: Account) -> None:
        _check_known(account)
        await request.respond_json(await self._service.workers.run_long(self._own.wait, await request.json()))

    async def _graph(self, request: Request, account: Account) -> None:
        _check_known(account)
        await request.respond_json(await self._service.workers.run(info.graph, self._service, account))

    async def _all_statuses(self, request: Request, account: Account) -> None:
        _check_known(account)
        found = {"commandStatuses": self._service.commands.all(self._service.database.catalog)}
        await request.respond_json(found, content_type=KSQL_JSON)

    async def _status(self, request: Request, account: Account) -> None:
        _check_known(account)
        parts = [request.path_parameters[name] for name in ("type", "entity", "action")]
        await request.respond_json(info.status(self._service, parts), content_type=KSQL_JSON)

    async def _property(self, request: Request, account: Account) -> None:
        _check_known(account)
        await request.respond_json(info.property_is_valid(request.path_parameters["name"]), content_type=KSQL_JSON)

    async def _metrics(self, request: Request, account: Account) -> None:
        _check_known(account)
        text = exposition(await self._service.workers.run(families, self._service))
        await request.respond(text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, request: Request, account: Account) -> None:
        await request.respond(openapi.text().encode(), JSON)

    async def _static(self, request: Request, account: Account) -> None:
        assert self._console is not None
        await self._console.answer(request)

    async def _nothing(self, request: Request, account: Account) -> None:
        await request.respond(b"Not Found", "text/plain; charset=utf-8", 404)

    async def _no_socket(self, request: Request, account: Account) -> None:
        text = b"Upgrade Required: /ws/query is a WebSocket; POST /query-stream gives rows as HTTP"
        headers = [] if request.is_http2 else [(b"upgrade", b"websocket")]  # (HTTP/2 forbids the header)
        await request.respond(text, "text/plain; charset=utf-8", 426, headers)

    async def _wrong_method(self, request: Request, account: Account) -> None:
        allowed = ", ".join(request.scope["penstock.allow"])
        await request.respond(
            f"Method Not Allowed: {allowed} only".encode(), "text/plain; charset=utf-8", 405, [(b"allow", allowed.encode())]
        )

    async def _socket(self, scope: Scope, receive: Receive, send: Send, account: Account) -> None:
        await websocket.answer(self._service, self._queries, scope, receive, send, account)


def _check_known(account: Account) -> None:
    """Check that an account may read anything.  Raises: ApiError, if not."""
    if not account.may_somewhere("read"):
        raise ApiError(NOT_ALLOWED, f"{account.name} may read nothing here")


async def _unused(*_: Any) -> None:
    """Starlette's routes need an endpoint; the guard calls the real handler."""


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = ["CONSOLE", "Application"]
