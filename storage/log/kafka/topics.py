"""Topics of the cluster, as the engine knows them: their configs, made and changed and deleted."""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from ....errors import LogRefusedError, LogUnavailableError, StorageError
from ..ownership import is_own_name
from ..protocol import CleanupPolicy, Compression, TopicConfig
from .connection import KafkaConnection
from .faults import error_of
from .names import TopicNames
from .service_state import Entry, ServiceState
from .typed_values import type_from_text, type_to_text

__all__ = ["TopicExistsError", "Topics"]

FRESH_S = 5.0
"""How long what is known of the topics counts, where nothing says that it has changed."""
MISSED_S = 0.2
"""How soon the brokers are asked again for a topic that was not there."""
LATE_S = 3.0
"""How long to look for a topic that was there before: a broker that has just started may not know of it yet."""
_QUICK_S = 1.0
"""How long to wait for an answer if the last known one is good enough."""
_AGAIN_S = 1.0
_FAR_FUTURE = {"message.timestamp.after.max.ms": str(2**63 - 1)}
"""Records carry the time of their events; brokers of 4.0 and later refuse what is more than an hour ahead unless told so."""
_DYNAMIC_TOPIC = 1
"""Kafka's source of a config that was set for the topic."""
_SETTLE_S = 15.0


class TopicExistsError(StorageError):
    """A topic that is to be created exists."""


