"""A Kafka client may believe for minutes that no broker leads a partition that was just made: another one is asked."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from penstock.storage.log.kafka.ends import Ends


class Clients:
    """A connection, the first of whose clients never learn who leads a partition."""

    def __init__(self, ignorant: int) -> None:
        self.made = 0
        self._ignorant = ignorant
        self._now: Any = None

    def admin(self) -> Any:
        if self._now is None:
            self.made += 1
            self._now = SimpleNamespace(list_offsets=self._ignore if self.made <= self._ignorant else self._know)
        return self._now

    def renew_admin(self, old: Any) -> None:
        if self._now is old:
            self._now = None

    def call(self, _doing: str, ask: Any) -> Any:
        return ask(10.0)

    def _ignore(self, wanted: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        return {place: _done(KafkaException(KafkaError(KafkaError._NOENT, "No leaders found"))) for place in wanted}

    def _know(self, wanted: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        return {place: _done(SimpleNamespace(offset=7)) for place in wanted}


def _done(what: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(what, Exception):
        future.set_exception(what)
    else:
        future.set_result(what)
    return future


def test_another_client_is_asked() -> None:
    """As many as it takes, a few at most."""
    clients: Any = Clients(ignorant=2)
    assert Ends(clients).starts([("t", 0), ("t", 1)]) == {("t", 0): 7, ("t", 1): 7}
    assert clients.made == 3


def test_a_partition_without_a_leader_is_told() -> None:
    """After a few clients, none of which knows one."""
    clients: Any = Clients(ignorant=1000)
    with pytest.raises(KafkaException, match="No leaders"):
        Ends(clients).starts([("t", 0)])
    assert clients.made == 5
