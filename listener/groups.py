"""Consumer groups with several members, by Kafka's classic protocol: join, sync, heartbeat, leave.

A group rebalances when members come, leave or change their subscriptions: the answers to heartbeats tell all members to
join again.  When all have joined, or the time is up, a new generation begins.  One member, the leader, gets the
subscriptions of all members, and sends the assignment of each member in its SyncGroup request.  Subscriptions and
assignments are bytes that only the members understand.

A group's members are kept in memory only: after a restart they join again.  The group's offsets are in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .protocol import ErrorCode
from .transactions import Refused

__all__ = ["Group", "GroupCoordinator", "JoinRequest", "Joined", "Member", "subscribed_topics"]

State = Literal["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"]
_SESSION_MS = (1, 30 * 60 * 1000)
"""The smallest and largest session timeout, in milliseconds (Kafka's default minimum is 6 s; tests need shorter ones)."""
_MEMBERS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A JoinGroup request.

    Attributes:
        instance_id: of a static member, which keeps its assignment when its consumer restarts (KIP-345); else None.
        protocols: the names of assignors in order of preference, each with the member's subscription.
        knows_ids: whether the client understands an answer that only gives it the member id to join with (KIP-394).
        knows_skipping: whether the client understands that it leads the group but must not assign anything (KIP-814).
    """

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: Sequence[tuple[str, bytes]]
    knows_ids: bool
    knows_skipping: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """A member's place in a generation; ``members`` is empty for all but the leader.

    Attributes:
        skip: whether the member leads the group but must not assign anything (KIP-814).
    """

    generation: int
    protocol_type: str
    protocol: str
    leader: str
    member_id: str
    members: Sequence[tuple[str, str | None, bytes]]
    skip: bool = False


@dataclass(slots=True, eq=False)
class Member:
    """A consumer in a group."""

    id: str
    instance_id: str | None
    client_id: str
    host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: dict[str, bytes]
    assignment: bytes = b""
    joining: asyncio.Future[Joined] | None = None
    syncing: asyncio.Future[bytes] | None = None
    expiry: asyncio.TimerHandle | None = None


class Group:
    """One consumer group.  Use it on the event loop's thread."""

    def __init__(self, name: str, initial_delay_ms: int) -> None:
        self.name = name
        self.state: State = "Empty"
        self.generation = 0
        self.protocol_type = ""
        self.protocol = ""
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self._pending: dict[str, asyncio.TimerHandle] = {}
        self._static: dict[str, str] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._initial_delay_ms = initial_delay_ms

    # --- joining ---------------------------------------------------------------------------

    async def join(self, request: JoinRequest) -> Joined:
        """Join the group's next generation; returns when it begins.

        Raises:
            Refused: the member cannot join.  If the error is ``member_id_required``, its text is a member id, with which
                the client joins again (KIP-394).
        """
        self._check_join(request)
        member = self._member_of(request)
        if isinstance(member, Joined):
            return member
        loop = asyncio.get_running_loop()
        if member.joining is not None and not member.joining.done():
            member.joining.set_exception(Refused(ErrorCode.unknown_member_id))
        member.joining = loop.create_future()
        waiting = member.joining
        self._cancel_expiry(member)  # it is here as long as it waits
        if self.state != "PreparingRebalance":
            self._prepare()
        self._maybe_complete()
        return await waiting

    def _check_join(self, request: JoinRequest) -> None:
        if not _SESSION_MS[0] <= request.session_timeout_ms <= _SESSION_MS[1]:
            raise Refused(ErrorCode.invalid_session_timeout)
        if not request.protocol_type or not request.protocols:
            raise Refused(ErrorCode.inconsistent_group_protocol)
        others = [m for m in self.members.values() if m.id != request.member_id]
        if others:
            common = set.intersection(*[set(m.protocols) for m in others])
            if request.protocol_type != self.protocol_type or not common & {name for name, _ in request.protocols}:
                raise Refused(ErrorCode.inconsistent_group_protocol)
        if len(self.members) >= _MEMBERS_MAX and request.member_id not in self.members:
            raise Refused(ErrorCode.group_max_size_reached)

    def _member_of(self, request: JoinRequest) -> Member | Joined:
        """Find or make the member that joins.  Return the answer instead if nothing has changed for the member."""
        if request.instance_id is not None and not request.member_id and request.instance_id in self._static:
            return self._replace_static(request)
        if not request.member_id:
            made = f"{request.instance_id or request.client_id or 'consumer'}-{uuid.uuid4()}"
            if request.knows_ids and request.instance_id is None:
                loop = asyncio.get_running_loop()
                self._pending[made] = loop.call_later(request.session_timeout_ms / 1000, self._drop_pending, made)
                raise Refused(ErrorCode.member_id_required, made)
            return self._add(made, request)
        if request.member_id in self._pending:
            self._pending.pop(request.member_id).cancel()
            return self._add(request.member_id, request)
        member = self._known(request.member_id, request.instance_id)
        unchanged = member.protocols == dict(request.protocols)
        self._update(member, request)
        if self.state == "CompletingRebalance" and unchanged:
            return self._joined(member)  # the answer to its last join was lost
        if self.state == "Stable" and unchanged and member.id != self.leader:
            return self._joined(member)
        return member

    def _drop_pending(self, member_id: str) -> None:
        """Stop waiting for a client that got a member id and has not joined with it in time."""
        self._pending.pop(member_id).cancel()
        self._maybe_complete()

    def _add(self, member_id: str, request: JoinRequest) -> Member:
        member = Member(
            member_id,
            request.instance_id,
            request.client_id,
            request.host,
            request.session_timeout_ms,
            request.rebalance_timeout_ms,
            dict(request.protocols),
        )
        if not self.members:
            self.protocol_type = request.protocol_type
        self.members[member_id] = member
        if request.instance_id is not None:
            self._static[request.instance_id] = member_id
        if self.leader is None:
            self.leader = member_id
        return member

    @staticmethod
    def _update(member: Member, request: JoinRequest) -> None:
        member.client_id, member.host = request.client_id, request.host
        member.session_timeout_ms, member.rebalance_timeout_ms = request.session_timeout_ms, request.rebalance_timeout_ms
        member.protocols = dict(request.protocols)

    def _replace_static(self, request: JoinRequest) -> Member | Joined:
        """Replace a static member that has restarted.  It gets a new member id; requests with the old one are fenced."""
        assert request.instance_id is not None
        old = self.members.pop(self._static[request.instance_id])
        self._cancel_expiry(old)
        for future in (old.joining, old.syncing):
            if future is not None and not future.done():
                future.set_exception(Refused(ErrorCode.fenced_instance_id))
        was_leader = self.leader == old.id
        member = self._add(f"{request.instance_id}-{uuid.uuid4()}", request)
        member.assignment = old.assignment
        if was_leader:
            self.leader = member.id
        if self.state == "Stable" and old.protocols == member.protocols:
            self.touch(member)
            joined = self._joined(member)
            if not was_leader:
                return joined
            if request.knows_skipping:
                return replace(joined, skip=True)
            return replace(joined, leader=old.id, members=[])  # so that it assigns nothing
        return member

    def _prepare(self) -> None:
        """Begin a rebalance: all members are told to join again."""
        for member in self.members.values():
            if member.syncing is not None and not member.syncing.done():
                member.syncing.set_exception(Refused(ErrorCode.rebalance_in_progress))
            member.syncing = None
        first = self.state == "Empty"
        self.state = "PreparingRebalance"
        if self._deadline is not None:
            self._deadline.cancel()
        longest_ms = max((m.rebalance_timeout_ms for m in self.members.values()), default=0)
        wait_ms = min(self._initial_delay_ms, longest_ms) if first else longest_ms
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(wait_ms / 1000, self._complete)
        self._is_first = first

    _is_first = False

    def _maybe_complete(self) -> None:
        if self.state != "PreparingRebalance" or self._is_first:
            return  # the first members wait a little for others
        if all(m.joining is not None for m in self.members.values()) and not self._pending:
            self._complete()

    def _complete(self) -> None:
        """Begin a new generation with the members that have joined."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._is_first = False
        for member in [m for m in self.members.values() if m.joining is None]:
            self._forget(member)
        self.generation += 1
        if not self.members:
            self._become_empty()
            return
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        self.protocol = self._choose()
        self.state = "CompletingRebalance"
        for member in self.members.values():
            waiting, member.joining = member.joining, None
            self.touch(member)
            if waiting is not None and not waiting.done():
                waiting.set_result(self._joined(member))

    def _become_empty(self) -> None:
        self.state, self.leader, self.protocol = "Empty", None, ""

    def _choose(self) -> str:
        """Choose the assignor: of those that all members have, the one that most members prefer."""
        common = set.intersection(*[set(m.protocols) for m in self.members.values()])
        votes: dict[str, int] = {}
        for member in self.members.values():
            best = next(name for name in member.protocols if name in common)
            votes[best] = votes.get(best, 0) + 1
        return max(votes, key=lambda name: votes[name])

    def _joined(self, member: Member) -> Joined:
        assert self.leader is not None
        members: list[tuple[str, str | None, bytes]] = []
        if member.id == self.leader:
            members = [(m.id, m.instance_id, m.protocols[self.protocol]) for m in self.members.values()]
        return Joined(self.generation, self.protocol_type, self.protocol, self.leader, member.id, members)

    # --- syncing, heartbeats ---------------------------------------------------------------

    async def sync(
        self, member_id: str, instance_id: str | None, generation: int, assignments: Sequence[tuple[str, bytes]]
    ) -> bytes:
        """Return a member's assignment.  The leader gives the assignments of all members; the others wait for them.

        Raises:
            Refused: it is not a member of this generation, or a new rebalance has begun.
        """
        member = self._known(member_id, instance_id)
        self.check_generation(generation)
        if self.state == "PreparingRebalance":
            raise Refused(ErrorCode.rebalance_in_progress)
        self.touch(member)
        if self.state == "Stable":
            return member.assignment
        if member.syncing is None or member.syncing.done():
            member.syncing = asyncio.get_running_loop().create_future()
        waiting = member.syncing
        if member.id == self.leader:
            given = dict(assignments)
            self.state = "Stable"
            for other in self.members.values():
                other.assignment = given.get(other.id, b"")
                if other.syncing is not None and not other.syncing.done():
                    other.syncing.set_result(other.assignment)
                other.syncing = None
        return await waiting

    @property
    def is_idle(self) -> bool:
        """Whether the group has no members and no client is joining it."""
        return not self.members and not self._pending and self.state == "Empty"

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int) -> None:
        """Record a heartbeat.  Raises: Refused, if the member must join again."""
        member = self._known(member_id, instance_id)
        self.check_generation(generation)
        self.touch(member)
        if self.state == "PreparingRebalance":
            raise Refused(ErrorCode.rebalance_in_progress)

    def leave(self, member_id: str, instance_id: str | None) -> None:
        """Remove a member.  Raises: Refused, if there is no such member."""
        if not member_id and instance_id is not None and instance_id in self._static:
            member_id = self._static[instance_id]
        if member_id in self._pending:
            self._drop_pending(member_id)
            return
        self._remove(self._known(member_id, instance_id))

    def check_member(self, member_id: str, instance_id: str | None, generation: int) -> None:
        """Check that a member may commit offsets.

        Raises:
            Refused: it is not a member of this generation.
        """
        if generation < 0 and not member_id:
            if self.members:
                raise Refused(ErrorCode.unknown_member_id)
            return  # a consumer that chose its partitions itself
        member = self._known(member_id, instance_id)
        self.check_generation(generation)
        self.touch(member)

    def check_generation(self, generation: int) -> None:
        """Check the number of a generation.  Raises: Refused, if it is not the present one."""
        if generation != self.generation:
            raise Refused(ErrorCode.illegal_generation)

    def _known(self, member_id: str, instance_id: str | None) -> Member:
        if instance_id is not None and self._static.get(instance_id, member_id) != member_id:
            raise Refused(ErrorCode.fenced_instance_id)
        member = self.members.get(member_id)
        if member is None:
            raise Refused(ErrorCode.unknown_member_id)
        return member

    # --- expiry ----------------------------------------------------------------------------

    def touch(self, member: Member) -> None:
        """Record a sign of life of a member."""
        self._cancel_expiry(member)
        loop = asyncio.get_running_loop()
        member.expiry = loop.call_later(member.session_timeout_ms / 1000, self._expire, member)

    @staticmethod
    def _cancel_expiry(member: Member) -> None:
        if member.expiry is not None:
            member.expiry.cancel()
            member.expiry = None

    def _expire(self, member: Member) -> None:
        if self.members.get(member.id) is member and member.joining is None:
            self._remove(member)

    def _forget(self, member: Member) -> None:
        self.members.pop(member.id, None)
        self._cancel_expiry(member)
        if member.instance_id is not None and self._static.get(member.instance_id) == member.id:
            del self._static[member.instance_id]
        for future in (member.joining, member.syncing):
            if future is not None and not future.done():
                future.set_exception(Refused(ErrorCode.unknown_member_id))
        if self.leader == member.id:
            self.leader = next(iter(self.members), None)

    def _remove(self, member: Member) -> None:
        self._forget(member)
        if not self.members and self.state != "PreparingRebalance":
            self.generation += 1
            self._become_empty()
        elif self.state in ("Stable", "CompletingRebalance"):
            self._prepare()
        self._maybe_complete()

    def close(self) -> None:
        """Release everyone who waits."""
        for member in list(self.members.values()):
            self._forget(member)
        for handle in [*self._pending.values(), *([self._deadline] if self._deadline else [])]:
            handle.cancel()


def subscribed_topics(group: Group) -> set[str] | None:
    """The topics that the members of a group of consumers read.

    None if a member does not say what it reads: by Kafka's rule, all topics then count as read.
    """
    found: set[str] = set()
    for member in group.members.values():
        metadata = member.protocols.get(group.protocol)
        if metadata is None:
            return None
        topics = _topics_of(metadata)
        if topics is None:
            return None
        found |= topics
    return found


def _topics_of(metadata: bytes) -> set[str] | None:
    """Read the topics from Kafka's ConsumerProtocolSubscription.  All its versions begin with a version and topic names."""
    try:
        _, count = struct.unpack_from(">hi", metadata)
        at, topics = 6, set()
        for _ in range(count):
            (length,) = struct.unpack_from(">h", metadata, at)
            if length < 0 or at + 2 + length > len(metadata):
                return None
            topics.add(metadata[at + 2 : at + 2 + length].decode())
            at += 2 + length
    except (struct.error, UnicodeDecodeError):
        return None
    return topics


class GroupCoordinator:
    """The groups that have or had members.

    Args:
        claim: called before a group gets members, with the group's name, an owner, and a function that says whether the
            group has members (any thread may call it).  Returns False if another coordinator has the group, such as the one
            for consumers in this process.
    """

    def __init__(
        self, initial_delay_ms: int, claim: Callable[[str, object, Callable[[], bool]], bool] = lambda *_: True
    ) -> None:
        self._initial_delay_ms = initial_delay_ms
        self._claim = claim
        self._groups: dict[str, Group] = {}

    def get(self, name: str) -> Group:
        """Find or make the group that a member joins.  Raises: Refused, if it has no name or another coordinator has it."""
        if not name:
            raise Refused(ErrorCode.invalid_group_id)
        if not self._has_members(name) and not self._claim(name, self, lambda: self._has_members(name)):
            raise Refused(ErrorCode.inconsistent_group_protocol, f"consumers inside the database's process share {name}")
        if name not in self._groups:
            self._groups[name] = Group(name, self._initial_delay_ms)
        return self._groups[name]

    def _has_members(self, name: str) -> bool:
        group = self._groups.get(name)
        return group is not None and not group.is_idle

    def find(self, name: str) -> Group | None:
        """Find a group; None if it is not known."""
        return self._groups.get(name)

    def all(self) -> list[Group]:
        """All known groups."""
        return list(self._groups.values())

    def delete(self, name: str) -> None:
        """Delete a group.  Raises: Refused, if it has members."""
        group = self._groups.get(name)
        if group is not None and group.members:
            raise Refused(ErrorCode.non_empty_group)
        with contextlib.suppress(KeyError):
            del self._groups[name]

    def forget_empty(self) -> None:
        """Drop groups without members.  Their offsets stay in the log."""
        for name, group in list(self._groups.items()):
            if group.is_idle:
                del self._groups[name]

    def close(self) -> None:
        """Release everyone who waits."""
        for group in self._groups.values():
            group.close()
