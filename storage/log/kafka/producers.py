"""Producers of transactions: one for each transaction that is under way, used again for the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from ....errors import StorageError
from .connection import KafkaConnection
from .ends import Ends, Place

__all__ = ["ProducerPool", "Slot"]

KEPT_S = 600.0
"""How long an exclusive producer is kept: brokers forget transactional ids that are idle for long (7 days)."""
EXCLUSIVE_MAX = 8
"""Exclusive producers that are kept."""
_MARK = 1
"""The offsets that the mark of a commit takes."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An exclusive producer that has committed: up to where, and when."""

    producer: Producer
    ends: Mapping[Place, int]
    done_s: float


class Slot:
    """A transactional id, and the producer that has it now."""

    def __init__(self, connection: KafkaConnection, name: str, number: int) -> None:
        self.number = number
        self.producer: Any = None
        self._connection = connection
        self._name = name

    def renew(self, seconds: float | None = None) -> None:
        """Make another producer with this id.  The transaction of the previous one is over then, committed or not.

        Args:
            seconds: how long to try; by default `KafkaSettings.timeout_s`.

        Raises:
            StorageError: no broker answers.
        """
        self.producer = None
        self.producer = self._connection.producer(self._name, seconds)


class ProducerPool:
    """The producers of this process.  Thread-safe.

    Their transactional ids are those of earlier processes of this name.  So a transaction that such a process left open is
    aborted as soon as this one begins one.
    """

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._guard = threading.Lock()
        self._idle: list[Slot] = []
        self._plain: list[Producer] = []
        self._free_numbers: list[int] = []
        self._count = 0
        self._exclusive: dict[str, _Kept] = {}
        self._closed = False

    def _id(self, number: int) -> str:
        settings = self._connection.settings
        return f"penstock-{settings.service_id}-{settings.instance}-{number}"

    @contextmanager
    def one(self) -> Iterator[Slot]:
        """A producer for the caller alone.  One that failed is not used again.

        Raises:
            StorageError: the log is closed, or no broker answers.
        """
        with self._guard:
            if self._closed:
                raise StorageError("the log is closed")
            slot = self._idle.pop() if self._idle else None
            if slot is None:
                number = self._free_numbers.pop() if self._free_numbers else self._count
                self._count = max(self._count, number + 1)
                slot = Slot(self._connection, self._id(number), number)
        good = False
        try:
            if slot.producer is None:
                slot.renew()
            yield slot
            good = True
        finally:
            with self._guard:
                if good and not self._closed:
                    self._idle.append(slot)
                else:
                    slot.producer = None
                    self._free_numbers.append(slot.number)

    @contextmanager
    def plain(self) -> Iterator[Producer]:
        """A producer without transactions, for the caller alone.  One that failed is not used again.

        Raises:
            StorageError: the log is closed.
        """
        with self._guard:
            if self._closed:
                raise StorageError("the log is closed")
            producer = self._plain.pop() if self._plain else None
        if producer is None:
            producer = self._connection.plain_producer()
        yield producer
        with self._guard:
            if not self._closed:
                self._plain.append(producer)

    def exclusive(self, name: str, ends: Ends) -> Producer:
        """A producer that fences every other one of this name, in all processes of the service.

        If another one has been made since, its commits are a `PartitionsLostError`.  A producer that was given back is used
        again if nothing was written after its last commit.  That is as good as a new one: unless it has been fenced, nobody
        else has committed in this name since it was made.

        Raises:
            StorageError: no broker answers.
        """
        with self._guard:
            kept = self._exclusive.pop(name, None)
        if kept is not None and time.monotonic() - kept.done_s < KEPT_S:
            now = ends.ends(kept.ends)
            if all(now[place] <= end + _MARK for place, end in kept.ends.items()):
                return kept.producer
        return self._connection.producer(f"penstock-{self._connection.settings.service_id}-only-{name}")

    def give_back(self, name: str, producer: Producer, ends: Mapping[Place, int]) -> None:
        """Note that an exclusive producer has committed, and where its records end."""
        dropped: _Kept | None = None
        with self._guard:
            if self._closed:
                return
            self._exclusive[name] = _Kept(producer, dict(ends), time.monotonic())
            if len(self._exclusive) > EXCLUSIVE_MAX:  # a client has threads and connections of its own
                oldest = min(self._exclusive, key=lambda one: self._exclusive[one].done_s)
                dropped = self._exclusive.pop(oldest)
        del dropped  # (outside of the lock: it may wait for its threads)

    def close(self) -> None:
        """Close all producers."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
            self._plain = []
            self._exclusive = {}
        for slot in idle:
            if slot.producer is not None:
                slot.producer.flush(1)
