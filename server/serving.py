"""`serve`: runs a server on a thread of the program that has the database open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from ..arguments import check_arguments, check_options
from ..engine.database import Database
from ..errors import PenstockError, StatementError
from .app import Application
from .config import ServerConfig
from .listening import bound_socket, listen
from .metrics import observe
from .service import Service

_LOG = logging.getLogger("penstock.server")


class Server:
    """A running server.  Stop it, or use it as a context manager.

    Attributes:
        url: its address, ``http://host:port`` or ``https://..``.
    """

    def __init__(self, database: Database, config: ServerConfig) -> None:
        config.check()
        self.config = config
        self._database = database
        self._socket = bound_socket(config.host, config.port)
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if config.certificate else 'http'}://{shown}:{port}"
        self._address = f"{shown}:{port}"
        advertised = urlsplit(config.advertised or "").hostname
        self._names = (*config.hosts, config.host, host, *([advertised] if advertised else []))
        everywhere = host in ("0.0.0.0", "::")
        self._advertised = config.advertised or (None if everywhere else self.url)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._service: Service | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-server", daemon=True)

    def start(self) -> Server:
        """Begin to listen; returns when requests can come.  Raises: PenstockError, if the server cannot listen."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        self._database.advertise(self._advertised)
        return self

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to whoever waits for the start or the stop
            self._failure = error
            if self._ready.is_set():
                _LOG.exception("the server ended")
        finally:
            self._socket.close()
            self._ready.set()
            self._stopped.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        service = self._service = Service(self._database, self.config, self._address)
        observe(service)
        try:
            listening = asyncio.ensure_future(
                listen(Application(service, self._names), self.config, self._socket, self._stop)
            )
            await asyncio.sleep(0)
            if listening.done():  # it could not begin
                await listening
            self._ready.set()
            stopping = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait([listening, stopping], return_when=asyncio.FIRST_COMPLETED)
            service.stopping.set()
            for reader in list(service.open_queries.values()):
                reader.end("Query Completed")
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
        finally:
            service.close()

    def stop(self) -> None:
        """Take no more requests, finish those in progress, end push queries with a final message, and end the thread.

        This takes `ServerConfig.shutdown_s` at most.  The database stays open.
        """
        with contextlib.suppress(PenstockError):  # it is asked no more in a moment anyway
            self._database.advertise(None)
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not self._stopped.is_set():
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(stop.set)
        deadline = time.monotonic() + self.config.shutdown_s
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has stopped, ``timeout_s`` seconds at most (None: no limit); returns whether it has."""
        return self._stopped.wait(timeout_s)

    @property
    def push_readers(self) -> int:
        """The number of open push queries."""
        return 0 if self._service is None else len(self._service.open_queries)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<penstock.Server {self.url}{' stopped' if self._stopped.is_set() else ''}>"


def serve(database: Database, *, config: ServerConfig | None = None, **options: Any) -> Server:
    """Serve a database over HTTP from a thread of this process.

    Args:
        config: the configuration.
        options: the fields of `ServerConfig`, in place of ``config``: ``serve(db, port=0, users=Path("users.toml"))``.

    Returns:
        the running server, with its ``url`` and ``stop()``.

    Raises:
        StatementError: the configuration is not valid; or other machines could reach the server without a login or without
            TLS, and ``insecure`` is false.
        StorageError: the address is in use, or the certificate and its key cannot be used.
    """
    check_arguments(serve, locals())
    check_options(ServerConfig, options, "a server")
    if config is not None and options:
        raise StatementError("a server takes a config or its fields, not both")
    return Server(database, config or ServerConfig(**options)).start()


__all__ = ["Server", "serve"]
