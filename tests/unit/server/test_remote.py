"""`connect("http://..")`: the same database from another process, by the same methods."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import penstock
from penstock.engine.settings import Settings
from tests.support.waiting import until

from .conftest import Api


@pytest.fixture
def far(shop: Api) -> Iterator[penstock.Database]:
    with penstock.connect(shop.url) as connected:
        yield connected


def test_statements_have_the_same_results(shop: Api, far: penstock.Database) -> None:
    """Messages, lists, descriptions and rows are those of the database itself."""
    for text in (
        "SHOW STREAMS;",
        "DESCRIBE spend EXTENDED;",
        "EXPLAIN SELECT * FROM orders EMIT CHANGES;",
        "WHY NO ROWS FROM spend;",
        "SHOW FUNCTIONS;",
        "SET 'auto.offset.reset' = 'earliest';",
        "CREATE TYPE address AS STRUCT<x INT>;",
    ):
        (there,) = far.execute(text)
        (here,) = shop.database.execute(text.replace("TYPE address", "TYPE address2"))
        assert type(there) is type(here)
        if not isinstance(there, penstock.Message):
            assert there.kind == here.kind and there.statement == here.statement
    (made,) = far.execute("CREATE STREAM big AS SELECT * FROM orders WHERE euros > 10;")
    assert isinstance(made, penstock.Message)
    assert made.details["query_id"] in shop.database.queries


def test_a_pull_query_gives_a_table(shop: Api, far: penstock.Database) -> None:
    """With the columns' types and roles, and values as in process."""
    mine = far.sql("SELECT * FROM spend WHERE customer = 'ada'")
    own = shop.database.sql("SELECT * FROM spend WHERE customer = 'ada'")
    assert mine.fetchall() == own.fetchall() == [("ada", 2, Decimal("12.75"))]
    assert mine.schema == own.schema
    assert mine.arrow().equals(own.arrow())
    assert far.sql("SELECT n FROM spend WHERE customer = ?", parameters=["bob"]).fetchall() == [(1,)]
    assert far.sql("SELECT customer FROM spend ORDER BY total DESC LIMIT 1").fetchall() == [("ada",)]


def test_errors_are_the_same(far: penstock.Database) -> None:
    """Their class, place and suggestion."""
    with pytest.raises(penstock.StatementError) as wrong:
        far.execute("DESCRIBE order;")
    with pytest.raises(penstock.StatementError) as missing:
        far.execute("DROP STREAM ordres;")
    assert missing.value.suggestion == "Did you mean ORDERS?"
    assert missing.value.span is not None and "^" in str(missing.value)
    assert wrong.value.message
    with pytest.raises(penstock.StatementError):
        far.sql("SELECT nothing FROM spend")
    with pytest.raises(penstock.StatementError):
        far.insert("orders", [{"nothing": 1}])


@pytest.mark.parametrize(
    ("token", "names"),
    [("x", []), (None, ["spend"]), (penstock.Token(), 5), (penstock.Token(), [5]), (penstock.Token(), "none")],
)
def test_what_cannot_be_waited_for(shop: Api, far: penstock.Database, token: Any, names: Any) -> None:
    """No token, no names, no such table: refused here as there."""
    for database in (shop.database, far):
        with pytest.raises(penstock.StatementError):
            database.wait(token, names)


def test_one_name_is_one_table(shop: Api, far: penstock.Database) -> None:
    """A text is a name, not a list of letters."""
    token = far.insert("orders", [{"id": "9", "customer": "zoe", "euros": 1}])
    for database in (shop.database, far):
        database.wait(token, "spend")


def test_rows_are_inserted_and_read_by_their_token(far: penstock.Database) -> None:
    """Dicts, Arrow, several sources in one commit; a number that was written is not written again."""
    token = far.insert("orders", [{"id": "9", "customer": "eve", "euros": Decimal("2.50")}])
    assert far.sql("SELECT total FROM spend WHERE customer='eve'", after=token).fetchall() == [(Decimal("2.50"),)]
    table = pa.table({"id": ["10"], "customer": ["eve"], "euros": [1.5]})
    token |= far.insert("orders", table, producer="loader", sequence=1)
    token |= far.insert("orders", table, producer="loader", sequence=1)
    assert far.sql("SELECT n FROM spend WHERE customer='eve'", after=token).fetchall() == [(2,)]


