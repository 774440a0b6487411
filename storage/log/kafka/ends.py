"""Where partitions start and end, as the brokers say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from ....errors import LogUnavailableError, StorageError
from .connection import RETRY_S, KafkaConnection
from .faults import error_of

__all__ = ["Ends", "Place"]

_PAUSES_S = (0.02, 0.1, 0.3, 0.6)
"""How long to wait, each time, for a partition that no broker leads yet."""
Place = tuple[str, int]
"""Kafka's name of a topic, and a partition."""


class Ends:
    """Asks brokers for offsets, and knows what this process has committed.  Thread-safe.

    A commit is durable a moment before its records can be read, until the brokers have marked its end in each partition.
    So that a process never misses its own writes, ends are not reported before they are beyond its commits (`committed`).
    """

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._guard = threading.Lock()
        self._floors: dict[Place, int] = {}

    def committed(self, ends: Mapping[Place, int]) -> None:
        """Note that this process has committed records up to (not including) these offsets."""
        with self._guard:
            for place, end in ends.items():
                self._floors[place] = max(end, self._floors.get(place, 0))

    def floor(self, place: Place) -> int:
        """The end that this process's own commits have reached."""
        return self._floors.get(place, 0)

    def forget(self, topic: str) -> None:
        """Forget a deleted topic; another one of the same name starts anew."""
        with self._guard:
            for place in [p for p in self._floors if p[0] == topic]:
                del self._floors[place]

    def now(self, places: Iterable[Place]) -> dict[Place, int]:
        """As `ends`, but also where what this process has committed cannot be read yet.  Raises: StorageError."""
        return self._ask(list(places), OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The end of what is committed in partitions.

        Raises:
            LogUnavailableError: no broker answers, or what this process has committed cannot be read, since a transaction
                before it is open.
            StorageError: the topic is another one.
        """
        wanted = list(places)
        deadline = time.monotonic() + self._connection.settings.timeout_s
        while True:
            found = self.now(wanted)
            behind = [place for place, end in found.items() if end < self.floor(place)]
            if not behind:
                return found
            if time.monotonic() > deadline:
                self._check_written(behind[0], found[behind[0]])
            time.sleep(RETRY_S / 5)

    def _check_written(self, place: Place, end: int) -> None:
        """Raises: StorageError, in any case; see `ends`."""
        (topic, partition), floor = place, self.floor(place)
        written = self._ask([place], OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]
        if written[place] >= floor:
            raise LogUnavailableError(
                f"the topic {topic!r}, partition {partition}, can be read up to {end}: a transaction is open there, before"
                f" what this process has committed ({floor})",
                action="end the process that began it (`kafka-transactions.sh find-hanging` names it)",
            )
        raise StorageError(
            f"the topic {topic!r}, partition {partition}, ends at {end}, before what was committed ({floor})",
            action="if the topic was deleted and created again: DROP what reads it, and create it again",
        )

    def settle(self, places: Iterable[Place]) -> None:
        """Wait for the end of the transactions that are open now and have written to these partitions.  Raises:
        StorageError.
        """
        wanted = list(places)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        written = self._ask(wanted, latest, IsolationLevel.READ_UNCOMMITTED)
        settings = self._connection.settings
        deadline = time.monotonic() + settings.timeout_s + settings.transaction_timeout_ms / 500
        pause = RETRY_S / 5
        while wanted:
            ends = self._ask(wanted, latest)
            wanted = [place for place in wanted if ends[place] < written[place]]
            if wanted and time.monotonic() > deadline:
                raise LogUnavailableError(
                    f"a transaction has been open for long in the topic {wanted[0][0]!r}, partition {wanted[0][1]}",
                    action="end the process that began it (`kafka-transactions.sh find-hanging` names it)",
                )
            if wanted:
                time.sleep(pause)
                pause = min(0.1, pause * 2)

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offsets of partitions.  Raises: StorageError."""
        return self._ask(list(places), OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def for_time(self, place: Place, timestamp_ms: int) -> int | None:
        """The first offset whose timestamp is at or after a time; None if there is none.  Raises: StorageError."""
        found = self._ask([place], OffsetSpec.for_timestamp(max(0, timestamp_ms)))[place]
        return None if found < 0 else found

    def _ask(
        self, places: list[Place], what: Any, isolation: IsolationLevel = IsolationLevel.READ_COMMITTED
    ) -> dict[Place, int]:
        if not places:
            return {}

        def ask(left: float) -> dict[Place, int]:
            pauses = iter(_PAUSES_S)
            while True:
                admin = self._connection.admin()
                futures = admin.list_offsets(
                    {TopicPartition(*place): what for place in places},
                    isolation_level=isolation,
                    request_timeout=left,
                )
                try:
                    return {(tp.topic, tp.partition): f.result(left).offset for tp, f in futures.items()}
                except KafkaException as failure:
                    pause = next(pauses, None)
                    if pause is None or error_of(failure).code() != KafkaError._NOENT:
                        raise
                # a client that heard, when a topic was just made, that no broker leads a partition believes it for minutes
                self._connection.renew_admin(admin)
                time.sleep(pause)

        return self._connection.call(f"find the offsets of {places[0][0]!r}", ask)
