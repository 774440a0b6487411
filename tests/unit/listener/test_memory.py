"""What clients make the listener hold has a bound for all of them together."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("kio")

import penstock
from penstock.listener import broker as broker_module
from penstock.listener import requests_data
from penstock.listener.kafka_listener import KafkaListener
from tests.support.waiting import until


@pytest.fixture
def db() -> Iterator[penstock.Database]:
    with penstock.connect(None, threads=0) as database:
        database.create_topic("t")
        yield database


def connected(listener: KafkaListener) -> socket.socket:
    return socket.create_connection((listener.host, listener.port), timeout=60)


def request(key: int, version: int, body: bytes, number: int = 1) -> bytes:
    content = struct.pack(">hhih", key, version, number, -1) + body
    return struct.pack(">i", len(content)) + content


def answer(connection: socket.socket) -> bytes:
    """The next answer; empty at the end of the connection."""
    head = received(connection, 4)
    return received(connection, struct.unpack(">i", head)[0]) if head else b""


def received(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    while len(view):
        count = connection.recv_into(view)
        if not count:
            return b""
        view = view[count:]
    return bytes(data)


API_VERSIONS = request(18, 0, b"")


def test_large_requests_wait_for_each_other(db: penstock.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While what is being received takes all the room, no other large request is read; small ones are answered."""
    monkeypatch.setattr(broker_module, "KAFKA_RECEIVED_BYTES_MAX", 100_000)
    with penstock.broker(db) as listener:
        held: Any = listener._broker.received
        slow, waiting, small = connected(listener), connected(listener), connected(listener)
        with slow, waiting, small:
            slow.sendall(struct.pack(">i", 200_000) + b"x" * 70_000)
            until(lambda: held._bytes >= 200_000)
            waiting.sendall(struct.pack(">i", 200_000) + b"x" * 200_000)
            until(lambda: held._less is not None)
            small.sendall(API_VERSIONS)
            assert answer(small)
            assert held._bytes < 300_000
            slow.close()
            assert answer(waiting) == b"", "it was read, and is no request"
            until(lambda: held._bytes == 0)


def test_a_client_that_does_not_read_gets_no_further_answers(db: penstock.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to its next requests are made when the large ones before are sent; in the end it gets all of them."""
    for _ in range(4):
        db.produce("t", value=b"x" * 4_000_000)
    made: list[int] = []
    blocked: list[int] = []
    read_all, sent = requests_data._read_all, KafkaListener._sent

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return read_all(*arguments)

    async def noted(*arguments: Any) -> None:
        blocked.append(1)
        await sent(*arguments)

    monkeypatch.setattr(requests_data, "_read_all", counted)
    monkeypatch.setattr(KafkaListener, "_sent", staticmethod(noted))
    place = struct.pack(">ih", 1, 1) + b"t" + struct.pack(">iiqi", 1, 0, 0, 2**31 - 1)
    fetch = struct.pack(">iiiib", -1, 0, 1, 2**31 - 1, 0) + place
    with penstock.broker(db) as listener, connected(listener) as client, connected(listener) as other:
        client.sendall(b"".join(request(1, 4, fetch, number) for number in range(5)))
        until(lambda: bool(blocked))
        for _ in range(10):
            other.sendall(API_VERSIONS)
            assert answer(other)
        assert len(made) == len(blocked) < 5
        for number in range(5):
            assert struct.unpack(">i", answer(client)[:4])[0] == number


def test_an_answer_to_fetch_has_a_bound(db: penstock.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much the client asks for."""
    monkeypatch.setattr(requests_data, "KAFKA_FETCH_BYTES_MAX", 1_000_000)
    for _ in range(10):
        db.produce("t", value=b"x" * 400_000)
    place = struct.pack(">ih", 1, 1) + b"t" + struct.pack(">iiqi", 1, 0, 0, 2**31 - 1)
    with penstock.broker(db) as listener, connected(listener) as client:
        client.sendall(request(1, 4, struct.pack(">iiiib", -1, 0, 1, 2**31 - 1, 0) + place))
        assert 400_000 < len(answer(client)) < 1_500_000
