"""Consumer groups as Kafka keeps them: positions, and who may commit them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException

from .connection import Connection
from .faults import error_of
from .names import Names

__all__ = ["Members"]


class Members:
    """Thread-safe.

    A group that this process is a member of (`join`) is committed for in its name and generation, so that Kafka refuses
    what comes from a process whose partitions have gone to another one.  Any other is committed for as by a lone reader.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._guard = threading.Lock()
        self._joined: dict[str, Any] = {}
        self._alone: dict[str, bytes] = {}

    def join(self, group: str, consumer: Any) -> None:
        """This consumer is a member of a group."""
        with self._guard:
            self._joined[group] = consumer

    def leave(self, group: str) -> None:
        """It is no more."""
        with self._guard:
            self._joined.pop(group, None)

    def metadata(self, group: str) -> Any:
        """In whose name positions are committed with a transaction."""
        with self._guard:
            consumer = self._joined.get(group)
            if consumer is not None:
                return consumer.consumer_group_metadata()
            found = self._alone.get(group)
            if found is None:
                reader = self._connection.consumer({"group.id": self._names.group(group)})
                try:
                    found = self._alone[group] = reader.consumer_group_metadata()
                finally:
                    reader.close()
            return found

    def commit(self, group: str, places: Sequence[Any]) -> None:
        """Commit positions without a transaction.  Raises: KafkaException."""
        with self._guard:
            consumer = self._joined.get(group)
        if consumer is not None:
            consumer.commit(offsets=list(places), asynchronous=False)
            return
        reader = self._connection.consumer({"group.id": self._names.group(group)})
        try:
            reader.commit(offsets=list(places), asynchronous=False)
        finally:
            reader.close()

    def positions(self, group: str) -> dict[tuple[str, int], int]:
        """A group's positions, by the engine's names of topics.  Raises: StorageError."""
        asked = ConsumerGroupTopicPartitions(self._names.group(group))

        def ask(left: float) -> Any:
            futures = self._connection.admin().list_consumer_group_offsets(
                [asked], require_stable=True, request_timeout=left
            )
            return futures[self._names.group(group)].result(left)

        found = self._connection.call(f"read the positions of {group!r}", ask)
        return {
            (name, place.partition): place.offset
            for place in found.topic_partitions
            if place.offset >= 0 and (name := self._names.engine_topic(place.topic)) is not None
        }

    def groups(self) -> list[str]:
        """The service's groups.  Raises: StorageError."""
        listed = self._connection.call(
            "list the groups", lambda left: self._connection.admin().list_consumer_groups(request_timeout=left).result(left)
        )
        return [name for found in listed.valid if (name := self._names.engine_group(found.group_id)) is not None]

    def delete(self, group: str) -> None:
        """Forget a group's positions.  Raises: StorageError."""

        def ask(left: float) -> None:
            futures = self._connection.admin().delete_consumer_groups([self._names.group(group)], request_timeout=left)
            try:
                futures[self._names.group(group)].result(left)
            except KafkaException as failure:
                if error_of(failure).code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise

        self._connection.call(f"delete the group {group!r}", ask)
