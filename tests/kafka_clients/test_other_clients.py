"""aiokafka and kafka-python, unchanged, against the listener; logging in; connections that misbehave.

``PENSTOCK_KAFKA_DROPS`` says how many connections are dropped (`make kafka-mutations`: 5,000).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import struct
import threading
import time
from typing import Any

import pytest

import penstock

pytest.importorskip("kio")

DROPS = int(os.environ.get("PENSTOCK_KAFKA_DROPS", "300"))
TIMEOUT_S = 30.0


def test_aiokafka(address: str) -> None:
    """Produces, consumes in a group, commits a transaction."""
    aiokafka = pytest.importorskip("aiokafka")

    async def run() -> list[Any]:
        sender = aiokafka.AIOKafkaProducer(bootstrap_servers=address, transactional_id="tx")
        async with sender, sender.transaction():
            for number in range(20):
                await sender.send_and_wait("t", str(number).encode(), key=b"k", headers=[("h", b"1")])
        source = aiokafka.AIOKafkaConsumer(
            "t", bootstrap_servers=address, group_id="g", auto_offset_reset="earliest", isolation_level="read_committed"
        )
        async with source:
            found = [await asyncio.wait_for(source.getone(), TIMEOUT_S) for _ in range(20)]
            await source.commit()
        return found

    found = asyncio.run(run())
    assert [(m.value, m.key, m.headers) for m in found] == [(str(n).encode(), b"k", (("h", b"1"),)) for n in range(20)]


def test_kafka_python(address: str) -> None:
    """Produces, and consumes in a group."""
    kafka = pytest.importorskip("kafka")
    sender = kafka.KafkaProducer(bootstrap_servers=address)
    for number in range(20):
        sender.send("t", str(number).encode(), key=b"k")
    sender.flush(TIMEOUT_S)
    source = kafka.KafkaConsumer(
        "t", bootstrap_servers=address, group_id="g", auto_offset_reset="earliest", consumer_timeout_ms=15_000
    )
    found = []
    for message in source:
        found.append(message.value)
        if len(found) == 20:
            break
    assert found == [str(n).encode() for n in range(20)]
    source.close()
    sender.close()


def test_what_a_client_may_do_is_told_if_it_asks(database: penstock.Database) -> None:
    """KIP-430: the operations on topics and groups, by the user's role and prefixes."""
    admin = pytest.importorskip("confluent_kafka.admin")
    kafka = pytest.importorskip("confluent_kafka")
    database.create_topic("orders")
    users = {"ops": ("a", "admin"), "shop": ("b", "write", ["orders"]), "viewer": ("c", "read")}
    passwords = {"ops": "a", "shop": "b", "viewer": "c"}
    reads = {"READ", "DESCRIBE", "DESCRIBE_CONFIGS"}
    topic = {"viewer": reads, "shop": reads | {"WRITE"}}
    topic["ops"] = topic["shop"] | {"CREATE", "DELETE", "ALTER", "ALTER_CONFIGS"}
    with penstock.broker(database, users=users) as listener:  # type: ignore[arg-type]  # plain dicts are what users write
        for name, password in passwords.items():
            client = admin.AdminClient(
                {
                    "bootstrap.servers": listener.address,
                    "security.protocol": "SASL_PLAINTEXT",
                    "sasl.mechanism": "PLAIN",
                    "sasl.username": name,
                    "sasl.password": password,
                }
            )
            asked = {"include_authorized_operations": True, "request_timeout": 60}
            topics = client.describe_topics(kafka.TopicCollection(["orders"]), **asked)["orders"].result(60)
            assert {o.name for o in topics.authorized_operations} == topic[name]
            groups = client.describe_consumer_groups(["orders-g"], **asked)["orders-g"].result(60)
            expected = {"READ", "DESCRIBE"} | ({"DELETE"} if name == "ops" else set())
            assert {o.name for o in groups.authorized_operations} == expected
            assert (
                client.describe_topics(kafka.TopicCollection(["orders"]))["orders"].result(60).authorized_operations is None
            )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_logging_in(database: penstock.Database, mechanism: str) -> None:
    """With the right password only; a role and its prefixes say what may be done."""
    aiokafka = pytest.importorskip("aiokafka")
    database.create_topic("orders")
    database.create_topic("other")
    users = {"shop": ("right", "write", ["orders"]), "viewer": ("seen", "read")}
    with penstock.broker(database, users=users) as listener:  # type: ignore[arg-type]  # plain dicts are what users write

        async def send(name: str, password: str, topic: str) -> None:
            sender = aiokafka.AIOKafkaProducer(
                bootstrap_servers=listener.address,
                security_protocol="SASL_PLAINTEXT",
                sasl_mechanism=mechanism,
                sasl_plain_username=name,
                sasl_plain_password=password,
                request_timeout_ms=3000,
            )
            try:
                await sender.start()
                await sender.send_and_wait(topic, b"v")
            finally:
                await sender.stop()

        def sent(name: str, password: str, topic: str) -> bool:
            try:
                asyncio.run(send(name, password, topic))
            except aiokafka.errors.KafkaError:
                return False
            return True

        assert sent("shop", "right", "orders")
        assert not sent("shop", "right", "other")
        assert not sent("shop", "wrong", "orders")
        assert not sent("nobody", "right", "orders")
        assert not sent("viewer", "seen", "orders")
    assert len(list(database.consume("orders", offset=0))) == 1
    assert list(database.consume("other", offset=0)) == []


