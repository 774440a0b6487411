"""Inspects and resets consumer groups: `Database.groups`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...errors import ClientError
from ...storage import interrupts
from ...storage.log.protocol import Log, TopicPartition
from .coordinator import Coordinator

__all__ = ["GroupDescription", "Groups", "PartitionOfGroup"]


@dataclass(frozen=True, slots=True)
class PartitionOfGroup:
    """The state of a group in one partition.

    Attributes:
        committed: the committed offset; None if there is none.
        end: the offset after the partition's last record.
        lag: the offsets between them (from the first record if there is no committed offset, or it is gone).
        member_id: of the member that reads the partition.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    member_id: str | None


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A consumer group.

    Attributes:
        state: ``Empty``, ``Stable`` or ``PreparingRebalance``, Kafka's names.
        strategy: how its members share partitions; empty if it never had members.
        members: member id -> partitions.
        partitions: those with a committed offset or a member.
    """

    name: str
    state: str
    strategy: str
    generation: int
    members: Mapping[str, tuple[TopicPartition, ...]]
    partitions: tuple[PartitionOfGroup, ...]

    @property
    def lag(self) -> int:
        """The lag of all partitions together."""
        return sum(place.lag for place in self.partitions)


@interrupts.doors()
class Groups(Mapping[str, GroupDescription]):
    """The consumer groups by name: those with committed offsets or members.  Positions of queries are not included."""

    def __init__(self, log: Log, coordinator: Coordinator) -> None:
        self._log = log
        self._coordinator = coordinator

    def __getitem__(self, name: str) -> GroupDescription:
        if name not in self._coordinator.names():
            raise KeyError(name)
        return self.describe(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._coordinator.names())

    def __len__(self) -> int:
        return len(self._coordinator.names())

    def claim(self, name: str, owner: object, is_used: Callable[[], bool]) -> bool:
        """Claim a group for another protocol: see `Coordinator.claim`."""
        return self._coordinator.claim(name, owner, is_used)

    def describe(self, name: str) -> GroupDescription:
        """Describe a group; one that does not exist has no members and no partitions."""
        group = self._coordinator.group(name)
        members, committed = group.members(), group.committed()
        owners = {place: member for member, places in members.items() for place in places}
        known = self._log.topics()
        places = sorted(p for p in {*owners, *committed} if p[0] in known)
        _, ends = self._log.end_offsets(places)
        found = []
        for place in places:
            start, end, at = self._log.start_offset(*place), ends[place], committed.get(place)
            lag = end - min(max(start if at is None else at, start), end)
            found.append(PartitionOfGroup(*place, at, end, lag, owners.get(place)))
        return GroupDescription(name, group.state, group.strategy, group.generation, members, tuple(found))

    def reset(
        self,
        name: str,
        topics: Iterable[str] | None = None,
        *,
        to: str | None = None,
        to_offset: int | None = None,
        to_timestamp: int | None = None,
        shift_by: int | None = None,
        dry_run: bool = False,
    ) -> dict[TopicPartition, int]:
        """Move the committed offsets of a group without members.

        Exactly one of ``to``, ``to_offset``, ``to_timestamp`` and ``shift_by`` must be given.  An offset outside of a
        partition becomes its nearest end, as in Kafka's ``kafka-consumer-groups --reset-offsets``.

        Args:
            topics: the topics to reset; by default only the partitions in which the group has committed offsets.
            to: ``earliest`` or ``latest``.
            to_timestamp: the first record with at least this timestamp (ms), else the end.
            shift_by: so many records forward, or back.
            dry_run: change nothing.

        Returns:
            the new offsets.

        Raises:
            ClientError: the group has members, or does not exist and no topic is named; a topic does not exist.
        """
        if sum(choice is not None for choice in (to, to_offset, to_timestamp, shift_by)) != 1:
            raise ClientError(
                "say where to read on: give one of to='earliest', to='latest', to_offset, to_timestamp and shift_by"
            )
        if to not in (None, "earliest", "latest"):
            raise ClientError(f"to must be earliest or latest, not {to!r}")
        group = self._coordinator.group(name)
        with group.without_members("a reset"):
            committed = group.committed()
            offsets = {}
            for place in self._places(name, committed, topics):
                start, end = self._log.start_offset(*place), self._log.end_offset(*place)
                if shift_by is not None:
                    wanted = committed.get(place, start) + shift_by
                elif to_timestamp is not None:
                    wanted = self._log.offset_for_time(*place, to_timestamp)
                elif to_offset is not None:
                    wanted = to_offset
                else:
                    wanted = start if to == "earliest" else end
                offsets[place] = min(max(wanted, start), end)
            if not dry_run:
                transaction = self._log.transaction()
                transaction.set_positions(group.stored_name, offsets)
                transaction.commit()
            return offsets

    def _places(
        self, name: str, committed: Mapping[TopicPartition, int], topics: Iterable[str] | None
    ) -> list[TopicPartition]:
        known = self._log.topics()
        if topics is None:
            if not committed:
                raise ClientError(f"there is no group {name!r} with committed offsets: name the topics")
            return sorted(place for place in committed if place[0] in known)
        wanted = [topics] if isinstance(topics, str) else list(topics)
        for topic in wanted:
            if topic not in known:
                raise ClientError(f"there is no topic {topic}")
        return [(topic, number) for topic in wanted for number in range(known[topic].partitions)]

    def delete(self, name: str) -> None:
        """Delete a group and its committed offsets.

        Raises:
            ClientError: it has members, or does not exist.
        """
        group = self._coordinator.group(name)
        with group.without_members("deleting it"):
            if not group.committed():
                raise ClientError(f"there is no group {name!r}")
            self._log.delete_group(group.stored_name)
