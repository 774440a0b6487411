"""Consumer groups of one process: their members, the owners of partitions, and which commits count.

A group has a *target*: the owner that each partition should have.  It is computed anew (a new *generation*) when members
join or leave, want other topics, or topics change.  Ownership follows partition by partition: at its next poll a member
gives up what it should not have, and it takes what it should have as soon as that is free.  So a rebalance stops nobody who
keeps his partitions, as in Kafka's cooperative protocol, and **a partition never has more than one owner**.

A commit counts if its member owns the partition, and has owned it without a break since the generation for which it commits.
A change of ownership waits for commits in progress, so the next owner continues where the last one ended.

A member leaves when it is closed or garbage-collected.  It is expelled when it does not poll for ``max_poll_interval_ms``;
the next member that polls notices.  Lock order: a group's lock, then the log's.  The callback of `Log.wait`
(`Group.version`) takes no lock.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...errors import ClientError, CommitFailedError
from ...storage.log.protocol import Log, TopicPartition
from .assignment import STRATEGIES

CLAIM_S = 2.0
"""How long a claim of a group holds before its first member has joined, in seconds."""

__all__ = ["Coordinator", "Group", "GroupMetadata", "Member", "Standing", "is_client_group"]

GROUP_PREFIX = "group:"
"""The prefix of users' groups in the log.  Positions of queries are groups too, but query ids have no colon."""


def is_client_group(name: str) -> bool:
    """Whether a group in the log belongs to consumers, not to a query."""
    return name.startswith(GROUP_PREFIX)


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """A consumer's membership in its group.  Who commits the consumer's offsets for it, as a transaction does, shows it.

    Attributes:
        member_id: None for a consumer that chose its partitions itself.
        generation: of the group; after the next rebalance, commits with this one are refused.
    """

    group: str
    member_id: str | None
    generation: int


@dataclass(slots=True)
class Member:
    """A consumer in a group.

    Attributes:
        owned: partition -> the generation since which the member owns it.
        polling: whether it is inside a call of poll, and so alive.
        committing: its commits in progress.
    """

    id: str
    topics: frozenset[str]
    max_poll_interval_s: float
    seen_s: float
    owned: dict[TopicPartition, int] = field(default_factory=dict)
    polling: bool = True
    committing: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """The partitions of a member, and those that it should give up."""

    generation: int
    owned: Mapping[TopicPartition, int]
    surplus: frozenset[TopicPartition]


