"""Fetch sessions (KIP-227): a client names the partitions that it reads once, and then only changes of them.  It is answered
with the partitions that have something new.

A session has a number and outlives connections; each request carries its next epoch.  If the broker does not know the
session any more, or an epoch was missed, the client gets an error and begins anew with all its partitions.
"""

from __future__ import annotations

import random
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .protocol import ErrorCode
from .transactions import Refused

__all__ = ["FetchSession", "FetchSessions", "TopicKey", "topic_key"]

_SESSIONS_MAX = 1_000
"""The largest number of sessions (Kafka's ``max.incremental.fetch.session.cache.slots``).

Beyond it the one least recently used is dropped.
"""
_PLACES_MAX = 100_000
"""The largest number of partitions in all sessions together.  Beyond it no session takes further ones."""
_FINAL, _INITIAL = -1, 0
"""The epochs that end and begin a session."""

TopicKey = str | uuid.UUID
"""How a request names a topic: by its name, or (from version 13 on) by its id."""
Place = tuple[TopicKey, Any]
"""A topic, and kio's entity of a partition in a request."""
PartitionKey = tuple[TopicKey, int]


def topic_key(topic: Any) -> TopicKey:
    """The key of a topic in a request."""
    return str(topic.topic) if hasattr(topic, "topic") else topic.topic_id or uuid.UUID(int=0)


@dataclass(slots=True)
class FetchSession:
    """One fetch session.

    Attributes:
        owner: the client that began it; no other may use it.
        by_id: whether its requests name topics by their ids, see `FetchSessions.asked`.
        places: the partitions to read, in the order in which they get space in answers.
        told: what the client knows of each partition: its end offsets and its start.
    """

    id: int
    owner: str | None
    by_id: bool = False
    epoch: int = 1
    places: OrderedDict[PartitionKey, Any] = field(default_factory=OrderedDict)
    told: dict[PartitionKey, tuple[int, int, int]] = field(default_factory=dict)

    def wanted(self) -> list[Place]:
        """The partitions to read for the next answer."""
        return [(topic, item) for (topic, _), item in self.places.items()]

    def news(self, found: Sequence[Place], *, all_of_it: bool) -> list[Place]:
        """Select the answers that say something new.

        Partitions with records move to the end, so that others come first next time.
        """
        kept = []
        for topic, answer in found:
            place = (topic, int(answer["partition_index"]))
            state = (answer["high_watermark"], answer["last_stable_offset"], answer["log_start_offset"])
            failed = answer["error_code"] != ErrorCode.none
            if answer["records"] and place in self.places:
                self.places.move_to_end(place)
            if all_of_it or failed or answer["records"] or self.told.get(place) != state:
                kept.append((topic, answer))
            if failed:
                self.told.pop(place, None)  # told again until it is better
            else:
                self.told[place] = state
        return kept


class FetchSessions:
    """The fetch sessions of a broker.  Use it on the event loop."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()
        self._places = 0
        self._random = random.SystemRandom()

    def __len__(self) -> int:
        return len(self._sessions)

    def asked(
        self, body: Any, wanted: list[Place], owner: str | None, *, by_id: bool = False
    ) -> tuple[FetchSession | None, bool]:
        """Find the session of a request, and whether all its partitions are answered.

        Args:
            wanted: the partitions that the request names.
            by_id: whether its version names topics by their ids (from 13 on).  All requests of a session do, or none does
                (KIP-516): a client that learns the ids later is told to begin anew.

        Raises:
            Refused: the session is not known, the epoch is not the next one, or the session names topics the other way.
        """
        id_, epoch = int(getattr(body, "session_id", 0)), int(getattr(body, "session_epoch", _FINAL))
        if epoch in (_FINAL, _INITIAL):
            if id_:
                self._end(id_, owner)
            return (None if epoch == _FINAL else self._begun(wanted, owner, by_id)), True
        session = self._sessions.get(id_)
        if session is None or session.owner != owner:
            raise Refused(ErrorCode.fetch_session_id_not_found)
        if session.epoch != epoch:
            raise Refused(ErrorCode.invalid_fetch_session_epoch)
        if session.by_id != by_id:
            raise Refused(ErrorCode.fetch_session_topic_id_error)
        session.epoch = epoch + 1 if epoch < 2**31 - 1 else 1
        self._sessions.move_to_end(id_)
        forgotten = [(topic_key(t), int(p)) for t in getattr(body, "forgotten_topics_data", ()) for p in t.partitions]
        self._forget(session, forgotten)
        self._add(session, wanted)
        return session, False

    def _begun(self, wanted: list[Place], owner: str | None, by_id: bool) -> FetchSession | None:
        """Begin a session.  Returns None if there is no room; then the client reads without a session."""
        while len(self._sessions) >= _SESSIONS_MAX:
            self._remove(next(iter(self._sessions)))
        if self._places + len(wanted) > _PLACES_MAX:
            return None
        number = 0
        while not number or number in self._sessions:
            number = self._random.randrange(1, 2**31 - 1)
        session = self._sessions[number] = FetchSession(number, owner, by_id)
        self._add(session, wanted)
        return session

    def _add(self, session: FetchSession, wanted: list[Place]) -> None:
        for topic, item in wanted:
            place = (topic, int(item.partition))
            if place not in session.places:
                if self._places >= _PLACES_MAX:
                    raise Refused(ErrorCode.fetch_session_id_not_found)
                self._places += 1
            session.places[place] = item
            session.told.pop(place, None)

    def _forget(self, session: FetchSession, places: Iterable[PartitionKey]) -> None:
        for place in places:
            if session.places.pop(place, None) is not None:
                self._places -= 1
            session.told.pop(place, None)

    def _end(self, id_: int, owner: str | None) -> None:
        session = self._sessions.get(id_)
        if session is not None and session.owner == owner:
            self._remove(id_)

    def _remove(self, id_: int) -> None:
        self._places -= len(self._sessions.pop(id_).places)
