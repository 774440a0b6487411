"""A process's place in a consumer group: which partitions of a query's topics are its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import OFFSET_END, KafkaException, TopicPartition

from .parts import Parts

__all__ = ["KafkaMembership"]

_LOGGER = logging.getLogger("penstock.kafka")
_POLL_S = 0.1


class KafkaMembership:
    """See `protocol.Membership`.

    The assignor is Kafka's ``range``: where the topics have equal numbers of partitions, one member has the same ones of
    each. A member that has a name (`KafkaSettings.instance` of a directory) is a static one: for a short restart its
    partitions stay its own.

    Args:
        topics: by the engine's names.
        changed: is told which partitions are this process's from now on.  It returns when the others are at rest: only
        then does
            the group give them to another one.
        whole: the partitions that who has partition 0 of the first topic gets; None: each partition goes by itself.
    """

    def __init__(
        self,
        parts: Parts,
        group: str,
        topics: Sequence[str],
        changed: Callable[[frozenset[int]], None],
        whole: frozenset[int] | None,
    ) -> None:
        settings = parts.settings
        self._parts = parts
        self._group = group
        self._changed = changed
        self._whole = whole
        self._closing = False
        self.assigned: frozenset[int] = frozenset()
        self._given: frozenset[int] | None = None
        """What the group gave, and nobody was told of yet."""
        config: dict[str, Any] = {
            "group.id": parts.names.group(group),
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(200, settings.session_timeout_ms // 4),
            "queued.max.messages.kbytes": 1024,
            "fetch.wait.max.ms": 500,
        }
        if settings.is_static:
            config["group.instance.id"] = settings.instance
        self._consumer = parts.connection.consumer(config)
        self._names = [parts.names.topic(topic) for topic in topics]
        self._thread = threading.Thread(target=self._run, name=f"penstock-member-{group}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        consumer = self._consumer
        consumer.subscribe(self._names, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)
        while not self._closing and not self._parts.closed:
            try:
                message = consumer.poll(_POLL_S)
            except (KafkaException, RuntimeError) as failure:
                _LOGGER.warning("the group %s: %s", self._group, failure)
                continue
            given, self._given = self._given, None
            if given is not None:
                self._parts.members.become(self._group, consumer.consumer_group_metadata())
                self._tell(given)
            error = None if message is None else message.error()
            if error is not None:
                _LOGGER.info("the group %s: %s", self._group, error.str())
        with suppress(KafkaException, RuntimeError):
            consumer.close()

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        consumer.assign([TopicPartition(p.topic, p.partition, OFFSET_END) for p in partitions])
        if partitions:
            consumer.pause(partitions)  # membership is all that it is for
        numbers = frozenset(p.partition for p in partitions)
        if self._whole is not None:
            first = any(p.topic == self._names[0] and p.partition == 0 for p in partitions)
            numbers = self._whole if first else frozenset()
        self._given = numbers  # the group's metadata cannot be asked for before this callback is over

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        self._given = None
        self._tell(frozenset())

    def _tell(self, numbers: frozenset[int]) -> None:
        self.assigned = numbers
        try:
            self._changed(numbers)
        except Exception:
            _LOGGER.exception("the group %s: partitions %s", self._group, sorted(numbers))

    def leave(self) -> None:
        """See `protocol.Membership.leave`."""
        self._closing = True
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._parts.members.leave(self._group)

    def owners(self) -> Mapping[int, str]:
        """See `protocol.Membership.owners`.  Raises: StorageError."""
        return self._parts.members.owners(self._group, self._names[0], self._whole)
