"""Requests of a real client with bytes changed, cut or doubled: the listener goes on, and nobody else is harmed.

``PENSTOCK_KAFKA_MUTATIONS`` says how many (`make kafka-mutations`: 100,000).
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import penstock

confluent_kafka = pytest.importorskip("confluent_kafka")
admin = pytest.importorskip("confluent_kafka.admin")
pytest.importorskip("kio")

MUTATIONS = int(os.environ.get("PENSTOCK_KAFKA_MUTATIONS", "600"))
TIMEOUT_S = 30.0


def record_requests(listener: penstock.KafkaListener, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The frames that a client sends while it does a bit of everything."""
    from penstock.listener import kafka_listener

    frames: list[bytes] = []
    read = kafka_listener.read_request

    def noting(data: bytes) -> Any:
        frames.append(data)
        return read(data)

    monkeypatch.setattr(kafka_listener, "read_request", noting)
    config = {"bootstrap.servers": listener.address}
    client = admin.AdminClient(config)
    client.create_topics([admin.NewTopic("t", 2, 1, config={"retention.ms": "-1"})])["t"].result(TIMEOUT_S)
    client.describe_configs([admin.ConfigResource(admin.ConfigResource.Type.TOPIC, "t")])
    sender = confluent_kafka.Producer({**config, "transactional.id": "tx"})
    sender.init_transactions(TIMEOUT_S)
    source = confluent_kafka.Consumer({**config, "group.id": "g", "auto.offset.reset": "earliest"})
    source.subscribe(["t"])
    end = time.monotonic() + TIMEOUT_S
    while not source.assignment() and time.monotonic() < end:
        source.consume(1, 0.1)
    for _ in range(2):
        sender.begin_transaction()
        sender.produce("t", b"value", b"key", headers=[("h", b"1")])
        sender.send_offsets_to_transaction([confluent_kafka.TopicPartition("t", 0, 1)], source.consumer_group_metadata())
        sender.commit_transaction(TIMEOUT_S)
    end = time.monotonic() + TIMEOUT_S
    while not source.consume(1, 0.2) and time.monotonic() < end:
        pass
    source.commit(asynchronous=False)
    client.list_consumer_groups().result(TIMEOUT_S)
    client.describe_consumer_groups(["g"])["g"].result(TIMEOUT_S)
    source.close()
    monkeypatch.undo()
    return sorted(set(frames))


def mutations(frames: list[bytes], choose: random.Random) -> Iterator[bytes]:
    """What is sent on one connection each, with a length that fits or does not."""
    while True:
        data = bytearray(choose.choice(frames))
        for _ in range(choose.randint(1, 4)):
            at = choose.randrange(len(data))
            match choose.randrange(4):
                case 0:
                    data[at] = choose.randrange(256)
                case 1:
                    data[at : at + 4] = struct.pack(">i", choose.choice([-1, 0, 2**31 - 1, -(2**31), 65_535]))
                case 2:
                    del data[at : at + choose.randint(1, 9)]
                case 3:
                    data[at:at] = data[at : at + choose.randint(1, 40)]
            if not data:
                data = bytearray(b"\0")
        length = len(data) if choose.random() < 0.9 else choose.randrange(-1, 3 * len(data))
        yield struct.pack(">i", length) + bytes(data)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_mutated_requests(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good client works before, between and after them; connections, threads and descriptors are back in the end."""
    choose = random.Random(7)
    with penstock.connect(tmp_path / "db") as database, penstock.broker(database) as listener:
        frames = record_requests(listener, monkeypatch)
        assert len(frames) > 20
        database.create_topic("good")
        good = confluent_kafka.Producer({"bootstrap.servers": listener.address})
        made = mutations(frames, choose)
        counts = []
        for number in range(MUTATIONS):
            with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
                connection.sendall(next(made))
                if choose.random() < 0.3:
                    connection.settimeout(0.02)
                    with contextlib.suppress(OSError):
                        connection.recv(1000)
            if number % (MUTATIONS // 4) == 0:
                good.produce("good", b"v")
                assert good.flush(TIMEOUT_S) == 0
                counts.append(threading.active_count())
        end = time.monotonic() + TIMEOUT_S
        while listener.connections > 3 and time.monotonic() < end:
            time.sleep(0.05)
        gc.collect()
        assert listener.connections <= 3  # those of the good client
        assert threading.active_count() <= counts[0] + 8
        assert descriptors() < 200
        good.produce("good", b"last")
        assert good.flush(TIMEOUT_S) == 0
        values = [record.value for record in database.consume("good", offset=0)]
    assert values == [b"v"] * len(counts) + [b"last"]
