"""/query, /query-stream, /close-query and /ws/query: rows in every format, and how they end."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from typing import Any

import h2.connection
import h2.events
import httpx
import pyarrow as pa
import pytest
import websockets.exceptions
import websockets.sync.client

from tests.support.waiting import until

from .conftest import Api

KSQL = "application/vnd.ksql.v1+json"
EARLIEST = {"auto.offset.reset": "earliest"}


def test_a_pull_query_in_the_new_format(shop: Api) -> None:
    """A header with names and types, then an array per row; decimals keep their scale."""
    answer = shop.http.post("/query-stream", json={"sql": "SELECT * FROM spend WHERE customer = 'ada';"})
    assert answer.headers["content-type"] == "application/vnd.ksqlapi.delimited.v1"
    head, row = answer.text.splitlines()
    assert json.loads(head) == {
        "queryId": None,
        "columnNames": ["CUSTOMER", "N", "TOTAL"],
        "columnTypes": ["STRING", "BIGINT", "DECIMAL(6, 2)"],
    }
    assert row == '["ada",2,12.75]'


def test_a_pull_query_in_the_old_format(shop: Api) -> None:
    """An object per line in one array; keys are marked, and there is no final message."""
    answer = shop.http.post("/query", json={"ksql": "SELECT * FROM spend WHERE customer = 'bob';"})
    assert answer.headers["content-type"] == KSQL
    head, row = answer.json()
    assert head["header"]["schema"] == "`CUSTOMER` STRING KEY, `N` BIGINT, `TOTAL` DECIMAL(6, 2)"
    assert row == {"row": {"columns": ["bob", 1, 3.0]}}
    assert answer.text.count("\n") == 1
    (only,) = shop.http.post("/query", json={"ksql": "SELECT * FROM spend WHERE customer = 'nobody';"}).json()
    assert "header" in only


def test_one_json_array(shop: Api) -> None:
    """With Accept: application/json the new format is one array."""
    answer = shop.http.post(
        "/query-stream",
        json={"sql": "SELECT customer FROM spend WHERE customer='ada';"},
        headers={"accept": "application/json"},
    )
    assert answer.json()[1:] == [["ada"]]


def test_the_old_format_of_the_new_endpoint(shop: Api) -> None:
    """With Accept of v1+json, /query-stream answers as /query does."""
    answer = shop.http.post(
        "/query-stream", json={"sql": "SELECT n FROM spend WHERE customer='ada';"}, headers={"accept": KSQL}
    )
    assert answer.json()[1] == {"row": {"columns": [2]}}


def test_what_cannot_be_answered(shop: Api) -> None:
    """An Accept that nothing fits is 406."""
    answer = shop.http.post("/query", json={"ksql": "SELECT * FROM spend;"}, headers={"accept": "image/png"})
    assert (answer.status_code, answer.json()["error_code"]) == (406, 40600)


@pytest.mark.parametrize(("path", "text"), [("/query", "ksql"), ("/query-stream", "sql")])
def test_what_ksqldb_gives_and_this_server_does_not(shop: Api, path: str, text: str) -> None:
    """Rows as protobuf are refused, and what there is instead is named; so is going on from a continuation token, but not
    an empty one, which clients send that have none.
    """
    statement = {text: "SELECT n FROM spend WHERE customer='ada';"}
    refused = shop.http.post(path, json=statement, headers={"accept": "application/vnd.ksql.v1+protobuf"})
    assert (refused.status_code, refused.json()["error_code"]) == (406, 40600)
    assert "application/vnd.apache.arrow.stream" in refused.json()["message"]
    push = {text: "SELECT * FROM orders EMIT CHANGES LIMIT 1;", "streamsProperties": EARLIEST, "properties": EARLIEST}
    for token, status in (("", 200), ("eyJ0b2tlbiI6MX0=", 400)):
        given = {**push, "requestProperties": {"request.ksql.query.push.continuation.token": token}}
        answer = shop.http.post(path, json=given)
        assert answer.status_code == status
    assert answer.json()["error_code"] == 40000 and "continuation token" in answer.json()["message"]


@pytest.mark.parametrize("stream", ["orders", "spend"])
def test_a_push_query_ends_at_its_limit(shop: Api, stream: str) -> None:
    """The old format says why it ended, the new one just ends."""
    sql = f"SELECT * FROM {stream} EMIT CHANGES LIMIT 2;"
    old = shop.http.post("/query", json={"ksql": sql, "streamsProperties": EARLIEST}).json()
    assert old[-1] == {"finalMessage": "Limit Reached"}
    assert len(old) == 4
    assert "KEY" not in old[0]["header"]["schema"]
    assert len(shop.rows(sql, properties=EARLIEST)) == 3


def test_tombstones_in_each_format(api: Api) -> None:
    """The old format shows deletions, the new one leaves them out."""
    api.database.execute(
        """
        SET 'auto.offset.reset' = 'earliest';
        CREATE TABLE t (id STRING PRIMARY KEY, v INT) WITH (kafka_topic='t', partitions=1, value_format='json');
        """
    )
    api.database.produce("t", key=b"a", value=b'{"V":1}')
    api.database.produce("t", key=b"a", value=None)
    api.database.produce("t", key=b"b", value=b'{"V":2}')
    sql = "SELECT * FROM t EMIT CHANGES LIMIT 3;"
    settings = {"cache.max.bytes.buffering": 0}
    old = api.http.post("/query", json={"ksql": sql, "streamsProperties": settings}).json()
    assert [r["row"] for r in old[1:-1]] == [
        {"columns": ["a", 1]},
        {"columns": ["a", None], "tombstone": True},
        {"columns": ["b", 2]},
    ]
    assert api.rows(sql, properties=settings)[1:] == [["a", 1], ["b", 2]]


def test_rows_come_one_by_one_as_they_are_made(shop: Api) -> None:
    """A push query's rows are there at once, over HTTP/1.1 and 2, each in a chunk of its own."""
    for options in ({}, {"http1": False, "http2": True}):
        with (
            httpx.Client(base_url=shop.url, timeout=10, **options) as client,
            client.stream("POST", "/query-stream", json={"sql": "SELECT id FROM orders EMIT CHANGES;"}) as answer,
        ):
            assert answer.http_version == ("HTTP/2" if options else "HTTP/1.1")
            chunks = answer.iter_raw()
            assert b"columnNames" in next(chunks)
            for number in range(3):
                shop.insert("orders", {"id": f"x{number}", "customer": "c", "euros": 1})
                assert json.loads(next(chunks)) == [f"x{number}"]


