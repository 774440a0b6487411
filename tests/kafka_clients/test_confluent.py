"""librdkafka (confluent-kafka), unchanged, against the listener."""

from __future__ import annotations

import time
from typing import Any

import pytest

import penstock
from penstock.listener.log_access import LogAccess

confluent_kafka = pytest.importorskip("confluent_kafka")
admin = pytest.importorskip("confluent_kafka.admin")

TIMEOUT_S = 30.0


def producer(address: str, **config: Any) -> Any:
    return confluent_kafka.Producer({"bootstrap.servers": address, **config})


def consumer(address: str, group: str, **config: Any) -> Any:
    given = {"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest", **config}
    return confluent_kafka.Consumer(given)


def subscribed(address: str, topic: str) -> Any:
    source = consumer(address, f"of {topic}")
    source.subscribe([topic])
    return source


def consume(source: Any, count: int) -> list[Any]:
    """The next ``count`` messages."""
    found: list[Any] = []
    end = time.monotonic() + TIMEOUT_S
    while len(found) < count and time.monotonic() < end:
        for message in source.consume(count - len(found), 0.2):
            assert message.error() is None, message.error()
            found.append(message)
    assert len(found) == count
    return found


def create(address: str, name: str, partitions: int = 1, **config: str) -> Any:
    client = admin.AdminClient({"bootstrap.servers": address})
    topic = admin.NewTopic(name, partitions, 1, config=config)
    client.create_topics([topic])[name].result(TIMEOUT_S)
    return client


def test_records_come_back_as_they_were_sent(address: str) -> None:
    """Key, value, headers, timestamp, also empty and absent ones, and the offset that the producer was told."""
    create(address, "t")
    told: list[tuple[int, int]] = []
    sender = producer(address)
    rows = [(b"k", b"v", [("h", b"1"), ("e", None)]), (None, b"", []), (b"", None, [])]
    for i, (key, value, headers) in enumerate(rows):
        sender.produce(
            "t",
            value,
            key,
            headers=headers,
            timestamp=1_700_000_000_000 + i,
            on_delivery=lambda error, message: told.append((message.partition(), message.offset())),
        )
    assert sender.flush(TIMEOUT_S) == 0
    found = consume(subscribed(address, "t"), 3)
    assert [(m.key(), m.value(), m.headers() or []) for m in found] == rows
    assert [m.timestamp()[1] for m in found] == [1_700_000_000_000 + i for i in range(3)]
    assert told == [(m.partition(), m.offset()) for m in found]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression(address: str, codec: str) -> None:
    """What the client compresses is read."""
    sender = producer(address, **{"compression.type": codec, "linger.ms": 50})
    for number in range(500):
        sender.produce("t", f"value {number}".encode() * 5)
    assert sender.flush(TIMEOUT_S) == 0
    assert [m.value() for m in consume(subscribed(address, "t"), 500)] == [f"value {n}".encode() * 5 for n in range(500)]


def test_a_group_shares_partitions_and_goes_on_where_it_stopped(address: str) -> None:
    """Two consumers, then one that leaves; committed offsets outlive all of them."""
    create(address, "t", 4)
    sender = producer(address)
    for number in range(40):
        sender.produce("t", str(number).encode(), partition=number % 4)
    sender.flush(TIMEOUT_S)
    first, second = consumer(address, "g"), consumer(address, "g")
    for one in (first, second):
        one.subscribe(["t"])
    found: list[Any] = []
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end and not (
        len(found) >= 40 and len(first.assignment()) == 2 and len(second.assignment()) == 2
    ):
        for one in (first, second):
            found += [m for m in one.consume(100, 0.1) if m.error() is None]
    assert len(first.assignment()) == len(second.assignment()) == 2
    assert {m.value() for m in found} == {str(n).encode() for n in range(40)}
    first.close()
    second.close()
    again = consumer(address, "g")
    again.subscribe(["t"])
    sender.produce("t", b"new", partition=1)
    sender.flush(TIMEOUT_S)
    assert [m.value() for m in consume(again, 1)] == [b"new"]
    again.close()


