"""The Kafka listener: a TCP server whose event loop runs in a thread of its own.

It accepts connections, reads requests, and sends answers in the order of the requests.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from ..addresses import is_loopback
from ..arguments import check_arguments, check_options
from ..certificates import server_context
from ..engine.database import Database
from ..errors import PenstockError, StatementError, StorageError
from ..limits import KAFKA_REQUEST_BYTES_MAX
from . import requests_cluster, requests_data, requests_groups, requests_looking
from .appender import Append, Gathering
from .broker import HANDLERS, LOGGER, Body, Broker, BrokerOptions, Client
from .log_access import LogAccess
from .protocol import MalformedRequest, Request, read_request, response_bytes
from .security import Credentials, Security
from .transactions import Refused

__all__ = ["KafkaListener", "broker"]

_LONG: Final = frozenset({"fetch", "join_group", "sync_group"})
"""APIs whose requests may wait minutes for other clients.  These may be cancelled, since they change nothing half-way.  All
other requests are completed even if their client is gone: it may send them again, and must then find all of it or nothing.
"""
_LONG_S: Final = 1.0
"""The time in seconds after which such a request is cancelled if its client is no longer connected."""
_SMALL_BYTES = 64 * 1024
"""Requests and answers up to this size do not wait for memory: they need little, and other requests may depend on them."""
_IN_FLIGHT_MAX = 32
"""The largest number of unanswered requests of a connection.  While there are so many, no further one is read."""
_BEFORE_LOGIN = {"api_versions", "sasl_handshake", "sasl_authenticate"}
_LOGIN_BYTES_MAX = 64 * 1024
"""The largest request of a client that has not logged in, in bytes."""
_LENGTH = struct.Struct(">i")
Answers = asyncio.Queue["asyncio.Future[bytes | None] | None"]
_HELLO_S = 30.0
"""The longest wait, in seconds, for the rest of a request, and for the next request of a client that has not logged in."""
_CLOSE_S = 10.0

MODULES = (requests_cluster, requests_data, requests_groups, requests_looking)
"""The modules with the handlers.  Importing them registers the handlers."""


class KafkaListener:
    """Gives Kafka's clients access to a database.  Close it before the database, or use it as a context manager.

    Args:
        host, port: the address to listen on; port 0 takes a free one.
        insecure: allow an address that other machines can reach, even without a login or without TLS.

    Raises:
        StatementError: other machines could reach it without a login or without TLS, and ``insecure`` is false.
        StorageError: the address is in use.
    """

    def __init__(
        self,
        database: Database,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        options: BrokerOptions | None = None,
        security: Security | None = None,
        insecure: bool = False,
    ) -> None:
        security = security or Security()
        if not (insecure or is_loopback(host)):
            if not security.is_needed:
                raise StatementError(
                    f"{host} can be reached from elsewhere, and nobody has to log in",
                    suggestion="Give users, listen on 127.0.0.1, or pass insecure if the network is your own.",
                )
            if security.certificate is None:
                raise StatementError(
                    f"{host} can be reached from elsewhere, and passwords would be sent in clear text",
                    suggestion="Give a certificate and its key, listen on 127.0.0.1, or (your own network) pass insecure.",
                )
        self.host = host
        self._tls = server_context(security.certificate, security.key)
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._access = LogAccess(database)
        self._options = options or BrokerOptions()
        self._security = security
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Future[Body | None]] = set()
        self._stopping = False
        self._broker: Broker
        self._started: threading.Event = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="penstock-kafka", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        self._watcher = threading.Thread(target=self._watch, name="penstock-kafka-watch", daemon=True)
        self._watcher.start()

    @property
    def address(self) -> str:
        """The address as ``host:port``, for a client's ``bootstrap.servers``."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def __enter__(self) -> KafkaListener:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading requests, answer those already read, and end the thread."""
        if self._stopping:
            return
        self._stopping = True
        self._access.log.wake()
        self._watcher.join()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._broker.close()

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._connections)

    # --- threads ---------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._broker = Broker(self._access, self._options, self._security, self.host, self.port)
            self._server = self._loop.run_until_complete(
                asyncio.start_server(self._connected, sock=self._socket, ssl=self._tls, limit=1 << 20, backlog=1024)
            )
            self._expiry = self._loop.create_task(self._expire())
        except BaseException as error:  # raised again in the constructor
            self._error = error
            self._socket.close()
            return
        finally:
            self._started.set()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _watch(self) -> None:
        """Wake the event loop after each commit."""
        log = self._access.log
        epoch = log.epoch
        while not self._stopping:
            newer = log.wait(epoch, 1.0, lambda: self._stopping)
            if newer != epoch:
                epoch = newer
                self._loop.call_soon_threadsafe(self._broker.wake)

    async def _expire(self) -> None:
        """Once a second, abort transactions that have timed out and forget groups without members.  Once a minute, forget
        producers that have not written for long.
        """
        broker = self._broker

        def forget_producers(gathering: Gathering) -> None:
            entries = broker.producers.expire()
            if entries:
                broker.state.append(gathering.change(), entries)

        for second in itertools.count(1):
            await asyncio.sleep(1.0)
            broker.groups.forget_empty()
            try:
                await broker.transactions.expire()
                if second % 60 == 0:
                    await broker.run(Append(forget_producers))
            except Exception as error:  # what is over is looked at again in a second
                ours = isinstance(error, PenstockError)
                LOGGER.warning("transactions that are over could not be ended: %s", error, exc_info=not ours)

    async def _stop(self) -> None:
        self._server.close()
        self._expiry.cancel()
        self._broker.groups.close()
        self._broker.wake()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=_CLOSE_S)
        if self._work:  # of clients that are gone
            _, left = await asyncio.wait(self._work, timeout=_CLOSE_S / 2)
            for work in left:
                work.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    # --- connections -----------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = writer.get_extra_info("peername")
        here = writer.get_extra_info("sockname")
        if (connection := writer.get_extra_info("socket")) is not None:  # one whose other end has vanished ends some day
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client = Client(str(peer[0]) if peer else "", reached=str(here[0]) if here else "")
        if self._stopping or len(self._connections) >= self._options.connections_max:
            LOGGER.warning("a connection from %s is refused: there are %d already", client.host, len(self._connections))
            writer.transport.abort()
            return
        self._connections.add(task)
        answers: Answers = asyncio.Queue(_IN_FLIGHT_MAX)
        sender = asyncio.ensure_future(self._send(writer, answers))
        try:
            await self._read(reader, client, answers, sender)
        except MalformedRequest as error:
            LOGGER.warning("the connection from %s ends: %s", client.host, str(error))
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            LOGGER.info("the connection from %s ended: %s", client.host, error or type(error).__name__)
        except asyncio.CancelledError:
            pass  # the listener is closed: what is in hand is answered below
        finally:
            try:
                await self._finish(answers, sender)
            finally:
                self._connections.discard(task)
                writer.transport.abort() if sender.cancelled() else writer.close()

    @staticmethod
    async def _finish(answers: Answers, sender: asyncio.Future[None]) -> None:
        """Wait until the remaining answers are sent, for a limited time."""
        if not sender.done():
            try:
                async with asyncio.timeout(_CLOSE_S / 2):
                    await answers.put(None)
                    await asyncio.shield(sender)
            except (TimeoutError, ConnectionError, asyncio.CancelledError):
                sender.cancel()
        if sender.done() and not sender.cancelled():
            sender.exception()  # the client went away while it was answered: that is no news
        while not answers.empty():
            left = answers.get_nowait()
            if isinstance(left, asyncio.Future):
                left.cancel()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        client: Client,
        answers: Answers,
        sender: asyncio.Future[None],
    ) -> None:
        """Read and handle requests, one after the other.

        Only Produce requests are pipelined: they do not wait for the answer to the request before.
        """
        ahead: asyncio.Task[int | None] | None = None
        try:
            while not self._stopping and not sender.done():
                length = await (self._length(reader, client) if ahead is None else ahead)
                ahead = None
                if length is None:
                    return
                answer, api = await self._begun(reader, client, length)
                await answers.put(answer)
                if api == "produce":
                    continue
                waiting: set[asyncio.Future[Any]] = {answer, sender}
                long = api in _LONG
                done, _ = await asyncio.wait(waiting, timeout=_LONG_S if long else None, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    ahead = asyncio.create_task(self._length(reader, client))
                    await self._answered_or_gone(answer, waiting, ahead)
                if _size(answer) > _SMALL_BYTES:
                    await self._sent(answers, sender)
        finally:
            if ahead is not None:
                ahead.cancel()

    @staticmethod
    async def _sent(answers: Answers, sender: asyncio.Future[None]) -> None:
        """Wait until all answers are sent.  So a client that does not read its answers cannot make more of them."""
        sent = asyncio.ensure_future(answers.join())
        try:
            await asyncio.wait({sent, sender}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sent.cancel()

    @staticmethod
    async def _answered_or_gone(
        answer: asyncio.Future[Any], waiting: set[asyncio.Future[Any]], ahead: asyncio.Task[int | None]
    ) -> None:
        """Wait for the answer to a request of `_LONG`; cancel the request when its client is gone."""
        await asyncio.wait({*waiting, ahead}, return_when=asyncio.FIRST_COMPLETED)
        if ahead.done() and not ahead.cancelled() and (ahead.exception() is not None or ahead.result() is None):
            answer.cancel()
        else:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    async def _length(self, reader: asyncio.StreamReader, client: Client) -> int | None:
        """Read the length of the next request, in bytes; None if the client has closed the connection."""
        unknown = self._security.is_needed and client.principal is None
        try:
            async with asyncio.timeout(_HELLO_S if unknown else None):
                head = await reader.readexactly(_LENGTH.size)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        (length,) = _LENGTH.unpack(head)
        if not 0 <= length <= (_LOGIN_BYTES_MAX if unknown else KAFKA_REQUEST_BYTES_MAX):
            raise MalformedRequest(f"a request of {length} bytes")
        return int(length)

    async def _begun(
        self, reader: asyncio.StreamReader, client: Client, length: int
    ) -> tuple[asyncio.Future[bytes | None], str]:
        """Read a request as soon as there is memory for it, and start its handler.  Return its future answer and its API."""
        received = self._broker.received
        if length > _SMALL_BYTES:
            await received.room()
        received.take(length)
        answer: asyncio.Future[bytes | None] | None = None
        try:
            async with asyncio.timeout(_HELLO_S):
                data = await reader.readexactly(length)
            if (wait_s := client.muted_until_s - time.monotonic()) > 0:  # over its quota
                await asyncio.sleep(wait_s)
            request = read_request(data)
            if self._security.is_needed and client.principal is None and request.api not in _BEFORE_LOGIN:
                raise MalformedRequest(f"{request.api} before logging in")
            answer = asyncio.ensure_future(self._answer(client, request))
            answer.add_done_callback(lambda _: received.give_back(length))
            return answer, request.api
        finally:
            if answer is None:
                received.give_back(length)

    async def _answer(self, client: Client, request: Request) -> bytes | None:
        try:
            body = await self._handled(client, request)
            if body is None:
                return None
            version = 0 if request.body is None else request.version
            return response_bytes(request.api, version, request.correlation_id, body)
        except asyncio.CancelledError:
            raise
        except Refused as refused:
            LOGGER.info("the connection from %s ends: %s: %s", client.host, request.api, refused)
            raise
        except Exception:
            LOGGER.exception("%s of version %d from %s failed", request.api, request.version, client.host)
            raise

    async def _handled(self, client: Client, request: Request) -> Body | None:
        """Run a request's handler and return the answer's body.  Only handlers of `_LONG` can be cancelled."""
        work = asyncio.ensure_future(HANDLERS[request.api](self._broker, client, request))
        if request.api in _LONG:
            return await work
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return await asyncio.shield(work)

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, answers: Answers) -> None:
        """Send answers in the order of their requests.  If a handler raised an error, end the connection."""
        while (answer := await answers.get()) is not None:
            try:
                data = await answer
            except Exception:  # logged where it happened
                writer.transport.abort()
                return
            if data is not None:
                writer.write(data)
                await writer.drain()
            answers.task_done()


def _size(answer: asyncio.Future[bytes | None]) -> int:
    """The number of bytes of an answer; 0 if the request has none."""
    if not answer.done() or answer.cancelled() or answer.exception() is not None:
        return 0
    return len(answer.result() or b"")


def broker(
    database: Database,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    users: Mapping[str, Credentials] | None = None,
    certificate: str | None = None,
    key: str | None = None,
    insecure: bool = False,
    **options: Any,
) -> KafkaListener:
    """Serve Kafka's protocol, so that any Kafka client can produce to, consume from and administer a database.

    Args:
        host, port: the address to listen on; port 0 takes a free one, see `KafkaListener.address`.
        users: name -> password, role (``read``, ``write`` or ``admin``) and, optionally, prefixes of the topics, groups and
            transactional ids that the user may use.  Users log in by SASL (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512).
        certificate, key: PEM files; with them, clients must use TLS.
        insecure: allow an address that other machines can reach, even without a login or without TLS.
        options: the fields of `BrokerOptions`.

    Raises:
        StatementError: an option does not exist or has a wrong value; or other machines could reach the listener without a
            login or without TLS, and ``insecure`` is false.
        StorageError: the address is in use.
    """
    check_arguments(broker, locals())
    check_options(BrokerOptions, options, "the listener")
    security = Security.of(users, certificate=certificate, key=key)
    return KafkaListener(database, host, port, options=BrokerOptions(**options), security=security, insecure=insecure)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise StorageError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}",
            action="choose another port, or end what uses it",
        ) from error
