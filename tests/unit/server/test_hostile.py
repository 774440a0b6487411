"""Hostile input: mutated requests, half-sent bodies, broken frames, connections opened and dropped.

Scaled down here; ``PENSTOCK_HTTP_FUZZ=100000`` (`make http-fuzz`) is the whole of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import threading
import time
from pathlib import Path

import h2.connection
import h2.events
import httpx
import pytest

import penstock
from tests.support.waiting import until

from .conftest import Api

REQUESTS = int(os.environ.get("PENSTOCK_HTTP_FUZZ", "300"))
CONNECTIONS = max(100, REQUESTS // 10)
BODIES = [
    ("/ksql", b'{"ksql": "SHOW STREAMS;", "streamsProperties": {"auto.offset.reset": "earliest"}}'),
    ("/ksql", b"{\"ksql\": \"INSERT INTO orders VALUES ('1', 'a', 1.00);\"}"),
    ("/query", b'{"ksql": "SELECT * FROM spend WHERE customer = \'ada\';"}'),
    (
        "/query-stream",
        b'{"sql": "SELECT * FROM orders EMIT CHANGES LIMIT 1;", "properties": {"auto.offset.reset": "earliest"}}',
    ),
    ("/inserts-stream", b'{"target":"orders"}\n{"id":"1","customer":"x","euros":1.5}\n{"id":"2"}\n'),
    ("/close-query", b'{"queryId": "transient_1"}'),
    ("/v1/execute", b'{"ksql": "DESCRIBE spend;"}'),
    ("/v1/complete", b'{"text": "SELECT * FROM ", "cursor": 3}'),
    ("/v1/wait", b'{"timeout_s": 0}'),
    ("/v1/arrow/orders", b"\xff\xff\xff\xff\x00\x00\x00\x00"),
    ("/subjects/s/versions", b'{"schema": "\\"string\\"", "schemaType": "AVRO"}'),
    ("/compatibility/subjects/s/versions/latest", b'{"schema": "{}"}'),
    ("/config", b'{"compatibility": "FULL"}'),
    ("/ksql/terminate", b'{"deleteTopicList": ["("]}'),
]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, removed, doubled or put in."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(found) + 1)
        match chance.randrange(6):
            case 0 if place < len(found):
                found[place] = chance.randrange(256)
            case 1:
                del found[place : place + chance.randrange(1, 8)]
            case 2:
                found[place:place] = found[place : place + chance.randrange(1, 30)]
            case 3:
                found[place:place] = chance.choice(
                    (b"\x00", b"\xff\xfe", b'"', b"{" * 50, b"[" * 50, b"1e999", b"null", b"'", b";")
                )
            case 4:
                found[place:place] = str(chance.choice((-1, 2**63, 2**64, 10**400))).encode()
            case _:
                found = found[:place]
    return bytes(found)


def test_mutated_requests_are_answered(shop: Api, caplog: pytest.LogCaptureFixture) -> None:
    """No failure of the server: no 500 without a cause in its log, and others are served as before."""
    seed = int(os.environ.get("PENSTOCK_SEED", "1"))
    chance = random.Random(seed)
    failures = []
    for number in range(REQUESTS):
        path, body = chance.choice(BODIES)
        sent = mutated(body, chance)
        if b"terminate" in path.encode() and b"(" not in sent:
            continue  # that would be a good request to end everything
        accept = chance.choice(("*/*", "application/json", "application/vnd.apache.arrow.stream", "x/y;q=z", ""))
        with shop.http.stream("POST", path, content=sent, headers={"accept": accept}, timeout=60) as answer:
            if "content-length" in answer.headers:
                answer.read()
            else:  # rows, of a push query perhaps that mutation made endless: its head says that it is answered
                next(answer.iter_raw(), None)
            if answer.status_code >= 500:
                failures.append((seed, number, path, sent, answer.text))
    assert failures == []
    assert until(lambda: shop.server.push_readers == 0, 60)
    assert shop.http.get("/info").status_code == 200


RAW = [
    b"",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /ksql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{",
    b"POST /ksql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n",
    b"POST /ksql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
    b"POST /ksql HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b'POST /inserts-stream HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"tar',
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + b"\x00" * 7 + b"\x05\x01\x05\x00\x00\x00\x01\xff\xff",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /ws/query HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    os.urandom(4096),
]


def _place(api: Api) -> tuple[str, int]:
    parsed = httpx.URL(api.url)
    assert parsed.port is not None
    return parsed.host, parsed.port


@pytest.mark.parametrize("number", range(len(RAW)))
def test_broken_bytes_harm_nobody(shop: Api, number: int) -> None:
    """Whatever is sent, and however the connection ends, others are served."""
    for cut in (len(RAW[number]), len(RAW[number]) // 2):
        with contextlib.suppress(OSError), socket.create_connection(_place(shop), 5) as connection:
            connection.settimeout(0.3)
            connection.sendall(RAW[number][:cut])
            with contextlib.suppress(TimeoutError):
                connection.recv(1000)
    assert shop.http.post("/query", json={"ksql": "SELECT * FROM spend;"}).status_code == 200


def _threads() -> int:
    """Threads of the process, without the server's own pool, which has a bound."""
    return sum(not thread.name.startswith("penstock-http") for thread in threading.enumerate())


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
def test_connections_that_are_dropped_leave_nothing(shop: Api) -> None:
    """Threads, descriptors and push queries are back where they were."""
    shop.http.get("/info")
    push = json.dumps({"sql": "SELECT * FROM orders EMIT CHANGES;"}).encode()
    head = b"POST /query-stream HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(push)

    def round_(count: int) -> None:
        for number in range(count):
            with socket.create_connection(_place(shop), 5) as connection:
                if number % 3 == 0:
                    connection.sendall(head[: number % len(head)])
                elif number % 3 == 1:
                    connection.sendall(head + push)

    round_(30)
    assert until(lambda: shop.server.push_readers == 0)
    time.sleep(0.5)
    threads, descriptors = _threads(), _descriptors()
    round_(CONNECTIONS)
    assert until(lambda: shop.server.push_readers == 0)
    assert until(lambda: _descriptors() <= descriptors + 5, 30)
    assert until(lambda: _threads() <= threads, 10)
    assert shop.http.get("/info").status_code == 200


