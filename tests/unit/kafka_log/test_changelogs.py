"""Changelogs in Kafka do not grow for ever: they are compacted, or their expired rows deleted, and restored from what is
left."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

import penstock
from penstock.runtime.query import recovery, repartitioning
from penstock.testing.kafka import KafkaBroker

Connect = Callable[..., penstock.Database]

SOURCE = """
SET 'cache.max.bytes.buffering' = '0';
CREATE STREAM orders (id STRING KEY, n INTEGER) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
"""
WINDOWS = (
    SOURCE
    + """CREATE TABLE sums AS SELECT id, COUNT(*) AS c, SUM(n) AS s FROM orders
    WINDOW TUMBLING (SIZE 1 MINUTE, RETENTION 2 MINUTES, GRACE PERIOD 1 MINUTE) GROUP BY id;"""
)
JOIN = (
    SOURCE
    + """
CREATE STREAM sent (id STRING KEY, m INTEGER) WITH (KAFKA_TOPIC = 'sent', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
CREATE STREAM both AS SELECT o.id AS id, n, m FROM orders o JOIN sent s WITHIN 10 SECONDS GRACE PERIOD 0 SECONDS
    ON o.id = s.id;"""
)


def held(broker: KafkaBroker, topic: str) -> list[Any]:
    """Keys and values of all records of partition 0 as they are in the broker."""
    reader = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": uuid.uuid4().hex,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    reader.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found = []
    while (message := reader.poll(30)) is not None and message.error() is None:
        found.append((message.key(), message.value()))
    reader.close()
    return found


def changelogs(broker: KafkaBroker) -> list[str]:
    topics = AdminClient({"bootstrap.servers": broker.address, "log_level": 0}).list_topics(timeout=30).topics
    return sorted(name for name in topics if ".changelog-" in name)


def config(broker: KafkaBroker, topic: str, name: str) -> str:
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return str(admin.describe_configs([resource])[resource].result(30)[name].value)


def insert(db: penstock.Database, minute: int, keys: int = 3, topic: str = "orders", column: str = "n") -> None:
    for i in range(keys):
        rows = [{"id": f"k{i}", column: minute, "ROWTIME": minute * 60_000 + i}]
        db.insert(topic, rows)


def sums(db: penstock.Database) -> list[Any]:
    return sorted(db.sql("SELECT id, WINDOWSTART, c, s FROM sums").fetchall())


def test_windows_leave_tombstones(connect: Connect, kafka_broker: KafkaBroker) -> None:
    """Each row has a key, and a window that is over a tombstone; another process has the same table from the changelog."""
    db = connect()
    db.execute(WINDOWS)
    for minute in range(8):
        insert(db, minute)
    assert db.wait_idle(60)
    there = sums(db)
    assert 0 < len(there) < 8 * 3
    db.close()
    topics = changelogs(kafka_broker)
    assert topics
    for topic in topics:
        records = held(kafka_broker, topic)
        assert config(kafka_broker, topic, "cleanup.policy") == "compact"
        assert all(key is not None for key, _ in records)
        if "-time" not in topic:
            left = dict(records)  # what compaction leaves
            assert sum(value is not None for value in left.values()) == len(there)
            assert sum(value is None for value in left.values()) == 8 * 3 - len(there)
    other = connect("b")
    assert other.wait_idle(60)
    assert sums(other) == there
    insert(other, 8)
    assert other.wait_idle(60)
    assert [row for row in sums(other) if row[1] == 480_000] == [(f"k{i}", 480_000, 1, 8) for i in range(3)]


def test_what_has_expired_of_a_join_is_deleted(
    connect: Connect, kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the front of the changelog; a process that has nothing else goes on from what is left."""
    monkeypatch.setattr(repartitioning, "PURGE_S", 0.0)
    db = connect()
    db.execute(JOIN)
    for minute in range(6):
        insert(db, minute)
        insert(db, minute, topic="sent", column="m")
        assert db.wait_idle(60)
    insert(db, 6)
    assert db.wait_idle(60)
    db.close()
    sides = [topic for topic in changelogs(kafka_broker) if topic.endswith(("-left", "-right"))]
    assert len(sides) == 2
    assert all(0 < len(held(kafka_broker, topic)) < 6 * 3 for topic in sides)
    other = connect("b")
    insert(other, 6, topic="sent", column="m")
    assert other.wait_idle(60)
    rows = other.sql("SELECT id, n, m FROM both").fetchall()
    assert sorted(rows) == sorted((f"k{i}", minute, minute) for minute in range(7) for i in range(3))


def compact(broker: KafkaBroker) -> None:
    """All changelogs, as if days had gone by: tombstones go, too."""
    log = broker.database._engine.log
    for topic in changelogs(broker):
        found = log.config(topic)
        assert found is not None
        log.alter_topic(topic, replace(found, segment_ms=1, delete_retention_ms=0))
    for hours in range(4):
        log.maintain(int(time.time() * 1000) + hours * 3_600_000)  # type: ignore[attr-defined]


def test_restored_from_what_compaction_leaves(connect: Connect, kafka_broker: KafkaBroker) -> None:
    """By a process without anything of its own."""
    db = connect()
    db.execute(WINDOWS)
    for minute in range(8):
        insert(db, minute)
        assert db.wait_idle(60)  # a step each: in one step each key is written once, and there is nothing to compact
    there = sums(db)
    db.close()
    before = {topic: len(held(kafka_broker, topic)) for topic in changelogs(kafka_broker)}
    compact(kafka_broker)
    after = {topic: len(held(kafka_broker, topic)) for topic in changelogs(kafka_broker)}
    assert all(after[topic] < before[topic] for topic in before), (before, after)
    other = connect("b")
    assert other.wait_idle(60)
    assert sums(other) == there
    insert(other, 8)
    assert other.wait_idle(60)
    assert [row for row in sums(other) if row[1] == 480_000] == [(f"k{i}", 480_000, 1, 8) for i in range(3)]


def test_a_checkpoint_from_before_tombstones_that_are_gone_is_not_used(
    connect: Connect, kafka_broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they were for would be there for ever."""
    monkeypatch.setattr(recovery, "CHECKPOINT_CHANGES_MIN", 1)
    db = connect()
    db.execute(WINDOWS)
    for _ in range(5):
        insert(db, 0)
        insert(db, 1)
        assert db.wait_idle(60)
    db.close()
    assert list(tmp_path.rglob("*.checkpoint"))
    other = connect("b")
    for minute in range(2, 8):
        insert(other, minute)
        assert other.wait_idle(60)
    there = sums(other)
    other.close()
    compact(kafka_broker)
    monkeypatch.setattr(recovery, "DELETIONS_KNOWN_MS", -60_000)  # as if they had been written so long ago
    again = connect()
    assert again.wait_idle(60)
    assert sums(again) == there
