"""Whether the topics that a query reads are the ones it began with.

A topic that is deleted and created again has another identity in Kafka, and what a query knows (positions, state) is of the
old one.  Where partitions are added, keys come to lie in others than the query's state of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec
from confluent_kafka import KafkaException, TopicCollection

from ....errors import StorageError
from ..ownership import is_own_name
from .faults import error_of, is_gone
from .parts import Parts
from .service_state import Entry

__all__ = ["Identities"]


class Identities:
    """The identities and numbers of partitions of a group's topics, as they were when the group began; the service's state
    keeps them.  Thread-safe.

    Args:
        write: commits entries of the service's state.
        topics: by the engine's names; its own topics are left out.
    """

    def __init__(self, parts: Parts, write: Callable[[list[Entry]], None], group: str, topics: Sequence[str]) -> None:
        self._parts = parts
        self._write = write
        self._group = group
        self._names = {parts.names.topic(topic): topic for topic in topics if not is_own_name(topic)}
        self._guard = threading.Lock()
        self._known: dict[str, tuple[str, int]] | None = None

    def check(self, seconds: float | None = None) -> None:
        """Compare them with what Kafka says now.  Topics that do not exist at the moment are left out.

        Args:
            seconds: how long to wait for an answer; by default `KafkaSettings.timeout_s`.

        Raises:
            StorageError: a topic was deleted and created again, or was given partitions.
            LogUnavailableError: no broker answers.
        """
        with self._guard:
            now = self._ask(seconds)
            known = self._kept() if self._known is None else self._known
            if not now.keys() <= known.keys():
                known = {**now, **known}
                self._write([self._parts.group_entry(self._group, msgspec.json.encode(known).decode(), {})])
            self._known = known
        for topic, (identity, partitions) in now.items():
            began_with, had = known[topic]
            if identity != began_with:
                raise StorageError(
                    f"the topic {topic!r} was deleted and created again: positions and state of {self._group} are of the"
                    " old one",
                    action="DROP what the query fills, and create it again",
                )
            if partitions != had:
                raise StorageError(
                    f"the topic {topic!r} has {partitions} partitions, and had {had} when {self._group} began: keys are in"
                    " other partitions than its state of them",
                    action="DROP what the query fills, and create it again",
                )

    def _kept(self) -> dict[str, tuple[str, int]]:
        self._parts.state.catch_up()
        entry = self._parts.state.get("group", self._group)
        text = None if entry is None else entry["metadata"]
        return {} if text is None else msgspec.json.decode(text, type=dict[str, tuple[str, int]])

    def _ask(self, seconds: float | None) -> dict[str, tuple[str, int]]:
        if not self._names:
            return {}

        def ask(left: float) -> dict[str, tuple[str, int]]:
            asked = TopicCollection(list(self._names))
            futures = self._parts.connection.admin().describe_topics(asked, request_timeout=left)
            found: dict[str, tuple[str, int]] = {}
            for kafka, future in futures.items():
                try:
                    topic = future.result(left)
                except KafkaException as failure:
                    if is_gone(error_of(failure)):
                        continue
                    raise
                found[self._names[kafka]] = (str(topic.topic_id), len(topic.partitions))
            return found

        return self._parts.connection.call("describe topics", ask, seconds)
