"""Requests and answers for handlers, directly over ASGI's events.

Starlette only does the routing.  Its streamed answers read from the request to notice a disconnect, which would take the
rest of the body from a handler that still reads it.  So handlers here use ASGI's own functions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from .problems import BAD_REQUEST, NOT_ACCEPTABLE, TIMED_OUT, TOO_LARGE, ApiError
from .values import encode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON = "application/json"
KSQL_JSON = "application/vnd.ksql.v1+json"
DELIMITED = "application/vnd.ksqlapi.delimited.v1"
ARROW = "application/vnd.apache.arrow.stream"
EVENTS = "text/event-stream"
FRAMES_MAX: Final = 1_000
"""The largest number of pieces that get a DATA frame each; more are joined, since a frame takes some 20 µs."""


class Disconnected(Exception):
    """The client has closed the connection, so the request needs no answer."""


class Request:
    """A request, and the methods by which its handler answers it.

    Args:
        body_bytes_max: the largest body, in bytes.
        timeout_s: the longest time for the body to arrive, in seconds.
    """

    __slots__ = ("_body_ended", "_headers", "body_bytes_max", "lasting", "receive", "scope", "send", "started", "timeout_s")

    def __init__(self, scope: Scope, receive: Receive, send: Send, body_bytes_max: int, timeout_s: float) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.body_bytes_max = body_bytes_max
        self.timeout_s = timeout_s
        self.started = False
        """Whether the head of the answer has been sent."""
        self.lasting = False
        """Whether the client decides how long the request lasts (a push query).  Its duration is not measured then."""
        self._body_ended = False
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Lower-case name -> value of the headers; of repeated ones the last."""
        if self._headers is None:
            self._headers = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in self.scope["headers"]}
        return self._headers

    @property
    def is_http2(self) -> bool:
        return str(self.scope.get("http_version", "1.1")).startswith("2")

    @property
    def query(self) -> dict[str, str]:
        """Name -> value of the URL's query parameters."""
        return dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    @property
    def path_parameters(self) -> dict[str, str]:
        return dict(self.scope.get("path_params", {}))

    def lasts(self) -> None:
        """Note that from now on the client decides how long the request lasts, see `lasting`."""
        self.lasting = True

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            ApiError: the body is too large, or took too long to arrive.
            Disconnected: the client has closed the connection.
        """
        length = self.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self.body_bytes_max:
            raise self._too_large()
        deadline = time.monotonic() + self.timeout_s
        parts: list[bytes] = []
        size = 0
        while True:
            part, more = await self.next_part(max(0.001, deadline - time.monotonic()))
            size += len(part)
            if size > self.body_bytes_max:
                raise self._too_large()
            parts.append(part)
            if not more:
                return b"".join(parts)

    def _too_large(self) -> ApiError:
        return ApiError(TOO_LARGE, f"the body is larger than {self.body_bytes_max:,} bytes", headers=_CLOSE)

    async def next_part(self, timeout_s: float | None) -> tuple[bytes, bool]:
        """Read the next piece of the body; returns it, and whether more comes.  Raises: see `body`."""
        try:
            async with asyncio.timeout(timeout_s):
                message = await self.receive()
        except TimeoutError as error:
            raise ApiError(TIMED_OUT, "the body of the request did not arrive in time", headers=_CLOSE) from error
        if message["type"] != "http.request":
            raise Disconnected
        more = bool(message.get("more_body", False))
        self._body_ended = not more
        return message.get("body", b""), more

    async def json(self) -> dict[str, Any]:
        """Read the body as a JSON object.  Raises: ApiError, Disconnected."""
        return json_object(await self.body())

    def accepts(self, offered: tuple[str, ...], default: str) -> str:
        """Choose from the offered content types by the Accept header.  Raises: ApiError, if none is acceptable."""
        return negotiate(self.headers.get("accept", ""), offered, default)

    # --- answers ---------------------------------------------------------------------------

    async def start(self, status: int, content_type: str | None, headers: Headers = ()) -> None:
        """Send the head of an answer."""
        headers = tuple(headers)
        self.started = True
        found = [h for h in headers if h[0] != b"connection"]
        if not self.is_http2 and (len(found) < len(headers) or (status >= 400 and self._unread)):
            found.append(_CLOSE[0])  # HTTP/2 has no such header, and no need of it
        if content_type is not None:
            found.append((b"content-type", content_type.encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": found})

    @property
    def _unread(self) -> bool:
        """Whether a part of the body was not read yet.  An answer that begins now must close an HTTP/1.1 connection."""
        has_body = self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers
        return has_body and not self._body_ended

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the answer's body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def write_each(self, parts: list[bytes]) -> None:
        """Send pieces of the answer's body.

        Over HTTP/2 each piece gets a DATA frame of its own, since some clients take a frame for a row, unless there are more
        than `FRAMES_MAX` pieces.
        """
        if not self.is_http2 or len(parts) > FRAMES_MAX:
            parts = [b"".join(parts)]
        for part in parts:
            await self.write(part)

    async def respond(self, data: bytes, content_type: str | None, status: int = 200, headers: Headers = ()) -> None:
        """Send a whole answer."""
        await self.start(status, content_type, [*headers, (b"content-length", str(len(data)).encode())])
        await self.write(data, more=False)

    async def respond_in_parts(self, parts: list[bytes], content_type: str) -> None:
        """Send a whole answer.  Over HTTP/2 each part gets a DATA frame of its own, see `write_each`."""
        if not self.is_http2:
            await self.respond(b"".join(parts), content_type)
            return
        parts = [part for part in parts if part]
        await self.start(200, content_type, [(b"content-length", str(sum(map(len, parts))).encode())])
        for part in parts[:-1]:
            await self.write(part)
        await self.write(parts[-1] if parts else b"", more=False)

    async def respond_json(
        self, value: Any, status: int = 200, headers: Headers = (), content_type: str | None = None
    ) -> None:
        """Send a whole answer in JSON."""
        await self.respond(encode(value), content_type or JSON, status, headers)

    async def fail(self, error: ApiError) -> None:
        """Answer with an error.  Nothing may have been sent before."""
        await self.respond_json(error.entity(), error.status, error.headers)


async def refuse_socket(
    send: Send,
    status: int,
    data: bytes = b"Not Found",
    content_type: str = "text/plain; charset=utf-8",
    headers: Headers = (),
) -> None:
    """Refuse a request for a WebSocket with an HTTP answer."""
    found = [*headers, (b"content-type", content_type.encode()), (b"content-length", str(len(data)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": found})
    await send({"type": "websocket.http.response.body", "body": data})


_CLOSE = ((b"connection", b"close"),)


def json_object(data: bytes) -> dict[str, Any]:
    """Parse bytes as a JSON object.  Raises: ApiError, if they are something else."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(BAD_REQUEST, "the body is JSON, but not an object")
    return found