def frames(api: Api, path: str, body: bytes) -> list[tuple[bytes, bool]]:
    """The DATA frames of an answer over HTTP/2, and whether each ends it."""
    found: list[tuple[bytes, bool]] = []
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])), 10) as connection:
        client = h2.connection.H2Connection()
        client.initiate_connection()
        head = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        client.send_headers(1, head)
        client.send_data(1, body, end_stream=True)
        connection.sendall(client.data_to_send())
        while not (found and found[-1][1]):
            received = connection.recv(65_536)
            assert received, "the connection ended"
            for event in client.receive_data(received):
                if isinstance(event, h2.events.DataReceived):
                    found.append((event.data, event.stream_ended is not None))
            connection.sendall(client.data_to_send())
    return found


def row_frames(api: Api, sql: str) -> list[tuple[bytes, bool]]:
    """The DATA frames of a query's answer."""
    return frames(api, "/query-stream", json.dumps({"sql": sql, "properties": EARLIEST}).encode())


def test_acknowledgements_over_http2_have_a_frame_each(shop: Api) -> None:
    """There are clients that take each DATA frame for an acknowledgement; of very many at once, a frame has several."""
    rows = b"".join(b'{"id":"f%d"}\n' % number for number in range(1_050))
    found = frames(shop, "/inserts-stream", b'{"target":"orders"}\n' + rows[: rows.index(b'{"id":"f20"}')])
    assert [json.loads(data)["seq"] for data, _ in found if data] == [*range(20)]
    many = frames(shop, "/inserts-stream", b'{"target":"orders"}\n' + rows)
    assert [json.loads(line)["seq"] for line in b"".join(data for data, _ in many).splitlines()] == [*range(1_050)]


