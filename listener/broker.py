"""The state of a listener that request handlers use.  All connections share it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..arguments import check_fields
from ..errors import StatementError
from ..limits import KAFKA_RECEIVED_BYTES_MAX, KAFKA_WAITING_BYTES_MAX
from ..storage.log.protocol import Commit
from .appender import Append, Appender
from .fetch_sessions import FetchSessions
from .groups import GroupCoordinator
from .log_access import LogAccess
from .offsets import Offsets
from .producers import ProducerStates
from .protocol import ErrorCode, Request
from .quotas import Quota
from .security import Principal, ScramExchange, Security, operations
from .state import StateTopic
from .transactions import Refused, Transactions

__all__ = ["HANDLERS", "Broker", "BrokerOptions", "Client", "handles"]

LOGGER = logging.getLogger("penstock.kafka")
NODE_ID = 1
"""The id of the only broker."""
_EVERYWHERE = ("", "0.0.0.0", "::")
"""Addresses that stand for all addresses of a machine.  A server can listen on them, but no client can connect to them."""

Body = Mapping[str, Any]
Handler = Callable[["Broker", "Client", Request], Awaitable[Body | None]]
HANDLERS: dict[str, Handler] = {}
"""API -> its handler.  A handler returns None if the request gets no answer."""


def handles(api: str) -> Callable[[Handler], Handler]:
    """A decorator that registers the handler of an API."""

    def register(handler: Handler) -> Handler:
        HANDLERS[api] = handler
        return handler

    return register


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Settings of a listener, with Kafka's names where Kafka has them.

    Attributes:
        advertised_host, advertised_port: the address that clients are told to connect to (``advertised.listeners``); by
            default the address where the listener listens.  If it listens on all addresses (``0.0.0.0``), each client is
            told the address by which it has reached the listener.
        auto_create_topics: whether a client's request for a missing topic creates it (``auto.create.topics.enable``).
        partitions: the number of partitions of topics that are created without one (``num.partitions``).
        initial_rebalance_delay_ms: how long the first member of a group waits for others, in milliseconds
            (``group.initial.rebalance.delay.ms``).
        connections_max: the largest number of connections; further ones are refused (``max.connections``).
        producer_byte_rate, consumer_byte_rate: the bytes per second that each client may send and read (Kafka's quotas of
            the same names); None: no bound.  A client that exceeds its rate is throttled (``throttle_time_ms``).  A client
            is a user that has logged in, or, without a login, a pair of host and client id.
    """

    advertised_host: str | None = None
    advertised_port: int | None = None
    auto_create_topics: bool = True
    partitions: int = 1
    initial_rebalance_delay_ms: int = 50
    connections_max: int = 10_000
    producer_byte_rate: float | None = None
    consumer_byte_rate: float | None = None

    def __post_init__(self) -> None:
        """Check the fields.  Raises: StatementError: a field has the wrong type or is out of its range."""
        check_fields(self)
        for name in ("partitions", "connections_max", "producer_byte_rate", "consumer_byte_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise StatementError(f"{name} must be positive, not {value}")
        if self.initial_rebalance_delay_ms < 0:
            raise StatementError(f"initial_rebalance_delay_ms cannot be negative: {self.initial_rebalance_delay_ms}")


@dataclass(slots=True)
class Client:
    """The client at the other end of a connection.

    Attributes:
        principal: the authenticated user; None before the login.
        order: the lock that is held while batches are given to the appender, which keeps them in the order of requests.
        reached: the address of this machine to which the client is connected.
        mechanism, exchange: the SASL mechanism and the state of a login in progress.
        muted_until_s: no request is read before this time of `time.monotonic`, in seconds.
    """

    host: str
    reached: str = ""
    principal: Principal | None = None
    order: asyncio.Lock = field(default_factory=asyncio.Lock)
    mechanism: str | None = None
    exchange: ScramExchange | None = None
    muted_until_s: float = 0.0

    @property
    def owner(self) -> str | None:
        """The name of the user that has logged in."""
        return None if self.principal is None else self.principal.name

    def throttled(self, quota: Quota, client_id: str | None, size: int) -> int:
        """Charge ``size`` bytes to a quota.  Return for how many milliseconds from now the client is not read."""
        name = self.owner if self.owner is not None else f"{self.host} {client_id or ''}"
        wait_ms = quota.charge(name, size)
        if wait_ms:
            self.muted_until_s = max(self.muted_until_s, time.monotonic() + wait_ms / 1000)
        return wait_ms


class Held:
    """Counts the bytes that all requests together hold in memory.  Use it on the event loop's thread.

    Args:
        most: while requests hold so many bytes, no other request begins.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._less: asyncio.Event | None = None

    async def room(self) -> None:
        """Wait until the requests hold fewer bytes than ``most``."""
        while self._bytes >= self._most:
            less = self._less = self._less or asyncio.Event()
            await less.wait()

    def take(self, size: int) -> None:
        self._bytes += size

    def give_back(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < self._most and self._less is not None:
            self._less.set()
            self._less = None


class Broker:
    """The state that request handlers use.  Create and use it on the event loop's thread."""

    def __init__(self, access: LogAccess, options: BrokerOptions, security: Security, host: str, port: int) -> None:
        self.access = access
        self.options = options
        self.security = security
        self.host = options.advertised_host or host
        self.port = options.advertised_port or port
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="penstock-kafka")
        self.state = StateTopic(access.log, access.now_ms)
        entries = self.state.read()
        self.producers = ProducerStates(entries)
        self.appender = Appender(access.log, self._begin)
        self.offsets = Offsets(access, self.state, entries)
        self.groups = GroupCoordinator(options.initial_rebalance_delay_ms, access.claim_group)
        self.transactions = Transactions(
            access, self.producers, self.state, entries, self.run, time.monotonic, self.offsets.keep_texts
        )
        self._changed = asyncio.Event()
        self.unpacked = Held(KAFKA_WAITING_BYTES_MAX)
        self.received = Held(KAFKA_RECEIVED_BYTES_MAX)
        self.fetch_sessions = FetchSessions()
        self.produced = Quota(options.producer_byte_rate)
        self.consumed = Quota(options.consumer_byte_rate)

    def _begin(self) -> None:
        """Prepare for the appender's next transaction, on the appender's thread."""
        self.producers.begin()
        self.transactions.begin()

    def address_for(self, client: Client) -> Body:
        """The host and port that a client is told to connect to."""
        everywhere = self.host in _EVERYWHERE and client.reached
        return {"host": client.reached if everywhere else self.host, "port": self.port}

    async def run(self, append: Append) -> Commit:
        """Commit something through the appender.

        Raises:
            PenstockError: it was not committed.
        """
        return await asyncio.wrap_future(self.appender.submit(append))

    async def blocking(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function that may wait for the disk on a thread, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, call, *arguments)

    # --- waiting for records ---------------------------------------------------------------

    def wake(self) -> None:
        """Wake all that wait in `changed`, after a commit."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changed(self, timeout_s: float) -> None:
        """Wait for the next commit, for ``timeout_s`` seconds at most."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    # --- rights ----------------------------------------------------------------------------

    def may(self, client: Client, action: str, kind: str, name: str) -> bool:
        """Whether a client may do something to a topic, group, transactional id or the cluster."""
        return self._guarded(action, kind, name) is None and self.security.may(client.principal, action, kind, name)

    def operations(self, client: Client, kind: str, name: str) -> int:
        """The operations that a client may carry out on a topic, a group or the cluster, as the bits of Kafka's answers."""
        return operations(lambda action: self.may(client, action, kind, name), kind)

    def _guarded(self, action: str, kind: str, name: str) -> str | None:
        """Why no user may do it: the topic is the engine's own, or a query writes its table there.  None if users may."""
        if kind != "topic" or action == "read":
            return None
        return self.access.refused_records(name) if action == "write" else self.access.refused_write(name)

    def require(self, client: Client, action: str, kind: str, name: str) -> None:
        """Check that a client may do something.  Raises: Refused, if it may not."""
        if not self.may(client, action, kind, name):
            code = {
                "topic": ErrorCode.topic_authorization_failed,
                "group": ErrorCode.group_authorization_failed,
                "transactional_id": ErrorCode.transactional_id_authorization_failed,
            }.get(kind, ErrorCode.cluster_authorization_failed)
            raise Refused(code, self._guarded(action, kind, name) or "")

    def close(self) -> None:
        """Finish the work in progress, then end the threads.  Blocks until that is done."""
        self.groups.close()
        self.appender.close()
        self.pool.shutdown(wait=True)
