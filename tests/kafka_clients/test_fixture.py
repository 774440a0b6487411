"""`kafka_broker` in a test of somebody who knows nothing of Penstock, and how fast it is there."""

from __future__ import annotations

import time

import pytest

from penstock.testing.kafka import KafkaBroker, run_kafka_broker

pytest.importorskip("confluent_kafka")
pytest.importorskip("kio")
pytest_plugins = ("pytester",)

A_TEST = """
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic


def test_orders_arrive(kafka_broker):
    client = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    client.create_topics([NewTopic("orders", 3, 1)])["orders"].result(60)
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap_servers})
    for number in range(30):
        producer.produce("orders", key=str(number), value=f"order {number}")
    assert producer.flush(10) == 0
    consumer = Consumer(
        {"bootstrap.servers": kafka_broker.bootstrap_servers, "group.id": "shop", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["orders"])
    found = []
    while len(found) < 30:
        message = consumer.poll(10)
        assert message is not None and message.error() is None
        found.append(message.value().decode())
    consumer.close()
    assert sorted(found) == sorted(f"order {number}" for number in range(30))


def test_each_test_has_its_own(kafka_broker):
    client = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    assert "orders" not in client.list_topics(timeout=10).topics


def test_one_is_shared(kafka_broker_session, kafka_broker):
    assert kafka_broker_session.address != kafka_broker.address
    client = AdminClient({"bootstrap.servers": kafka_broker_session.address})
    client.create_topics([NewTopic("shared", 1, 1)])["shared"].result(60)


def test_by_all(kafka_broker_session):
    assert "shared" in AdminClient({"bootstrap.servers": kafka_broker_session.address}).list_topics(timeout=10).topics
"""


def test_a_test_that_knows_nothing_of_penstock(pytester: pytest.Pytester) -> None:
    """Only clients of Kafka, and the fixture that is there once Penstock is installed."""
    pytester.makepyfile(A_TEST)
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4)


def test_it_starts_in_no_time(kafka_broker: KafkaBroker) -> None:
    """In less than 300 ms once its modules are loaded: the best of three, for machines that do something else, too."""
    assert kafka_broker.bootstrap_servers == kafka_broker.address
    found = []
    for _ in range(3):
        began_s = time.perf_counter()
        with run_kafka_broker():
            found.append(time.perf_counter() - began_s)
    assert min(found) < 0.3
