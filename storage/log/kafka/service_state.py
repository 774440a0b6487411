"""What a service must remember that Kafka has no place for: one compacted topic with one partition, keys and values as JSON.

=====================  ========================================================================================
key                    value
=====================  ========================================================================================
``["topic", name]``    what Kafka's config of a topic does not say: its ``value_type``, properties, whether internal
``["group", name]``    a group's metadata, and positions in topics that do not exist (a query's account has such)
``["sequence", id]``   the last sequence number of a producer, see `protocol.Transaction.set_sequence`
``["producer", id]``   a producer's epoch and its newest batches in each partition
``["host", instance]`` where a process can be asked for the rows of its partitions
``["log", name]``      the identity of the log, and the key by which the processes know each other
=====================  ========================================================================================

Entries are written in the transaction of what they are about.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ....errors import StorageError
from .ends import Ends, Place
from .reading import OutsideError, Seekers

__all__ = ["Entry", "ServiceState"]

Entry = tuple[tuple[str, str], Any]
"""A key and its value; None removes it."""
_ROWS = 10_000


class ServiceState:
    """The entries as of now, those of other processes included.  Thread-safe."""

    def __init__(self, topic: str, ends: Ends, seekers: Seekers) -> None:
        self.place: Place = (topic, 0)
        self._ends = ends
        self._seekers = seekers
        self._guard = threading.RLock()
        self._entries: dict[tuple[str, str], Any] = {}
        self._offset = 0

    def catch_up(self) -> None:
        """Read what was written since.  Raises: StorageError."""
        with self._guard:
            end = self._ends.ends([self.place])[self.place]
            while self._offset < end:
                try:
                    read = self._seekers.read(self.place, self._offset, _ROWS, None, end)
                except OutsideError:
                    self._offset = self._ends.starts([self.place])[self.place]
                    continue
                keys = [] if read.keys is None else read.keys.to_pylist()
                for key, value in zip(keys, read.values.to_pylist(), strict=True):
                    self._apply(key, value)
                self._offset = read.next_offset

    def _apply(self, key: bytes | None, value: bytes | None) -> None:
        try:
            kind, name = msgspec.json.decode(key or b"null")
            if value is None:
                self._entries.pop((kind, name), None)
            else:
                self._entries[kind, name] = msgspec.json.decode(value)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise StorageError(
                f"the topic {self.place[0]!r} holds something else than a service's state: {error}",
                action="let nobody else write to it; delete the topic only with all of the service's",
            ) from error

    def get(self, kind: str, name: str) -> Any:
        """An entry as of the last `catch_up`; None if there is none."""
        return self._entries.get((kind, name))

    def of_kind(self, kind: str) -> Mapping[str, Any]:
        """All entries of a kind, by name, as of the last `catch_up`."""
        with self._guard:
            return {name: value for (k, name), value in self._entries.items() if k == kind}

    @staticmethod
    def written(entries: Iterable[Entry]) -> list[tuple[bytes, bytes | None]]:
        """Entries as keys and values of records."""
        return [
            (msgspec.json.encode(list(key)), None if value is None else msgspec.json.encode(value)) for key, value in entries
        ]
