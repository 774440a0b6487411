"""The same assertions over a database of this process and over one of a server: one surface, two ways to it."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import penstock
from penstock.server.remote_results import RemotePrint
from tests.support.waiting import until

from .conftest import SHOP, Api

ROWS = [
    {"id": "1", "customer": "ada", "euros": Decimal("12.50")},
    {"id": "2", "customer": "bob", "euros": Decimal("3.00")},
    {"id": "3", "customer": "ada", "euros": Decimal("0.25")},
]


@pytest.fixture(params=["here", "there"])
def db(request: pytest.FixtureRequest, api: Api) -> Iterator[penstock.Database]:
    """A database, with a stream and a table; ``there`` it is reached over HTTP."""
    if request.param == "here":
        found = api.database
        found.execute(SHOP)
        yield found
        return
    with penstock.connect(api.url) as far:
        far.execute(SHOP)
        yield far


@pytest.fixture
def shopped(db: penstock.Database) -> penstock.Database:
    token = db.insert("orders", ROWS)
    db.wait(token)
    return db


def test_every_public_name_is_there(api: Api) -> None:
    """What a server's database has not got says so when it is used, and nothing is an AttributeError."""
    names = {name for name in dir(penstock.Database) if not name.startswith("_")}
    with penstock.connect(api.url) as far:
        assert {name for name in names if not hasattr(type(far), name)} == set()
        for name, arguments in (
            ("duckdb", ("SELECT 1",)), ("backup", ("x",)), ("producer", ()), ("consumer", ()), ("drain", ()),
            ("advance", ()), ("register", ("x", {})), ("unregister", ("x",)), ("now_ms", ()), ("is_behind", (["t"],)),
        ):  # fmt: skip
            with pytest.raises(penstock.UnsupportedError, match=f"{name}.* over HTTP"):
                getattr(far, name)(*arguments)
        for name in ("log", "groups", "functions", "schema_registry", "statements_executed", "commit_measures"):
            with pytest.raises(penstock.UnsupportedError, match=f"{name} is not available over HTTP"):
                getattr(far, name)
        with pytest.raises(penstock.UnsupportedError, match="under a name"):
            far.subscribe("SELECT * FROM x EMIT CHANGES", resume="me")


def test_statements(shopped: penstock.Database) -> None:
    """Messages, lists, parameters of a script."""
    made, shown = shopped.execute("CREATE STREAM big AS SELECT * FROM orders WHERE euros > 10; SHOW STREAMS;")
    assert isinstance(made, penstock.Message) and made.details["query_id"] in shopped.queries
    assert isinstance(shown, penstock.Listing) and {"BIG", "ORDERS"} <= {row[0] for row in shown.rows}
    shopped.execute("INSERT INTO orders VALUES (?, $who, ?);", {"1": "4", "who": "it's", "2": Decimal("1.00")})
    assert shopped.wait_idle(20)
    assert shopped.sql("SELECT n FROM spend WHERE customer = 'it''s'").fetchall() == [(1,)]
    with pytest.raises(penstock.StatementError) as unused:
        shopped.execute("SHOW STREAMS;", ["x"])
    assert "parameter" in unused.value.message
    with pytest.raises(penstock.StatementError) as wrong:
        list(shopped.steps("SHOW STREAMS; DROP STREAM ordres;"))
    assert wrong.value.suggestion == "Did you mean ORDERS?"


def test_pull_queries_and_their_parameters(shopped: penstock.Database) -> None:
    """Values of every Python type that SQL has, and errors with their place."""
    found = shopped.sql("SELECT customer, total FROM spend WHERE total > ? ORDER BY customer", parameters=[Decimal("1.5")])
    assert found.fetchall() == [("ada", Decimal("12.75")), ("bob", Decimal("3.00"))]
    assert shopped.sql("SELECT n FROM spend WHERE customer = $who", parameters={"who": "ada"}).fetchall() == [(2,)]
    values = [datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 1, 2, 3), b"\x00\xff", True, None, [1, 2]]
    (row,) = shopped.sql("SELECT ? AS a, ? AS b, ? AS c, ? AS d, CAST(? AS INT) AS e, ? AS f", parameters=values).fetchall()
    assert list(row) == values
    with pytest.raises(penstock.StatementError) as wrong:
        shopped.sql("SELECT nothing FROM spend")
    assert wrong.value.span is not None and "^" in str(wrong.value)
    with pytest.raises(penstock.StatementError):
        shopped.sql("SELECT n FROM spend WHERE customer = ?")


