"""Bounds of what one client can ask of a server, and what is kept of who asked: traces and the audit log."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

import penstock
from penstock.storage import interrupts
from tests.support.waiting import until

from .conftest import SHOP, Api

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _headers(database: penstock.Database, topic: str) -> list[list[tuple[str, bytes | None]]]:
    return [list(record.headers) for record in database.consume(topic, offset=0)]


def test_a_trace_goes_into_the_records(shop: Api) -> None:
    """However rows are written, each record has the trace of its request, and PRINT shows it; without one there is none."""
    sent = {"traceparent": TRACE, "tracestate": "vendor=1"}
    wanted = [("traceparent", TRACE.encode()), ("tracestate", b"vendor=1")]
    for path, body in (
        ("/ksql", {"ksql": "INSERT INTO orders VALUES ('4', 'eve', 1.00);"}),
        ("/v1/execute", {"ksql": "INSERT INTO orders VALUES ('5', 'eve', 1.00);"}),
    ):
        assert shop.http.post(path, json=body, headers=sent).status_code == 200
    lines = '{"target": "orders"}\n{"id": "6", "customer": "eve", "euros": 1}\n{"id": "7"}'
    assert shop.http.post("/inserts-stream", content=lines, headers=sent).text.count("ok") == 2
    table = pa.table({"id": ["8"], "customer": ["eve"]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert shop.http.post("/v1/arrow/orders", content=sink.getvalue().to_pybytes(), headers=sent).status_code == 200
    shop.http.post("/ksql", json={"ksql": "INSERT INTO orders VALUES ('9', 'eve', 1.00);"}, headers={"traceparent": "x"})
    assert _headers(shop.database, "orders") == [[], [], [], wanted, wanted, wanted, wanted, wanted, []]
    printed = shop.http.post("/query", json={"ksql": "PRINT orders FROM BEGINNING LIMIT 4;"}).text
    assert f"headers: traceparent={TRACE}, tracestate=vendor=1" in printed


def test_a_trace_can_be_read_in_sql(shop: Api) -> None:
    """A column of the header, as of any other one: that is how a record's way can be followed."""
    shop.ksql(
        "CREATE STREAM traced (id STRING KEY, trace BYTES HEADER('traceparent')) "
        "WITH (kafka_topic='orders', value_format='json');"
    )
    shop.http.post("/ksql", json={"ksql": "INSERT INTO orders VALUES ('4', 'e', 1.00);"}, headers={"traceparent": TRACE})
    rows = shop.rows("SELECT id, FROM_BYTES(trace, 'utf8') AS t FROM traced;")[1:]
    assert rows == [["1", None], ["2", None], ["3", None], ["4", TRACE]]


def test_too_much_work_is_refused(database: penstock.Database) -> None:
    """While the threads have as much as they may, requests are answered 429; then they are served again."""
    database.execute(SHOP)
    with (
        penstock.serve(database, port=0, requests_max=3) as server,
        httpx.Client(base_url=server.url, timeout=20) as client,
    ):
        codes: list[int] = []
        body = {"ksql": "ASSERT TOPIC later TIMEOUT 120 SECONDS;"}
        waiting = [
            threading.Thread(
                target=lambda: codes.append(httpx.post(f"{server.url}/ksql", json=body, timeout=120).status_code)
            )
            for _ in range(3)
        ]
        for thread in waiting:
            thread.start()
        refused: list[httpx.Response] = []

        def is_refused() -> bool:
            answer = client.get("/info")
            if answer.status_code == 429:
                refused.append(answer)
            return bool(refused)

        assert until(is_refused)
        assert refused[0].json()["error_code"] == 42900 and refused[0].headers["retry-after"] == "1"
        assert client.get("/chc/live").status_code == 200
        database.execute("CREATE STREAM later (v INT) WITH (kafka_topic='later', partitions=1, value_format='json');")
        for thread in waiting:
            thread.join()
        assert codes == [200, 200, 200]
        assert client.get("/info").status_code == 200


