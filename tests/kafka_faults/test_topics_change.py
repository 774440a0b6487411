"""Topics are deleted, created again and given partitions under queries that read them: queries say so, and read nothing
from a place that is not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import NewPartitions, NewTopic
from faulty_cluster import Cluster
from steady import ask, check_each_once, errors, send, states

import penstock
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("own-kafka")

SCRIPT = """
CREATE STREAM orders (id STRING KEY, number INTEGER) WITH (KAFKA_TOPIC = 'orders', VALUE_FORMAT = 'JSON');
CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT id, number FROM orders;
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id;
"""
AGAIN = """
DROP STREAM copies DELETE TOPIC;
DROP TABLE counts DELETE TOPIC;
CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT id, number FROM orders;
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS n FROM orders GROUP BY id;
"""


def total(database: penstock.Database) -> int:
    return sum(n for _, n in database.sql("SELECT * FROM counts").fetchall())


def test_a_topic_is_deleted_and_created_again(cluster: Cluster, tmp_path: Path) -> None:
    """While it is gone, its queries wait; of the new one they take nothing in, also after a restart: they say what to do."""
    ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1)]))
    with penstock.connect(tmp_path, kafka=cluster.address, service_id="s", auto_offset_reset="earliest") as db:
        db.execute(SCRIPT)
        send(cluster, range(20))
        check_each_once(cluster.address, 20)
        ask(cluster, lambda a: a.delete_topics(["orders"]))
        until(lambda: len(errors(db)) == 2)
        assert all("orders" in text for text in errors(db)), errors(db)
        assert states(db) == {"RUNNING"}
        ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1)]))
        send(cluster, range(1000, 1050))
        until(lambda: states(db) == {"ERROR"})
        assert all("'orders' was deleted and created again" in text for text in errors(db)), errors(db)
    with penstock.connect(tmp_path, kafka=cluster.address, service_id="s", auto_offset_reset="earliest") as db:
        until(lambda: states(db) == {"ERROR"})
        assert all("'orders' was deleted and created again" in text for text in errors(db)), errors(db)
    check_each_once(cluster.address, 20)
    with penstock.connect(tmp_path, kafka=cluster.address, service_id="s", auto_offset_reset="earliest") as db:
        db.execute(AGAIN)
        until(lambda: total(db) == 50)
        assert states(db) == {"RUNNING"}


def test_a_topic_is_created_again_at_once(cluster: Cluster) -> None:
    """Nobody has asked for it in between, and the new one has more records than the old one had."""
    ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1)]))
    with penstock.connect(kafka=cluster.address, service_id="s", auto_offset_reset="earliest") as db:
        db.execute(SCRIPT)
        send(cluster, range(20))
        until(lambda: total(db) == 20)
        ask(cluster, lambda a: a.delete_topics(["orders"]))
        ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1)]))
        send(cluster, range(1000, 1100))
        until(lambda: states(db) == {"ERROR"})
        assert all("'orders' was deleted and created again" in text for text in errors(db)), errors(db)
        db.execute(AGAIN)
        until(lambda: total(db) == 100)


def test_partitions_are_added(cluster: Cluster) -> None:
    """Keys are elsewhere now than the state of them: queries say so, and count none of them twice."""
    ask(cluster, lambda a: a.create_topics([NewTopic("orders", 2, 1)]))
    with penstock.connect(kafka=cluster.address, service_id="s", auto_offset_reset="earliest") as db:
        db.execute(SCRIPT)
        send(cluster, range(20))
        until(lambda: total(db) == 20)
        ask(cluster, lambda a: a.create_partitions([NewPartitions("orders", 4)]))
        send(cluster, range(20, 60))
        until(lambda: states(db) == {"ERROR"})
        assert all("'orders' has 4 partitions, and had 2" in text for text in errors(db)), errors(db)
        db.execute(AGAIN)
        until(lambda: total(db) == 60)
        assert db.wait_idle(60)
        numbers = [number for (number,) in db.sql("SELECT number FROM copies").fetchall()]
        assert sorted(numbers) == list(range(60))
