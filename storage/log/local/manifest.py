"""The state that the log keeps of itself (topics, segments, ends, groups, producers), and the journal entries that change
it.

`Manifest` is all of it.  `Manifest.apply` is the only function that changes it, both when an entry becomes visible and
when the journal is replayed, so recovery cannot differ from what happened.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import msgspec
import pyarrow as pa

from ....errors import InternalError
from ..protocol import DELETE_RETENTION_MS, NO_POSITION, ProducedBatch, TopicConfig

__all__ = [
    "Appended",
    "Committed",
    "Entry",
    "GroupDeleted",
    "Manifest",
    "PartitionState",
    "Produced",
    "ProducerOpened",
    "ProducerState",
    "SegmentState",
    "SegmentsReplaced",
    "TopicDefined",
    "TopicDeleted",
    "TopicState",
    "config_of",
    "state_of",
]


class SegmentState(msgspec.Struct, array_like=True):
    """One segment file.

    Attributes:
        base: offset it is named by.
        generation: how often it was rewritten.
        length: bytes that count; what the file has beyond is not part of the log.
        end: the offset after its last record.
        timestamp_max: the latest of its records, for retention and for finding a time.
        sealed: nothing is appended any more.
        merged: its small frames have been merged into large ones.
        cleaned: compaction has rewritten it, or found nothing to remove.
        opened_ms: when maintenance first saw it with records, for ``segment.ms``; -1: not yet.
        cleaned_ms: when compaction first read it, for ``delete.retention.ms``; -1: unknown.
    """

    base: int
    generation: int
    length: int
    end: int
    timestamp_max: int
    sealed: bool = False
    merged: bool = False
    cleaned: bool = False
    opened_ms: int = -1
    cleaned_ms: int = -1


class PartitionState(msgspec.Struct, array_like=True):
    """One partition: its first and next offset and its segments in order."""

    start: int = 0
    end: int = 0
    segments: list[SegmentState] = []


class TopicState(msgspec.Struct):
    """A `TopicConfig` in plain types, the topic's number and its partitions.  ``value_schema`` is an IPC schema message.

    Fields with a default are newer than the format: older directories lack them.
    """

    id: int
    value_schema: bytes | None
    cleanup_policy: str
    retention_ms: int | None
    retention_bytes: int | None
    internal: bool
    properties: dict[str, str]
    partitions: list[PartitionState]
    segment_bytes: int | None = None
    segment_ms: int | None = None
    delete_retention_ms: int = DELETE_RETENTION_MS
    min_compaction_lag_ms: int = 0
    compression: str = "none"


class Appended(msgspec.Struct, array_like=True):
    """Bytes ``position .. position + length`` were appended to a segment.

    ``data`` holds these very bytes if the segment's file was not synced before the journal was: recovery writes them again.
    """

    topic: str
    partition: int
    base: int
    generation: int
    position: int
    length: int
    end: int
    timestamp_max: int
    data: bytes | None = None


class Produced(msgspec.Struct, array_like=True):
    """The producer of a commit: its records in a partition have the numbers ``first`` to ``last``, from ``offset`` on."""

    producer: str
    batches: list[tuple[str, int, int, int, int]]
    """Topic, partition, first, last, offset."""


class Committed(msgspec.Struct, tag="commit"):
    """A transaction happened."""

    epoch: int
    next_arrival: int
    appended: list[Appended]
    positions: dict[str, list[tuple[str, int, int]]]
    """Group -> topic, partition, offset."""
    sequences: dict[str, int]
    produced: Produced | None = None
    metadata: dict[str, str] = {}
    """Group -> what it keeps."""


class TopicDefined(msgspec.Struct, tag="topic"):
    """A topic was created (the name is new) or altered (``state`` has only partitions that are added)."""

    name: str
    state: TopicState


class TopicDeleted(msgspec.Struct, tag="topic_deleted"):
    """A topic is gone, and with it what groups remembered about it."""

    name: str


class GroupDeleted(msgspec.Struct, tag="group_deleted"):
    """A consumer group was deleted."""

    group: str


class ProducerOpened(msgspec.Struct, tag="producer"):
    """A new instance of a producer: those of older epochs are fenced."""

    producer: str
    epoch: int


class SegmentsReplaced(msgspec.Struct, tag="segments"):
    """Retention, a roll, a merge or a compaction: ``removed`` (base, generation) made way for ``added``."""

    topic: str
    partition: int
    start: int
    removed: list[tuple[int, int]]
    added: list[SegmentState]


Entry = Committed | TopicDefined | TopicDeleted | GroupDeleted | ProducerOpened | SegmentsReplaced

_BATCHES_KEPT = 5
"""Batches of a producer in a partition: as many as Kafka keeps, so that a retry is told its offsets."""


class ProducerState(msgspec.Struct, array_like=True):
    """One producer: its newest instance, and its newest batches by topic and partition."""

    epoch: int
    batches: dict[str, dict[int, list[ProducedBatch]]] = {}

    def last(self, topic: str, partition: int) -> int:
        """The number of its last record there; -1 if it has none."""
        known = self.batches.get(topic, {}).get(partition)
        return known[-1].last if known else -1


class Manifest(msgspec.Struct, tag="manifest"):
    """The state of the log as of ``epoch``.  A journal starts with one."""

    epoch: int = 0
    next_arrival: int = 0
    next_topic_id: int = 1
    topics: dict[str, TopicState] = {}
    groups: dict[str, dict[str, dict[int, int]]] = {}
    sequences: dict[str, int] = {}
    producers: dict[str, ProducerState] = {}
    metadata: dict[str, str] = {}
    """By group."""

    def apply(self, entry: Entry) -> None:
        """Apply an entry."""
        match entry:
            case Committed():
                self._commit(entry)
            case TopicDefined():
                self._define(entry)
            case TopicDeleted():
                del self.topics[entry.name]
                for remembered in self.groups.values():
                    remembered.pop(entry.name, None)
                for producer in self.producers.values():
                    producer.batches.pop(entry.name, None)
            case GroupDeleted():
                self.groups.pop(entry.group, None)
                self.metadata.pop(entry.group, None)
            case ProducerOpened():
                self.producers.setdefault(entry.producer, ProducerState(entry.epoch)).epoch = entry.epoch
            case SegmentsReplaced():
                self._replace(entry)

    def _commit(self, entry: Committed) -> None:
        self.epoch = entry.epoch
        self.next_arrival = entry.next_arrival
        for part in entry.appended:
            state = self.topics[part.topic].partitions[part.partition]
            last = state.segments[-1] if state.segments else None
            if last is None or (last.base, last.generation) != (part.base, part.generation):
                if last is not None:
                    last.sealed = True
                last = SegmentState(part.base, part.generation, 0, part.base, part.timestamp_max)
                state.segments.append(last)
            if last.length != part.position:
                raise InternalError(f"an append at {part.position} to a segment of {last.length} bytes")
            last.length = part.position + part.length
            last.end = part.end
            last.timestamp_max = max(last.timestamp_max, part.timestamp_max)
            state.end = part.end
        for group, positions in entry.positions.items():
            remembered = self.groups.setdefault(group, {})
            for topic, partition, offset in positions:
                if offset == NO_POSITION:
                    remembered.get(topic, {}).pop(partition, None)
                else:
                    remembered.setdefault(topic, {})[partition] = offset
        self.metadata.update(entry.metadata)
        self.sequences.update(entry.sequences)
        if entry.produced is not None:
            topics = self.producers[entry.produced.producer].batches
            for topic, partition, first, newest, offset in entry.produced.batches:
                known = topics.setdefault(topic, {}).setdefault(partition, [])
                known.append(ProducedBatch(first, newest, offset))
                del known[:-_BATCHES_KEPT]

    def _define(self, entry: TopicDefined) -> None:
        known = self.topics.get(entry.name)
        # of its own: the entry may have yet to be written when the topic changes
        new = [PartitionState(p.start, p.end, list(p.segments)) for p in entry.state.partitions]
        have = [] if known is None else known.partitions
        self.topics[entry.name] = msgspec.structs.replace(entry.state, partitions=[*have, *new])
        self.next_topic_id = max(self.next_topic_id, entry.state.id + 1)

    def _replace(self, entry: SegmentsReplaced) -> None:
        state = self.topics[entry.topic].partitions[entry.partition]
        removed = set(entry.removed)
        state.segments = [s for s in state.segments if (s.base, s.generation) not in removed]
        for segment in entry.added:
            place = bisect_right([s.base for s in state.segments], segment.base)
            state.segments.insert(place, segment)
        state.start = entry.start


def state_of(config: TopicConfig, topic_id: int, partitions: int) -> TopicState:
    """A topic as the journal keeps it; for an alteration ``partitions`` says how many are added."""
    schema = None if config.value_type is None else pa.schema([pa.field("value", config.value_type)])
    return TopicState(
        topic_id,
        None if schema is None else schema.serialize().to_pybytes(),
        config.cleanup_policy,
        config.retention_ms,
        config.retention_bytes,
        config.internal,
        dict(config.properties),
        [PartitionState(segments=[]) for _ in range(partitions)],
        config.segment_bytes,
        config.segment_ms,
        config.delete_retention_ms,
        config.min_compaction_lag_ms,
        config.compression,
    )


def config_of(state: TopicState) -> TopicConfig:
    """The reverse of `state_of`."""
    value_type: Any = None
    if state.value_schema is not None:
        value_type = pa.ipc.read_schema(pa.py_buffer(state.value_schema)).field(0).type
    return TopicConfig(
        partitions=len(state.partitions),
        value_type=value_type,
        cleanup_policy=state.cleanup_policy,  # type: ignore[arg-type]  # written by state_of
        retention_ms=state.retention_ms,
        retention_bytes=state.retention_bytes,
        internal=state.internal,
        properties=state.properties,
        segment_bytes=state.segment_bytes,
        segment_ms=state.segment_ms,
        delete_retention_ms=state.delete_retention_ms,
        min_compaction_lag_ms=state.min_compaction_lag_ms,
        compression=state.compression,  # type: ignore[arg-type]  # the same
    )
