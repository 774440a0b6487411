"""Clients of Kafka, all made in one way, and what goes wrong in them as errors of ours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from ....errors import StorageError
from .faults import LOGIN, RETRIED, error_of, fault, is_absence
from .settings import KafkaSettings

__all__ = ["KafkaConnection"]

_LOGGER = logging.getLogger("penstock.storage.kafka")
_QUIET = logging.getLogger("penstock.storage.kafka.client")
_QUIET.setLevel(logging.CRITICAL + 1)
"""It tells of every connection that is not made, many times a second, and of what is an error of ours in a moment; whoever
wants that sets its level."""
T = TypeVar("T")

_WRITING = {
    "linger.ms": 5,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 512 * 1024,
    "message.max.bytes": 100_000_000,
    "compression.type": "lz4",
}
"""Of producers."""
RETRY_S = 0.01
PROBE_S = 1.0
GREET_S = 1.0
"""How often is looked, before a broker has answered, whether it refuses this client."""


class KafkaConnection:
    """Makes clients, and turns their failures into our errors.  Thread-safe."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.last_error: Any = None
        """What a client reported last about its connections."""
        self.absent: StorageError | None = None
        """That no broker answers now, as `probe` found."""
        self._down = False
        self._probed_s = 0.0
        self._admin: AdminClient | None = None
        self._guard = threading.Lock()

    def _base(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.settings.servers,
            "client.id": self.settings.client_id,
            "error_cb": self._report,
            "logger": _QUIET,
            "log_level": 3,
            "socket.timeout.ms": int(self.settings.attempt_s * 1000),
            "socket.connection.setup.timeout.ms": max(1000, int(self.settings.attempt_s * 1000)),
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            **self.settings.client,
        }

    def _report(self, error: Any) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._down = True
        elif self.last_error is None or self.last_error.code() not in LOGIN:
            self.last_error = error  # what follows a refused login is that the connection ends
        _LOGGER.info("Kafka's client: %s", error.str())

    def probe(self, client: Any) -> None:
        """If a client has reported that it has no connection, find out whether a broker answers; at most once a second."""
        now = time.monotonic()
        if not self._down or now - self._probed_s < PROBE_S:
            return
        self._probed_s = now
        try:
            client.list_topics(timeout=PROBE_S)
        except KafkaException as failure:
            if self._down:
                self.absent = self.fault(failure, "follow the log")
        else:
            self._answered()

    def _answered(self) -> None:
        self._down, self.absent, self.last_error = False, None, None

    def greet(self) -> None:
        """Wait until a broker answers.  A login that is refused is told at once.

        Raises:
            LogRefusedError: the brokers refuse this client.
            LogUnavailableError: no broker answers.
        """
        deadline = time.monotonic() + self.settings.timeout_s
        while True:
            try:
                self.admin().list_topics(timeout=max(0.1, min(GREET_S, deadline - time.monotonic())))
            except KafkaException as failure:
                self._hear()
                refused = self.last_error is not None and self.last_error.code() in LOGIN
                if refused or not is_absence(failure) or time.monotonic() >= deadline:
                    raise self.fault(failure, "reach the cluster") from failure
            else:
                self._answered()
                return

    def admin(self) -> AdminClient:
        """The client for topics and groups."""
        with self._guard:
            if self._admin is None:
                self._admin = self.new_admin()
            return self._admin

    def renew_admin(self, old: AdminClient) -> None:
        """Have another client instead of this one, which knows nothing yet of topics and their leaders."""
        with self._guard:
            if self._admin is old:
                self._admin = None

    def new_admin(self) -> AdminClient:
        """A client for topics and groups that is the caller's own."""
        return AdminClient(self._base())

    def consumer(self, config: Mapping[str, Any], **callbacks: Any) -> Consumer:
        """A consumer that sees only what is committed, and commits nothing by itself."""
        return Consumer(
            {
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.error.backoff.ms": 20,
                "fetch.queue.backoff.ms": 10,
                **self._base(),
                **config,
            },
            **callbacks,
        )

    def producer(self, transactional_id: str, seconds: float | None = None) -> Producer:
        """A producer that is ready to begin transactions.  A transaction that another producer of this id had open is
        aborted.

        Args:
            seconds: how long to try; by default `KafkaSettings.timeout_s`.

        Raises:
            StorageError: no broker answers.
        """
        config = {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": self.settings.transaction_timeout_ms,
        }
        made = Producer({**self._base(), **_WRITING, **config, **self.settings.client})
        self.call("begin as a producer of transactions", lambda left: made.init_transactions(left), seconds)
        return made

    def plain_producer(self) -> Producer:
        """A producer without transactions: what it is given it writes once and in order, for as long as it is there."""
        config = {"enable.idempotence": True, "message.timeout.ms": int(self.settings.timeout_s * 1000)}
        return Producer({**self._base(), **_WRITING, **config, **self.settings.client})

    def call(self, doing: str, ask: Callable[[float], T], seconds: float | None = None) -> T:
        """The result of ``ask``, which is called again while Kafka says that it will soon have an answer.

        Args:
            ask: is called with the number of seconds that it may take.
            seconds: for all calls together; by default `KafkaSettings.timeout_s`.

        Raises:
            StorageError: there was no answer.
        """
        deadline = time.monotonic() + (self.settings.timeout_s if seconds is None else seconds)
        pause = RETRY_S
        while True:
            try:
                found = ask(max(0.1, deadline - time.monotonic()))
                self._answered()
                return found
            except (KafkaException, TimeoutError) as failure:
                error = error_of(failure)
                again = error is not None and (error.code() in RETRIED or (error.retriable() and not error.fatal()))
                if again and time.monotonic() + pause < deadline:
                    time.sleep(pause)
                    pause = min(pause * 2, 0.2)
                    continue
                self._hear()
                raise self.fault(failure, doing) from failure

    def _hear(self) -> None:
        """Have the client for topics say why its connections fail: it does so only when it is polled."""
        with self._guard:
            admin = self._admin
        if admin is not None:
            admin.poll(0)

    def fault(self, failure: Any, doing: str) -> StorageError:
        """See `faults.fault`."""
        return fault(failure, doing, self.settings.servers, self.last_error)
