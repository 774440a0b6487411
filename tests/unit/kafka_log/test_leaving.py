"""A member leaves its group, whatever Kafka's client does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import penstock
from penstock.storage.log.kafka import membership
from penstock.storage.log.kafka.connection import KafkaConnection

Connect = Callable[..., penstock.Database]


class _Stuck:
    """A consumer whose end does not come before it is let go."""

    def __init__(self, consumer: Any, free: threading.Event) -> None:
        self._consumer = consumer
        self._free = free

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def close(self) -> None:
        self._free.wait()
        self._consumer.close()


def test_a_client_that_does_not_end_is_left_to_itself(connect: Connect) -> None:
    """librdkafka may wait for ever where an assignment comes while it is closed: that does not keep the database open."""
    free = threading.Event()
    made = KafkaConnection.consumer

    def consumer(self: KafkaConnection, config: Any, **more: Any) -> Any:
        found = made(self, config, **more)
        return _Stuck(found, free) if "group.instance.id" in config else found

    with mock.patch.object(KafkaConnection, "consumer", consumer), mock.patch.object(membership, "_CLOSE_S", 0.2):
        db = connect()
        db.execute(
            """CREATE STREAM s (k STRING KEY, n INTEGER) WITH (KAFKA_TOPIC = 's', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
               CREATE STREAM c AS SELECT * FROM s;"""
        )
        assert db.wait_idle(60)
        db.close()
    left = [thread for thread in threading.enumerate() if thread.name.endswith("-leaves")]
    assert left
    free.set()
    for thread in left:
        thread.join()
