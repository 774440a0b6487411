"""Checks each request before its handler gets it, and counts and logs the answers, with the request's trace.

In this order it checks the Host header (against DNS rebinding), the Origin header (against pages of other sites), the
account, and the rate of requests.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from ..addresses import is_loopback
from ..errors import PenstockError, StatementError
from .accounts import EVERYBODY, Account
from .audit import ORIGIN
from .http import JSON, Disconnected, Message, Receive, Request, Scope, Send, refuse_socket
from .json_log import FACTS
from .problems import (
    MISDIRECTED,
    NOT_ALLOWED,
    NOT_AUTHENTICATED,
    RATE_LIMITED,
    SHUTTING_DOWN,
    ApiError,
    api_error,
)
from .service import Service
from .telemetry import HEADER as TRACEPARENT
from .telemetry import Trace, trace_of
from .wire import CLIENT_HEADER, with_parts

_LOG = logging.getLogger("penstock.server")
_REFRESH_S: Final = 2.0
"""The time in seconds between two checks whether the file of accounts has changed."""
_CHECKS_MAX: Final = 2
"""The largest number of passwords that are checked at the same time; each takes 32 MiB and 0.1 s of a core."""
_WAITING_MAX: Final = 64
"""The largest number of passwords that wait to be checked; further requests are refused."""
_BURST_S: Final = 2.0
"""The largest burst of requests, in seconds of the rate."""
_BUCKETS_MAX: Final = 10_000
_OPEN_PATHS: Final = ("/chc/live", "/chc/ready")


def _is_open(path: str) -> bool:
    """Whether requests for a path need no account.

    The console's files hold no secrets; the console itself asks for a name and a password.  Requests of the other processes
    of a service need the service's key instead (see `partitions`).
    """
    return path in _OPEN_PATHS or path == "/console" or path.startswith(("/console/", "/v1/partitions/"))


Handler = Callable[[Request, Account], Awaitable[None]]
SocketHandler = Callable[[Scope, Receive, Send, Account], Awaitable[None]]


class Guard:
    """Checks requests and passes them on to their handlers.

    Args:
        names: the names of this server in Host headers, without ports.
    """

    def __init__(self, service: Service, names: tuple[str, ...]) -> None:
        self._service = service
        self._names = {name.lower() for name in names}
        self._refreshed_s = time.monotonic()
        self._checks = asyncio.Semaphore(_CHECKS_MAX)
        self._waiting = 0
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    # --- HTTP ------------------------------------------------------------------------------

    async def http(self, scope: Scope, receive: Receive, send: Send, route: str, handler: Handler) -> None:
        """Check a request; then let its handler answer, or answer that it is refused."""
        config = self._service.config
        measures = self._service.measures
        began_s = time.perf_counter()
        status = 0
        sent = 0
        cors = self._cors(scope)

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                if cors:
                    message["headers"] = [*message["headers"], *cors]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        request = Request(scope, receive, counted, config.body_bytes_max, config.request_timeout_s)
        account = EVERYBODY
        trace = trace_of(request.headers.get(TRACEPARENT))
        origin = ORIGIN.set(_origin(scope, trace))
        measures.in_work += 1
        try:
            try:
                if scope["method"] == "OPTIONS" and cors and "access-control-request-method" in request.headers:
                    await request.respond(b"", None, 204, _PREFLIGHT)
                    return
                self._check_address(request)
                account = await self._account(request)
                self._check_rate(account, scope)
                self._check_work(scope)
                if self._service.stopping.is_set():
                    raise ApiError(SHUTTING_DOWN, "the server is stopping", headers=((b"connection", b"close"),))
                await handler(request, account)
            except Disconnected:
                pass
            except ApiError as error:
                if request.started:
                    _LOG.warning("an answer was cut short: %s", error.message)
                elif CLIENT_HEADER in request.headers:
                    cause = error.__cause__ if isinstance(error.__cause__, PenstockError) else None
                    await request.respond_json(with_parts(error, cause), error.status, error.headers)
                else:
                    await request.fail(error)
            except Exception as error:  # ours: logged with its trace, and the client is told no more than that
                problem = api_error(error)
                if not request.started and CLIENT_HEADER in request.headers and isinstance(error, PenstockError):
                    await request.respond_json(with_parts(problem, error), problem.status)
                elif not request.started:
                    await request.fail(problem)
        finally:
            ORIGIN.reset(origin)
            measures.in_work -= 1
            duration_s = time.perf_counter() - began_s
            measures.request(scope["method"], route, status, duration_s, timed=not request.lasting)
            if _LOG.isEnabledFor(logging.INFO):
                self._log(scope, route, status, duration_s, sent, account, trace)

    def _log(
        self, scope: Scope, route: str, status: int, duration_s: float, sent: int, account: Account, trace: Trace | None
    ) -> None:
        client = scope.get("client")
        facts: dict[str, Any] = {
            "event": "request",
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(duration_s * 1000, 2),
            "bytes": sent,
            "account": account.name,
            "client": None if client is None else client[0],
        }
        if trace is not None:
            facts["trace"] = trace.trace_id
        _LOG.info("%s", msgspec.json.encode(facts).decode(), extra={FACTS: facts})

    # --- WebSockets ------------------------------------------------------------------------

    async def socket(self, scope: Scope, receive: Receive, send: Send, handler: SocketHandler) -> None:
        """Check a request for a WebSocket.  If it is refused, it gets an HTTP answer, as other requests do."""
        request = Request(scope, receive, send, 0, 0)
        measures = self._service.measures
        status = 101
        origin = ORIGIN.set(_origin(scope, trace_of(request.headers.get(TRACEPARENT))))
        try:
            self._check_address(request)
            account = await self._account(request)
            self._check_rate(account, scope)
            self._check_work(scope)
        except ApiError as error:
            _LOG.info("a socket was refused: %s", error.message)
            status = error.status
            await refuse_socket(send, error.status, msgspec.json.encode(error.entity()), JSON, error.headers)
        else:
            try:
                await handler(scope, receive, send, account)
            except Exception as error:
                api_error(error)
                await send({"type": "websocket.close", "code": 1011, "reason": "the server failed"})
        finally:
            ORIGIN.reset(origin)
        measures.request("GET", scope["path"], status, 0.0, timed=False)

    # --- is it for us ----------------------------------------------------------------------

    def _check_address(self, request: Request) -> None:
        """Check the headers Host (against DNS rebinding) and Origin (against CSRF).

        Raises:
            ApiError: the Host is unknown, or the request comes from a page of another site.
        """
        scope = request.scope
        host = request.headers.get("host") or request.headers.get(":authority") or ""
        if host and not self._is_ours(_host_of(host)):
            self._service.measures.refuse("host")
            self._service.audit.refused("unknown", f"{scope.get('method', 'GET')} {scope['path']}", f"Host {host[:200]}")
            raise ApiError(MISDIRECTED, "the Host header names no host of this server: see --host and --allow-host")
        origin = request.headers.get("origin")
        if origin is not None and not self._origin_fits(origin, host, scope):
            self._service.measures.refuse("origin")
            self._service.audit.refused("unknown", f"{scope.get('method', 'GET')} {scope['path']}", f"Origin {origin[:200]}")
            raise ApiError(NOT_ALLOWED, "pages of other origins may not call this server: see --cors")

    def _is_ours(self, name: str) -> bool:
        return name in self._names or (is_loopback(name) and is_loopback(self._service.config.host))

    def _origin_fits(self, origin: str, host: str, scope: Scope) -> bool:
        allowed = self._service.config.origins
        if "*" in allowed or origin in allowed:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
        return parts.scheme == scheme and parts.netloc.lower() == host.lower() and bool(host)

    def _cors(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The CORS headers with which browsers let a page of an allowed origin read the answer."""
        if not self._service.config.origins:
            return []
        origin = next((v.decode("latin-1") for n, v in scope["headers"] if n.lower() == b"origin"), None)
        if origin is None or not ({"*", origin} & set(self._service.config.origins)):
            return []
        return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]

    # --- who is it -------------------------------------------------------------------------

    async def _account(self, request: Request) -> Account:
        accounts = self._service.accounts
        if accounts is None:
            return EVERYBODY
        if _is_open(request.scope["path"]):
            return Account("anonymous")
        now_s = time.monotonic()
        if now_s - self._refreshed_s > _REFRESH_S:
            self._refreshed_s = now_s
            try:
                await self._service.workers.run(accounts.refresh)
            except StatementError as error:
                _LOG.error("the file of users was not read again: %s", error)
        header = request.headers.get("authorization")
        if header is None and request.scope["type"] == "websocket":
            token = dict(parse_qsl(request.scope["query_string"].decode("latin-1"))).get("access_token")
            header = None if token is None else f"Bearer {token}"
        if header is None:
            raise _unknown("the Authorization header is missing: send a name and a password, or a token")
        found = accounts.remembered(header)
        if found is None:
            if self._waiting >= _WAITING_MAX:
                raise ApiError(
                    RATE_LIMITED,
                    "too many passwords are being tried: try again in a second",
                    headers=((b"retry-after", b"1"),),
                )
            self._waiting += 1
            try:
                async with self._checks:
                    found = await self._service.workers.run(accounts.check, header)
            finally:
                self._waiting -= 1
        if found is None:
            self._service.measures.refuse("credentials")
            self._service.audit.refused("unknown", request.scope["path"], "wrong credentials")
            raise _unknown("the name, password or token is wrong")
        return found

    # --- may it come now -------------------------------------------------------------------

    def _check_rate(self, account: Account, scope: Scope) -> None:
        """Check the rate, by a token bucket per account or, without accounts, per address.  Raises: ApiError."""
        rate = self._service.config.requests_per_second
        if not rate or _is_open(scope["path"]):
            return
        client = scope.get("client")
        key = account.name if account is not EVERYBODY else f"@{client[0] if client else ''}"
        now_s = time.monotonic()
        most = max(1.0, rate * _BURST_S)
        left, at_s = self._buckets.get(key, (most, now_s))
        left = min(most, left + (now_s - at_s) * rate)
        if left < 1:
            self._service.measures.refuse("rate")
            self._service.audit.refused(account.name, scope["path"], "too many requests")
            wait_s = max(1, round((1 - left) / rate))
            raise ApiError(
                RATE_LIMITED,
                f"more than {rate:g} requests a second come from {account.name}",
                headers=((b"retry-after", str(wait_s).encode()),),
            )
        self._buckets[key] = (left - 1, now_s)
        self._buckets.move_to_end(key)
        while len(self._buckets) > _BUCKETS_MAX:
            self._buckets.popitem(last=False)

    def _check_work(self, scope: Scope) -> None:
        """Check the number of calls that run on threads or wait for one.  Raises: ApiError, if there are too many."""
        if scope["path"] not in _OPEN_PATHS and self._service.workers.waiting >= self._service.config.requests_max:
            self._service.measures.refuse("work")
            raise ApiError(
                RATE_LIMITED,
                f"{self._service.config.requests_max} requests are being worked on, which is the server's limit: try again",
                headers=((b"retry-after", b"1"),),
            )


_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, accept, traceparent"),
    (b"access-control-max-age", b"600"),
)


def _origin(scope: Scope, trace: Trace | None) -> dict[str, str]:
    client = scope.get("client")
    found = {} if client is None else {"client": str(client[0])}
    return found if trace is None else {**found, "trace": trace.trace_id}


def _unknown(message: str) -> ApiError:
    return ApiError(NOT_AUTHENTICATED, message, headers=((b"www-authenticate", b'Basic realm="penstock", charset="UTF-8"'),))


def _host_of(header: str) -> str:
    """The name in a Host header, without its port.

    >>> _host_of("[::1]:8088"), _host_of("Localhost:80")
    ('::1', 'localhost')
    """
    found = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*)(?::\d+)?", header.strip())
    if found is None:
        return header.strip().lower()
    return (found[1] if found[1] is not None else found[2]).lower().rstrip(".")


__all__ = ["Guard", "Handler", "SocketHandler"]