class Topics:
    """The topics of a cluster.  Thread-safe.

    Args:
        write: commits entries of the service's state.
        claim: commits one, unless another process has just committed an equal one by the same name; returns what was there
            before.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        names: TopicNames,
        state: ServiceState,
        write: Callable[[list[Entry]], None],
        claim: Callable[[Entry, Callable[[Any], bool]], Any],
    ) -> None:
        self._connection = connection
        self._names = names
        self._state = state
        self._write = write
        self._claim = claim
        self._guard = threading.RLock()
        self._known: dict[str, TopicConfig] = {}
        self._configs: dict[str, dict[str, str]] = {}
        """Kafka's name -> what was set for it."""
        self._seen: set[str] = set()
        """The topics that were there, as far as nobody has found that they are gone."""
        self._asked_s = 0.0
        self._far_future = True

    # --- looking -----------------------------------------------------------------------------------------------------

    def all(self) -> dict[str, TopicConfig]:
        """All topics by the engine's names.  Raises: StorageError."""
        if time.monotonic() - self._asked_s > FRESH_S:
            try:
                self.refresh(_QUICK_S if self._known else None)
            except LogUnavailableError:
                if not self._known:
                    raise
                self._asked_s = time.monotonic() - FRESH_S + _AGAIN_S  # what was known counts on
        return self._known

    def lasting(self, wanted: Iterable[str] | None = None) -> dict[str, TopicConfig]:
        """As `all`, but topics that were there before and are missing now are waited for, up to `LATE_S`.

        Args:
            wanted: only these are waited for; None: all.

        Raises:
            StorageError: no broker answers.
        """
        chosen = None if wanted is None else set(wanted)
        deadline = time.monotonic() + min(LATE_S, self._connection.settings.timeout_s)
        while True:
            known = self.all()
            missing = self._seen - known.keys()
            if chosen is not None:
                missing &= chosen
            if not missing:
                return known
            if time.monotonic() > deadline:
                self._seen -= missing
                return known
            time.sleep(MISSED_S)
            self.one(next(iter(missing)))

    def one(self, name: str) -> TopicConfig | None:
        """One topic; None if there is none of this name.  Raises: StorageError."""
        found = self.all().get(name)
        if found is None and time.monotonic() - self._asked_s > MISSED_S:
            self.refresh()
            found = self._known.get(name)
        return found

    def need(self, name: str) -> TopicConfig:
        """One topic.  Raises: LogRefusedError, if there is none of this name."""
        found = self.one(name)
        if found is None:
            found = self._late(name)
        if found is None:
            raise LogRefusedError(f"there is no topic {name!r}")
        return found

    def _late(self, name: str) -> TopicConfig | None:
        """Wait up to `LATE_S` for a topic that was there before and is missing now.  None if it is gone."""
        deadline = time.monotonic() + min(LATE_S, self._connection.settings.timeout_s)
        while name in self._seen:
            if time.monotonic() > deadline:
                self._seen.discard(name)
                break
            time.sleep(MISSED_S)
            found = self.one(name)
            if found is not None:
                return found
        return None

    def refresh(self, seconds: float | None = None) -> None:
        """Ask for all topics, for so long at most.  Raises: StorageError."""
        with self._guard:
            listed = self._list(seconds)
            if self._names.state in listed:
                self._state.catch_up()
            shown = {kafka: name for kafka in listed if (name := self._names.engine_topic(kafka)) is not None}
            self._describe([kafka for kafka in shown if kafka not in self._configs])
            for gone in [kafka for kafka in self._configs if kafka not in listed]:
                del self._configs[gone]
            kept = self._state.of_kind("topic")
            self._known = {
                name: _config(listed[kafka], self._configs.get(kafka, {}), kept.get(name)) for kafka, name in shown.items()
            }
            self._seen |= self._known.keys()
            self._asked_s = time.monotonic()

    def _list(self, seconds: float | None = None) -> dict[str, int]:
        """Kafka's names with the numbers of partitions."""
        metadata = self._connection.call(
            "list the topics", lambda left: self._connection.admin().list_topics(timeout=left), seconds
        )
        return {
            name: len(topic.partitions)
            for name, topic in metadata.topics.items()
            if topic.error is None and topic.partitions
        }

    def _describe(self, names: list[str]) -> None:
        if not names:
            return
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]

        def ask(left: float) -> dict[str, dict[str, str]]:
            futures = self._connection.admin().describe_configs(resources, request_timeout=left)
            found: dict[str, dict[str, str]] = {}
            for resource, future in futures.items():
                try:
                    entries = future.result(left)
                except KafkaException as failure:
                    error = error_of(failure)
                    if error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                        continue
                    if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                        found[resource.name] = {}  # it may be read without its configs being shown
                        continue
                    raise
                found[resource.name] = {n: e.value for n, e in entries.items() if e.source == _DYNAMIC_TOPIC}
            return found

        self._configs.update(self._connection.call("describe the topics", ask))

    def generation(self, name: str) -> int:
        """A number that changes when a topic of this name is deleted, as far as this process knows.

        Raises: StorageError.
        """
        self.need(name)
        entry = self._state.get("topic", name)
        return 0 if entry is None else int(entry["id"])

    def id_of(self, name: str) -> int:
        """See `protocol.Log.topic_id`.  Raises: StorageError."""
        self.need(name)
        kafka = self._names.topic(name)
        entry = self._state.get("topic", name)
        if entry is not None:
            return int(entry["id"])

        def ask(left: float) -> Any:
            futures = self._connection.admin().describe_topics(TopicCollection([kafka]), request_timeout=left)
            return futures[kafka].result(left).topic_id

        number = self._connection.call(f"describe the topic {name!r}", ask)
        bits = 0 if number is None else int(number.get_most_significant_bits())
        return bits & (2**62 - 1) if bits else zlib.crc32(kafka.encode())

    # --- changing ----------------------------------------------------------------------------------------------------

    def create(self, name: str, config: TopicConfig) -> None:
        """See `protocol.Log.create_topic`."""
        if not name:
            raise StorageError("a topic needs a name")
        if config.partitions < 1:
            raise StorageError(f"the topic {name!r} needs at least one partition")
        with self._guard:
            if self.one(name) is not None:
                raise TopicExistsError(f"the topic {name!r} exists")
            # first what Kafka does not say of it: whoever finds the topic finds that, too
            entry = _entry(config, random.getrandbits(62))
            if is_own_name(name):  # another process of the service may make it at this moment: it is one topic, with one id
                before = self._claim((("topic", name), entry), lambda other: {**other, "id": 0} == {**entry, "id": 0})
            else:
                self._state.catch_up()
                before = self._state.get("topic", name)
                self._write([(("topic", name), entry)])
            kafka = self._names.topic(name)
            try:
                self.make(kafka, config)
            except StorageError as failure:
                # without an answer it may be there, or be made yet: then the entry is what others know of it
                answered = isinstance(failure, LogRefusedError) or not isinstance(failure, LogUnavailableError)
                if answered and kafka not in self._list():
                    self._write([(("topic", name), before)])
                raise
            self._until(lambda: kafka in self._list())
            self._asked_s = 0.0

    def make(self, kafka: str, config: TopicConfig) -> None:
        """Create a topic by Kafka's name, if it does not exist.  Raises: StorageError."""
        settings = self._connection.settings
        while True:
            extra = _FAR_FUTURE if self._far_future else {}
            new = NewTopic(
                kafka,
                num_partitions=config.partitions,
                replication_factor=-1 if settings.replicas is None else settings.replicas,
                config={**_kafka_config(config), **extra},
            )
            try:
                self._admin(f"create the topic {kafka!r}", partial(self._create, new))
                return
            except StorageError as failure:
                error = None if failure.__cause__ is None else error_of(failure.__cause__)
                code = None if error is None else error.code()
                if code == KafkaError.TOPIC_ALREADY_EXISTS:
                    return
                if code in (KafkaError.INVALID_CONFIG, KafkaError.INVALID_REQUEST) and self._far_future:
                    self._far_future = False  # brokers before 3.6, and others, do not know it
                    continue
                raise

    def _create(self, new: Any, left: float) -> dict[str, Future[Any]]:
        return self._connection.admin().create_topics([new], request_timeout=left)

    def alter(self, name: str, config: TopicConfig) -> None:
        """Change configs and add partitions; what may not be changed has been refused before.  Raises: StorageError."""
        kafka = self._names.topic(name)
        with self._guard:
            old = self.need(name)
            wanted, before = _kafka_config(config), _kafka_config(old)
            if wanted != before:
                changes = [
                    ConfigEntry(
                        key,
                        wanted.get(key),
                        incremental_operation=AlterConfigOpType.SET if key in wanted else AlterConfigOpType.DELETE,
                    )
                    for key in sorted({*wanted, *before})
                    if wanted.get(key) != before.get(key)
                ]
                resource = ConfigResource(ResourceType.TOPIC, kafka, incremental_configs=changes)
                self._admin(
                    f"change the topic {name!r}",
                    lambda left: self._connection.admin().incremental_alter_configs([resource], request_timeout=left),
                )
            if config.partitions > old.partitions:
                more = [NewPartitions(kafka, config.partitions)]
                self._admin(
                    f"add partitions to the topic {name!r}",
                    lambda left: self._connection.admin().create_partitions(more, request_timeout=left),
                )
                self._until(lambda: self._list().get(kafka) == config.partitions)
            entry = self._state.get("topic", name)
            if entry is not None or _needs_entry(config):
                number = self.id_of(name)
                self._write([(("topic", name), _entry(config, number))])
            self._configs.pop(kafka, None)
            self.refresh()

    def delete(self, name: str) -> None:
        """See `protocol.Log.delete_topic`.  If another process has deleted one of the engine's own, that is no error."""
        kafka = self._names.topic(name)
        with self._guard:
            if self.one(name) is None:
                if is_own_name(name):
                    return
                raise LogRefusedError(f"there is no topic {name!r}")
            try:
                self._admin(
                    f"delete the topic {name!r}",
                    lambda left: self._connection.admin().delete_topics([kafka], request_timeout=left),
                )
            except StorageError as failure:  # another process of the service may do the same at this moment
                error = None if failure.__cause__ is None else error_of(failure.__cause__)
                if error is None or error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
            self._until(lambda: kafka not in self._list())
            if self._state.get("topic", name) is not None:
                self._write([(("topic", name), None)])
            self._configs.pop(kafka, None)
            self.refresh()
            self._seen.discard(name)

    def _admin(self, doing: str, ask: Callable[[float], Mapping[Any, Future[Any]]]) -> None:
        def answered(left: float) -> None:
            for future in ask(left).values():
                future.result(left)

        self._connection.call(doing, answered)

    def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until all brokers will have heard of a change.  (Where it takes longer, what follows is retried.)"""
        deadline = time.monotonic() + _SETTLE_S
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.01)


def _needs_entry(config: TopicConfig) -> bool:
    return config.value_type is not None or config.internal or bool(config.properties)


def _entry(config: TopicConfig, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": None if config.value_type is None else type_to_text(config.value_type),
        "internal": config.internal,
        "properties": dict(config.properties),
    }


def _kafka_config(config: TopicConfig) -> dict[str, str]:
    """What is set for a topic in Kafka: what differs from Kafka's defaults."""
    found = {
        "cleanup.policy": config.cleanup_policy if config.cleanup_policy != "delete" else None,
        "retention.ms": "-1" if config.retention_ms is None else str(config.retention_ms),
        "retention.bytes": None if config.retention_bytes is None else str(config.retention_bytes),
        "segment.bytes": None if config.segment_bytes is None else str(config.segment_bytes),
        "segment.ms": None if config.segment_ms is None else str(config.segment_ms),
        "delete.retention.ms": str(config.delete_retention_ms)
        if config.delete_retention_ms != TopicConfig().delete_retention_ms
        else None,
        "min.compaction.lag.ms": str(config.min_compaction_lag_ms) if config.min_compaction_lag_ms else None,
        "compression.type": None if config.compression == "none" else config.compression,
    }
    return {name: value for name, value in found.items() if value is not None}


