"""Connections that hypercorn serves: HTTP/2 and WebSocket.

Only this module uses hypercorn, so that another ASGI server could replace it.  It is imported for the first such connection.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from contextlib import suppress
from typing import Any, Final

import h2.events
import h2.exceptions
import hypercorn.config
import hypercorn.protocol
import hypercorn.protocol.h2
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.events import Event, Updated

from .config import ServerConfig
from .http1 import HEADER_BYTES_MAX, KEEP_ALIVE_S

_READ_BYTES: Final = 64 * 1024
_STREAMS_MAX: Final = 1_000
"""The largest number of concurrent requests of an HTTP/2 connection: a client may open all its push queries in one."""


class HypercornSettings(hypercorn.config.Config):
    """hypercorn's settings."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__()
        self.certfile = None if config.certificate is None else str(config.certificate)
        self.keyfile = None if config.private_key is None else str(config.private_key)
        self.keep_alive_timeout = KEEP_ALIVE_S
        self.keep_alive_max_requests = 10_000_000
        self.h11_max_incomplete_size = HEADER_BYTES_MAX
        self.h2_max_concurrent_streams = _STREAMS_MAX
        self.h2_max_header_list_size = HEADER_BYTES_MAX
        self.include_server_header = False
        self.accesslog = None
        self.errorlog = logging.getLogger("penstock.server.http")
        self.loglevel = "WARNING"


class _Pieces(hypercorn.protocol.h2.StreamBuffer):
    """The pieces of an answer that wait to be sent in an HTTP/2 stream, as the application wrote them.

    hypercorn would join the pieces.  But clients of push queries take a DATA frame for a row, so each piece gets its own
    frame (several, if it is larger than a frame or than the client's window).
    """

    def __init__(self, event_class: Any) -> None:
        super().__init__(event_class)
        self._waiting: deque[bytes] = deque()
        self._size = 0

    async def close(self) -> None:
        self._waiting.clear()
        self._size = 0
        await super().close()

    @property
    def complete(self) -> bool:
        return self._complete and not self._waiting

    async def push(self, data: bytes) -> None:
        if self._complete:
            raise hypercorn.protocol.h2.BufferCompleteError
        self._waiting.append(data)
        self._size += len(data)
        await self._is_empty.clear()
        if self._size >= hypercorn.protocol.h2.BUFFER_HIGH_WATER:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        if not self._waiting:
            await self._is_empty.set()  # an answer without a body waits for this, too
            return b""
        if max_length <= 0:
            return b""
        data = self._waiting.popleft()
        if len(data) > max_length:
            self._waiting.appendleft(data[max_length:])
            data = data[:max_length]
        self._size -= len(data)
        if self._size < hypercorn.protocol.h2.BUFFER_LOW_WATER:
            await self._paused.set()
        if not self._waiting:
            await self._is_empty.set()
        return data


hypercorn.protocol.h2.StreamBuffer = _Pieces  # type: ignore[misc]


class _Frames(hypercorn.protocol.h2.H2Protocol):
    """HTTP/2 for clients that take a DATA frame for a row, or that go on sending after their answer.

    An answer's last DATA frame ends the stream if it is known to be the last when it is sent.  hypercorn would end each
    stream with an empty frame, which such clients cannot read.
    """

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        """Drop what a client still sends of an answered request.  hypercorn would close the whole connection."""
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                await self._flush()
            else:
                await super()._handle_events([event])

    async def _send_data(self, stream_id: int) -> None:
        buffer, ended = self.stream_buffers[stream_id], False
        try:
            room = min(self.connection.local_flow_control_window(stream_id), self.connection.max_outbound_frame_size)
            data = await buffer.pop(max(0, room))
            ended = buffer.complete
            if data:
                self.connection.send_data(stream_id, data, end_stream=ended)
                await self._flush()
            elif ended:
                self.connection.end_stream(stream_id)
                await self._flush()
            else:
                self.priority.block(stream_id)
        except (h2.exceptions.StreamClosedError, KeyError, h2.exceptions.ProtocolError):
            ended = True  # the stream or its connection is closed already
            await buffer.close()
        if ended:
            del self.stream_buffers[stream_id]
            self.priority.remove_stream(stream_id)


hypercorn.protocol.H2Protocol = _Frames  # type: ignore[attr-defined]


class _Connection(TCPServer):
    """A connection that ends as soon as its client closes it.  hypercorn would wait for its idle timeout."""

    async def _read_data(self) -> None:
        try:
            await super()._read_data()
        finally:
            await self.idle_task.stop()

    async def _close(self) -> None:
        with suppress(ssl.SSLError):  # the client still sent something, as WebSocket's own goodbye, after ours of TLS
            await super()._close()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated) and event.idle and self.reader.at_eof():
            return  # an answer ended after its client had gone: there is nothing to wait for
        await super().protocol_send(event)


class Others:
    """The connections that hypercorn serves."""

    def __init__(self, app: Any, config: ServerConfig) -> None:
        self._app = ASGIWrapper(app)
        self._config = HypercornSettings(config)
        self._loop = asyncio.get_running_loop()
        self._context = WorkerContext(None)
        self.tasks: set[asyncio.Task[None]] = set()

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take over a connection, with the bytes that were read from it."""
        reader = asyncio.StreamReader(limit=_READ_BYTES, loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        if data:
            reader.feed_data(data)
        server = _Connection(self._app, self._loop, self._config, self._context, {}, reader, writer)
        task = self._loop.create_task(server.run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        """Take no more requests."""
        await self._context.terminated.set()


__all__ = ["Others", "HypercornSettings"]
