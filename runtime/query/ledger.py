"""Keeps in the log how far a query is: the positions of its inputs, and its account.

A persistent query commits both with each step and continues there after a restart.  A transient query keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ...storage.log.protocol import Log, TopicPartition, Transaction
from ..metrics import RowCounts

_COUNTERS = ("read", "filtered", "late", "bad", "written", "expired")


class Ledger(Protocol):
    """What a query keeps of its progress."""

    @property
    def kept(self) -> bool:
        """Whether it keeps anything."""
        ...

    @property
    def together(self) -> bool:
        """Whether the positions of all sources in a partition are committed together, also of those that did not move."""
        ...

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """The committed positions of a source; empty if the query was never started."""
        ...

    def account(self) -> RowCounts:
        """The committed account."""
        ...

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: RowCounts) -> None:
        """Add positions, by source name, and the account to a transaction."""

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """The consumer groups in which the log keeps it."""
        ...

    def forget(self, sources: Iterable[str]) -> None:
        """Delete it, since the query is gone."""


@dataclass(frozen=True, slots=True)
class CommittedLedger:
    """The ledger of a persistent query.

    Positions are those of one consumer group per source.  The account is the metadata of a group of its own, as JSON.  (Old
    directories have it as positions of that group, in topics named after the counters.)
    """

    log: Log
    query_id: str

    @property
    def kept(self) -> bool:
        """See `Ledger`."""
        return True

    @property
    def together(self) -> bool:
        """See `Ledger`."""
        return False

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self.log.positions(self._group(source))

    def account(self) -> RowCounts:
        """See `Ledger`."""
        kept = self.log.metadata(self._account_group)
        if kept is not None:
            return msgspec.json.decode(kept, type=RowCounts)
        saved = {name: count for (name, _), count in self.log.positions(self._account_group).items()}
        return RowCounts(**{name: saved.get(name, 0) for name in _COUNTERS})

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: RowCounts) -> None:
        """See `Ledger`."""
        for source, positions in places.items():
            transaction.set_positions(self._group(source), positions)
        transaction.set_metadata(self._account_group, msgspec.json.encode(account).decode())

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """See `Ledger`."""
        return [*map(self._group, sources), self._account_group]

    def forget(self, sources: Iterable[str]) -> None:
        """See `Ledger`."""
        for group in self.groups(sources):
            self.log.delete_group(group)

    def _group(self, source: str) -> str:
        return f"{self.query_id}/{source}"

    @property
    def _account_group(self) -> str:
        return f"{self.query_id}#account"


@dataclass(frozen=True, slots=True)
class SharedLedger:
    """The ledger of a persistent query whose partitions are shared among processes.

    Positions are those of the consumer group that the processes are members of, one group for all sources; if a second
    source reads the same topic, it has a group of its own.  The account counts since this process started the query.
    """

    log: Log
    query_id: str
    by_source: Mapping[str, str]
    """The group of each source."""

    @staticmethod
    def of(log: Log, query_id: str, topics: Iterable[tuple[str, str]]) -> SharedLedger:
        """Args: ``topics``: the name of each source with its topic, in their order."""
        seen: set[str] = set()
        groups = {}
        for source, topic in topics:
            groups[source] = f"{query_id}/{source}" if topic in seen else query_id
            seen.add(topic)
        return SharedLedger(log, query_id, groups)

    @property
    def kept(self) -> bool:
        """See `Ledger`."""
        return True

    @property
    def together(self) -> bool:
        """See `Ledger`: the group of a second source has no members, and only with its first one's is a commit refused that
        comes from a process which has lost the partition."""
        return True

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self.log.positions(self.by_source[source])

    def account(self) -> RowCounts:
        """See `Ledger`."""
        return RowCounts()

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: RowCounts) -> None:
        """See `Ledger`."""
        for source, positions in places.items():
            transaction.set_positions(self.by_source[source], positions)

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """See `Ledger`."""
        return sorted({self.query_id, *self.by_source.values()})

    def forget(self, sources: Iterable[str]) -> None:
        """See `Ledger`."""
        for group in self.groups(sources):
            self.log.delete_group(group)


class NoLedger:
    """The ledger of a transient query."""

    __slots__ = ()

    @property
    def kept(self) -> bool:
        """See `Ledger`."""
        return False

    @property
    def together(self) -> bool:
        """See `Ledger`."""
        return False

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return {}

    def account(self) -> RowCounts:
        """See `Ledger`."""
        return RowCounts()

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: RowCounts) -> None:
        """See `Ledger`."""

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """See `Ledger`."""
        return ()

    def forget(self, sources: Iterable[str]) -> None:
        """See `Ledger`."""


class Beginning(NoLedger):
    """The ledger of a transient query that starts at given offsets.

    Args:
        places: the offsets, by source.
    """

    __slots__ = ("_places",)

    def __init__(self, places: Mapping[str, Mapping[TopicPartition, int]]) -> None:
        self._places = places

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self._places.get(source, {})
