"""Producers of transactions: one for each transaction that is under way, used again for the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer

from ....errors import StorageError
from .connection import Connection

__all__ = ["Producers"]


class Producers:
    """Thread-safe.

    Each has a transactional id that a process of this name had before, too: when a process comes back, what it had left open
    is aborted as soon as it begins.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._guard = threading.Lock()
        self._idle: list[tuple[str, Producer]] = []
        self._free_numbers: list[int] = []
        self._count = 0
        self._closed = False

    def _id(self, number: int) -> str:
        settings = self._connection.settings
        return f"penstock-{settings.service_id}-{settings.instance}-{number}"

    @contextmanager
    def one(self) -> Iterator[Any]:
        """A producer of nobody else's meanwhile.  One whose use failed is not used again.

        Raises:
            StorageError: the log is closed, or no broker answers.
        """
        with self._guard:
            if self._closed:
                raise StorageError("the log is closed")
            name, producer = self._idle.pop() if self._idle else ("", None)
            if not name:
                number = self._free_numbers.pop() if self._free_numbers else self._count
                self._count = max(self._count, number + 1)
                name = self._id(number)
        good = False
        try:
            if producer is None:
                producer = self._connection.producer(name)
            yield producer
            good = True
        finally:
            with self._guard:
                if good and producer is not None and not self._closed:
                    self._idle.append((name, producer))
                else:
                    self._free_numbers.append(int(name.rsplit("-", 1)[1]))

    def exclusive(self, name: str) -> Any:
        """A producer that fences every other one of this name, in all processes of the service: what it commits is a
        `PartitionsLostError` if another one has been made since.  Raises: StorageError."""
        return self._connection.producer(f"penstock-{self._connection.settings.service_id}-only-{name}")

    def close(self) -> None:
        """Let go of all of them."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, producer in idle:
            producer.flush(1)
