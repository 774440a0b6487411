"""How a consumer gets partitions (a group's share, or all without a group), loses them, and commits."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import ClientError
from ...storage.log.protocol import Log, TopicPartition
from .consumer_options import ConsumerOptions
from .coordinator import Group, GroupMetadata
from .reading import Reading, existing

__all__ = ["Listener", "Listeners", "Membership", "Topics"]

Topics = str | Sequence[str] | re.Pattern[str]
Listener = Callable[[list[TopicPartition]], object]


@dataclass(frozen=True, slots=True)
class Listeners:
    """The callbacks for partitions that were assigned, will be revoked, or are lost."""

    assigned: Listener | None
    revoked: Listener | None
    lost: Listener | None


class Membership:
    """The membership of a consumer; see the module's text.  Use it from one thread at a time.

    Attributes:
        topics: the subscription; None: nothing.
        member: its id while it is in the group.
        auto: whether it commits automatically.

    Args:
        group: None without a group.
        reading: gets the partitions that are assigned, and loses the revoked ones.
    """

    def __init__(
        self,
        log: Log,
        group: Group | None,
        options: ConsumerOptions,
        reading: Reading,
        listeners: Listeners,
        seconds: Callable[[], float],
    ) -> None:
        self.group = group
        self.topics: frozenset[str] | re.Pattern[str] | None = None
        self.member: str | None = None
        self.auto = options.enable_auto_commit and group is not None
        self._log = log
        self._options = options
        self._reading = reading
        self._listeners = listeners
        self._seconds = seconds
        self._committed_s = seconds()
        self._finalizer: weakref.finalize[[str], Membership] | None = None
        self._generation = 0

    # --- topics ----------------------------------------------------------------------------

    def subscribe(self, topics: Topics) -> None:
        """See `Consumer.subscribe`.  Raises: ClientError."""
        if isinstance(topics, re.Pattern):
            wanted: frozenset[str] | re.Pattern[str] = topics
        else:
            wanted = frozenset([topics] if isinstance(topics, str) else topics)
            if not wanted or not all(isinstance(name, str) and name for name in wanted):
                raise ClientError("subscribe() takes names of topics, or a compiled pattern")
        if self.topics is None:
            self._reading.forget(list(self._reading.owned))
        self.topics = wanted

    def wanted(self) -> frozenset[str]:
        """The names of the subscribed topics; for a pattern, those that exist."""
        topics = self.topics
        if topics is None:
            return frozenset()
        if isinstance(topics, frozenset):
            return topics
        return frozenset(
            name for name, config in self._log.topics().items() if not config.internal and topics.fullmatch(name)
        )

    # --- partitions ------------------------------------------------------------------------

    def update(self) -> None:
        """Follow the group: give up and take partitions.  Calls the listeners."""
        if self.topics is None:
            return
        if self.group is None:
            self._follow_topics()
            return
        while True:
            wanted = self.wanted()
            if self.member is None:
                self._join(self.group, wanted)
            assert self.member is not None
            standing = self.group.poll_started(self.member, wanted)
            self._lose({} if standing is None else standing.owned)
            if standing is None:
                self._set_member(None)
                continue
            self._generation = standing.generation
            if standing.surplus:
                self._give_up(sorted(standing.surplus))
                continue
            standing = self.group.acquire(self.member)
            if standing is not None:
                self._generation = standing.generation
                self.take({p: since for p, since in standing.owned.items() if p not in self._reading.owned})
                return

    def poll_ended(self) -> None:
        """Note the end of a poll, which shows that the member is alive."""
        if self.member is not None and self.group is not None:
            self.group.poll_ended(self.member)

    def _join(self, group: Group, wanted: frozenset[str]) -> None:
        options = self._options
        self._set_member(
            group.join(options.client_id, wanted, options.partition_assignment_strategy, options.max_poll_interval_ms / 1000)
        )

    def _set_member(self, member_id: str | None) -> None:
        if self._finalizer is not None:
            self._finalizer.detach()
            self._finalizer = None
        self.member = member_id
        if member_id is not None:
            assert self.group is not None
            self._finalizer = weakref.finalize(self, self.group.abandoned, member_id)
            self._finalizer.atexit = False

    def _follow_topics(self) -> None:
        """Without a group: take all partitions of the topics."""
        known = self._log.topics()
        wanted = {
            (name, number): self._log.topic_id(name)
            for name in self.wanted()
            if name in known
            for number in range(known[name].partitions)
        }
        self._lose(wanted)
        self.take({place: number for place, number in wanted.items() if place not in self._reading.owned})

    def _lose(self, owned: Mapping[TopicPartition, int]) -> None:
        """Drop partitions that the member no longer owns, or lost and owned again."""
        lost = sorted(place for place, since in self._reading.owned.items() if owned.get(place) != since)
        if lost:
            self._reading.forget(lost)
            if self._listeners.lost is not None:
                self._listeners.lost(lost)

    def _give_up(self, places: list[TopicPartition]) -> None:
        positions = self._reading.positions
        self.commit_aside({p: positions[p] for p in places if p in positions})
        if self._listeners.revoked is not None:
            self._listeners.revoked(places)
        assert self.group is not None and self.member is not None
        self.group.release(self.member, places)
        self._reading.forget(places)

    def take(self, places: Mapping[TopicPartition, int]) -> None:
        """Begin to read these partitions, too."""
        self._reading.take(places, {} if self.group is None or not places else self.group.committed())
        if places and self._listeners.assigned is not None and self.topics is not None:
            self._listeners.assigned(sorted(places))

    def leave(self) -> None:
        """Give up all partitions, and leave the group."""
        if self.member is not None and self.group is not None:
            standing = self.group.poll_started(self.member, self.wanted())
            self._lose({} if standing is None else standing.owned)
            if self._reading.owned:
                self._give_up(sorted(self._reading.owned))
            self.group.leave(self.member)
            self._set_member(None)
        elif self.topics is None:
            self.commit_aside(self._reading.positions)
        self._reading.forget(list(self._reading.owned))

    def drop(self) -> None:
        """Leave the group without giving up partitions properly."""
        if self.member is not None and self.group is not None:
            self.group.leave(self.member)
            self._set_member(None)

    # --- commits ---------------------------------------------------------------------------

    def metadata(self) -> GroupMetadata:
        """See `Consumer.group_metadata`.  Raises: ClientError, without a group."""
        if self.group is None:
            raise ClientError("a consumer without a group commits no offsets: consumer(..., group=...)")
        return GroupMetadata(self.group.name, self.member, self._generation)

    def committed(self) -> Mapping[TopicPartition, int]:
        """The group's committed offsets.  Raises: ClientError, without a group."""
        self.metadata()
        assert self.group is not None
        return self.group.committed()

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `Consumer.commit`."""
        metadata = self.metadata()
        assert self.group is not None
        for place, offset in offsets.items():
            existing(self._log, place)
            if not isinstance(offset, int) or offset < 0:
                raise ClientError(f"an offset must be a whole number of at least 0, not {offset!r}")
        self._committed_s = self._seconds()
        if not offsets:
            return
        with self.group.committing(metadata, offsets):
            transaction = self._log.transaction()
            transaction.set_positions(self.group.stored_name, offsets)
            transaction.commit(self._options.durable)

    def commit_in_time(self) -> None:
        """With auto-commit: commit all positions, if the interval is over."""
        if self.auto and (self._seconds() - self._committed_s) * 1000 >= self._options.auto_commit_interval_ms:
            self.commit_aside(self._reading.positions)

    def commit_aside(self, positions: Mapping[TopicPartition, int]) -> None:
        """With auto-commit: commit those of the positions that have changed."""
        if self.auto and self.group is not None:
            committed, known = self.group.committed(), self._log.topics()
            self.commit({p: at for p, at in positions.items() if committed.get(p) != at and p[0] in known})
