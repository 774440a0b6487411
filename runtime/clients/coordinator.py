"""Consumer groups of one process: who is a member, who owns which partition, and whose commits count.

A group has a *target*, the owner that each partition should have, computed anew (a new *generation*) whenever members join
or leave, want other topics, or topics change.  Ownership follows it partition by partition: a member gives up what it should
not have when it polls next, and takes what it should have as soon as that is free.  So a rebalance stops nobody who keeps
what he has, as in Kafka's cooperative protocol, and **a partition has one owner at most, at any moment**.

A commit counts if its member still owns the partition, and has owned it without a break since the generation that it commits
for.  A change of ownership waits for commits that are under way, so the next owner reads on where the last one ended.

A member leaves when it is closed or garbage-collected, or is expelled when it does not poll for ``max_poll_interval_ms``:
whoever polls next notices.  Lock order: a group's lock, then the log's.  What `Log.wait` asks (`Group.version`) takes none.
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
"""How long a group that was claimed belongs to whoever did, before its first member is there."""

__all__ = ["Coordinator", "Group", "GroupMetadata", "Member", "Standing", "is_client_group"]

GROUP_PREFIX = "group:"
"""Before the names of users' groups in the log: the ids of queries, whose positions are groups too, have no colon."""


def is_client_group(name: str) -> bool:
    """Whether a group of the log is one of consumers, and not of a query."""
    return name.startswith(GROUP_PREFIX)


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """For whom offsets are committed: what a producer's transaction needs to know of a consumer.

    Attributes:
        member_id: None for a consumer that chose its partitions itself.
    """

    group: str
    member_id: str | None
    generation: int


@dataclass(slots=True)
class Member:
    """A consumer that takes part in a group.

    Attributes:
        owned: partition -> the generation since which it has owned it.
        polling: it is in a call of poll, so it is there.
        committing: commits under way.
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
    """What a member has, and what of it it should give up."""

    generation: int
    owned: Mapping[TopicPartition, int]
    surplus: frozenset[TopicPartition]


class Group:
    """See the module's text.  Thread-safe."""

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
        """Counts changes that members should look at."""
        self.strategy = ""
        self._log = log
        self._numbers = numbers
        self._seconds = seconds
        self._changed = threading.Condition(threading.RLock())
        self._members: dict[str, Member] = {}
        self._target: dict[TopicPartition, str] = {}
        self._owners: dict[TopicPartition, str] = {}
        self._topics: dict[str, tuple[int, int]] = {}
        """Topics that members want: number and partitions."""
        self._gone: deque[str] = deque()

    # --- membership ------------------------------------------------------------------------

    def join(self, client_id: str, topics: frozenset[str], strategy: str, max_poll_interval_s: float) -> str:
        """Become a member.

        Returns:
            the member's id.

        Raises:
            ClientError: there is no such strategy, the members have another one, or they come from elsewhere.
        """
        if strategy not in STRATEGIES:
            raise ClientError(f"partition.assignment.strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
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
        """End a membership; what it owned is free."""
        with self._changed:
            member = self._members.get(member_id)
            if member is not None:
                self._changed.wait_for(lambda: member.committing == 0)
                self._remove([member_id])

    def abandoned(self, member_id: str) -> None:
        """The member's consumer was garbage-collected.  Called at any moment, in any thread: only takes a note."""
        self._gone.append(member_id)

    def poll_started(self, member_id: str, topics: frozenset[str]) -> Standing | None:
        """A member is there, and wants these topics; None if it is no member any more."""
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
        """From here on the member has ``max_poll_interval_ms`` to poll again."""
        with self._changed:
            member = self._members.get(member_id)
            if member is not None:
                member.polling, member.seen_s = False, self._seconds()

    def release(self, member_id: str, places: Iterable[TopicPartition]) -> None:
        """A member gives partitions up."""
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
        """A member takes what it should have and is free; None if it is no member any more."""
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
        """Members whose consumer is gone, or has not polled for too long, are members no more."""
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
        """Those of the topics that members want which there are."""
        known = self._log.topics()
        names = {topic for member in self._members.values() for topic in member.topics if topic in known}
        return {name: (self._log.topic_id(name), known[name].partitions) for name in sorted(names)}

    def _rebalance(self) -> None:
        """A new generation: who should own what."""
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
        """The offsets where the group reads on."""
        return self._log.positions(self.stored_name)

    @contextmanager
    def committing(self, who: GroupMetadata, places: Iterable[TopicPartition]) -> Iterator[None]:
        """Commit offsets of partitions inside: they stay the member's until that is done.

        Raises:
            CommitFailedError: they are not, or not any more.
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
                f"{who.member_id} is no member of the group {self.name!r} any more: it was closed, or did not poll for "
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
        """Change offsets from outside inside: nobody can join meanwhile.

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
        """What each member owns."""
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
        seconds: a clock that never goes back, for ``max_poll_interval_ms``.
    """

    def __init__(self, log: Log, seconds: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._seconds = seconds
        self._numbers = itertools.count(1)
        self._groups: dict[str, Group] = {}
        self._guard = threading.Lock()
        self._claims: dict[str, tuple[object, Callable[[], bool], float]] = {}

    def claim(self, name: str, owner: object, is_used: Callable[[], bool]) -> bool:
        """Have a group's members come over another protocol.  Its partitions have one coordinator, so all do or none.

        Args:
            owner: whoever coordinates them; asking again does no harm.
            is_used: whether the group has members there.  For `CLAIM_S` it is not asked yet.

        Returns:
            whether that is possible: no consumer of this process and no other owner has members in the group.
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
        """The guard is held."""
        found = self._claims.get(name)
        if found is None:
            return False
        _, is_used, since_s = found
        if is_used() or self._seconds() - since_s < CLAIM_S:
            return True
        del self._claims[name]
        return False

    def group(self, name: str) -> Group:
        """A group by name; it need not exist yet.

        Raises:
            ClientError: that is no name.
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
        """Groups that have committed offsets or members."""
        stored = {name.removeprefix(GROUP_PREFIX) for name in self._log.groups() if is_client_group(name)}
        with self._guard:
            groups = list(self._groups.values())
        return sorted(stored | {group.name for group in groups if group.members()})
