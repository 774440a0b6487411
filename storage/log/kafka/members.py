"""Consumer groups as Kafka keeps them: positions, and who may commit them."""

from __future__ import annotations

import threading
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException

from .connection import Connection
from .faults import error_of
from .names import Names

__all__ = ["Members"]


class Members:
    """Thread-safe.

    A group that this process is a member of (`become`) is committed for in its name and generation, so that Kafka refuses
    what comes from a process whose partitions have gone to another one.  Any other is committed for as by a lone reader.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._guard = threading.Lock()
        self._joined: dict[str, Any] = {}
        self._alone: dict[str, bytes] = {}

    def become(self, group: str, metadata: Any) -> None:
        """This process is a member of a group, of the generation that the metadata tells."""
        with self._guard:
            self._joined[group] = metadata

    def leave(self, group: str) -> None:
        """It is no more."""
        with self._guard:
            self._joined.pop(group, None)

    def metadata(self, group: str) -> Any:
        """In whose name positions are committed with a transaction."""
        with self._guard:
            joined = self._joined.get(group)
            if joined is not None:
                return joined
            found = self._alone.get(group)
            if found is None:
                reader = self._connection.consumer({"group.id": self._names.group(group)})
                try:
                    found = self._alone[group] = reader.consumer_group_metadata()
                finally:
                    reader.close()
            return found

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

    def owners(self, group: str) -> dict[tuple[str, int], str]:
        """Which member of a group has each partition, by its client's name.  Raises: StorageError."""
        name = self._names.group(group)

        def ask(left: float) -> Any:
            return self._connection.admin().describe_consumer_groups([name], request_timeout=left)[name].result(left)

        found: dict[tuple[str, int], str] = {}
        for member in self._connection.call(f"describe the group {group!r}", ask).members:
            for place in () if member.assignment is None else member.assignment.topic_partitions:
                topic = self._names.engine_topic(place.topic)
                if topic is not None:
                    found[topic, place.partition] = f"{member.client_id} at {member.host}"
        return found

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
                code = error_of(failure).code()
                if code not in (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.NON_EMPTY_GROUP):
                    raise  # whoever leaves it last deletes it

        self._connection.call(f"delete the group {group!r}", ask)
