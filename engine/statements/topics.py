"""Creates, alters, deletes and describes topics.  Config entries have Kafka's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import StatementError
from ...limits import PARTITIONS_MAX
from ...storage.log.ownership import is_own_name, refused_new_name
from ...storage.log.protocol import Log, TopicConfig
from ...storage.log.topic_config import described, with_config
from ..catalog import DataSource
from ..relation import instant
from ..state import LOGICAL_PARTITIONS, Engine

__all__ = [
    "PartitionDescription",
    "TopicDescription",
    "alter",
    "changed_config",
    "create",
    "delete",
    "describe",
    "last_time",
]


@dataclass(frozen=True, slots=True)
class PartitionDescription:
    """The contents of one partition.

    Attributes:
        start_offset, end_offset: the offset of its first record, and the one after its last record; equal if it is empty.
        segments: the number of files.
        size_bytes: the size of these files.
        first_timestamp, last_timestamp: of its first and last record, in milliseconds; None if it is empty.
    """

    partition: int
    start_offset: int
    end_offset: int
    segments: int
    size_bytes: int
    first_timestamp: int | None
    last_timestamp: int | None

    @property
    def times(self) -> tuple[str, str]:
        """The timestamps as text; empty without records."""
        first, last = ("" if t is None else instant(t) for t in (self.first_timestamp, self.last_timestamp))
        return first, last


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic.

    Attributes:
        config: every config entry, by Kafka's name.
        sources: streams and tables over it.
    """

    name: str
    partitions: tuple[PartitionDescription, ...]
    config: Mapping[str, str]
    sources: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(p.size_bytes for p in self.partitions)


def create(engine: Engine, name: str, partitions: int, replicas: int, config: Mapping[str, object] | None) -> None:
    """Create a topic of bytes.

    Raises:
        StatementError: it exists, or the number of partitions or the config is not allowed.
        StorageError: the disk failed.
    """
    if not name:
        raise StatementError("a topic needs a name")
    if (refused := refused_new_name(name)) is not None:
        raise StatementError(refused, suggestion="Choose another name.")
    if engine.topic(name) is not None:
        raise StatementError(
            f"there is a topic {name} already", suggestion="Choose another name, or delete that topic first."
        )
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise StatementError(f"a topic has 1 to {PARTITIONS_MAX} partitions, not {partitions}")
    engine.create_topic(name, with_config(TopicConfig(partitions), config or {}), replicas)


def alter(engine: Engine, name: str, config: Mapping[str, object] | None, partitions: int | None) -> None:
    """Set config entries or add partitions.  If one of these fails, none is done.

    Partitions can be added only as long as no record has a key.  Otherwise the records of a key would be in two partitions.

    Raises:
        StatementError: there is no such topic, it is internal, a value is wrong, or partitions cannot be added.
        StorageError: a record has a key, or the disk failed.
    """
    old = _existing(engine, name)
    new = with_config(old, config or {})
    have = engine.partitions(name)
    if partitions is not None and partitions != have:
        _check_growth(engine, name, have, partitions)
        if LOGICAL_PARTITIONS in old.properties or engine.one_partition:
            new = replace(new, properties={**old.properties, LOGICAL_PARTITIONS: str(partitions)})
        else:
            new = replace(new, partitions=partitions)
    if new != old:
        engine.log.alter_topic(name, new)


def _check_growth(engine: Engine, name: str, have: int, wanted: int) -> None:
    """Check that no source or query needs the present number of partitions.

    Raises:
        StatementError: one does.
    """
    if wanted < have:
        raise StatementError(f"the topic {name} has {have} partitions, and cannot get fewer: {wanted} are asked for")
    if wanted > PARTITIONS_MAX:
        raise StatementError(f"a topic has 1 to {PARTITIONS_MAX} partitions, not {wanted}")
    keyed = [s.name for s in _sources(engine, name) if s.schema.keys]
    if keyed:
        raise StatementError(
            f"the topic {name} cannot get more partitions: {', '.join(keyed)} has a key, and its records would be in two",
            suggestion="Create a topic with more partitions, and copy the records into it: CREATE STREAM .. AS SELECT.",
        )
    users = _users(engine, name)
    if users:
        raise StatementError(
            f"the topic {name} cannot get more partitions while queries use it: {', '.join(users)}",
            suggestion="Terminate them first.",
        )


def delete(engine: Engine, name: str) -> None:
    """Delete a topic with its records.

    Raises:
        StatementError: there is no such topic, it is internal, or sources or queries use it.
        StorageError: the disk failed.
    """
    _existing(engine, name)
    over = [s.name for s in _sources(engine, name)]
    if over:
        raise StatementError(
            f"the topic {name} cannot be deleted: {', '.join(over)} is declared over it",
            suggestion="Drop it first; DROP .. DELETE TOPIC does both.",
        )
    users = _users(engine, name)
    if users:
        raise StatementError(
            f"the topic {name} cannot be deleted: in use by {', '.join(users)}", suggestion="Terminate them first."
        )
    engine.host.delete_topic(name)


def describe(engine: Engine, name: str) -> TopicDescription:
    """Describe a topic.

    Raises:
        StatementError: there is no such topic.
        StorageError: the log is damaged.
    """
    config = engine.topic(name) if isinstance(name, str) else None
    if config is None:
        raise StatementError(f"there is no topic {name}", suggestion="SHOW ALL TOPICS; lists them.")
    log = engine.log
    partitions = []
    for number, (segments, size) in enumerate(log.partition_sizes(name)):
        start, end = log.start_offset(name, number), log.end_offset(name, number)
        first, last = (None, None) if start == end else (_first_time(log, name, number), last_time(log, name, number))
        partitions.append(PartitionDescription(number, start, end, segments, size, first, last))
    return TopicDescription(name, tuple(partitions), described(config), tuple(s.name for s in _sources(engine, name)))


def changed_config(config: TopicConfig) -> dict[str, str]:
    """The config entries that differ from the defaults."""
    default = described(TopicConfig())
    return {name: value for name, value in described(config).items() if value != default[name]}


def _first_time(log: Log, topic: str, partition: int) -> int | None:
    records = log.read(topic, partition, 0, rows_max=1, reset="earliest")
    return int(records.timestamps[0]) if len(records) else None


def last_time(log: Log, topic: str, partition: int) -> int | None:
    """The timestamp, in milliseconds, of a partition's last record; None if there is none.

    Compaction leaves gaps, also at the end.  So this searches backwards in steps that grow.
    """
    end, back = log.end_offset(topic, partition), 1
    while True:
        start = log.start_offset(topic, partition)
        place, found = max(start, end - back), None
        while place < end:
            records = log.read(topic, partition, place, rows_max=10_000, reset="earliest")
            if len(records):
                found = int(records.timestamps[-1])
            place = records.next_offset
        if found is not None or end - back <= start:
            return found
        back *= 16


def _existing(engine: Engine, name: str) -> TopicConfig:
    config = engine.topic(name) if isinstance(name, str) else None
    if config is None:
        raise StatementError(f"there is no topic {name}", suggestion="SHOW TOPICS; lists them.")
    if config.internal or is_own_name(name):
        raise StatementError(f"the topic {name} is internal: only the engine changes it")
    return config


def _sources(engine: Engine, topic: str) -> list[DataSource]:
    return sorted((s for s in engine.catalog.sources.values() if s.topic == topic), key=lambda s: s.name)


def _users(engine: Engine, topic: str) -> list[str]:
    """The ids of the running queries that read or write a topic, push queries included."""
    return sorted(query_id for query_id, run in engine.host.runs.items() if topic in run.topics)