def test_what_is_aborted_is_never_seen(address: str) -> None:
    """Not even by one who reads what is not committed; what is committed is seen at once, with its offsets."""
    create(address, "in", 1)
    create(address, "out", 2)
    sender = producer(address, **{"transactional.id": "tx"})
    sender.init_transactions(TIMEOUT_S)
    sender.begin_transaction()
    sender.produce("out", b"aborted", partition=0)
    sender.flush(TIMEOUT_S)
    sender.abort_transaction(TIMEOUT_S)
    source = consumer(address, "g")
    source.subscribe(["in"])
    feeder = producer(address)
    feeder.produce("in", b"1")
    feeder.flush(TIMEOUT_S)
    consume(source, 1)
    sender.begin_transaction()
    sender.produce("out", b"committed", partition=1)
    sender.send_offsets_to_transaction(source.position(source.assignment()), source.consumer_group_metadata(), TIMEOUT_S)
    sender.commit_transaction(TIMEOUT_S)
    (committed,) = source.committed(source.assignment(), TIMEOUT_S)
    assert committed.offset == 1
    source.close()
    for isolation in ("read_committed", "read_uncommitted"):
        reader = consumer(address, isolation, **{"isolation.level": isolation})
        reader.subscribe(["out"])
        assert [m.value() for m in consume(reader, 1)] == [b"committed"]
        assert reader.consume(1, 0.3) == []
        reader.close()


def test_an_older_producer_is_fenced(address: str) -> None:
    """When another one is started with its transactional id."""
    create(address, "t")
    old, new = (producer(address, **{"transactional.id": "tx"}) for _ in range(2))
    old.init_transactions(TIMEOUT_S)
    old.begin_transaction()
    old.produce("t", b"old")
    old.flush(TIMEOUT_S)
    new.init_transactions(TIMEOUT_S)
    with pytest.raises(confluent_kafka.KafkaException) as raised:
        old.commit_transaction(TIMEOUT_S)
    assert raised.value.args[0].code() == confluent_kafka.KafkaError._FENCED
    new.begin_transaction()
    new.produce("t", b"new")
    new.commit_transaction(TIMEOUT_S)
    reader = consumer(address, "g")
    reader.subscribe(["t"])
    assert [m.value() for m in consume(reader, 1)] == [b"new"]
    reader.close()


def test_topics_are_administered(address: str, database: penstock.Database) -> None:
    """Created with configs, described, altered, given partitions, deleted; what cannot be is refused with the reason."""
    client = create(address, "t", 2, **{"cleanup.policy": "compact", "retention.ms": "1000"})
    resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, "t")
    configs = client.describe_configs([resource])[resource].result(TIMEOUT_S)
    assert (configs["cleanup.policy"].value, configs["retention.ms"].value) == ("compact", "1000")
    entry = admin.ConfigEntry("retention.ms", "2000", incremental_operation=admin.AlterConfigOpType.SET)
    resource.add_incremental_config(entry)
    client.incremental_alter_configs([resource])[resource].result(TIMEOUT_S)
    assert database.describe_topic("t").config["retention.ms"] == "2000"
    client.create_partitions([admin.NewPartitions("t", 4)])["t"].result(TIMEOUT_S)
    assert len(client.list_topics("t", TIMEOUT_S).topics["t"].partitions) == 4
    for bad in (
        admin.NewTopic("t", 1, 1),
        admin.NewTopic("a/b", 1, 1),
        admin.NewTopic("u", 1, 3),
        admin.NewTopic("u", 1, 1, config={"retention.ms": "soon"}),
        admin.NewTopic("u", 1, 1, config={"message.timestamp.type": "LogAppendTime"}),
    ):
        with pytest.raises(confluent_kafka.KafkaException):
            client.create_topics([bad])[bad.topic].result(TIMEOUT_S)
    database.execute("CREATE STREAM s (v STRING) WITH (KAFKA_TOPIC = 't', VALUE_FORMAT = 'KAFKA');")
    with pytest.raises(confluent_kafka.KafkaException):
        client.delete_topics(["t"])["t"].result(TIMEOUT_S)
    database.execute("DROP STREAM s;")
    client.delete_topics(["t"])["t"].result(TIMEOUT_S)
    assert "t" not in client.list_topics(timeout=TIMEOUT_S).topics


