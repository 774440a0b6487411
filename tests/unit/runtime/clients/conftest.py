"""A log in memory with its clients, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.runtime.clients.clients import Clients
from penstock.runtime.clients.consumer import Consumer
from penstock.runtime.clients.consumer_options import ConsumerOptions
from penstock.runtime.clients.producer import Producer, ProducerOptions
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.storage.log.settings import LogSettings


class Bench:
    """A log with clients."""

    def __init__(self, log: LocalLog) -> None:
        self.log = log
        self.seconds = 0.0
        self.clients = Clients(log, clock_ms=lambda: 1000, seconds=lambda: self.seconds)

    def producer(self, producer_id: str | None = None, **options: Any) -> Producer:
        return self.clients.producer(producer_id, ProducerOptions(**{"background": False, **options}))

    def consumer(self, topics: Any = None, **options: Any) -> Consumer:
        listeners = {name: options.pop(name) for name in ("on_assigned", "on_revoked", "on_lost") if name in options}
        chosen = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **options}
        return self.clients.consumer(topics, ConsumerOptions(**chosen), **listeners)

    def fill(self, topic: str, count: int, partitions: int = 1) -> None:
        """A topic with records 0.. in turn over its partitions."""
        self.log.create_topic(topic, TopicConfig(partitions))
        with self.producer() as producer:
            for i in range(count):
                producer.send(topic, value=b"%d" % i, partition=i % partitions)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(LocalLog.open(None, LogSettings(background=False)))
    yield made
    made.clients.close()
    made.log.close()
