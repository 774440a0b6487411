"""How a query shares its partitions with other processes of its service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from ...errors import LogRefusedError
from ...storage.log.protocol import Log, Membership, Owner, TopicPartition, partitions
from ..dataflow import Dataflow, Source
from .ledger import SharedLedger
from .repartitioning import subtopologies

__all__ = ["Sharing"]

_RETRY_S = 0.5
_REFUSED_S = 3.0
"""The pause after a refusal, in seconds: somebody has to do something first."""
_FIRST_S = 60.0
"""How long a step on request waits for the assignment of the query's partitions, in seconds."""


class Sharing:
    """A process's membership in the group of processes that run a query.

    Each process has some partitions of the query's topics, and so some tasks (subtopologies on partitions, see
    `repartitioning`) with their state.  If the topics of a subtopology differ in their number of partitions, one process
    runs the whole query.

    Attributes:
        ledger: its positions.
        mine: the partitions of topics that this process has.
        moved: they differ from those for which the query has inputs and state.
        error: why it waits.

    Raises:
        StorageError: a topic that it reads is not there.
    """

    def __init__(self, log: Log, query_id: str, dataflow: Dataflow) -> None:
        sources = [node for node in dataflow.nodes if isinstance(node, Source)]
        self.ledger = SharedLedger.of(log, query_id, [(s.name, s.topic) for s in sources])
        self.mine: frozenset[TopicPartition] = frozenset()
        self.moved = True
        self.error: BaseException | None = None
        self._log = log
        self._group = query_id
        self._topics = sorted({s.topic for s in sources})
        self._subtopologies = subtopologies(dataflow)
        self._topic_of: dict[int, str] = {}
        """One of the topics that each subtopology reads."""
        counts: dict[int, set[int]] = {}
        for number, node in enumerate(dataflow.nodes):
            if isinstance(node, Source):
                part = self._subtopologies[number]
                self._topic_of.setdefault(part, node.topic)
                counts.setdefault(part, set()).add(partitions(log, node.topic))
        self.is_whole = any(len(numbers) > 1 for numbers in counts.values())
        self._partitions = {part: max(numbers) for part, numbers in counts.items()}
        result = next((n for n, node in enumerate(dataflow.nodes) if dataflow.view and node.name == dataflow.view.node), -1)
        self._result = self._subtopologies[result]
        self._assigned = threading.Event()
        self._retry_s = 0.0
        self._membership: Membership | None = None

    def join(self, changed: Callable[[frozenset[TopicPartition] | None], None]) -> None:
        """Join the group.  Raises: StorageError."""
        self._membership = self._log.join(self._group, self._topics, changed, whole=self.is_whole)

    def leave(self) -> None:
        """Leave the group; its partitions go to other processes."""
        membership, self._membership = self._membership, None
        if membership is not None:
            membership.leave()
        self._assigned.set()

    def assign(self, mine: frozenset[TopicPartition] | None) -> None:
        """Set the partitions of this process."""
        if mine is None:
            self._assigned.clear()
        self.mine, self.moved, self._retry_s = mine or frozenset(), True, 0.0
        if mine is not None:
            self._assigned.set()

    def settled(self) -> None:
        """Note that inputs and state are those of `mine`."""
        self.moved, self.error = False, None

    def again(self, error: BaseException) -> None:
        """Start again from what is committed, after a while."""
        self.moved, self.error = True, error
        self._retry_s = time.monotonic() + (_REFUSED_S if isinstance(error, LogRefusedError) else _RETRY_S)

    def check_topics(self) -> None:
        """Check that the topics are the ones that the query began with.  The log is asked before inputs and state are built.

        Raises:
            StorageError: a topic is another one.
        """
        membership = self._membership
        if membership is not None:
            membership.check_topics(now=self.moved)

    @property
    def is_due(self) -> bool:
        """Whether inputs and state must be built, and the assignment is known."""
        return self.moved and self._assigned.is_set()

    @property
    def waits_s(self) -> float:
        """How long until they can be built, in seconds; more than 0 while the assignment is unknown."""
        if not self._assigned.is_set():
            return _RETRY_S
        return self._retry_s - time.monotonic()

    @property
    def trouble(self) -> BaseException | None:
        """Why it waits; None if it does not."""
        membership = self._membership
        trouble = None if membership is None else membership.trouble
        return self.error if trouble is None else trouble

    def wait(self) -> None:
        """Wait for the assignment."""
        self._assigned.wait(_FIRST_S)

    # --- who has what ----------------------------------------------------------------------

    def has(self, node: int, partition: int) -> bool:
        """Whether this process runs a node of the dataflow on a partition."""
        return self.reads(node, partition, self.mine)

    def reads(self, node: int, partition: int, places: frozenset[TopicPartition]) -> bool:
        """Whether the process that has these partitions of topics runs a node on a partition."""
        topic = self._topic_of.get(self._subtopologies[node])
        return topic is not None and (topic, partition) in places

    def spares(self, deaths: int) -> frozenset[TopicPartition]:
        """See `Membership.spares`.  Raises: StorageError."""
        membership = self._membership
        return frozenset() if membership is None else membership.spares(deaths)

    @property
    def partitions(self) -> int:
        """The number of partitions of the query's table."""
        return self._partitions.get(self._result, 1)

    @property
    def held(self) -> frozenset[int]:
        """The partitions of the query's table that this process has."""
        topic = self._topic_of.get(self._result)
        return frozenset(p for p in range(self.partitions) if (topic, p) in self.mine)

    def owners(self) -> Mapping[int, Owner]:
        """The process that has each partition of the query's table.  Raises: StorageError."""
        topic = self._topic_of.get(self._result)
        return {partition: owner for (name, partition), owner in self.places().items() if name == topic}

    def tasks(self) -> Mapping[str, str]:
        """The process that has each task; this one is called ``this process``.

        Tasks have Kafka Streams' names: subtopology and partition, or the partition alone if there is one subtopology.
        Raises: StorageError.
        """
        owners = self.places()
        found: dict[str, str] = {}
        for part, topic in sorted(self._topic_of.items()):
            for partition in range(self._partitions[part]):
                name = f"{part}_{partition}" if len(self._topic_of) > 1 else str(partition)
                place = (topic, partition)
                found[name] = "this process" if place in self.mine else str(owners.get(place, "nobody"))
        return found

    def places(self) -> Mapping[TopicPartition, Owner]:
        """Which process has each partition of the topics that the query reads.  Raises: StorageError."""
        membership = self._membership
        return {} if membership is None else membership.owners()