@pytest.mark.parametrize("method", ["delete_topic", "add_partitions", "alter_topic"])
def test_two_clients_change_a_topic_at_once(address: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes behind one that deletes it hears that there is no such topic."""
    client = create(address, "t")
    changed = getattr(LogAccess, method)

    def deleted_before(access: LogAccess, name: str, *more: Any) -> None:
        access._database.delete_topic(name)
        changed(access, name, *more)

    monkeypatch.setattr(LogAccess, method, deleted_before)
    resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, "t")
    resource.add_incremental_config(
        admin.ConfigEntry("retention.ms", "1", incremental_operation=admin.AlterConfigOpType.SET)
    )
    asked = {
        "delete_topic": lambda: client.delete_topics(["t"]),
        "add_partitions": lambda: client.create_partitions([admin.NewPartitions("t", 3)]),
        "alter_topic": lambda: client.incremental_alter_configs([resource]),
    }
    (answer,) = asked[method]().values()
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        answer.result(TIMEOUT_S)
    assert caught.value.args[0].code() == confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART


def test_sql_and_clients_share_topics(address: str, database: penstock.Database) -> None:
    """A client's topic is a stream, a query's sink is a topic; ARROW values are JSON objects to clients."""
    create(address, "orders", 2)
    database.execute("""
        SET 'auto.offset.reset' = 'earliest';
        CREATE STREAM orders (customer STRING KEY, euros DOUBLE) WITH (KAFKA_TOPIC = 'orders', VALUE_FORMAT = 'JSON');
        CREATE TABLE spend AS SELECT customer, SUM(euros) AS total FROM orders GROUP BY customer EMIT CHANGES;
        CREATE STREAM typed (k STRING KEY, n INT) WITH (KAFKA_TOPIC = 'typed', PARTITIONS = 1);
        """)
    sender = producer(address)
    for euros in (1.5, 2.0):
        sender.produce("orders", f'{{"EUROS": {euros}}}'.encode(), b"ada")
    sender.produce("typed", b'{"N": 7}', b"k")
    sender.flush(TIMEOUT_S)
    assert database.wait_idle(TIMEOUT_S)
    assert database.sql("SELECT total FROM spend WHERE customer = 'ada'").fetchall() == [(3.5,)]
    assert database.sql("SELECT n FROM typed").fetchall() == [(7,)]
    reader = consumer(address, "g")
    reader.subscribe(["typed"])
    assert [m.value() for m in consume(reader, 1)] == [b'{"N":7}']
    reader.close()
    hidden = [name for name in database.log.topics() if name.startswith("_")]
    assert hidden and not set(hidden) & set(admin.AdminClient({"bootstrap.servers": address}).list_topics().topics)


OWN = ["_penstock-statements", "_penstock-kafka-state", "_penstock-of-tomorrow", "_schemas", "ksql_processing_log"]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("transactional", [False, True])
def test_the_engines_own_topics_are_not_written(
    address: str, database: penstock.Database, name: str, transactional: bool
) -> None:
    """Whatever the client asks for: not by itself, not in a transaction; also the one that anybody may read."""
    there = database.log.config(name) is not None
    before = database.log.end_offset(name, 0) if there else 0
    failed: list[Any] = []
    config = {"transactional.id": "tx"} if transactional else {}
    sender = producer(address, **{"message.timeout.ms": 2000}, **config)
    if transactional:
        sender.init_transactions(TIMEOUT_S)
        sender.begin_transaction()
    sender.produce(name, b"forged", partition=0, on_delivery=lambda error, message: failed.append(error))
    sender.flush(TIMEOUT_S)
    if transactional:
        with pytest.raises(confluent_kafka.KafkaException):
            sender.commit_transaction(TIMEOUT_S)
    assert failed and failed[0] is not None
    assert (database.log.config(name) is not None) == there
    if there and name != "_penstock-kafka-state":  # what the listener notes of producers
        assert database.log.end_offset(name, 0) == before


@pytest.mark.parametrize("name", OWN)
def test_the_engines_own_topics_are_not_administered(address: str, database: penstock.Database, name: str) -> None:
    """Not made, changed, given partitions, emptied or deleted."""
    database.execute("CREATE STREAM s (v STRING) WITH (KAFKA_TOPIC = 't', VALUE_FORMAT = 'JSON', PARTITIONS = 1);")
    client = admin.AdminClient({"bootstrap.servers": address})
    before = database.log.config(name)
    start = None if before is None else database.log.start_offset(name, 0)
    place = confluent_kafka.TopicPartition(name, 0, -1)
    resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, name)
    resource.add_incremental_config(
        admin.ConfigEntry("retention.ms", "1", incremental_operation=admin.AlterConfigOpType.SET)
    )
    for asked in (
        client.create_topics([admin.NewTopic(name, 1, 1)]),
        client.incremental_alter_configs([resource]),
        client.create_partitions([admin.NewPartitions(name, 3)]),
        client.delete_records([place]),
        client.delete_topics([name]),
    ):
        (answer,) = asked.values()
        with pytest.raises(confluent_kafka.KafkaException):
            answer.result(TIMEOUT_S)
    assert database.log.config(name) == before
    assert start is None or database.log.start_offset(name, 0) == start


def test_times_and_ends(address: str) -> None:
    """Offsets of times, the first and the last offset, records that are deleted."""
    client = create(address, "t")
    sender = producer(address)
    for number in range(10):
        sender.produce("t", b"v", timestamp=1000 + number * 10)
    sender.flush(TIMEOUT_S)
    reader = consumer(address, "g")
    place = confluent_kafka.TopicPartition("t", 0)
    assert reader.get_watermark_offsets(place, TIMEOUT_S) == (0, 10)
    found = reader.offsets_for_times([confluent_kafka.TopicPartition("t", 0, 1035)], TIMEOUT_S)
    assert found[0].offset == 4
    client.delete_records([confluent_kafka.TopicPartition("t", 0, 10)])[place].result(TIMEOUT_S)
    assert reader.get_watermark_offsets(place, TIMEOUT_S) == (10, 10)
    reader.close()


def test_groups_are_listed_described_and_deleted(address: str) -> None:
    """With their members; deleted only without any."""
    create(address, "t")
    client = admin.AdminClient({"bootstrap.servers": address})
    source = consumer(address, "shop")
    source.subscribe(["t"])
    producer_ = producer(address)
    producer_.produce("t", b"v")
    producer_.flush(TIMEOUT_S)
    consume(source, 1)
    source.commit(asynchronous=False)
    listed = client.list_consumer_groups().result(TIMEOUT_S)
    assert "shop" in {group.group_id for group in listed.valid}
    described = client.describe_consumer_groups(["shop"])["shop"].result(TIMEOUT_S)
    assert len(described.members) == 1 and described.members[0].assignment.topic_partitions
    with pytest.raises(confluent_kafka.KafkaException):
        client.delete_consumer_groups(["shop"])["shop"].result(TIMEOUT_S)
    source.close()
    client.delete_consumer_groups(["shop"])["shop"].result(TIMEOUT_S)
    listed = client.list_consumer_groups().result(TIMEOUT_S)
    assert "shop" not in {group.group_id for group in listed.valid}