def test_rows_in_and_their_tokens(db: penstock.Database) -> None:
    """Dicts, Arrow, several sources in one commit, numbered writes."""
    token = db.insert("orders", pa.table({"id": ["9"], "customer": ["eve"], "euros": [1.5]}), producer="p", sequence=7)
    assert db.last_sequence("p") == 7 and db.last_sequence("nobody") is None
    token |= db.insert("orders", [{"id": "9", "customer": "eve", "euros": 1}], producer="p", sequence=7)
    assert db.sql("SELECT n FROM spend WHERE customer = 'eve'", after=token).fetchall() == [(1,)]
    db.execute("CREATE STREAM other (v INT) WITH (kafka_topic='other', partitions=1, value_format='json');")
    token = db.insert_many({"orders": ROWS, "other": [{"v": 1}]})
    assert {place[0] for place in token.ends} == {"orders", "other"}
    with pytest.raises(penstock.StatementError):
        db.insert("orders", [{"nothing": 1}])
    with pytest.raises(penstock.StatementError):
        db.insert("nobody", [{"v": 1}])


def test_push_queries(shopped: penstock.Database) -> None:
    """By rows and batches, to their LIMIT, with parameters."""
    shopped.execute("SET 'auto.offset.reset' = 'earliest';")
    rows = [
        row.values for row in shopped.subscribe("SELECT id FROM orders WHERE customer = ? EMIT CHANGES LIMIT 2;", ["ada"])
    ]
    assert rows == [("1",), ("3",)]
    with shopped.subscribe("SELECT id, euros FROM orders EMIT CHANGES;") as subscription:
        assert subscription.columns == ("ID", "EUROS")
        seen: list[Any] = []
        while len(seen) < 3:
            batch = subscription.poll_batch(10)
            assert batch is not None
            seen += batch.columns.column(1).to_pylist()
        assert seen == [row["euros"] for row in ROWS]
    with pytest.raises(penstock.StatementError):
        shopped.subscribe("SELECT * FROM orders")


def test_records_as_they_are(db: penstock.Database) -> None:
    """Produced and consumed: bytes, typed values, tombstones, headers, times, partitions and offsets."""
    db.create_topic("raw", partitions=2, config={"retention.ms": 3_600_000_000})
    db.produce("raw", key=b"k", value=b"\x00v", timestamp=5, headers=[("h", b"1"), ("h", None)], partition=1)
    db.produce("raw", key=b"k", partition=1)
    db.produce("raw", value=b"0", partition=0, producer="p", sequence=1)
    db.produce("raw", value=b"0", partition=0, producer="p", sequence=1)
    first, second, third = db.consume("raw")
    assert (first.partition, first.value, first.headers) == (0, b"0", ())
    assert second == (b"k", b"\x00v", 5, (("h", b"1"), ("h", None)), 1, 0, "raw")
    assert (third.value, third.offset) == (None, 1)
    assert [r.offset for r in db.consume("raw", partition=1, offset=1)] == [1]
    with pytest.raises(penstock.PenstockError):
        list(db.consume("raw", partition=1, offset=99))
    assert list(db.consume("raw", partition=1, offset=99, reset="latest")) == []
    with pytest.raises(penstock.StatementError):
        list(db.consume("nothing"))
    with pytest.raises(penstock.StatementError):
        db.produce("nothing", value=b"")
    db.execute("CREATE STREAM typed (k INT KEY, d DECIMAL(6, 2), a ARRAY<INT>, m MAP<STRING, BIGINT>, t DATE) "
               "WITH (kafka_topic='typed', partitions=1);")  # fmt: skip
    value = {"D": Decimal("1.50"), "A": [1, None], "M": {"x": 1}, "T": datetime.date(2024, 1, 31)}
    db.produce("typed", value=value)
    (record,) = db.consume("typed")
    assert record.value == value