def test_every_type_goes_there_and_back(api: Api) -> None:
    """Nothing is lost on the wire, maps with keys of other types included."""
    with penstock.connect(api.url) as far:
        far.execute(
            "CREATE STREAM s (k INT KEY, b BOOLEAN, d DOUBLE, n DECIMAL(10,4), y BYTES, dt DATE, t TIME, ts TIMESTAMP, "
            "a ARRAY<INT>, m MAP<INT, STRING>, r STRUCT<X INT>) WITH (kafka_topic='s', partitions=1);"
        )
        row: dict[str, Any] = {
            "K": 1, "B": True, "D": 0.5, "N": Decimal("1.2500"), "Y": b"\x00", "DT": datetime.date(2024, 1, 31),
            "T": datetime.time(1, 2, 3), "TS": datetime.datetime(2024, 1, 31, 1, 2, 3), "A": [1, None], "M": {5: "x"},
            "R": {"X": 1},
        }  # fmt: skip
        far.insert("s", [row])
        mine, own = far.sql("SELECT * FROM s"), api.database.sql("SELECT * FROM s")
        assert mine.schema == own.schema
        assert mine.fetchall() == own.fetchall()


def test_keys_and_whole_values_are_those_of_insert(api: Api) -> None:
    """A dict is a MAP or a STRUCT by its column, from VALUES as from `insert`; keys of tables are found as in process."""
    with penstock.connect(api.url) as far:
        far.execute("SET 'auto.offset.reset' = 'earliest'; CREATE STREAM s (k STRUCT<x INT, y DOUBLE>, m MAP<STRING, INT>);")
        far.execute("CREATE TABLE t WITH (KEY_FORMAT = 'JSON') AS SELECT k, LATEST_BY_OFFSET(m) AS m FROM s GROUP BY k;")
        keys: list[Any] = [{"x": 1}, {"X": None, "y": float("nan")}, {"x": -1, "y": -0.0}]
        for key in keys:
            far.execute("INSERT INTO s (k, m) VALUES (?, ?);", [key, {}])
        api.settle()
        for key in (*keys, {"x": 2}, {"z": 1}, 5, None):
            assert repr(far.table("t").get(key)) == repr(api.database.table("t").get(key))
        assert [far.table("t").get(key) is None for key in (*keys, {"x": 2})] == [False] * 3 + [True]
        with pytest.raises(penstock.StatementError, match="no field 'z'"):
            far.execute("INSERT INTO s (k) VALUES (?);", [{"z": 1}])


def test_push_queries(shop: Api, far: penstock.Database) -> None:
    """By rows, by batches, with a timeout, with async for; closing ends the query there."""
    far.execute("SET 'auto.offset.reset' = 'earliest';")
    rows = [row.values[0] for row in far.subscribe("SELECT id FROM orders EMIT CHANGES LIMIT 3;")]
    assert rows == ["1", "2", "3"]
    assert until(lambda: shop.server.push_readers == 0)
    with far.subscribe("SELECT id, euros FROM orders EMIT CHANGES;") as subscription:
        assert subscription.columns == ("ID", "EUROS")
        seen = []
        while len(seen) < 3:
            batch = subscription.poll_batch(10)
            assert batch is not None
            seen += batch.columns.column(0).to_pylist()
        assert subscription.poll(0.05) is None
        far.insert("orders", [{"id": "4", "customer": "c", "euros": 1}])
        row = subscription.poll(10)
        assert row is not None and row.values == ("4", Decimal("1.00"))
        assert shop.server.push_readers == 1
    assert until(lambda: shop.server.push_readers == 0)

    async def read() -> list[Any]:
        return [row.values[0] async for row in far.subscribe("SELECT id FROM orders EMIT CHANGES LIMIT 4;")]

    assert asyncio.run(read()) == ["1", "2", "3", "4"]


def test_a_push_query_ends_with_its_server(shop: Api, far: penstock.Database) -> None:
    """The reader comes to an end, and does not hang."""
    subscription = far.subscribe("SELECT id FROM orders EMIT CHANGES;")
    assert until(lambda: shop.server.push_readers == 1)
    shop.server.stop()
    assert list(subscription) == []
    with pytest.raises(penstock.ClientError):
        far.sql("SELECT * FROM spend")