class Group:
    """A consumer group; see the module's text.  Thread-safe."""

    def __init__(
        self,
        name: str,
        log: Log,
        numbers: Iterator[int],
        seconds: Callable[[], float],
        guard: threading.Lock,
        is_claimed: Callable[[str], bool],
    ) -> None:
        self._guard = guard
        self._is_claimed = is_claimed
        self.name = name
        self.stored_name = GROUP_PREFIX + name
        self.generation = 0
        self.version = 0
        """Counts the changes that members should look at."""
        self.strategy = ""
        self._log = log
        self._numbers = numbers
        self._seconds = seconds
        self._changed = threading.Condition(threading.RLock())
        self._members: dict[str, Member] = {}
        self._target: dict[TopicPartition, str] = {}
        self._owners: dict[TopicPartition, str] = {}
        self._topics: dict[str, tuple[int, int]] = {}
        """The topics that members want, with their numbers and partitions."""
        self._gone: deque[str] = deque()

    # --- membership ------------------------------------------------------------------------

    def join(self, client_id: str, topics: frozenset[str], strategy: str, max_poll_interval_s: float) -> str:
        """Join the group; returns the member's id.

        Raises:
            ClientError: the strategy does not exist, the members have another one, or the group's members use another
                protocol.
        """
        if strategy not in STRATEGIES:
            raise ClientError(f"partition.assignment.strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
        with self._guard, self._changed:
            self._expel()
            if self._is_claimed(self.name):
                raise ClientError(
                    f"the group {self.name!r} has members over Kafka's protocol: a partition would have two owners; take "
                    "another group, or let all its consumers come the same way"
                )
            if self._members and strategy != self.strategy:
                raise ClientError(f"the members of the group {self.name!r} assign by {self.strategy}, not by {strategy}")
            self.strategy = strategy
            member_id = f"{client_id}-{next(self._numbers)}"
            self._members[member_id] = Member(member_id, topics, max_poll_interval_s, self._seconds())
            self._rebalance()
            return member_id

    def leave(self, member_id: str) -> None:
        """Leave the group; the member's partitions become free."""
        with self._changed:
            member = self._members.get(member_id)
            if member is not None:
                self._changed.wait_for(lambda: member.committing == 0)
                self._remove([member_id])

    def abandoned(self, member_id: str) -> None:
        """Note that the member's consumer was garbage-collected.  Called at any time by any thread: it takes no lock."""
        self._gone.append(member_id)

    def poll_started(self, member_id: str, topics: frozenset[str]) -> Standing | None:
        """Note that a member polls, and the topics that it wants.  Returns None if it is no longer a member."""
        with self._changed:
            member = self._members.get(member_id)
            if member is not None:
                member.polling, member.seen_s = True, self._seconds()
            self._expel()
            member = self._members.get(member_id)
            if member is None:
                return None
            changed = member.topics != topics
            member.topics = topics
            if changed or self._topics != self._wanted():
                self._rebalance()
            surplus = frozenset(p for p in member.owned if self._target.get(p) != member_id)
            return Standing(self.generation, dict(member.owned), surplus)

    def poll_ended(self, member_id: str) -> None:
        """Note the end of a poll.  The member must poll again within ``max_poll_interval_ms``."""
        with self._changed:
            member = self._members.get(member_id)
            if member is not None:
                member.polling, member.seen_s = False, self._seconds()

    def release(self, member_id: str, places: Iterable[TopicPartition]) -> None:
        """Give up partitions of a member."""
        with self._changed:
            member = self._members.get(member_id)
            if member is None:
                return
            self._changed.wait_for(lambda: member.committing == 0)
            for place in places:
                if member.owned.pop(place, None) is not None:
                    del self._owners[place]
            self._announce()

    def acquire(self, member_id: str) -> Standing | None:
        """Take the free partitions that a member should have; None if it is no longer a member."""
        with self._changed:
            member = self._members.get(member_id)
            if member is None:
                return None
            for place, owner in self._target.items():
                if owner == member_id and place not in self._owners:
                    self._owners[place] = member_id
                    member.owned[place] = self.generation
            return Standing(self.generation, dict(member.owned), frozenset())

    def _expel(self) -> None:
        """Expel members whose consumer is gone, or has not polled for too long."""
        noted = {self._gone.popleft() for _ in range(len(self._gone))} & set(self._members)
        gone = {member_id for member_id in noted if self._members[member_id].committing == 0}
        self._gone.extend(noted - gone)  # a producer still commits for it
        now_s = self._seconds()
        for member in self._members.values():
            silent = not member.polling and now_s - member.seen_s > member.max_poll_interval_s
            if silent and member.committing == 0:
                gone.add(member.id)
        if gone:
            self._remove(gone)

    def _remove(self, member_ids: Iterable[str]) -> None:
        for member_id in member_ids:
            for place in self._members.pop(member_id).owned:
                del self._owners[place]
        self._rebalance()

    def _wanted(self) -> dict[str, tuple[int, int]]:
        """The existing topics among those that members want."""
        known = self._log.topics()
        names = {topic for member in self._members.values() for topic in member.topics if topic in known}
        return {name: (self._log.topic_id(name), known[name].partitions) for name in sorted(names)}

    def _rebalance(self) -> None:
        """Begin a new generation with a new target."""
        topics = self._wanted()
        for place, owner in list(self._owners.items()):
            if self._topics.get(place[0], (0,))[0] != topics.get(place[0], (0,))[0]:
                del self._owners[place]  # the topic is gone, or another one of that name
                del self._members[owner].owned[place]
        self._topics = topics
        self.generation += 1
        self._target = STRATEGIES[self.strategy](
            {m.id: m.topics for m in self._members.values()},
            {name: partitions for name, (_, partitions) in topics.items()},
            {**self._target, **self._owners},
        )
        self._announce()

    def _announce(self) -> None:
        self.version += 1
        self._changed.notify_all()
        self._log.wake()

    # --- offsets ---------------------------------------------------------------------------

    def committed(self) -> Mapping[TopicPartition, int]:
        """The group's committed offsets."""
        return self._log.positions(self.stored_name)

    @contextmanager
    def committing(self, who: GroupMetadata, places: Iterable[TopicPartition]) -> Iterator[None]:
        """Commit offsets inside this context: the partitions stay the member's until it ends.

        Raises:
            CommitFailedError: the member does not own them, or not any more.
        """
        with self._changed:
            member = None if who.member_id is None else self._members.get(who.member_id)
            self._check(who, member, places)
            if member is not None:
                member.committing += 1
        try:
            yield
        finally:
            with self._changed:
                if member is not None:
                    member.committing -= 1
                self._changed.notify_all()

    def _check(self, who: GroupMetadata, member: Member | None, places: Iterable[TopicPartition]) -> None:
        if who.member_id is None:
            self._expel()
            if self._members:
                raise CommitFailedError(
                    f"the group {self.name!r} has members that share its partitions: a consumer that chose its own with "
                    "assign() cannot commit for it"
                )
            return
        if member is None:
            raise CommitFailedError(
                f"{who.member_id} is no longer a member of the group {self.name!r}: it was closed, or did not poll for "
                "max_poll_interval_ms; what it has not committed is read again by others"
            )
        for topic, partition in places:
            since = member.owned.get((topic, partition))
            if since is None or since > who.generation:
                raise CommitFailedError(
                    f"{who.member_id} does not own {topic!r}, partition {partition}, in generation {self.generation} of the "
                    f"group {self.name!r} (it commits for generation {who.generation})"
                )

    @contextmanager
    def without_members(self, action: str) -> Iterator[None]:
        """Change offsets from outside inside this context: nobody can join until it ends.

        Raises:
            ClientError: the group has members.
        """
        with self._changed:
            self._expel()
            if self._members:
                raise ClientError(
                    f"the group {self.name!r} has {len(self._members)} members, so {action} is refused: close them first"
                )
            yield

    # --- looking ---------------------------------------------------------------------------

    def members(self) -> Mapping[str, tuple[TopicPartition, ...]]:
        """The partitions of each member."""
        with self._changed:
            self._expel()
            return {m.id: tuple(sorted(m.owned)) for m in self._members.values()}

    @property
    def state(self) -> str:
        """``Empty``, ``Stable``, or ``PreparingRebalance`` while partitions change hands: Kafka's names."""
        with self._changed:
            self._expel()
            if not self._members:
                return "Empty"
            return "Stable" if self._target == self._owners else "PreparingRebalance"


class Coordinator:
    """The groups of one log.  Thread-safe.

    Args:
        seconds: a monotonic clock, for ``max_poll_interval_ms``.
    """

    def __init__(self, log: Log, seconds: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._seconds = seconds
        self._numbers = itertools.count(1)
        self._groups: dict[str, Group] = {}
        self._guard = threading.Lock()
        self._claims: dict[str, tuple[object, Callable[[], bool], float]] = {}

    def claim(self, name: str, owner: object, is_used: Callable[[], bool]) -> bool:
        """Claim a group for members that use another protocol.  A group has a single coordinator, so all its members must
        use the same one.

        Args:
            owner: their coordinator; it may claim again.
            is_used: whether the group has members there.  It is not asked during the first `CLAIM_S`.

        Returns:
            whether the claim holds: no consumer of this process and no other owner has members in the group.
        """
        with self._guard:
            group = self._groups.get(name)
            if group is not None and group.members():
                return False
            if self._is_claimed(name) and self._claims[name][0] is not owner:
                return False
            self._claims[name] = owner, is_used, self._seconds()
            return True

    def _is_claimed(self, name: str) -> bool:
        """Whether another coordinator has the group.  Call it with the guard held."""
        found = self._claims.get(name)
        if found is None:
            return False
        _, is_used, since_s = found
        if is_used() or self._seconds() - since_s < CLAIM_S:
            return True
        del self._claims[name]
        return False

    def group(self, name: str) -> Group:
        """The group of a name; it need not exist yet.

        Raises:
            ClientError: the name is not valid.
        """
        if not isinstance(name, str) or not name:
            raise ClientError("a group needs a name")
        with self._guard:
            found = self._groups.get(name)
            if found is None:
                found = self._groups[name] = Group(
                    name, self._log, self._numbers, self._seconds, self._guard, self._is_claimed
                )
            return found

    def names(self) -> list[str]:
        """The groups that have committed offsets or members."""
        stored = {name.removeprefix(GROUP_PREFIX) for name in self._log.groups() if is_client_group(name)}
        with self._guard:
            groups = list(self._groups.values())
        return sorted(stored | {group.name for group in groups if group.members()})
