"""What a group's coordinator is asked for: through a consumer of the group, never through the client for administration.

librdkafka (2.16 and before) ends the whole process where a request of its `AdminClient` to a group's coordinator meets a
broker that is just coming back (https://github.com/confluentinc/librdkafka/pull/5397).  A consumer that belongs to the
group, but never joins it, has a way of its own to the coordinator, which bears that.
"""

from __future__ import annotations

import struct
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka import TopicPartition as KafkaPartition

from ....errors import StorageError
from .connection import KafkaConnection
from .ends import Place

__all__ = ["GroupReaders", "Member", "members_of"]

READERS_MAX = 8
"""Consumers that are kept for the next question about their group."""


class GroupReaders:
    """Consumers of groups that do not join them.  Thread-safe."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._guard = threading.Lock()
        self._idle: OrderedDict[str, Any] = OrderedDict()
        self._closed = False

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """A group's positions in partitions.  Commits that are under way are waited for.

        Args:
            group: by Kafka's name.

        Raises:
            StorageError: no broker answers, or it refuses.
        """
        if not places:
            return {}
        asked = [TopicPartition(*place) for place in places]

        def ask(left: float) -> dict[Place, int]:
            with self._one(group) as reader:
                found = reader.committed(asked, left)
            for place in found:
                if place.error is not None:
                    raise self._connection.fault(place.error, f"read the positions of {group!r}")
            return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}

        return self._connection.call(f"read the positions of {group!r}", ask)

    def commit(self, group: str, places: list[KafkaPartition]) -> None:
        """Commit positions of a group as somebody who is no member.  Raises: KafkaException, StorageError."""
        with self._one(group) as reader:
            check_places(reader.commit(offsets=places, asynchronous=False))

    def metadata(self, group: str) -> Any:
        """The metadata with which positions of a group are committed by somebody who is not a member."""
        with self._one(group) as reader:
            return reader.consumer_group_metadata()

    @contextmanager
    def _one(self, group: str) -> Iterator[Any]:
        """A consumer of nobody else's meanwhile.  One whose use failed is not used again."""
        with self._guard:
            if self._closed:
                raise StorageError("the log is closed")
            reader = self._idle.pop(group, None)
        if reader is None:
            reader = self._connection.consumer({"group.id": group})
        dropped = [reader]
        try:
            yield reader
            with self._guard:
                if not self._closed:
                    dropped = [self._idle.pop(group)] if group in self._idle else []
                    self._idle[group] = reader
                    if len(self._idle) > READERS_MAX:
                        dropped.append(self._idle.popitem(last=False)[1])
        finally:
            for consumer in dropped:
                consumer.close()

    def close(self) -> None:
        """Close all consumers."""
        with self._guard:
            self._closed = True
            idle, self._idle = list(self._idle.values()), OrderedDict()
        for reader in idle:
            reader.close()


def check_places(committed: Sequence[Any] | None) -> None:
    """Raises: KafkaException, if a position is one that was not committed."""
    for place in committed or ():
        if place.error is not None:
            raise KafkaException(place.error)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group: its id, its client's name, its host, and its partitions (by Kafka's names of topics)."""

    member_id: str
    client_id: str
    host: str
    places: frozenset[Place]


def members_of(connection: KafkaConnection, group: str) -> list[Member]:
    """The members of a group, by Kafka's name; none if there is no such group.  Raises: StorageError."""

    def ask(left: float) -> list[Member]:
        admin = connection.admin()
        admin.list_topics(timeout=left)  # `list_groups` does not wait for a connection
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            groups = admin.list_groups(group, left)
        members: list[Any] = [member for found in groups if found.id == group for member in found.members]
        return [Member(m.id, m.client_id, m.client_host, _assigned(m.assignment)) for m in members]

    return connection.call(f"describe the group {group!r}", ask)


def _assigned(data: bytes) -> frozenset[Place]:
    """What Kafka's consumers put into a group's assignment: a version, then for each topic its name and partitions."""
    found: set[Place] = set()
    if len(data) < 6:
        return frozenset()
    (topics,) = struct.unpack_from(">i", data, 2)
    at = 6
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", data, at)
        topic = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (count,) = struct.unpack_from(">i", data, at)
        found.update((topic, number) for number in struct.unpack_from(f">{count}i", data, at + 4))
        at += 4 + 4 * count
    return frozenset(found)
