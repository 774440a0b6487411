"""Where the log keeps how far a query is: the positions of its inputs and its account.

A persistent query commits them with each step and goes on there when it is started again; a transient one keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ...storage.log.protocol import Log, TopicPartition, Transaction
from ..metrics import Account

_COUNTERS = ("read", "filtered", "late", "bad", "written", "expired")


class Ledger(Protocol):
    """What of a query outlives it."""

    @property
    def kept(self) -> bool:
        """Whether anything is."""
        ...

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """Where a source was read up to, as committed; empty for a query that has not been started before."""
        ...

    def account(self) -> Account:
        """As committed."""
        ...

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: Account) -> None:
        """Have a commit say where the sources, by name, are read up to, and the account with that."""

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """The consumer groups under which the log keeps it."""
        ...

    def forget(self, sources: Iterable[str]) -> None:
        """The query is gone."""


@dataclass(frozen=True, slots=True)
class CommittedLedger:
    """The ledger of a persistent query.

    Positions are those of one consumer group per source.  The account is the metadata of a group of its own, as JSON.  (A
    directory from before has it as positions of that group, in topics named after the counters.)
    """

    log: Log
    query_id: str

    @property
    def kept(self) -> bool:
        """See `Ledger`."""
        return True

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self.log.positions(self._group(source))

    def account(self) -> Account:
        """See `Ledger`."""
        kept = self.log.metadata(self._account_group)
        if kept is not None:
            return msgspec.json.decode(kept, type=Account)
        saved = {name: count for (name, _), count in self.log.positions(self._account_group).items()}
        return Account(**{name: saved.get(name, 0) for name in _COUNTERS})

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: Account) -> None:
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

    Positions are those of the consumer group that the processes are members of, one for all sources: a topic that a second
    source reads, too, has a group of its own for that one.  The account is this process's, since it was started.
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

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self.log.positions(self.by_source[source])

    def account(self) -> Account:
        """See `Ledger`."""
        return Account()

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: Account) -> None:
        """See `Ledger`."""
        transaction.set_positions(self.query_id, {})  # in the name of the member, also where another group's alone move
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

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return {}

    def account(self) -> Account:
        """See `Ledger`."""
        return Account()

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: Account) -> None:
        """See `Ledger`."""

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """See `Ledger`."""
        return ()

    def forget(self, sources: Iterable[str]) -> None:
        """See `Ledger`."""


class Beginning(NoLedger):
    """The ledger of a transient query that does not start where its sources say.

    Args:
        places: where it starts, by source.
    """

    __slots__ = ("_places",)

    def __init__(self, places: Mapping[str, Mapping[TopicPartition, int]]) -> None:
        self._places = places

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self._places.get(source, {})
