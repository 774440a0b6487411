"""A process's place in a consumer group: which partitions of a query's topics are its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import TopicPartition as KafkaPartition

from ....errors import LogUnavailableError, StorageError
from ..protocol import Owner
from ..protocol import TopicPartition as Place
from .faults import error_of
from .group_readers import check_places
from .identity import Identities
from .parts import Parts
from .ranges import spares

__all__ = ["KafkaMembership"]


@dataclass(slots=True)
class _Positions:
    """Positions that are to be committed, and what became of that."""

    places: list[KafkaPartition]
    over: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


_LOGGER = logging.getLogger("penstock.storage.kafka")
_POLL_S = 0.1
_CHECK_S = 2.0
"""How often is looked whether the topics are still the same."""
_CHECK_WAIT_S = 1.0
_CLOSE_S = 15.0


class KafkaMembership:
    """See `protocol.Membership`.

    The assignor is Kafka's ``range``: of topics with equal numbers of partitions one member has the same ones.  A member
    with a name (`KafkaSettings.instance` of a directory) is a static one, which keeps its partitions through a short
    restart.

    Args:
        topics: by the engine's names.
        changed: is called with the partitions that this process has from now on.  The group gives the others away only when
            it returns, so it returns when they are at rest.
        counts: gives the number of partitions of each topic.
        identities: of the topics.
        whole: the partitions that go to the process with partition 0 of the first topic; None: each partition goes by
            itself.
    """

    def __init__(
        self,
        parts: Parts,
        group: str,
        topics: Sequence[str],
        changed: Callable[[frozenset[Place] | None], None],
        whole: frozenset[Place] | None,
        counts: Callable[[], Mapping[str, int]],
        identities: Identities,
    ) -> None:
        settings = parts.settings
        self._parts = parts
        self._group = group
        self._changed = changed
        self._counts = counts
        self._whole = whole
        self._identities = identities
        self._replaced: StorageError | None = None
        self._checked_s = 0.0
        self._closing = False
        self._wanted = threading.Condition()
        self._positions: deque[_Positions] = deque()
        self._commits = False
        """Whether positions were ever committed: then each time they are to be at once."""
        self.assigned: frozenset[Place] = frozenset()
        self._given: frozenset[Place] | None = None
        """What the group gave, and nobody was told of yet."""
        config: dict[str, Any] = {
            "group.id": parts.names.group(group),
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": max(200, settings.session_timeout_ms // 4),
            "queued.max.messages.kbytes": 1024,
            "fetch.wait.max.ms": 500,
        }
        if settings.is_static:
            config["group.instance.id"] = settings.instance
        self._config = config
        self._trouble: StorageError | None = None
        self._names = {parts.names.topic(topic): topic for topic in topics}
        self._first = (parts.names.topic(topics[0]), 0)
        self._thread = threading.Thread(target=self._run, name=f"penstock-member-{group}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            consumer: Consumer | None = None
            try:
                consumer = self._parts.connection.consumer(self._config)
                self._take_part(consumer)
            except Exception as failure:  # whatever it is: else the query would wait for its partitions for ever
                about = f"take part in the group {self._group!r}"
                self._trouble = (
                    failure if isinstance(failure, StorageError) else self._parts.connection.fault(failure, about)
                )
                _LOGGER.warning("the group %s: %s", self._group, failure)
                time.sleep(_POLL_S)
            finally:
                if consumer is not None:
                    self._close(consumer)
            if not self._over:
                self._tell(None)

    def _close(self, consumer: Consumer) -> None:
        """Leave the group.  Where its partitions are just being given out, librdkafka (2.16 and before) may wait for ever in
        the call that takes them (https://github.com/confluentinc/librdkafka/issues/4884), so another thread waits, and is
        left to itself after a while."""

        def close() -> None:
            with suppress(KafkaException, RuntimeError):
                consumer.close()

        closing = threading.Thread(target=close, name=f"{self._thread.name}-leaves", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        if closing.is_alive():
            _LOGGER.warning("the group %s: the client does not come to an end, and is left to itself", self._group)

    @property
    def trouble(self) -> StorageError | None:
        """See `protocol.Membership.trouble`."""
        return self._parts.connection.absent or self._trouble

    @property
    def _over(self) -> bool:
        return self._closing or self._parts.closed

    def _take_part(self, consumer: Consumer) -> None:
        """Until it is over, or this consumer can do no more: a static member that comes back after its session was over may
        find itself fenced by its own new beginning."""
        consumer.subscribe(list(self._names), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)
        while not self._over:
            message = self._poll(consumer)
            self._watch()
            given, self._given = self._given, None
            if given is not None:
                self._parts.members.become(self._group, consumer.consumer_group_metadata(), self.commit)
                self._trouble = None
                self._tell(given)
            if message is None or (error := message.error()) is None:
                continue
            if error.code() == KafkaError._FATAL:
                _LOGGER.info("the group %s is joined anew: %s", self._group, error.str())
                return
            about = "" if message.topic() is None else f" with the topic {message.topic()!r}"
            self._trouble = self._parts.connection.fault(error, f"take part in the group {self._group!r}{about}")
            _LOGGER.info("the group %s: %s", self._group, error.str())

    def commit(self, places: list[KafkaPartition]) -> None:
        """Commit positions as this member, outside of a transaction.  Its own thread does it: Kafka's client lets no
        other one in while it polls.

        Args:
            places: Kafka's `TopicPartition` with offsets.

        Raises:
            KafkaException: they were not committed, or nobody knows.
        """
        wanted = _Positions(places)
        with self._wanted:
            self._commits = True
            self._positions.append(wanted)
            self._wanted.notify_all()
        if not wanted.over.wait(self._parts.settings.attempt_s):
            with suppress(ValueError):
                self._positions.remove(wanted)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the coordinator of the group gave no answer"))
        if wanted.error is not None:
            raise wanted.error

    def _poll(self, consumer: Consumer) -> Any:
        """The next message or event, after at most `_POLL_S`; positions are committed meanwhile."""
        self._commit_wanted(consumer)
        if not self._commits:
            return consumer.poll(_POLL_S)
        with self._wanted:
            self._wanted.wait_for(lambda: bool(self._positions), _POLL_S / 2)
        self._commit_wanted(consumer)
        return consumer.poll(0)

    def _commit_wanted(self, consumer: Consumer) -> None:
        while self._positions:
            try:
                wanted = self._positions.popleft()
            except IndexError:  # who wanted it has given up
                return
            try:
                check_places(consumer.commit(offsets=wanted.places, asynchronous=False))
            except (KafkaException, RuntimeError) as failure:
                error = error_of(failure)
                gone = error is None or error.fatal() or error.code() == KafkaError._FATAL  # it is no member any more
                wanted.error = KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID, str(failure))) if gone else failure
            finally:
                wanted.over.set()

    def _watch(self) -> None:
        now = time.monotonic()
        if now - self._checked_s < _CHECK_S or self._parts.connection.absent is not None:
            return
        self._checked_s = now
        before = self._replaced
        with suppress(StorageError):
            self._check(_CHECK_WAIT_S)
        if before is None and self._replaced is not None:
            self._tell(self.assigned)  # so that the query takes a step, and sees it

    def _check(self, seconds: float | None = None) -> None:
        try:
            self._identities.check(seconds)
        except LogUnavailableError:
            raise
        except StorageError as replaced:
            self._replaced = replaced
            raise

    def check_topics(self, *, now: bool) -> None:
        """See `protocol.Membership.check_topics`."""
        if self._replaced is not None:
            raise self._replaced
        if now:
            self._check()

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        consumer.assign([TopicPartition(p.topic, p.partition, OFFSET_END) for p in partitions])
        if partitions:
            consumer.pause(partitions)  # membership is all that it is for
        given = frozenset((self._names[p.topic], p.partition) for p in partitions)
        if self._whole is not None:
            has_first = any((p.topic, p.partition) == self._first for p in partitions)
            given = self._whole if has_first else frozenset()
        self._given = given  # the group's metadata cannot be asked for before this callback is over

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        self._given = None
        if not self._commits:
            self._tell(None)
            return
        # a step that is at its end wants its positions committed before it lets go
        telling = threading.Thread(target=self._tell, args=(None,), name=f"{self._thread.name}-tells", daemon=True)
        telling.start()
        while telling.is_alive():
            with self._wanted:
                self._wanted.wait_for(lambda: bool(self._positions), 0.01)
            self._commit_wanted(consumer)

    def _tell(self, places: frozenset[Place] | None) -> None:
        self.assigned = places or frozenset()
        try:
            self._changed(places)
        except Exception:
            _LOGGER.exception("the group %s: partitions %s", self._group, sorted(self.assigned))

    def spares(self, deaths: int) -> frozenset[Place]:
        """See `protocol.Membership.spares`.  Raises: StorageError."""
        members = self._parts.members.ordered(self._group)
        found = spares(members, self._parts.settings.client_id, self._counts(), deaths)
        if self._whole is None:
            return frozenset(found)
        return self._whole if (self._names[self._first[0]], 0) in found else frozenset()

    def leave(self) -> None:
        """See `protocol.Membership.leave`."""
        self._closing = True
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._parts.members.leave(self._group)

    def owners(self) -> Mapping[Place, Owner]:
        """See `protocol.Membership.owners`.  Raises: StorageError."""
        self._parts.state.catch_up()
        found = self._parts.members.owners(self._group, self._parts.state.of_kind("host"))
        if self._whole is None:
            return found
        first = (self._names[self._first[0]], 0)
        return dict.fromkeys(self._whole, found[first]) if first in found else {}
