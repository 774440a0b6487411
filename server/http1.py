"""HTTP/1.1, which most requests use.  httptools parses requests; an answer is sent by one write if possible.

The head of a request may take little memory and little time.  A body is read only as fast as its handler takes it, and an
answer is written only as fast as its client reads it.  A pipelined request waits until the one before is answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import httptools

from .http import Headers, Message, Receive, Scope, Send

_LOG = logging.getLogger("penstock.server.http")
KEEP_ALIVE_S: Final = 30.0
"""The longest time in seconds from an answer until the head of the next request is complete."""
HEADER_BYTES_MAX: Final = 64 * 1024
_BODY_BYTES: Final = 64 * 1024
"""The size of the part of a body that waits for its handler, in bytes, from which on no more is read."""
_LINGER_S: Final = 2.0
"""The time in seconds for which the rest of a request is read and dropped after its answer.  If the connection were closed
with unread bytes, the client could lose the answer.
"""
_WAITING_MAX: Final = 32
"""The number of waiting pipelined requests of a connection, from which on no more is read."""

Application = Callable[[Scope, Receive, Send], Any]

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_BODILESS: Final = (204, 304)


class Http1(asyncio.Protocol):
    """One HTTP/1.1 connection, as a protocol of asyncio.

    Args:
        connections: the set of open connections, to which this one adds and from which it removes itself.
        hand_over: takes over a connection that changes to another protocol (HTTP/2, WebSocket), with the bytes read so far.
    """

    def __init__(
        self,
        app: Application,
        connections: set[Http1],
        hand_over: Callable[[asyncio.Transport, bytes], None],
    ) -> None:
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.tasks: set[asyncio.Task[None]] = set()
        self._connections = connections
        self._hand_over = hand_over
        self._parser = httptools.HttpRequestParser(self)
        self._address: dict[str, Any] = {}
        self._head = b""
        """The bytes of an incomplete head, which the parser gets when it is complete."""
        self._between = True
        """Whether the parser is between two requests: it has got nothing of the next one."""
        self._head_bytes = 0
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._receiving: _Exchange | None = None
        self._answering: _Exchange | None = None
        self._waiting: deque[_Exchange] = deque()
        self._idle_since_s = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._writable: asyncio.Event | None = None
        """Cleared while the client does not read what is sent fast enough."""
        self._ending = False
        """Whether the connection takes no more requests."""
        self._deaf = False
        """Whether all bytes that the client sends are dropped."""

    # --- the connection ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        secure = transport.get_extra_info("ssl_object")
        if secure is not None and secure.selected_alpn_protocol() == "h2":
            self._hand_over(transport, b"")
            return
        self._address = {
            "scheme": "http" if secure is None else "https",
            "client": _address(transport.get_extra_info("peername")),
            "server": _address(transport.get_extra_info("sockname")),
        }
        self._connections.add(self)
        self._timer = self.loop.call_later(KEEP_ALIVE_S, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        for exchange in (self._receiving, self._answering, *self._waiting):
            if exchange is not None:
                exchange.lost()
        self._waiting.clear()
        if self._writable is not None:
            self._writable.set()

    def _leave(self) -> None:
        self._connections.discard(self)
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()

    def _check_idle(self) -> None:
        left_s = KEEP_ALIVE_S
        if self._answering is None and self._receiving is None:
            left_s = self._idle_since_s + KEEP_ALIVE_S - self.loop.time()
            if left_s <= 0:
                self.transport.close()
                return
        self._timer = self.loop.call_later(left_s, self._check_idle)

    def stop(self) -> None:
        """Take no more requests; close the connection after the answer to the present one."""
        self._ending = True
        self._waiting.clear()
        if self._answering is None:
            self.transport.close()
        else:
            self._answering.keep_alive = False

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    async def drained(self) -> None:
        """Wait until most of what was sent has left for the client."""
        writable = self._writable
        if writable is not None:
            await writable.wait()

    def read_on(self) -> None:
        """Pause or resume reading, depending on how much of a body and how many requests wait."""
        full = len(self._waiting) >= _WAITING_MAX or (self._receiving is not None and self._receiving.is_full)
        if full == self._reading and not self.transport.is_closing():
            self._reading = not full
            (self.transport.pause_reading if full else self.transport.resume_reading)()

    # --- requests ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._between:
            if self._head:
                data = self._head + data
            end = data.find(b"\r\n\r\n")
            if self._answering is None and (data.startswith(b"PRI * HTTP/2") or (end > 0 and _asks_for_more(data[:end]))):
                self._leave()
                self._hand_over(self.transport, data)
                return
            if (end if end >= 0 else len(data)) > HEADER_BYTES_MAX:
                self._refuse(431)
                return
            if end < 0 and b"\n\n" not in data:
                self._head = data
                return
            self._head = b""
        elif self._receiving is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._answering is not None:
                self._answering.keep_alive = False  # it asked for another protocol too late
            self._ending = self._deaf = True
        except httptools.HttpParserError:
            self._refuse(431 if self._head_bytes > HEADER_BYTES_MAX else 400)
            return
        if self._receiving is None and self._head_bytes > HEADER_BYTES_MAX:
            self._refuse(431)
            return
        self.read_on()

    def _refuse(self, status: int) -> None:
        """Answer bytes that are not a request with an error, and close the connection.

        While an earlier request is not answered, there is no such answer, since the client would take it for that request's.
        """
        self._ending = self._deaf = True
        if self._answering is None:
            reason = _REASONS[status]
            body = b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(reason), reason)
            self.transport.write(b"HTTP/1.1 %d %b\r\nconnection: close\r\n" % (status, reason) + body)
            self._linger()
        else:
            if self._receiving is not None:
                self._receiving.lost()
            self._answering.keep_alive = False
            if self._answering is self._receiving:
                self.transport.close()

    def _linger(self) -> None:
        """Close the connection, after the client had `_LINGER_S` to read the answer."""
        self._ending = self._deaf = True
        if self.transport.is_closing():
            return
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    # --- called by the parser ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._between = False
        self._head_bytes = 0
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEADER_BYTES_MAX:
            raise ValueError("too large")
        if self._receiving is None:  # else it is a trailer, which nobody asks for
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        raw_path, _, query = self._url.partition(b"?")
        version = self._parser.get_http_version()
        scope: Scope = {
            "type": "http",
            "http_version": version,
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "extensions": {},
            **self._address,
        }
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        exchange = self._receiving = _Exchange(self, scope, keep_alive)
        self._head_bytes = 0
        if self._answering is None:
            self._answer(exchange)
        elif not self._ending:
            self._waiting.append(exchange)

    def on_body(self, body: bytes) -> None:
        if self._receiving is not None:
            self._receiving.came(body)

    def on_message_complete(self) -> None:
        self._between = True
        exchange, self._receiving = self._receiving, None
        if exchange is not None:
            exchange.ended()

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, exchange: _Exchange) -> None:
        self._answering = exchange
        task = self.loop.create_task(self._run(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, exchange: _Exchange) -> None:
        try:
            await self.app(exchange.scope, exchange.receive, exchange.send)
        except Exception:  # the boundary of a request
            _LOG.exception("a request broke off")
        if not exchange.finished:
            exchange.break_off()

    def answered(self, exchange: _Exchange) -> None:
        """Go on with the next request.  The exchange calls this when its whole answer has been written."""
        self._answering = None
        if self.transport.is_closing():
            return
        if self._receiving is exchange:  # the request has not
            self._linger()
        elif not exchange.keep_alive or self._ending:
            self.transport.close()
        elif self._waiting:
            self._answer(self._waiting.popleft())
            self.read_on()
        else:
            self._idle_since_s = self.loop.time()


class _Exchange:
    """A request and its answer.  `receive` and `send` are ASGI's two functions.

    Attributes:
        keep_alive: whether the connection may take another request afterwards.
        finished: whether the whole answer has been written.
    """

    __slots__ = (
        "_arrived",
        "_bodiless",
        "_changed",
        "_chunked",
        "_connection",
        "_gone",
        "_head",
        "_left",
        "_parts",
        "_size",
        "_started",
        "_told",
        "finished",
        "keep_alive",
        "scope",
    )

    def __init__(self, connection: Http1, scope: Scope, keep_alive: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.finished = False
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._arrived = False
        """Whether the whole request has arrived."""
        self._told = False
        """Whether `receive` has told the handler that the whole request has arrived."""
        self._gone = False
        self._changed: asyncio.Event | None = None
        self._head: bytes | None = None
        """The head of the answer; it is sent with the first piece of the body."""
        self._started = False
        self._chunked = self._bodiless = False
        self._left: int | None = None
        """The number of bytes of the answer's Content-Length that are not sent yet; None without that header."""

    # --- the request -------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether `_BODY_BYTES` of the body wait for the handler."""
        return self._size >= _BODY_BYTES

    def came(self, body: bytes) -> None:
        """Take a piece of the body that has arrived."""
        if not self.finished:
            self._parts.append(body)
            self._size += len(body)
            self._wake()

    def ended(self) -> None:
        """Note that the body has ended."""
        self._arrived = True
        self._wake()

    def lost(self) -> None:
        """Note that the client has closed the connection."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def receive(self) -> Message:
        """ASGI."""
        while True:
            if self._parts or (self._arrived and not self._told):
                body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts.clear()
                self._size = 0
                self._told = self._arrived
                if not self._arrived:
                    self._connection.read_on()
                return {"type": "http.request", "body": body, "more_body": not self._arrived}
            if self._gone or self.finished:
                return {"type": "http.disconnect"}
            self._ask_for_body()
            if self._changed is None:
                self._changed = asyncio.Event()
            self._changed.clear()
            await self._changed.wait()

    def _ask_for_body(self) -> None:
        if self._arrived or self._started or self.scope["http_version"] != "1.1":
            return
        headers = self.scope["headers"]
        if any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers):
            self.scope["headers"] = [header for header in headers if header[0] != b"expect"]
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- the answer --------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """ASGI."""
        if self._gone or self.finished:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
            return
        connection = self._connection
        data = message.get("body", b"")
        more = message.get("more_body", False)
        if self._bodiless:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            if not more:
                data += b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (not more and self._left):
                raise RuntimeError("an answer has another length than its head says")
        head, self._head = self._head, None
        if head is not None:
            data = head + data
        if data:
            connection.transport.write(data)
        if not more:
            self.finished = True
            self._wake()
            connection.answered(self)
        await connection.drained()

    def _start(self, status: int, headers: Headers) -> None:
        lines = [b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, _REASONS.get(status, b""), _date())]
        for name, value in headers:
            if b"\n" in value or b"\r" in value:
                raise ValueError(f"the header {name!r} has a line break")
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":
                self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        self._bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        if self._left is None and not self._bodiless:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._started = True
        head = b"".join(lines)
        if self._left is None:
            self._connection.transport.write(head)  # its body may take its time
        else:
            self._head = head

    def break_off(self) -> None:
        """End an answer that cannot be completed (with status 500 if it has not begun), and close the connection."""
        connection, self.finished = self._connection, True
        self.keep_alive = False
        if not self._started and not self._gone:
            connection.transport.write(
                b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
        connection.answered(self)


_shown: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The Date header of an answer."""
    global _shown
    now_s = int(time.time())
    if _shown[0] != now_s:
        _shown = (now_s, formatdate(now_s, usegmt=True).encode())
    return _shown[1]


def _asks_for_more(head: bytes) -> bool:
    """Whether a request's head may ask for another protocol: it has the word Upgrade."""
    return b"pgrade" in head or b"PGRADE" in head


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


__all__ = ["HEADER_BYTES_MAX", "KEEP_ALIVE_S", "Http1"]
