"""Apache Kafka compacts changelogs, and a process that has nothing else restores its state from what is left."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

pytest.importorskip("confluent_kafka")

import confluent_kafka
from apache_kafka import empty, wanted_address
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

import penstock

TIMEOUT_S = 240.0
SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
SET 'cache.max.bytes.buffering' = '0';
CREATE STREAM orders (id STRING KEY, n INTEGER) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
CREATE TABLE sums AS SELECT id, COUNT(*) AS c, SUM(n) AS s FROM orders
    WINDOW TUMBLING (SIZE 1 MINUTE, RETENTION 2 MINUTES, GRACE PERIOD 1 MINUTE) GROUP BY id;
"""
SOON = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}

pytestmark = [
    pytest.mark.skipif(wanted_address() is None, reason="PENSTOCK_KAFKA does not name a broker: see `make test-kafka`"),
    pytest.mark.xdist_group("apache-kafka"),
]


def held(address: str, topic: str) -> list[tuple[bytes, bytes | None]]:
    """Keys and values of all committed records of partition 0."""
    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": uuid.uuid4().hex, "enable.partition.eof": True}
    )
    reader.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found: list[Any] = []
    while (message := reader.poll(30)) is not None and message.error() is None:
        found.append((message.key(), message.value()))
    reader.close()
    return found


def insert(db: penstock.Database, minute: int) -> None:
    for i in range(3):
        db.insert("orders", [{"id": f"k{i}", "n": minute, "ROWTIME": minute * 60_000 + i}])


def sums(db: penstock.Database) -> list[Any]:
    return sorted(db.sql("SELECT id, WINDOWSTART, c, s FROM sums").fetchall())


def test_restored_from_what_compaction_leaves(tmp_path: Path) -> None:
    """Windows that are over have left no trace; the next ones go on."""
    address = wanted_address()
    assert address is not None
    empty(address)
    admin = AdminClient({"bootstrap.servers": address})
    with penstock.connect(tmp_path / "a", kafka=address, service_id="compacted") as db:
        db.execute(SCRIPT)
        for minute in range(8):
            insert(db, minute)
        assert db.wait_idle(120)
        topics = [name for name in admin.list_topics(timeout=30).topics if ".changelog-" in name and "-time" not in name]
        assert topics
        for topic in topics:
            entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in SOON.items()]
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
            for future in admin.incremental_alter_configs([resource]).values():
                future.result(30)
        end = time.monotonic() + TIMEOUT_S
        while True:  # the newest segment is not compacted, so each look begins another one
            insert(db, 8)
            assert db.wait_idle(120)
            there = sums(db)
            tombstones = [sum(value is None for _, value in held(address, topic)) for topic in topics]
            if max(tombstones) < 8 * 3 - len(there):
                break
            assert time.monotonic() < end, tombstones
            time.sleep(2)
    with penstock.connect(tmp_path / "b", kafka=address, service_id="compacted") as other:
        assert other.wait_idle(120)
        assert sums(other) == there
        insert(other, 9)
        assert other.wait_idle(120)
        assert [row for row in sums(other) if row[1] == 540_000] == [(f"k{i}", 540_000, 1, 9) for i in range(3)]