def _config(partitions: int, known: Mapping[str, str], entry: Mapping[str, Any] | None) -> TopicConfig:
    """What Kafka says of a topic, and what it does not say."""

    def number(name: str) -> int | None:
        value = known.get(name)
        return None if value is None or int(value) < 0 else int(value)

    policy = {"compact": "compact", "compact,delete": "compact,delete", "delete,compact": "compact,delete"}
    compression = known.get("compression.type", "none")
    config = TopicConfig(
        partitions=partitions,
        cleanup_policy=cast(CleanupPolicy, policy.get(known.get("cleanup.policy", "").replace(" ", ""), "delete")),
        retention_ms=number("retention.ms"),
        retention_bytes=number("retention.bytes"),
        segment_bytes=number("segment.bytes"),
        segment_ms=number("segment.ms"),
        min_compaction_lag_ms=number("min.compaction.lag.ms") or 0,
        compression=cast(Compression, compression if compression in ("lz4", "zstd") else "none"),
    )
    if (kept := number("delete.retention.ms")) is not None:
        config = replace(config, delete_retention_ms=kept)
    if entry is None:
        return config
    return replace(
        config,
        value_type=None if entry["type"] is None else type_from_text(entry["type"]),
        internal=bool(entry["internal"]),
        properties=dict(entry["properties"]),
    )
