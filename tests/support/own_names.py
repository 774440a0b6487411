"""Topics of one test (or conformance case) among those of others on the same broker."""

from __future__ import annotations

from penstock.storage.log.kafka.names import TopicNames
from penstock.storage.log.ownership import is_own_name


class OwnNames(TopicNames):
    """A service's names where its users' topics carry its id, too: every service has an ``INPUT`` of its own.

    Put in the place of `penstock.storage.log.kafka.parts.TopicNames`.
    """

    def __init__(self, service_id: str) -> None:
        super().__init__(service_id)
        self._mine = f"{service_id}."

    def topic(self, name: str) -> str:
        """See `TopicNames.topic`."""
        return super().topic(name) if is_own_name(name) else self._mine + name

    def engine_topic(self, kafka_name: str) -> str | None:
        """See `TopicNames.engine_topic`."""
        if kafka_name.startswith(self._mine):
            return kafka_name.removeprefix(self._mine)
        return super().engine_topic(kafka_name) if kafka_name.startswith(self._prefix) else None
