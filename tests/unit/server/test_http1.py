"""HTTP/1.1 as it may come: in pieces, several at once, half, wrong, or asking for another protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from penstock.server.config import ServerConfig
from penstock.server.http import Request
from penstock.server.http1 import HEADER_BYTES_MAX
from penstock.server.listening import bound_socket, listen
from penstock.server.problems import ApiError

Client = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the path and the body; /early answers before the body has come, /rows in pieces, /wait not at all."""
    body = b""
    match scope["path"]:
        case "/early":
            await _whole(send, 413, b"too much", [(b"connection", b"close")])
            return
        case "/rows":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for piece in (b"one", b"two"):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        case "/fails":
            raise ValueError("on purpose")
        case "/wait":
            while (await receive())["type"] != "http.disconnect":
                pass
            scope["state"]["gone"].set()
            return
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await _whole(send, 200, scope["path"].encode() + b":" + body, [])


async def _whole(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(gone: asyncio.Event | None = None) -> AsyncIterator[Client]:
    """A server of `app`: how to connect to it.  When it stops, nothing of it is left."""
    listening = bound_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    stop = asyncio.Event()

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"gone": gone}
        await app(scope, receive, send)

    serving = asyncio.ensure_future(listen(with_state, ServerConfig(shutdown_s=2), listening, stop))
    try:
        yield lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        stop.set()
        await serving


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    """The next answer on a connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:] if line)}
    body = b""
    if headers.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return int(lines[0].split()[1]), headers, body


async def exchanged(*pieces: bytes, count: int = 1, rest: bool = False) -> list[tuple[int, bytes]]:
    """Send pieces, each in a packet of its own; status and body of the answers.

    Args:
        rest: wait until the server closes the connection.
    """
    async with served() as connect:
        reader, writer = await connect()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02 if len(pieces) > 1 else 0)
        found = []
        for _ in range(count):
            status, _, body = await asyncio.wait_for(answer(reader), 10)
            found.append((status, body))
        if rest:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        return found


def run(*pieces: bytes, count: int = 1, rest: bool = False) -> list[tuple[int, bytes]]:
    return asyncio.run(exchanged(*pieces, count=count, rest=rest))


POST = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"


def test_a_request_may_come_byte_by_byte() -> None:
    assert run(*[POST[i : i + 1] for i in range(len(POST))]) == [(200, b"/a:hello")]


def test_requests_that_come_at_once_are_answered_in_order() -> None:
    """Also where the last one comes in pieces, and more of them than wait at a time."""
    many = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in range(100))
    assert run(many[:-7], many[-7:], count=100) == [(200, b"/%d:" % n) for n in range(100)]
    assert run(POST + POST + b"GET /b HTTP/1.1\r\nho", b"st: x\r\n\r\n", count=3)[2] == (200, b"/b:")


def test_a_body_in_chunks() -> None:
    head = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert run(head + b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n" + POST, count=2) == [(200, b"/c:abcde"), (200, b"/a:hello")]


def test_a_large_body_comes_whole() -> None:
    body = bytes(range(256)) * 8_000
    head = b"POST /l HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert run(head + body) == [(200, b"/l:" + body)]


def test_an_answer_of_unknown_length_is_sent_in_chunks_and_the_connection_goes_on() -> None:
    assert run(b"GET /rows HTTP/1.1\r\nhost: x\r\n\r\n" + POST, count=2) == [(200, b"onetwo"), (200, b"/a:hello")]


def test_http_1_0_is_answered_until_the_connection_closes() -> None:
    async def body() -> bytes:
        async with served() as connect:
            reader, writer = await connect()
            writer.write(b"GET /rows HTTP/1.0\r\n\r\n")
            found = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return found

    found = asyncio.run(body())
    assert found.endswith(b"\r\n\r\nonetwo") and b"chunked" not in found


def test_head_is_answered_without_a_body() -> None:
    async def both() -> tuple[bytes, tuple[int, dict[bytes, bytes], bytes]]:
        async with served() as connect:
            reader, writer = await connect()
            writer.write(b"HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.write(POST)
            after = await asyncio.wait_for(answer(reader), 10)
            writer.close()
            return head, after

    head, after = asyncio.run(both())
    assert b"content-length: 3" in head and after[2] == b"/a:hello"


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    async def body() -> tuple[bytes, tuple[int, dict[bytes, bytes], bytes]]:
        async with served() as connect:
            reader, writer = await connect()
            writer.write(b"POST /e HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            leave = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.write(b"ok")
            found = await asyncio.wait_for(answer(reader), 10)
            writer.close()
            return leave, found

    leave, found = asyncio.run(body())
    assert leave.startswith(b"HTTP/1.1 100") and found[2] == b"/e:ok"


def test_an_answer_before_the_end_of_the_body_reaches_its_client() -> None:
    """The client goes on to send, and finds the answer nevertheless."""
    head = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n"
    assert run(head, *[bytes(200_000)] * 10) == [(413, b"too much")]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost x\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * HEADER_BYTES_MAX + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\nendless: " + b"x" * 2 * HEADER_BYTES_MAX, 431),
        (b"GET /" + b"x" * 2 * HEADER_BYTES_MAX, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(sent: bytes, status: int) -> None:
    assert [found[0] for found in run(sent, rest=True)] == [status]


def test_wrong_bytes_behind_a_request_do_not_take_its_answer() -> None:
    assert run(POST + b"NONSENSE\r\n\r\n", rest=True) == [(200, b"/a:hello")]


def test_a_handler_that_fails_is_answered_and_ends_the_connection() -> None:
    assert run(b"GET /fails HTTP/1.1\r\nhost: x\r\n\r\n", rest=True) == [(500, b"")]


def test_a_client_that_goes_away_is_seen() -> None:
    async def seen() -> None:
        gone = asyncio.Event()
        async with served(gone) as connect:
            _, writer = await connect()
            writer.write(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            await writer.drain()
            writer.close()
            await asyncio.wait_for(gone.wait(), 10)

    asyncio.run(seen())


def test_http_2_by_prior_knowledge_and_by_upgrade_after_another_request() -> None:
    async def both() -> list[bytes]:
        async with served() as connect:
            found = []
            for first in (b"", POST):
                reader, writer = await connect()
                if first:
                    writer.write(first)
                    await asyncio.wait_for(answer(reader), 10)
                client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
                client.initiate_connection()
                client.send_headers(
                    1,
                    [(":method", "GET"), (":path", "/two"), (":scheme", "http"), (":authority", "x")],
                    end_stream=True,
                )
                writer.write(client.data_to_send())
                body, ended = b"", False
                while not ended:
                    for event in client.receive_data(await asyncio.wait_for(reader.read(65_536), 10)):
                        body += event.data if isinstance(event, h2.events.DataReceived) else b""
                        ended = ended or isinstance(event, h2.events.StreamEnded)
                    writer.write(client.data_to_send())
                found.append(body)
                writer.close()
            return found

    assert asyncio.run(both()) == [b"/two:", b"/two:"]


def test_an_upgrade_to_http_2_is_followed() -> None:
    wanted = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n"
    assert run(b"GET /u HTTP/1.1\r\nhost: x\r\n" + wanted)[0][0] == 101


def test_a_stop_ends_idle_connections_and_lets_requests_in_hand_finish() -> None:
    async def stopped() -> tuple[bytes, tuple[int, dict[bytes, bytes], bytes]]:
        async with served() as connect:
            idle, idle_writer = await connect()
            idle_writer.write(POST)
            await asyncio.wait_for(answer(idle), 10)
            busy, busy_writer = await connect()
            busy_writer.write(POST[:-2])
            await asyncio.sleep(0.1)
            finishing = asyncio.ensure_future(answer(busy))
            asyncio.get_running_loop().call_later(0.2, busy_writer.write, POST[-2:])
        found = await asyncio.wait_for(finishing, 10)
        rest = await asyncio.wait_for(idle.read(), 10)
        idle_writer.close()
        busy_writer.close()
        return rest, found

    rest, found = asyncio.run(stopped())
    assert rest == b"" and found[2] == b"/a:hello" and found[1][b"connection"] == b"close"


def test_a_body_in_chunks_that_comes_at_once_is_bounded_too() -> None:
    """It may be in the application's hands as one piece, and no length was said before."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 11, "more_body": False}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    request = Request({"headers": []}, receive, send, 10, 1.0)
    with pytest.raises(ApiError, match="larger than 10 bytes"):
        asyncio.run(request.body())
