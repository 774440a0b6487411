"""`processing.guarantee = at_least_once`: no transactions; a failure between records and positions doubles, and loses
nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

import penstock
from penstock.storage.log.kafka import connection
from penstock.storage.log.kafka.members import Members
from penstock.storage.log.kafka.transaction import KafkaTransaction
from tests.support.waiting import until

Connect = Callable[..., penstock.Database]

SCRIPT = """
SET 'processing.guarantee' = '{guarantee}';
SET 'cache.max.bytes.buffering' = '0';
CREATE STREAM orders (id STRING KEY, n INTEGER) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
CREATE STREAM copies WITH (KAFKA_TOPIC = 'copies') AS SELECT id, n FROM orders;
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS c FROM orders GROUP BY id;
"""
GONE = KafkaException(KafkaError(KafkaError._TIMED_OUT, "the coordinator gave no answer"))


def begun(connect: Connect, guarantee: str) -> penstock.Database:
    db = connect()
    db.execute(SCRIPT.format(guarantee=guarantee))
    return db


def insert(db: penstock.Database, numbers: range) -> None:
    db.insert("orders", [{"id": f"k{number % 3}", "n": number} for number in numbers])


def copied(db: penstock.Database) -> Counter[int]:
    return Counter(json.loads(record.value)["N"] for record in db.consume("copies"))


def counted(db: penstock.Database) -> dict[str, int]:
    return dict(db.sql("SELECT id, c FROM counts").fetchall())


@pytest.mark.parametrize("guarantee", ["exactly_once_v2", "at_least_once"])
def test_nothing_fails(connect: Connect, guarantee: str) -> None:
    """The same, with transactions of Kafka's and without; positions and state are where they were after a new beginning."""
    db = begun(connect, guarantee)
    with mock.patch.object(KafkaTransaction, "_commit_in_parts", autospec=True) as without:
        without.side_effect = lambda self, log, offsets: real(self, log, offsets)
        for number in range(0, 30, 10):
            insert(db, range(number, number + 10))
            assert db.wait_idle(60)
    assert bool(without.call_count) == (guarantee == "at_least_once")
    assert copied(db) == Counter(range(30))
    assert counted(db) == {"k0": 10, "k1": 10, "k2": 10}
    db.close()
    db = connect()
    insert(db, range(30, 33))
    assert db.wait_idle(60)
    assert copied(db) == Counter(range(33))
    assert counted(db) == {"k0": 11, "k1": 11, "k2": 11}


real = KafkaTransaction._commit_in_parts


def test_positions_are_not_committed(connect: Connect) -> None:
    """The records of the step are there, and come again: what it counted is counted twice, and nothing is missing."""
    db = begun(connect, "at_least_once")
    insert(db, range(12))
    assert db.wait_idle(60)
    with mock.patch.object(Members, "commit", side_effect=GONE) as refused:
        insert(db, range(12, 24))
        while refused.call_count < 4:
            db.wait_idle(0.1)
    assert db.wait_idle(60)
    found = copied(db)
    assert set(found) == set(range(24))
    assert all(found[number] == 1 for number in range(12))
    assert max(found.values()) > 1
    assert all(count >= 8 for count in counted(db).values())
    assert sum(counted(db).values()) > 24
    insert(db, range(24, 27))
    before = counted(db)
    assert db.wait_idle(60)
    assert {key: count - before[key] for key, count in counted(db).items()} == {"k0": 1, "k1": 1, "k2": 1}


class Replaceable(Consumer):
    """A client that another of its name may replace at its next commit: then it can do no more."""

    replaced = 0
    """So many times."""
    _over = False

    def commit(self, *arguments: Any, **named: Any) -> Any:
        if Replaceable.replaced:
            Replaceable.replaced -= 1
            self._over = True
        if self._over:
            raise KafkaException(KafkaError(KafkaError._FATAL, "Commit failed: Local: Fatal error"))
        return super().commit(*arguments, **named)

    def poll(self, *arguments: Any, **named: Any) -> Any:
        if self._over:
            return mock.Mock(**{"error.return_value": KafkaError(KafkaError._FATAL, "fenced")})
        return super().poll(*arguments, **named)


def test_a_member_that_another_has_replaced(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query joins its group anew and goes on, as one whose partitions another process has got."""
    monkeypatch.setattr(connection, "Consumer", Replaceable)
    db = begun(connect, "at_least_once")
    insert(db, range(12))
    assert db.wait_idle(60)
    monkeypatch.setattr(Replaceable, "replaced", 2)
    insert(db, range(12, 24))
    until(lambda: not Replaceable.replaced)
    assert db.wait_idle(60)
    assert {query.progress().state for query in db.queries.values()} == {"RUNNING"}
    assert set(copied(db)) == set(range(24))
    assert all(count >= 8 for count in counted(db).values())


def test_records_are_not_written(connect: Connect) -> None:
    """Then positions are not committed either."""
    db = begun(connect, "at_least_once")
    failures: list[Any] = []

    def fails(*arguments: Any) -> Any:
        failures.append(arguments)
        raise GONE

    with mock.patch("penstock.storage.log.kafka.writing.produce", fails):  # by this name only commits in parts write
        insert(db, range(12))
        while len(failures) < 4:
            db.wait_idle(0.1)
    assert db.wait_idle(60)
    assert copied(db) == Counter(range(12))
    assert counted(db) == {"k0": 4, "k1": 4, "k2": 4}