def test_an_answer_over_http2_has_a_frame_per_row(shop: Api) -> None:
    """Pull and push; the last one ends the stream: there are clients that take each DATA frame for a row."""
    pull = row_frames(shop, "SELECT customer, n FROM spend;")
    assert [json.loads(data) for data, _ in pull[1:]] == [["ada", 2], ["bob", 1]]
    assert [ended for _, ended in pull] == [False, False, True]
    push = row_frames(shop, "SELECT id FROM orders EMIT CHANGES LIMIT 2;")
    assert [json.loads(data) for data, _ in push[1:]] == [["1"], ["2"]]
    assert [ended for _, ended in push] == [False, False, True]


def test_a_long_answer_over_http2_is_whole(shop: Api) -> None:
    """Beyond what the client lets the server send at once."""
    shop.insert("orders", *({"id": f"n{i}", "customer": f"c{i}", "euros": 1} for i in range(3000)))
    shop.settle()
    with httpx.Client(base_url=shop.url, timeout=20, http1=False, http2=True) as client:
        answer = client.post("/query-stream", json={"sql": "SELECT * FROM spend;"})
    assert len(answer.text.splitlines()) == 3003


def test_a_closed_connection_ends_its_query(shop: Api) -> None:
    """At once: the server does not wait for a row to notice."""
    with httpx.Client(base_url=shop.url, timeout=10) as client:
        with client.stream("POST", "/query-stream", json={"sql": "SELECT * FROM orders EMIT CHANGES;"}) as answer:
            pieces = answer.iter_raw()  # kept: it closes the connection when it goes
            next(pieces)
            assert shop.server.push_readers == 1
        assert until(lambda: shop.server.push_readers == 0)


def test_a_query_is_closed_by_its_id(shop: Api) -> None:
    """Its answer ends with what says so; an unknown id is a bad request."""
    with (
        httpx.Client(base_url=shop.url, timeout=10) as client,
        client.stream("POST", "/query", json={"ksql": "SELECT * FROM orders EMIT CHANGES;"}) as answer,
    ):
        lines = answer.iter_lines()
        query_id = json.loads(next(lines).strip("[,"))["header"]["queryId"]
        closed = shop.http.post("/close-query", json={"queryId": query_id})
        assert (closed.status_code, closed.content) == (200, b"")
        assert json.loads(list(lines)[-1].strip("],")) == {"finalMessage": "Query Completed"}
    again = shop.http.post("/close-query", json={"queryId": query_id})
    assert (again.status_code, again.json()["error_code"], again.json()["message"]) == (
        400,
        40000,
        f"there is no query {query_id}",
    )


def test_errors_before_the_first_row_are_plain_answers(shop: Api) -> None:
    """With their status."""
    for path in ("/query", "/query-stream"):
        for sql, code in (("SELECT nothing FROM spend;", 40001), ("SELEC;", 40001), ("SHOW STREAMS;", 40001), ("", 40000)):
            answer = shop.http.post(path, json={"sql": sql})
            assert (answer.status_code, answer.json()["error_code"]) == (400, code), (path, sql)


def test_print_shows_records(shop: Api) -> None:
    """As lines of text, on both endpoints; not as JSON on the new one."""
    for path in ("/query", "/query-stream"):
        lines = shop.http.post(path, json={"sql": "PRINT orders FROM BEGINNING LIMIT 2;"}).text.splitlines()
        assert lines[:2] == ["Key format: KAFKA_STRING", "Value format: JSON"]
        assert len([line for line in lines if line.startswith("rowtime")]) == 2
    refused = shop.http.post("/query-stream", json={"sql": "PRINT orders;"}, headers={"accept": "application/json"})
    assert refused.status_code == 406


def test_print_goes_on_and_ends_with_its_client(shop: Api) -> None:
    """Records to come are printed as they come."""
    with (
        httpx.Client(base_url=shop.url, timeout=10) as client,
        client.stream("POST", "/query", json={"ksql": "PRINT orders;"}) as answer,
    ):
        assert until(lambda: shop.server.push_readers == 1)
        shop.insert("orders", {"id": "9", "customer": "c", "euros": 1})
        lines = answer.iter_lines()
        assert "key: 9" in [next(lines) for _ in range(3)][2]
    assert until(lambda: shop.server.push_readers == 0)


