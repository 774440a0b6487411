"""`wait_idle` and what another client wrote a moment ago."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import confluent_kafka

import penstock
from penstock.testing.kafka import KafkaBroker

Connect = Callable[..., penstock.Database]

SCRIPT = """
CREATE STREAM orders (id STRING KEY, n INTEGER) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 4, VALUE_FORMAT = 'JSON');
CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT id, n FROM orders;
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS c FROM copies GROUP BY id;
"""


def test_it_waits_for_what_others_have_written_before(connect: Connect, kafka_broker: KafkaBroker) -> None:
    """Also where this process has not heard of it yet; through a chain of queries."""
    db = connect()
    db.execute(SCRIPT)
    sender = confluent_kafka.Producer({"bootstrap.servers": kafka_broker.address, "log_level": 0})

    def send(number: int) -> None:
        for i in range(4):
            sender.produce("orders", json.dumps({"N": number}), f"k{i}")
        assert sender.flush(30) == 0

    def counted() -> Any:
        return sorted(row[1] for row in db.sql("SELECT * FROM counts").fetchall())

    for number in range(8):
        send(number)
        assert db.wait_idle(60)
        assert counted() == [number + 1] * 4
    send(8)
    assert asyncio.run(db._engine.host.idle(60))
    assert counted() == [9] * 4
