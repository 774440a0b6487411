"""How a query shares its partitions with other processes of its service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from ...errors import StatementError
from ...storage.log.protocol import Log, Membership
from ..dataflow import Dataflow, Exchange, Source
from .ledger import SharedLedger

__all__ = ["Sharing"]

_RETRY_S = 0.5
_FIRST_S = 60.0
"""So long a step by hand waits for the query's partitions to be given out."""


class Sharing:
    """The place of a query in the group of those that run it.

    A query that moves rows to the partition of another key (`Exchange`), or whose topics differ in their partitions, is
    run as a whole by one process; of any other each process has some partitions, with the state that belongs to them.

    Attributes:
        ledger: its positions.
        mine: the partitions that are this process's.
        moved: they are others than those that the query has inputs and state of.
        error: why it waits.
    """

    def __init__(self, log: Log, query_id: str, dataflow: Dataflow) -> None:
        sources = [node for node in dataflow.nodes if isinstance(node, Source)]
        self.ledger = SharedLedger.of(log, query_id, [(s.name, s.topic) for s in sources])
        self.mine: frozenset[int] = frozenset()
        self.moved = True
        self.error: BaseException | None = None
        topics = log.topics()
        self._log = log
        self._group = query_id
        self._topics = sorted({s.topic for s in sources})
        counts = {topics[topic].partitions for topic in self._topics if topic in topics}
        self.is_whole = len(counts) > 1 or any(isinstance(node, Exchange) for node in dataflow.nodes)
        self.partitions = max(counts, default=1)
        self._assigned = threading.Event()
        self._retry_s = 0.0
        self._membership: Membership | None = None

    def join(self, changed: Callable[[frozenset[int]], None]) -> None:
        """Become a member.  Raises: StorageError."""
        self._membership = self._log.join(self._group, self._topics, changed, whole=self.is_whole)

    def leave(self) -> None:
        """Be one no more; its partitions go to others."""
        membership, self._membership = self._membership, None
        if membership is not None:
            membership.leave()
        self._assigned.set()

    def assign(self, mine: frozenset[int]) -> None:
        """These partitions are this process's now."""
        self.mine, self.moved, self._retry_s = mine, True, 0.0
        self._assigned.set()

    def settled(self) -> None:
        """Inputs and state are those of `mine`."""
        self.moved, self.error = False, None

    def again(self, error: BaseException) -> None:
        """Take up what is committed, after a while."""
        self.moved, self.error = True, error
        self._retry_s = time.monotonic() + _RETRY_S

    @property
    def is_due(self) -> bool:
        """Whether inputs and state are to be built, and it is known of which partitions."""
        return self.moved and self._assigned.is_set()

    @property
    def waits_s(self) -> float:
        """Until when they are not to be built; more than 0 while it is not known of which partitions."""
        if not self._assigned.is_set():
            return _RETRY_S
        return self._retry_s - time.monotonic()

    def wait(self) -> None:
        """Until it is known which partitions are this process's."""
        self._assigned.wait(_FIRST_S)

    def check_whole(self, query_id: str) -> None:
        """Raises: StatementError, which names the owners, if other processes have some of the partitions."""
        missing = set(range(self.partitions)) - self.mine
        if not missing:
            return
        owners = self.owners()
        named: dict[str, list[str]] = {}
        for partition in sorted(missing):
            named.setdefault(owners.get(partition, "nobody at this moment"), []).append(str(partition))
        places = "; ".join(f"{', '.join(numbers)} of {self.partitions} with {owner}" for owner, numbers in named.items())
        raise StatementError(
            f"this process has only some partitions of the table of {query_id}: {places}",
            suggestion="Ask that process, or read the table's topic: SELECT .. EMIT CHANGES.",
        )

    def owners(self) -> Mapping[int, str]:
        """Which process has each partition.  Raises: StorageError."""
        membership = self._membership
        return {} if membership is None else membership.owners()
