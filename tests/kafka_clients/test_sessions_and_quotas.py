"""Fetch sessions, quotas and the requests that look at transactions, by clients and by frames of one's own."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from typing import Any

import pytest

import penstock
from tests.support.waiting import until

confluent_kafka = pytest.importorskip("confluent_kafka")
admin = pytest.importorskip("confluent_kafka.admin")

TIMEOUT_S = 30.0


def exchanged(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """An answer, behind its correlation id."""
    request = struct.pack(">hhih", key, version, 7, -1) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    return _exactly(connection, size)[4:]


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = connection.recv(size - len(found))
        assert piece, "the connection ended"
        found += piece
    return found


def fetch(session: int, epoch: int, partitions: dict[int, int], forgotten: tuple[int, ...] = ()) -> bytes:
    """A Fetch request of version 11 for the topic t: offsets by partition."""
    body = struct.pack(">iiiibii", -1, 0, 0, 50_000_000, 0, session, epoch)
    body += struct.pack(">i", bool(partitions))
    if partitions:
        body += struct.pack(">h1si", 1, b"t", len(partitions))
        for number, offset in partitions.items():
            body += struct.pack(">iiqqi", number, -1, offset, -1, 1_000_000)
    body += struct.pack(">i", bool(forgotten))
    if forgotten:
        body += struct.pack(f">h1si{len(forgotten)}i", 1, b"t", len(forgotten), *forgotten)
    return body + struct.pack(">h", 0)


def read(data: bytes) -> tuple[int, int, dict[int, tuple[int, int, int]]]:
    """Error, session, and per partition its error, end and bytes of records."""
    _, error, session, topics = struct.unpack_from(">ihii", data)
    at, found = 14, {}
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", data, at)
        (count,) = struct.unpack_from(">i", data, at + 2 + length)
        at += 6 + length
        for _ in range(count):
            number, code, end = struct.unpack_from(">ihq", data, at)
            (aborted,) = struct.unpack_from(">i", data, at + 30)
            at += 34 + 16 * max(aborted, 0) + 4
            (size,) = struct.unpack_from(">i", data, at)
            at += 4 + max(size, 0)
            found[number] = (code, end, size)
    return error, session, found


def test_a_fetch_session_on_the_wire(database: penstock.Database, address: str) -> None:
    """Partitions are named once; later answers hold what is new; a wrong epoch and an unknown session are told."""
    database.create_topic("t", partitions=3)
    database.produce("t", value=b"v", partition=1)
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        ask = lambda *how: read(exchanged(connection, 1, 11, fetch(*how)))  # noqa: E731
        error, session, found = ask(0, 0, {0: 0, 1: 0, 2: 0})
        assert (error, set(found)) == (0, {0, 1, 2}) and session > 0 and found[1][2] > 0
        assert ask(session, 1, {1: 1}) == (0, session, {1: (0, 1, 0)})
        assert ask(session, 2, {}) == (0, session, {})
        database.produce("t", value=b"v", partition=2)
        error, _, found = ask(session, 3, {})
        assert set(found) == {2} and found[2][:2] == (0, 1) and found[2][2] > 0
        database.produce("t", value=b"v", partition=2)
        assert ask(session, 4, {}, (2,)) == (0, session, {})
        assert ask(session, 9, {})[0] == 71
        assert ask(session, -1, {0: 0}) == (0, 0, {0: (0, 0, 0)})
        assert ask(session, 5, {})[0] == 70
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        error, session, _ = ask(0, 0, {0: 0, 1: 0})
        database.delete_topic("t")
        assert ask(session, 1, {})[2] == {0: (3, -1, 0), 1: (3, -1, 0)}


def test_who_goes_beyond_a_quota_waits(database: penstock.Database) -> None:
    """Everything arrives, no faster than it may; a client without much to send does not notice."""
    database.create_topic("t")
    with penstock.broker(database, producer_byte_rate=100_000, consumer_byte_rate=100_000) as listener:
        config = {"bootstrap.servers": listener.address, "linger.ms": 0, "batch.size": 20_000}
        sender = confluent_kafka.Producer({**config, "client.id": "much", "compression.type": "none"})
        for _ in range(25):
            sender.produce("t", b"v" * 10_000)
        assert sender.flush(TIMEOUT_S) == 0  # answered at once; what comes next waits
        began_s = time.monotonic()
        sender.produce("t", b"v")
        other = confluent_kafka.Producer({"bootstrap.servers": listener.address, "client.id": "little"})
        other.produce("t", b"x", partition=0)
        assert other.flush(TIMEOUT_S) == 0
        assert len(list(database.consume("t"))) == 26  # who sends little does not wait
        assert sender.flush(TIMEOUT_S) == 0
        assert time.monotonic() - began_s > 0.7
        source = confluent_kafka.Consumer(
            {"bootstrap.servers": listener.address, "group.id": "g", "client.id": "much", "fetch.message.max.bytes": 20_000}
        )
        source.assign([confluent_kafka.TopicPartition("t", 0, 0)])
        began_s, count = time.monotonic(), 0
        while count < 27 and time.monotonic() - began_s < TIMEOUT_S:
            count += source.poll(1.0) is not None
        assert count == 27 and time.monotonic() - began_s > 0.7
        source.close()


def test_the_record_with_the_highest_time(database: penstock.Database, address: str) -> None:
    """Wherever it stands, and the first of several."""
    database.create_topic("t")
    client = admin.AdminClient({"bootstrap.servers": address})
    place = confluent_kafka.TopicPartition("t", 0)

    def latest() -> tuple[int, int]:
        found = client.list_offsets({place: admin.OffsetSpec.max_timestamp()})[place].result(TIMEOUT_S)
        return found.offset, found.timestamp

    assert latest() == (-1, -1)
    for timestamp in (5, 1_700_000_000_000, 3, 1_700_000_000_000, 9):
        database.produce("t", value=b"v", timestamp=timestamp)
    assert latest() == (1, 1_700_000_000_000)
    found = client.list_offsets({place: admin.OffsetSpec.latest()})[place].result(TIMEOUT_S)
    assert found.offset == 5


def test_transactions_are_looked_at(database: penstock.Database, address: str) -> None:
    """What is open and who writes, by the frames of DescribeProducers, ListTransactions and DescribeTransactions."""
    database.create_topic("t")
    sender = confluent_kafka.Producer({"bootstrap.servers": address, "transactional.id": "tx"})
    sender.init_transactions(TIMEOUT_S)
    sender.begin_transaction()
    sender.produce("t", b"v", partition=0)
    sender.flush(TIMEOUT_S)
    port = int(address.rpartition(":")[2])
    tags = b"\x00"
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        listed = exchanged(connection, 66, 0, tags + b"\x01\x01" + tags)
        assert b"tx" in listed and b"Ongoing" in listed
        described = exchanged(connection, 65, 0, tags + b"\x03\x03tx\x08nothing" + tags)
        assert b"Ongoing" in described and b"\x02t" in described
        sender.commit_transaction(TIMEOUT_S)
        listed = exchanged(connection, 66, 0, tags + b"\x02\x0fCompleteCommit\x01" + tags)
        assert b"tx" in listed and b"CompleteCommit" in listed
        writers = exchanged(connection, 61, 0, tags + b"\x02\x02t\x02" + struct.pack(">i", 0) + tags + tags)
        assert len(writers) > 40


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed: apt-get install kcat")
def test_kcat(database: penstock.Database, address: str) -> None:
    """Produces, lists, consumes to the end, and asks for an offset by time."""

    def kcat(*arguments: str, given: str = "") -> Any:
        command = ["kcat", "-b", address, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    database.create_topic("t", partitions=2)
    kcat("-P", "-t", "t", "-K", ":", "-H", "h=1", given="ada:one\nbob:two\nada:three\n")
    listed = kcat("-L", "-t", "t")
    assert 'topic "t" with 2 partitions' in listed and "broker 1 at" in listed
    lines = kcat("-C", "-t", "t", "-e", "-q", "-f", "%k=%s %h\n").splitlines()
    assert sorted(lines) == ["ada=one h=1", "ada=three h=1", "bob=two h=1"]
    database.produce("t", value=b"late", timestamp=4_000_000_000_000, partition=0)
    assert kcat("-Q", "-t", "t:0:3000000000000").strip().startswith("t [0] offset")


def join(group: str, member: str, rebalance_ms: int) -> bytes:
    """A JoinGroup request of version 2."""
    text = lambda s: struct.pack(">h", len(s)) + s.encode()  # noqa: E731
    protocols = struct.pack(">i", 1) + text("range") + struct.pack(">i", 1) + b"\0"
    return text(group) + struct.pack(">ii", 10_000, rebalance_ms) + text(member) + text("consumer") + protocols


def test_a_client_that_goes_while_its_request_waits(listener: penstock.KafkaListener) -> None:
    """Its connection ends at once, however long the request would have waited; who waits for it goes on, too."""
    with socket.create_connection(("127.0.0.1", listener.port), 5) as first:
        answer = exchanged(first, 11, 2, join("g", "", 600_000))
        assert struct.unpack_from(">ih", answer) == (0, 0)
        second = socket.create_connection(("127.0.0.1", listener.port), 5)
        body = struct.pack(">hhih", 11, 2, 7, -1) + join("g", "", 600_000)
        second.sendall(struct.pack(">i", len(body)) + body)  # waits until the first joins again
        until(lambda: listener.connections == 2)
        second.close()
        until(lambda: listener.connections == 1)
        assert struct.unpack_from(">ih", exchanged(first, 11, 2, join("g", "nobody", 600_000))) == (0, 25)


def test_offsets_of_a_group_are_deleted(database: penstock.Database, address: str) -> None:
    """Those of the partitions that are named, but for topics that a member reads."""
    text = lambda s: struct.pack(">h", len(s)) + s.encode()  # noqa: E731
    database.create_topic("t", partitions=2)
    database.create_topic("u")
    database.produce("u", value=b"v")
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    places = [confluent_kafka.TopicPartition(*place) for place in (("t", 0, 5), ("t", 1, 6), ("u", 0, 1))]
    consumer.commit(offsets=places, asynchronous=False)
    body = text("g") + struct.pack(">i", 2)
    body += text("t") + struct.pack(">iii", 2, 0, 9) + text("u") + struct.pack(">ii", 1, 0)
    consumer.subscribe(["u"])
    until(lambda: bool(consumer.poll(0.1) or consumer.assignment()))
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5) as connection:
        answer = exchanged(connection, 47, 0, body)
        missing = exchanged(connection, 47, 0, text("nobody") + struct.pack(">i", 0))
    consumer.close()
    expected = struct.pack(">hiih", 0, 0, 2, 1) + b"t" + struct.pack(">iihih", 2, 0, 0, 9, 3)
    assert answer == expected + struct.pack(">h", 1) + b"u" + struct.pack(">iih", 1, 0, 86)
    assert struct.unpack_from(">h", missing) == (69,)
    assert dict(database.log.positions("group:g")) == {("t", 1): 6, ("u", 0): 1}