def negotiate(accept: str, offered: tuple[str, ...], default: str) -> str:
    """Choose one of the offered content types by an Accept header.  Raises: ApiError, if none is acceptable.

    >>> negotiate("application/json;q=0.5, text/*", ("application/json", "text/plain"), "application/json")
    'text/plain'
    """
    if not accept.strip():
        return default
    wanted: list[tuple[float, int, str]] = []
    for place, item in enumerate(accept.split(",")):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        wanted.append((-quality, place, name))
    for quality, _, name in sorted(wanted):
        if not quality:
            continue
        if name in ("*/*", "*"):
            return default
        for type_ in (default, *offered):
            if type_ == name or (name.endswith("/*") and type_.startswith(name[:-1])):
                return type_
    raise ApiError(NOT_ACCEPTABLE, f"this is answered as {', '.join(offered)}, not as {accept}")


async def until_disconnect(receive: Receive) -> None:
    """Read and drop the rest of the request; return when the client closes the connection."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass


__all__ = [
    "ARROW",
    "DELIMITED",
    "EVENTS",
    "FRAMES_MAX",
    "JSON",
    "KSQL_JSON",
    "Disconnected",
    "Message",
    "Receive",
    "Request",
    "Scope",
    "Send",
    "json_object",
    "negotiate",
    "refuse_socket",
    "until_disconnect",
]