def test_before_logging_in_nothing_is_answered(database: penstock.Database) -> None:
    """A connection that asks for something ends."""
    with (
        penstock.broker(database, users={"a": ("b", "admin")}) as listener,
        socket.create_connection(("127.0.0.1", listener.port), 5) as connection,
    ):
        connection.sendall(frame(struct.pack(">hhih", 3, 0, 1, -1) + struct.pack(">i", 0)))
        connection.settimeout(5)
        assert connection.recv(100) == b""


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def test_it_does_not_listen_elsewhere_unprotected(database: penstock.Database) -> None:
    """Unless that is said."""
    with pytest.raises(penstock.StatementError, match="reached from elsewhere"):
        penstock.broker(database, host="0.0.0.0")
    penstock.broker(database, host="0.0.0.0", insecure=True).close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">i", -5),
        struct.pack(">i", 2**31 - 1),
        frame(b""),
        frame(struct.pack(">hhih", 0, 8, 1, -1) + b"\xff" * 40),
        frame(struct.pack(">hhih", 999, 0, 1, -1)),
        frame(struct.pack(">hhih", 3, 77, 1, -1)),
        frame(struct.pack(">hhih", 1, 11, 1, 30000)),
    ],
    ids=["HTTP", "negative", "huge", "empty", "garbage", "unknown API", "unknown version", "cut client id"],
)
def test_malformed_requests_end_their_connection_only(address: str, data: bytes) -> None:
    """Another client goes on as if nothing had happened."""
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as good, socket.create_connection(("127.0.0.1", port), 5) as bad:
        bad.sendall(data)
        bad.settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert bad.recv(100) == b""
        good.sendall(frame(struct.pack(">hhih", 18, 0, 7, -1)))
        good.settimeout(5)
        assert struct.unpack(">i", good.recv(1000)[4:8]) == (7,)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")
def test_connections_that_are_dropped_leave_nothing(database: penstock.Database) -> None:
    """Opened, half used, dropped: threads, connections, descriptors and objects are back to where they were."""
    with penstock.broker(database) as listener:
        request = frame(struct.pack(">hhih", 18, 0, 7, -1))

        def drop(count: int) -> None:
            for number in range(count):
                with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
                    connection.sendall(request[: number % (len(request) + 1)])
            end = time.monotonic() + TIMEOUT_S
            while listener.connections and time.monotonic() < end:
                time.sleep(0.05)
            assert listener.connections == 0

        drop(100)  # what is made once is there
        gc.collect()
        threads, descriptors, objects = threading.active_count(), len(os.listdir("/proc/self/fd")), len(gc.get_objects())
        drop(DROPS)
        gc.collect()
        more = len(gc.get_objects()) - objects
        print(f"{DROPS:,} connections dropped: {more:,} objects more than before")
        assert threading.active_count() <= threads + 1
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 5
        assert more < DROPS  # one that is kept has dozens


def test_one_who_never_reads_holds_up_nobody(database: penstock.Database) -> None:
    """His answers wait in his own connection, and no more than some of his requests are taken."""
    database.create_topic("t")
    for _ in range(20):
        database.produce("t", value=b"v" * 100_000)
    with penstock.broker(database) as listener:
        body = struct.pack(">hhih", 1, 4, 7, -1) + struct.pack(">iiiib", -1, 0, 0, 50_000_000, 0)
        body += struct.pack(">ih1sii", 1, 1, b"t", 1, 0) + struct.pack(">qi", 0, 50_000_000)
        with socket.create_connection(("127.0.0.1", listener.port), 5) as silent:
            silent.setblocking(False)
            for _ in range(2000):
                try:
                    silent.send(frame(body))
                except BlockingIOError:
                    break
            with socket.create_connection(("127.0.0.1", listener.port), 5) as good:
                good.settimeout(5)
                good.sendall(frame(struct.pack(">hhih", 18, 0, 7, -1)))
                assert struct.unpack(">i", good.recv(1000)[4:8]) == (7,)
