"""Fetch sessions (KIP-227): a client names all partitions that it reads once, and later only changes to this list.  Answers
have only the partitions with news.

A session has an id and outlives connections.  Each request carries the session's next epoch.  If the broker no longer knows
the session, or an epoch was skipped, the client gets an error and begins a new session with all its partitions.
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

When there are so many, a new session replaces the least recently used one.
"""
_PLACES_MAX = 100_000
"""The largest number of partitions in all sessions together.  When it is reached, no session takes further ones."""
_FINAL, _INITIAL = -1, 0
"""The epochs that end and begin a session."""

TopicKey = str | uuid.UUID
"""How a request names a topic: by its name, or, from version 13 of Fetch on, by its id."""
Place = tuple[TopicKey, Any]
"""A topic, and a partition of a request or answer as kio's entity or as a dict."""
PartitionKey = tuple[TopicKey, int]


def topic_key(topic: Any) -> TopicKey:
    """The name or id by which a request names a topic."""
    return str(topic.topic) if hasattr(topic, "topic") else topic.topic_id or uuid.UUID(int=0)


@dataclass(slots=True)
class FetchSession:
    """One fetch session.

    Attributes:
        owner: the user that began it; no other user may use it.
        by_id: whether its requests name topics by their ids, see `FetchSessions.asked`.
        places: the partitions to read, in the order in which they get space in answers.
        told: what the client was told of each partition: high watermark, last stable offset and log start offset.
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
        """Select the answers to send: those with records, an error, or offsets that the client does not know.

        Partitions with records move to the end of the order, so that others come first next time.

        Args:
            found: the answers for all partitions of the session.
            all_of_it: select all answers.
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
        """Find or begin the session of a request.

        Args:
            wanted: the partitions that the request names.
            by_id: whether the request names topics by their ids (from version 13 on).  Either all requests of a session do
                or none does (KIP-516): a client that learns the ids later is told to begin a new session.

        Returns:
            the session, or None if the client reads without one; and whether the answer has all partitions, also those
            without news.

        Raises:
            Refused: the session is not known, the epoch is not the next one, or the session's other requests name topics
                the other way.
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
        """Begin a session.  None if there are too many partitions in sessions: the client then reads without a session."""
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