def test_a_session_of_its_own(shop: Api, far: penstock.Database) -> None:
    """What it sets others do not see; scripts of this machine run there."""
    far.execute("SET 'auto.offset.reset' = 'earliest'; DEFINE who = 'ada';")
    assert far.sql("SELECT n FROM spend WHERE customer = 'ada'").fetchall()
    (found,) = far.execute("SELECT n FROM spend WHERE customer = '${who}';")
    assert found.fetchall() == [(2,)]
    with penstock.connect(shop.url) as other:
        (shown,) = other.execute("SHOW VARIABLES;")
        assert shown.rows == ()
    with pytest.raises(penstock.StatementError):
        far.execute("SET 'no.such.property' = '1';")
    assert isinstance(far.settings, Settings) and far.settings["auto.offset.reset"] == "earliest"


def test_scripts_of_this_machine(far: penstock.Database, tmp_path: Path) -> None:
    """RUN SCRIPT reads here, not there."""
    script = tmp_path / "s.sql"
    script.write_text("SHOW TABLES; SHOW STREAMS;")
    assert len(far.execute(f"RUN SCRIPT '{script}';")) == 2


def test_queries_and_the_catalog(shop: Api, far: penstock.Database) -> None:
    """The same objects, with progress and control."""
    assert far.catalog.sources["SPEND"] == shop.database.catalog.sources["SPEND"]
    assert far.topic_names() == shop.database.topic_names()
    (query_id, handle), *_ = far.queries.items()
    assert handle.progress().account == shop.database.queries[query_id].progress().account
    assert handle.explain() == shop.database.queries[query_id].explain()
    handle.pause()
    assert shop.database.queries[query_id].state == "PAUSED"
    handle.resume()
    assert far.wait_idle(60)


def test_who_cannot_be_reached() -> None:
    """A server that is not there is a ClientError at once."""
    with pytest.raises(penstock.ClientError):
        penstock.connect("http://127.0.0.1:9")


def test_the_command_line_takes_a_server(shop: Api) -> None:
    """`penstock --server URL -e ..` prints what it would in process; its errors, too."""

    def run(*statements: str) -> subprocess.CompletedProcess[str]:
        options = [option for text in statements for option in ("-e", text)]
        command = [sys.executable, "-m", "penstock.repl.cli", "--server", shop.url, *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = run("SELECT * FROM spend WHERE customer = 'ada';", "PRINT orders FROM BEGINNING LIMIT 1;")
    assert "12.75" in done.stdout and "key: 1" in done.stdout and done.returncode == 0
    failed = run("SELECT nothing FROM spend;")
    assert failed.returncode == 1 and "^" in failed.stderr


ODD_ANSWERS = (
    b"<html>Welcome</html>",
    b"",
    b"[]",
    b"null",
    b"3",
    b'"x"',
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"error_code": "x"}',
    b'{"error_code": 1e999}',
    b'{"parts": {"kind": "OffsetOutOfRangeError"}}',
    b'{"parts": 5}',
    b'{"message": 5, "error_code": 40001}',
)


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("body", ODD_ANSWERS)
def test_what_is_no_server_of_penstock_is_told(status: int, body: bytes) -> None:
    """Another program behind the address, from the beginning or later: an error of ours with the address."""
    known = b'{"KsqlServerInfo": {}}'

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            good = self.path == "/info" and pretends
            self.send_response(200 if good else status)
            sent = known if good else body
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = do_PATCH = _answer

        def log_message(self, *_: Any) -> None:
            return

    pretends = False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with pytest.raises(penstock.PenstockError):
            penstock.connect(url)
        pretends = True
        with penstock.connect(url) as far:
            for call in (
                lambda: far.subscribe("SELECT * FROM s EMIT CHANGES;"),
                lambda: far.sql("SELECT * FROM s;"),
                lambda: far.execute("SHOW STREAMS;"),
                lambda: far.catalog,
                lambda: far.describe_topic("t"),
                lambda: far.last_sequence("p"),
                lambda: far.insert("s", [{"k": 1}]),
                lambda: far.wait_idle(1),
                lambda: far.topic_names(),
                lambda: far.graph(),
                lambda: far.submit("SHOW STREAMS;", "n"),
                lambda: far.produce("t", value=b"x"),
                lambda: list(far.consume("t")),
            ):
                with pytest.raises(penstock.PenstockError):
                    call()  # type: ignore[no-untyped-call]
            if status != 200:  # (what PRINT gives is text)
                with pytest.raises(penstock.PenstockError):
                    far.execute("PRINT 't';")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