def test_a_body_that_never_comes(database: penstock.Database) -> None:
    """Half-sent requests are given up after the time for a body, and hold up nobody meanwhile."""
    with penstock.serve(database, port=0, request_timeout_s=0.5) as server:
        host, port = httpx.URL(server.url).host, httpx.URL(server.url).port
        assert port is not None
        waiting = [socket.create_connection((host, port), 5) for _ in range(50)]
        for connection in waiting:
            connection.sendall(b"POST /ksql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{")
        assert httpx.get(f"{server.url}/info").status_code == 200
        waiting[0].settimeout(10)
        assert waiting[0].recv(100).startswith(b"HTTP/1.1 408")
        for connection in waiting:
            connection.close()


def test_a_time_beyond_all_floats(shop: Api) -> None:
    """A number of 400 digits is a long time, and no failure of the server."""
    answer = shop.http.post("/v1/wait", content=b'{"timeout_s": 1' + b"0" * 400 + b"}")
    assert answer.status_code < 500, answer.text


def test_rows_sent_after_a_refusal_end_no_other_request(shop: Api) -> None:
    """Over HTTP/2: an insert is refused while its rows still come; the push query beside it in the connection goes on."""
    found: dict[int, bytes] = {1: b"", 3: b"", 5: b""}
    with socket.create_connection(_place(shop), 20) as connection:
        client = h2.connection.H2Connection()
        client.initiate_connection()

        def request(number: int, path: str, body: bytes) -> None:
            head = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "localhost")]
            client.send_headers(number, head)
            client.send_data(number, body)
            connection.sendall(client.data_to_send())

        def read_until(number: int, text: bytes) -> None:
            while text not in found[number]:
                received = connection.recv(65_536)
                assert received, "the connection ended"
                for event in client.receive_data(received):
                    if isinstance(event, h2.events.DataReceived):
                        found[event.stream_id] += event.data
                connection.sendall(client.data_to_send())

        push = {"sql": "SELECT id FROM orders EMIT CHANGES;", "properties": {"auto.offset.reset": "latest"}}
        request(1, "/query-stream", json.dumps(push).encode())
        client.end_stream(1)
        read_until(1, b"queryId")
        request(3, "/inserts-stream", b'{"target":"nowhere"}\n')
        read_until(3, b"error_code")
        client.send_data(3, b'{"id":"late"}\n')
        request(5, "/inserts-stream", b'{"target":"orders"}\n{"id":"new"}\n')
        client.end_stream(5)
        read_until(5, b'{"status":"ok","seq":0}')
        read_until(1, b'["new"]')


def test_answers_without_a_body_leave_no_task(shop: Api) -> None:
    """Over HTTP/2: the task of a request ends with its answer, as /close-query gives it."""

    def tasks() -> int:
        loop = shop.server._loop
        assert loop is not None
        return len(asyncio.all_tasks(loop))

    before = tasks()
    with httpx.Client(base_url=shop.url, http1=False, http2=True, timeout=20) as client:
        for _ in range(20):
            with client.stream("POST", "/query-stream", json={"sql": "SELECT id FROM orders EMIT CHANGES;"}) as push:
                query = json.loads(next(push.iter_lines()))["queryId"]
                closed = client.post("/close-query", json={"queryId": query})
                assert (closed.status_code, closed.content, closed.http_version) == (200, b"", "HTTP/2")
    assert until(lambda: tasks() <= before)
