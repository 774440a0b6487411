"""The visible state of the log: its manifest, open topics, newest commit, and who waits for the next one.

A commit changes it in one instant (`LogState.publish`), so readers see all of a commit or nothing of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ....errors import StorageError
from ... import interrupts
from ...files import Files
from ...forks import Origin
from ..protocol import ProducedBatch, TopicConfig, TopicPartition
from .manifest import Committed, Entry, Manifest, SegmentsReplaced, TopicDefined, TopicDeleted, config_of
from .segments.partition import Partition

__all__ = ["LogState", "Topic"]


@dataclass(frozen=True, slots=True)
class Topic:
    """An open topic."""

    id: int
    config: TopicConfig
    partitions: tuple[Partition, ...]


class LogState:
    """The visible state.  Thread-safe: hold ``changed`` to change the manifest, or to see several parts of it together."""

    def __init__(self, files: Files, manifest: Manifest) -> None:
        self.manifest = manifest
        self.topics: dict[str, Topic] = {}
        self.changed = threading.Condition()
        self.epoch = manifest.epoch
        self.arrival_end = manifest.next_arrival
        self.closed = False
        self._files = files
        self._origin = Origin()
        for name in manifest.topics:
            self._open_topic(name)

    @property
    def foreign(self) -> bool:
        """See `protocol.Log.foreign`."""
        return self._origin.foreign

    def check_process(self) -> None:
        """See `protocol.Log.check_process`."""
        self._origin.check(self._files.root)

    # ------------------------------------------------------------------------------------------------------- topics

    def topic(self, name: str) -> Topic:
        """An open topic.

        Raises:
            StorageError: there is none of this name.
        """
        topic = self.topics.get(name)
        if topic is None:
            raise StorageError(f"there is no topic {name!r}")
        return topic

    def partition(self, name: str, number: int) -> Partition:
        """A partition of an open topic.

        Raises:
            StorageError: there is no such topic or partition.
        """
        partitions = self.topic(name).partitions
        if not 0 <= number < len(partitions):
            raise StorageError(f"the topic {name!r} has the partitions 0 to {len(partitions) - 1}, not {number}")
        return partitions[number]

    def is_gone(self, partition: Partition) -> bool:
        """Whether a partition's topic was deleted."""
        topic = self.topics.get(partition.topic)
        return topic is None or topic.id != partition.topic_id

    def _open_topic(self, name: str) -> None:
        state = self.manifest.topics[name]
        known = self.topics.get(name)
        have = () if known is None else known.partitions
        more = [
            Partition(self._files, name, state.id, i, state.partitions[i]) for i in range(len(have), len(state.partitions))
        ]
        self.topics[name] = Topic(state.id, config_of(state), (*have, *more))

    # ------------------------------------------------------------------------------------------------------ commits

    def publish(self, entries: Sequence[Entry]) -> None:
        """Step 5 of docs/commit.md: let the entries be seen.  Called by the committer, in the order of the journal."""
        with self.changed:
            touched: set[TopicPartition] = set()
            for entry in entries:
                self.manifest.apply(entry)
                match entry:
                    case Committed():
                        touched.update([(p.topic, p.partition) for p in entry.appended])
                    case TopicDefined():
                        self._open_topic(entry.name)
                    case TopicDeleted():
                        del self.topics[entry.name]
                    case SegmentsReplaced():
                        self.topics[entry.topic].partitions[entry.partition].swapped()
            for topic, number in touched:  # (what is published together is transactions, or one other entry)
                self.topics[topic].partitions[number].refresh()
            self.arrival_end = self.manifest.next_arrival
            self.epoch = self.manifest.epoch
            self.changed.notify_all()

    def wait(self, epoch: int, timeout_s: float | None, until: Callable[[], bool] | None) -> int:
        """See `protocol.Log.wait`."""
        with self.changed:
            interrupts.wait_for(
                self.changed,
                lambda: self.epoch > epoch or self.closed or (until is not None and until()),
                timeout_s,
            )
            return self.epoch

    def wake(self) -> None:
        """See `protocol.Log.wake`."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Mark the state as final."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    # ------------------------------------------------------------------------------------------------------ looking

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> tuple[int, Mapping[TopicPartition, int]]:
        """See `protocol.Log.end_offsets`."""
        with self.changed:
            topics = self.topics
            try:  # there may be thousands
                ends = {place: topics[place[0]].partitions[place[1]].view.end for place in partitions}
            except LookupError:
                for topic, number in partitions:
                    self.partition(topic, number)  # says which there is not
                raise
            return self.epoch, ends

    def positions(self, group: str) -> Mapping[TopicPartition, int]:
        """See `protocol.Log.positions`."""
        with self.changed:
            remembered = self.manifest.groups.get(group, {})
            return {(topic, partition): at for topic, places in remembered.items() for partition, at in places.items()}

    def metadata(self, group: str) -> str | None:
        """See `protocol.Log.metadata`."""
        with self.changed:
            return self.manifest.metadata.get(group)

    def groups(self) -> list[str]:
        """See `protocol.Log.groups`."""
        with self.changed:
            return sorted({*self.manifest.groups, *self.manifest.metadata})

    def last_sequence(self, producer_id: str) -> int | None:
        """See `protocol.Log.last_sequence`."""
        with self.changed:
            return self.manifest.sequences.get(producer_id)

    def produced(self, producer_id: str, topic: str, partition: int) -> list[ProducedBatch]:
        """See `protocol.Log.produced`."""
        with self.changed:
            known = self.manifest.producers.get(producer_id)
            return [] if known is None else list(known.batches.get(topic, {}).get(partition, ()))