def test_topics(db: penstock.Database) -> None:
    """Made, described, altered, deleted; not while a stream stands on them, and never the engine's own."""
    db.create_topic("t", partitions=2)
    db.alter_topic("t", {"retention.ms": 7_200_000}, partitions=3)
    db.produce("t", value=b"v", partition=2)
    described = db.describe_topic("t")
    assert described.config["retention.ms"] == "7200000" and described.sources == ()
    assert [(p.start_offset, p.end_offset) for p in described.partitions] == [(0, 0), (0, 0), (0, 1)]
    assert described.size_bytes > 0 and "t" in db.topic_names()
    for wrong in (
        lambda: db.create_topic("t"),
        lambda: db.create_topic("x", config={"no.such": 1}),
        lambda: db.create_topic("_penstock_x"),
        lambda: db.delete_topic("orders"),
        lambda: db.delete_topic("nothing"),
        lambda: db.describe_topic("nothing"),
        lambda: db.alter_topic("t", partitions=1),
    ):
        with pytest.raises(penstock.StatementError):
            wrong()
    db.delete_topic("t")
    assert "t" not in db.topic_names()


def test_scripts_that_are_submitted(db: penstock.Database) -> None:
    """Each statement happens once; variables and properties work; a changed script is refused."""
    text = "DEFINE name = 'sub'; CREATE STREAM ${name} (v INT) WITH (kafka_topic='sub', partitions=1, value_format='json');"
    first = db.submit(text, "s.sql")
    assert first.known == () and [type(r) for r in first.results] == [penstock.Message] * 2
    again = db.submit(text + " SHOW STREAMS;", "s.sql")
    assert len(again.known) == 1 and "SUB" in db.catalog.sources
    with pytest.raises(penstock.StatementError):
        db.submit("CREATE STREAM another (v INT) WITH (kafka_topic='another', partitions=1);", "s.sql")


def test_sources_as_objects(shopped: penstock.Database) -> None:
    """Handles, lookups by key, and sources made of data."""
    spend = shopped.table("spend")
    row = spend.get("ada")
    assert row == {"CUSTOMER": "ada", "N": 2, "TOTAL": Decimal("12.75")}
    assert list(row) == ["CUSTOMER", "N", "TOTAL"]
    assert spend.get("nobody") is None and spend.rows("bob")[0]["N"] == 1
    assert len(shopped.stream("orders")) == 3
    assert spend.filter("n > ?", ["CUSTOMER"], parameters=[1]).fetchall() == [("ada",)]
    token = shopped.stream("orders").insert([{"id": "7", "customer": "bob"}])
    found = spend.get("bob", after=token)
    assert found is not None and found["N"] == 2
    with pytest.raises(penstock.StatementError):
        shopped.table("orders")
    with pytest.raises(penstock.StatementError):
        spend.get("a", "b")
    shopped.create_table("people", [{"name": "ada", "age": 36}], key="name")
    assert shopped.catalog.sources["PEOPLE"].kind == "TABLE"
    shopped.create_stream("facts", pa.table({"v": [1, 2]}))
    assert sorted(shopped.sql("SELECT v FROM facts").fetchall()) == [(1,), (2,)]


def test_the_flow_graph(shopped: penstock.Database) -> None:
    """What flows from where to where."""
    graph = shopped.graph()
    (query,) = shopped.queries
    assert {n.id for n in graph.nodes} == {"topic:orders", "source:ORDERS", f"query:{query}", "topic:SPEND", "source:SPEND"}
    assert (f"query:{query}", "topic:SPEND") in {(e.source, e.target) for e in graph.edges}
    assert all(len(e.points) >= 2 and isinstance(n.box.x, float) for e in graph.edges for n in graph.nodes)


