"""What clients were told outlives the process: ids, numbers, offsets and their texts, fenced producers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import penstock

confluent_kafka = pytest.importorskip("confluent_kafka")
pytest.importorskip("kio")

TIMEOUT_S = 30.0


def test_a_producer_goes_on_after_a_restart(tmp_path: Path) -> None:
    """An idempotent one that has never noticed: nothing is lost or doubled, and the order stays."""
    with penstock.connect(tmp_path / "db") as database, penstock.broker(database) as listener:
        port = listener.port
        sender = confluent_kafka.Producer({"bootstrap.servers": listener.address, "enable.idempotence": True})
        for number in range(100):
            sender.produce("t", str(number).encode())
        assert sender.flush(TIMEOUT_S) == 0
    for number in range(100, 200):
        sender.produce("t", str(number).encode())
    with penstock.connect(tmp_path / "db") as database, penstock.broker(database, port=port):
        assert sender.flush(TIMEOUT_S) == 0
        values = [record.value for record in database.consume("t", offset=0)]
    assert values == [str(number).encode() for number in range(200)]


def test_a_transaction_that_was_open_is_lost_whole(tmp_path: Path) -> None:
    """Its producer is told, aborts, and the next one succeeds."""
    with penstock.connect(tmp_path / "db") as database, penstock.broker(database) as listener:
        port = listener.port
        sender = confluent_kafka.Producer({"bootstrap.servers": listener.address, "transactional.id": "tx"})
        sender.init_transactions(TIMEOUT_S)
        sender.begin_transaction()
        sender.produce("t", b"first")
        sender.commit_transaction(TIMEOUT_S)
        sender.begin_transaction()
        sender.produce("t", b"lost")
        assert sender.flush(TIMEOUT_S) == 0
    with penstock.connect(tmp_path / "db") as database, penstock.broker(database, port=port):
        with pytest.raises(confluent_kafka.KafkaException) as raised:
            sender.commit_transaction(TIMEOUT_S)
        assert raised.value.args[0].txn_requires_abort()
        sender.abort_transaction(TIMEOUT_S)
        sender.begin_transaction()
        sender.produce("t", b"second")
        sender.commit_transaction(TIMEOUT_S)
        assert [record.value for record in database.consume("t", offset=0)] == [b"first", b"second"]


def test_offsets_and_their_texts_are_kept(tmp_path: Path) -> None:
    """By group and partition."""
    place = confluent_kafka.TopicPartition("t", 0, 3, "a note")
    for again in (False, True):
        with penstock.connect(tmp_path / "db") as database, penstock.broker(database) as listener:
            config = {"bootstrap.servers": listener.address, "group.id": "g"}
            if not again:
                database.create_topic("t")
            source = confluent_kafka.Consumer(config)
            if not again:
                source.commit(offsets=[place], asynchronous=False)
            (found,) = source.committed([confluent_kafka.TopicPartition("t", 0)], TIMEOUT_S)
            assert (found.offset, found.metadata) == (3, "a note")
            source.close()


def test_a_transaction_that_takes_too_long_is_aborted(tmp_path: Path) -> None:
    """After its producer's own time-out; the producer is fenced."""
    with penstock.connect(tmp_path / "db") as database, penstock.broker(database) as listener:
        config = {"bootstrap.servers": listener.address, "transactional.id": "tx", "transaction.timeout.ms": 1000}
        sender = confluent_kafka.Producer(config)
        sender.init_transactions(TIMEOUT_S)
        sender.begin_transaction()
        sender.produce("t", b"late")
        sender.flush(TIMEOUT_S)
        time.sleep(3)
        with pytest.raises(confluent_kafka.KafkaException):
            sender.commit_transaction(TIMEOUT_S)
        assert list(database.consume("t", offset=0)) == []