def test_arrow_rows(shop: Api) -> None:
    """The same rows as an Arrow stream, with the columns' SQL types among the metadata."""
    answer = shop.http.post(
        "/query", json={"ksql": "SELECT * FROM spend;"}, headers={"accept": "application/vnd.apache.arrow.stream"}
    )
    table = pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()
    assert sorted(table.column("CUSTOMER").to_pylist()) == ["ada", "bob"]
    assert table.schema.field("TOTAL").type == pa.decimal128(6, 2)
    assert json.loads(table.schema.metadata[b"penstock.schema"])[0]["type"] == "KEY"


def test_server_sent_events(shop: Api) -> None:
    """What a browser's EventSource reads."""
    answer = shop.http.post(
        "/query-stream",
        json={"sql": "SELECT id FROM orders EMIT CHANGES LIMIT 2;", "properties": EARLIEST},
        headers={"accept": "text/event-stream"},
    )
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    assert [e.get("event") for e in events] == ["header", None, None, "end"]
    assert events[1]["data"] == '["1"]'


def test_a_read_sees_a_write_by_its_token(shop: Api) -> None:
    """The token of an INSERT, as consistency token of a pull query."""
    for number in range(20):
        done = shop.http.post("/ksql", json={"ksql": f"INSERT INTO orders VALUES ('t{number}', 'eve', 1.00);"})
        rows = shop.rows(
            "SELECT n FROM spend WHERE customer = 'eve';",
            requestProperties={"request.ksql.query.pull.consistency.token.vector": done.headers["penstock-token"]},
        )
        assert rows[1] == [number + 1]
        assert "consistencyToken" in rows[2]
    bad = shop.rows("SELECT n FROM spend;", requestProperties={"request.ksql.query.pull.consistency.token.vector": "x"})
    assert bad[0]["error_code"] == 40000


def test_every_type_as_json(api: Api) -> None:
    """Each SQL type in the API's notation, inwards and outwards."""
    api.database.execute(
        """
        CREATE STREAM s (k INT KEY, b BOOLEAN, i INT, l BIGINT, d DOUBLE, n DECIMAL(10, 4), s STRING, y BYTES,
            dt DATE, t TIME, ts TIMESTAMP, a ARRAY<DECIMAL(4, 1)>, m MAP<STRING, BIGINT>, r STRUCT<X INT, `y` ARRAY<DATE>>)
            WITH (kafka_topic='s', partitions=1);
        """
    )
    row = {
        "K": 1, "B": True, "I": -5, "L": 2**62, "D": 1.5e300, "N": 12.5, "S": "ü\n\"", "Y": "AAH/",
        "DT": "2024-01-31", "T": "10:20:30.123", "TS": "2024-01-31T10:20:30.000", "A": [1.5, None],
        "M": {"k": 2**40}, "R": {"X": 1, "y": ["2024-01-31", None]},
    }  # fmt: skip
    assert api.insert("s", row, {"K": 2}) == [{"status": "ok", "seq": 0}, {"status": "ok", "seq": 1}]
    answer = api.http.post("/query-stream", json={"sql": "SELECT * FROM s;"}).text.splitlines()
    assert dict(zip(row, json.loads(answer[1]), strict=True)) == row
    assert ",12.5000," in answer[1]
    assert json.loads(answer[2]) == [2, *[None] * 13]


def test_a_websocket_gets_the_schema_the_rows_and_an_end(shop: Api) -> None:
    """A frame each; then why it ended, and code 1000."""
    request = json.dumps({"ksql": "SELECT id FROM orders EMIT CHANGES LIMIT 2;", "streamsProperties": EARLIEST})
    frames, code = _frames(shop, request)
    assert [f["name"] for f in frames[0]] == ["ID"]
    assert frames[1:] == [{"row": {"columns": ["1"]}}, {"row": {"columns": ["2"]}}, {"error": "done"}]
    assert code == 1000
    pulled, code = _frames(shop, json.dumps({"ksql": "SELECT customer FROM spend WHERE customer = 'ada';"}))
    assert (pulled[1], code) == ({"row": {"columns": ["ada"]}}, 1000)
    printed, code = _frames(shop, json.dumps({"ksql": "PRINT orders FROM BEGINNING LIMIT 1;"}))
    assert ("key: 1" in printed[2], code) == (True, 1000)