def test_windowed_rows_by_key(shopped: penstock.Database) -> None:
    """With the window's start, or all windows of a key."""
    shopped.execute(
        "SET 'auto.offset.reset' = 'earliest'; CREATE TABLE hourly AS SELECT customer, COUNT(*) AS n FROM orders "
        "WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY customer;"
    )
    hour_ms = 3_600_000
    first = int(time.time() * 1000) // hour_ms * hour_ms + hour_ms
    shopped.insert("orders", [{"id": "x", "customer": "zoe", "rowtime": first + t} for t in (0, 1, hour_ms)])
    assert shopped.wait_idle(20)
    hourly = shopped.table("hourly")
    rows = hourly.rows("zoe")
    assert [(row["WINDOWSTART"], row["N"]) for row in rows] == [(first, 2), (first + hour_ms, 1)]
    assert hourly.get("zoe", window_start=first + hour_ms) == rows[1]
    assert list(rows[0]) == ["CUSTOMER", "WINDOWSTART", "WINDOWEND", "N"]
    with pytest.raises(penstock.StatementError):
        hourly.get("zoe")


def test_one_query_is_one(shopped: penstock.Database) -> None:
    """Nothing behind it is left out without a word."""
    with pytest.raises(penstock.StatementError, match="another"):
        shopped.sql("SELECT n FROM spend; DROP TABLE spend;")
    with pytest.raises(penstock.StatementError, match="another"):
        shopped.subscribe("SELECT n FROM spend EMIT CHANGES; SHOW STREAMS;")


def test_printed_records(shopped: penstock.Database) -> None:
    """The result of PRINT is iterated for its records, and ends with its LIMIT."""
    (printed,) = shopped.execute("PRINT orders FROM BEGINNING LIMIT 2;")
    assert isinstance(printed, penstock.PrintResult | RemotePrint)
    lines = [str(record) for record in printed]
    assert len(lines) == 2 and all(line.startswith("rowtime: ") for line in lines)
    assert "PRINT" in repr(printed)


def test_what_is_closed_says_so(api: Api) -> None:
    """In the same words."""
    here, there = penstock.connect(), penstock.connect(api.url)
    for db in (here, there):
        db.close()
        db.close()
        for call in (
            lambda db=db: db.execute("SHOW STREAMS;"),
            lambda db=db: db.sql("SELECT 1 AS one"),
            lambda db=db: db.insert("orders", ROWS),
            lambda db=db: db.subscribe("SELECT * FROM orders EMIT CHANGES"),
        ):
            with pytest.raises(penstock.StatementError, match="the database is closed"):
                call()


def test_sessions(shopped: penstock.Database) -> None:
    """SET and DEFINE of their own."""
    with shopped.session({"auto.offset.reset": "earliest"}, variables={"who": "ada"}) as one:
        assert one.settings["auto.offset.reset"] == "earliest"
        (found,) = one.execute("SELECT n FROM spend WHERE customer = '${who}';")
        assert isinstance(found, penstock.Table) and found.fetchall() == [(2,)]
        one.execute("DEFINE who = 'bob';")
        assert dict(one.variables) == {"WHO": "bob"}
        with shopped.session() as other:
            assert not other.variables
            (shown,) = other.execute("SHOW VARIABLES;")
            assert isinstance(shown, penstock.Listing) and shown.rows == ()
    assert shopped.sql("SELECT n FROM spend WHERE customer = 'ada'").fetchall() == [(2,)]


def test_awaited(api: Api, tmp_path: Path) -> None:
    """`connect_async` takes an address as `connect` does."""

    async def use(place: Any) -> list[Any]:
        async with penstock.connect_async(place) as db:
            await db.execute(SHOP)
            token = await db.insert("orders", ROWS)
            found = [(await db.sql("SELECT n FROM spend WHERE customer = 'ada'", after=token)).fetchall()]
            await db.execute("SET 'auto.offset.reset' = 'earliest';")
            found.append([row.values async for row in db.subscribe("SELECT id FROM orders EMIT CHANGES LIMIT 3;")])
            await db.produce("orders", key=b"9", value=b'{"CUSTOMER":"x"}')
            assert await db.wait_idle(20)
            found.append(sorted(db.catalog.sources))
            return found

    assert asyncio.run(use(api.url)) == asyncio.run(use(tmp_path / "db"))
    assert until(lambda: api.server.push_readers == 0)
