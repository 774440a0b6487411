"""The producers, consumers and groups of one open log."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...errors import ClientError, PenstockError
from ...storage.log.protocol import Log
from .accumulator import Accumulator
from .consumer import Consumer
from .consumer_options import ConsumerOptions
from .coordinator import Coordinator
from .groups import Groups
from .membership import Listener, Topics
from .producer import Producer, ProducerOptions

__all__ = ["Clients"]

_open: weakref.WeakSet[Clients] = weakref.WeakSet()


@atexit.register
def _write_what_waits() -> None:
    """The process ends: write what producers have sent that nobody has closed."""
    for clients in list(_open):
        clients.write_what_waits()


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
        self._accumulators: weakref.WeakSet[Accumulator] = weakref.WeakSet()
        """Of the producers, which may be garbage while these still have something to write."""
        self._consumers: weakref.WeakSet[Consumer] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._closed = False
        self.groups = Groups(log, self._coordinator)
        _open.add(self)

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
            self._accumulators.add(made.accumulator)
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

    def write_what_waits(self) -> None:
        """Write what producers have sent that nobody will close any more.

        Over Kafka this is left out: its brokers may be gone, and would be waited for.
        """
        if self._closed or self._log.foreign or self._log.capabilities.shared:
            return
        left = list(self._accumulators)
        for accumulator in left:
            with suppress(PenstockError):  # nobody is there to be told
                accumulator.close()
        if left:
            with suppress(PenstockError):  # the log's own last flush may have been before this
                self._log.flush()

    def close(self) -> None:
        """Close all consumers, then all producers, after writing what was sent.

        Raises:
            ClientError, StorageError: one of them failed to close properly; all are closed.
        """
        if self._log.foreign:
            return
        with self._guard:
            self._closed = True
            clients: list[Consumer | Accumulator] = [*self._consumers, *self._accumulators]
        first: Exception | None = None
        for client in clients:
            try:
                client.close()
            except Exception as error:  # the others are closed all the same; the first is raised below
                first = first or error
        if first is not None:
            raise first
