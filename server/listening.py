"""The HTTP server under the ASGI application, with HTTP/1.1, HTTP/2 and WebSocket on one port.

A connection begins as `Http1`.  If its client uses HTTP/2 (by prior knowledge, ALPN or an upgrade) or WebSocket,
`other_protocols` takes it over.
"""

from __future__ import annotations

import asyncio
import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ..errors import StorageError
from .config import ServerConfig
from .http1 import Http1

if TYPE_CHECKING:
    from .other_protocols import Others

_BACKLOG: Final = 1_024
_HANDSHAKE_S: Final = 10.0


def bound_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Raises:
        StorageError: the address is in use, or not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)  # from now on whoever connects waits for the loop, and is not refused
        made.setblocking(False)
    except OSError as error:
        raise StorageError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            action="choose another port, or end what uses it",
        ) from error
    return made


class _Door:
    """Makes the protocol objects of new connections, and stops them all.

    Attributes:
        connections: the open HTTP/1.1 connections.
    """

    def __init__(self, app: Any, config: ServerConfig) -> None:
        self._app = app
        self._config = config
        self.connections: set[Http1] = set()

    def connection(self) -> Http1:
        """Make the protocol object of a new connection."""
        return Http1(self._app, self.connections, self._hand_over)

    def _hand_over(self, transport: asyncio.Transport, data: bytes) -> None:
        self.others.take(transport, data)

    @cached_property
    def others(self) -> Others:
        """The connections of other protocols.  It is made for the first of them, since their library is slow to import."""
        from .other_protocols import Others

        return Others(self._app, self._config)

    def secure(self) -> dict[str, Any]:
        """The keyword arguments that set up TLS by the config; empty without TLS."""
        if self._config.certificate is None:
            return {}
        from .other_protocols import HypercornSettings

        return {"ssl": HypercornSettings(self._config).create_ssl_context(), "ssl_handshake_timeout": _HANDSHAKE_S}

    async def stop(self, patience_s: float) -> None:
        """Take no more requests, and wait ``patience_s`` seconds at most for those in progress."""
        tasks: set[asyncio.Task[None]] = set()
        if "others" in vars(self):
            await self.others.stop()
            tasks |= self.others.tasks
        for connection in list(self.connections):
            connection.stop()
        tasks |= {task for connection in self.connections for task in connection.tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        for connection in list(self.connections):
            connection.transport.abort()


async def listen(app: Any, config: ServerConfig, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer requests until ``stop`` is set; then finish those in progress, for half of the config's ``shutdown_s`` at most
    (but at least a second)."""
    door = _Door(app, config)
    server = await asyncio.get_running_loop().create_server(
        door.connection, sock=listening, backlog=_BACKLOG, **door.secure()
    )
    try:
        await stop.wait()
    finally:
        server.close()
        await door.stop(max(1.0, config.shutdown_s / 2))


__all__ = ["bound_socket", "listen"]