def test_an_assert_that_waits_holds_up_nobody(shop: Api) -> None:
    """Statements run one at a time, but not while one of them waits for a topic."""
    found: list[Any] = []
    body = {"ksql": "ASSERT TOPIC later TIMEOUT 20 SECONDS;"}
    waiting = threading.Thread(target=lambda: found.append(httpx.post(f"{shop.url}/ksql", json=body, timeout=30).json()))
    waiting.start()
    (made,) = shop.ksql("CREATE STREAM later (v INT) WITH (kafka_topic='later', partitions=1, value_format='json');")
    waiting.join(60)
    assert made["commandStatus"]["status"] == "SUCCESS"
    assert found[0][0]["@type"] == "assert_topic" and found[0][0]["topicName"] == "later"
    assert found[0][0]["statementText"] == "ASSERT TOPIC later TIMEOUT 20 SECONDS;"


def test_a_statement_may_take_so_long(database: penstock.Database) -> None:
    """Beyond that it is given up, by the thread that works on it, too."""
    database.execute(SHOP)
    database.insert("orders", [{"id": str(n), "customer": f"c{n}", "euros": 1} for n in range(3_000)])
    assert database.wait_idle(20)
    slow = "SELECT COUNT(*) FROM spend a JOIN spend b ON LEN(a.customer || b.customer || 'xx') < 0;"
    with penstock.serve(database, port=0, request_timeout_s=0.05) as server, httpx.Client(timeout=20) as client:
        for path, text in (("/query", slow), ("/ksql", "ASSERT TOPIC nothing TIMEOUT 1 HOUR;")):
            answer = client.post(f"{server.url}{path}", json={"ksql": text})
            assert (answer.status_code, answer.json()["error_code"]) == (408, 40800), answer.text
            assert "longer than 0.05 s" in answer.json()["message"]
        assert until(lambda: client.get(f"{server.url}/info").status_code == 200)


def test_a_time_limit_ends_at_a_check() -> None:
    """The tighter one of two, and neither when they are left."""
    with interrupts.time_limit(60), pytest.raises(interrupts.TimeLimitReached), interrupts.time_limit(0):
        time.sleep(0.002)
        with interrupts.time_limit(50):
            interrupts.check()
    interrupts.check()


def test_pushed_rows_are_counted(shop: Api) -> None:
    """Those of push queries, over HTTP; how long these lasted is no duration of a request."""
    shop.rows("SELECT * FROM orders EMIT CHANGES LIMIT 3;", properties={"auto.offset.reset": "earliest"})
    samples = dict(line.rsplit(" ", 1) for line in shop.http.get("/metrics").text.splitlines() if line[0] != "#")
    assert samples["penstock_http_rows_pushed_total"] == "3"
    assert samples["penstock_http_rows_inserted_total"] == "3"
    assert 'penstock_http_request_duration_seconds_count{route="/query-stream"}' not in samples


def test_the_audit_log_says_from_where(database: penstock.Database, tmp_path: Path) -> None:
    """The client's address, and the trace, of what was done on another thread, too."""
    database.execute(SHOP)
    path = tmp_path / "audit.log"
    with penstock.serve(database, port=0, audit=path) as server, httpx.Client(base_url=server.url) as client:
        sent = {"traceparent": TRACE}
        client.post("/ksql", json={"ksql": "CREATE STREAM x AS SELECT * FROM orders;"}, headers=sent)
        client.post("/inserts-stream", content='{"target":"orders"}\n{"id":"1"}', headers=sent)
        client.post("/subjects/s/versions", json={"schema": '"string"'})
        client.put("/config/s", json={"compatibility": "NONE"})
        client.delete("/config/s")
        client.delete("/subjects/s")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    assert [line.get("trace") for line in lines[:3]] == [TRACE.split("-")[1]] * 2 + [None]
    assert [line["statement"] for line in lines] == [
        "CREATE STREAM x AS SELECT * FROM orders",
        "INSERT INTO ORDERS",
        "REGISTER SCHEMA s",
        "SET COMPATIBILITY s NONE",
        "SET COMPATIBILITY s (default)",
        "DELETE SUBJECT s",
    ]
