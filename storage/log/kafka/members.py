"""Consumer groups as Kafka keeps them: positions, and who may commit them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from ..protocol import Owner
from .connection import KafkaConnection
from .faults import error_of
from .group_readers import GroupReaders, members_of
from .names import TopicNames

__all__ = ["Members"]


class Members:
    """Positions of consumer groups in Kafka.  Thread-safe.

    For a group that this process is a member of (`become`), positions are committed with its member id and generation, so
    Kafka refuses commits of a process whose partitions have gone to another one.  For other groups they are committed
    without a member.
    """

    def __init__(self, connection: KafkaConnection, names: TopicNames) -> None:
        self._connection = connection
        self._names = names
        self._guard = threading.Lock()
        self._joined: dict[str, tuple[Any, Callable[[list[KafkaPartition]], None]]] = {}
        """Of each group that this process is a member of: the metadata, and what commits positions as the member."""
        self._alone: dict[str, Any] = {}
        self._readers = GroupReaders(connection)

    def become(self, group: str, metadata: Any, commit: Callable[[list[KafkaPartition]], None]) -> None:
        """Note that this process is a member of a group, in the generation of the metadata.

        Args:
            commit: commits positions as the member.
        """
        with self._guard:
            self._joined[group] = metadata, commit

    def leave(self, group: str) -> None:
        """Note that it is no longer a member."""
        with self._guard:
            self._joined.pop(group, None)

    def is_joined(self, group: str) -> bool:
        """Whether this process is a member of a group."""
        with self._guard:
            return group in self._joined

    def metadata(self, group: str) -> Any:
        """The metadata with which positions are committed in a transaction."""
        with self._guard:
            joined = self._joined.get(group)
        if joined is not None:
            return joined[0]
        found = self._alone.get(group)
        if found is None:
            found = self._alone[group] = self._readers.metadata(self._names.group(group))
        return found

    def commit(self, group: str, places: list[KafkaPartition]) -> None:
        """Commit positions outside of a transaction, as the member that this process is.

        Args:
            places: Kafka's `TopicPartition` with offsets.

        Raises:
            KafkaException: they were not committed, or nobody knows; `faults.GENERATION_OVER`: its partitions are another's.
        """
        with self._guard:
            joined = self._joined.get(group)
        if joined is None:
            self._readers.commit(self._names.group(group), places)
            return
        joined[1](places)

    def positions(self, group: str, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """A group's positions in partitions, by the engine's names of topics.  Raises: StorageError."""
        kafka = {(self._names.topic(topic), partition): (topic, partition) for topic, partition in places}
        found = self._readers.committed(self._names.group(group), list(kafka))
        return {kafka[place]: offset for place, offset in found.items()}

    def committed(self, group: str, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """As `positions`, by Kafka's names of topics.  Raises: StorageError."""
        return self._readers.committed(self._names.group(group), places)

    def owners(self, group: str, hosts: Mapping[str, str]) -> dict[tuple[str, int], Owner]:
        """The member of a group that has each partition.

        Args:
            hosts: where members can be asked, by their instances' names.

        Raises:
            StorageError: no broker answers.
        """
        found: dict[tuple[str, int], Owner] = {}
        prefix = f"penstock-{self._connection.settings.service_id}-"
        for member in members_of(self._connection, self._names.group(group)):
            owner = Owner(f"{member.client_id} at {member.host}", hosts.get(member.client_id.removeprefix(prefix)))
            for name, partition in member.places:
                topic = self._names.engine_topic(name)
                if topic is not None:
                    found[topic, partition] = owner
        return found

    def ordered(self, group: str) -> list[str]:
        """The members of a group by their clients' names, in the order in which the assignor takes them.

        That is the order of their ids, which begin with the instance's name if the member is static.  Raises: StorageError.
        """
        members = members_of(self._connection, self._names.group(group))
        return [member.client_id for member in sorted(members, key=lambda m: m.member_id)]

    def groups(self) -> list[str]:
        """The service's groups.  Raises: StorageError."""
        listed = self._connection.call(
            "list the groups", lambda left: self._connection.admin().list_consumer_groups(request_timeout=left).result(left)
        )
        return [name for found in listed.valid if (name := self._names.engine_group(found.group_id)) is not None]

    def delete(self, group: str) -> None:
        """Forget a group's positions.  Raises: StorageError."""
        name = self._names.group(group)
        self._readers.committed(name, [(self._names.state, 0)])
        # The coordinator has just answered, and this client has asked it nothing before: see `group_readers` for why.
        admin = self._connection.new_admin()

        def ask(left: float) -> None:
            futures = admin.delete_consumer_groups([name], request_timeout=left)
            try:
                futures[name].result(left)
            except KafkaException as failure:
                code = error_of(failure).code()
                if code not in (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.NON_EMPTY_GROUP):
                    raise  # whoever leaves it last deletes it

        self._connection.call(f"delete the group {group!r}", ask)

    def close(self) -> None:
        """Close the clients."""
        self._readers.close()