def test_a_websocket_with_a_bad_request(shop: Api) -> None:
    """The message as a frame, and code 1003."""
    for request in ("{", "[]", '{"ksql":"SELECT nothing FROM spend;"}', '{"ksql":"SHOW STREAMS;"}'):
        frames, code = _frames(shop, request)
        assert (list(frames[-1]), code) == (["error"], 1003), request


def test_the_path_of_the_websocket_asked_by_plain_http(shop: Api) -> None:
    """The answer says what it is, and what plain HTTP has instead."""
    answer = shop.http.get("/ws/query")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert "POST /query-stream" in answer.text
    assert shop.http.delete("/ws/query").status_code == 404


def test_a_websocket_that_is_closed_ends_its_query(shop: Api) -> None:
    """At once."""
    request = httpx.QueryParams({"request": '{"ksql":"SELECT * FROM orders EMIT CHANGES;"}'})
    with websockets.sync.client.connect(f"{shop.url.replace('http', 'ws')}/ws/query?{request}") as socket:
        socket.recv(timeout=60)
        assert shop.server.push_readers == 1
    assert until(lambda: shop.server.push_readers == 0)


def _frames(shop: Api, request: str) -> tuple[list[Any], int]:
    query = httpx.QueryParams({"request": request})
    frames: list[Any] = []
    with websockets.sync.client.connect(f"{shop.url.replace('http', 'ws')}/ws/query?{query}") as socket:
        try:
            while True:
                frames.append(json.loads(socket.recv(timeout=60)))
        except websockets.exceptions.ConnectionClosed as closed:
            assert closed.rcvd is not None
            return frames, closed.rcvd.code


def test_a_slow_reader_holds_up_nobody(shop: Api) -> None:
    """Others read on, and inserts go on, while one client reads nothing."""
    with httpx.Client(base_url=shop.url, timeout=30) as client:
        slow = client.stream("POST", "/query-stream", json={"sql": "SELECT * FROM orders EMIT CHANGES;"})
        with slow as unread:
            chunks = unread.iter_raw()
            next(chunks)
            seen: list[Any] = []
            reading = threading.Thread(
                target=lambda: seen.extend(shop.rows("SELECT id FROM orders EMIT CHANGES LIMIT 60000;", properties=EARLIEST))
            )
            reading.start()
            rows = [{"id": str(n), "customer": "x" * 200, "euros": 1} for n in range(10_000)]
            for _ in range(6):
                shop.database.insert("orders", rows)
            reading.join(30)
            assert len(seen) == 60_001
            assert shop.server.push_readers == 1


def test_the_server_stops_with_a_final_message(shop: Api) -> None:
    """Push queries end well, and no longer than it takes."""
    lines: list[str] = []

    async def read() -> None:
        async with (
            httpx.AsyncClient(base_url=shop.url, timeout=20) as client,
            client.stream("POST", "/query", json={"ksql": "SELECT * FROM orders EMIT CHANGES;"}) as answer,
        ):
            async for line in answer.aiter_lines():
                lines.append(line)

    thread = threading.Thread(target=lambda: asyncio.run(read()))
    thread.start()
    assert until(lambda: shop.server.push_readers == 1)
    shop.server.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert json.loads(lines[-1].strip("],")) == {"finalMessage": "Query Completed"}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{shop.url}/info")
    assert shop.database.sql("SELECT * FROM spend;").fetchall()


def test_any_clauses_have_one_meaning(shop: Api) -> None:
    """ORDER BY, subqueries and VALUES are answered over HTTP as by sql()."""
    text = "SELECT customer, 7 / 2 AS x FROM spend WHERE n >= (SELECT MIN(n) FROM spend) ORDER BY customer DESC LIMIT 1;"
    answer = shop.http.post("/query-stream", json={"sql": text})
    assert [json.loads(line) for line in answer.text.splitlines()][1:] == [["bob", 3]]
    (_, row) = shop.http.post("/query", json={"ksql": "WITH x AS (VALUES (1)) SELECT * FROM x;"}).json()
    assert row == {"row": {"columns": [1]}}
