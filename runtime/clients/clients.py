"""The producers, consumers and groups of one open log."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence

from ...errors import ClientError
from ...storage.log.protocol import Log
from .consumer import Consumer
from .consumer_options import ConsumerOptions
from .coordinator import Coordinator
from .groups import Groups
from .membership import Listener, Topics
from .producer import Producer, ProducerOptions

__all__ = ["Clients"]


class Clients:
    """Makes producers and consumers, and closes them with the log.  Thread-safe.

    Args:
        clock_ms: gives the timestamps of records without one.
        admit: is called with the topics before a write; may wait.
        refused: returns why nobody may write to a topic, as one clause; None if anybody may.
        seconds: a monotonic clock.
    """

    def __init__(
        self,
        log: Log,
        *,
        clock_ms: Callable[[], int],
        admit: Callable[[Sequence[str]], None] = lambda topics: None,
        refused: Callable[[str], str | None] = lambda topic: None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock_ms = clock_ms
        self._admit = admit
        self._refused = refused
        self._seconds = seconds
        self._coordinator = Coordinator(log, seconds)
        self._producers: weakref.WeakSet[Producer] = weakref.WeakSet()
        self._consumers: weakref.WeakSet[Consumer] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._closed = False
        self.groups = Groups(log, self._coordinator)

    def producer(self, producer_id: str | None, options: ProducerOptions) -> Producer:
        """See `Producer`."""
        made = Producer(
            self._log,
            self._coordinator,
            producer_id,
            options,
            clock_ms=self._clock_ms,
            admit=self._admit,
            refused=self._refused,
        )
        with self._guard:
            self._check_open()
            self._producers.add(made)
        return made

    def consumer(
        self,
        topics: Topics | None,
        options: ConsumerOptions,
        *,
        on_assigned: Listener | None = None,
        on_revoked: Listener | None = None,
        on_lost: Listener | None = None,
    ) -> Consumer:
        """See `Consumer`."""
        made = Consumer(
            self._log,
            self._coordinator,
            topics,
            options,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
            on_lost=on_lost,
            seconds=self._seconds,
        )
        with self._guard:
            self._check_open()
            self._consumers.add(made)
        return made

    def _check_open(self) -> None:
        self._log.check_process()
        if self._closed:
            raise ClientError("the database is closed")

    def close(self) -> None:
        """Close all consumers, then all producers, after writing what was sent.

        Raises:
            ClientError, StorageError: one of them failed to close properly; all are closed.
        """
        if self._log.foreign:
            return
        with self._guard:
            self._closed = True
            clients: list[Consumer | Producer] = [*self._consumers, *self._producers]
        first: Exception | None = None
        for client in clients:
            try:
                client.close()
            except Exception as error:  # the others are closed all the same; the first is raised below
                first = first or error
        if first is not None:
            raise first
