"""PyPI's ksqldb, ksql-python-ng and ksqldb-client, as they are (the extra `clients`)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import penstock

ksqldb = pytest.importorskip("ksqldb", reason="the extra `clients` is not installed: pip install -e '.[clients]'")
ksql = pytest.importorskip("ksql", reason="the extra `clients` is not installed: pip install -e '.[clients]'")

EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}


@pytest.fixture
def one(server: penstock.Server) -> Any:
    return ksqldb.KSQLdbClient(server.url)


@pytest.fixture
def ng(server: penstock.Server) -> Any:
    return ksql.KSQLAPI(server.url)


def test_ksqldb_executes_statements(one: Any) -> None:
    """Entities come back as the library expects them."""
    made = one.ksql("CREATE STREAM s (v INT) WITH (kafka_topic='s', partitions=1, value_format='json');")
    assert made[0]["commandStatus"]["status"] == "SUCCESS"
    assert {s["name"] for s in one.ksql("SHOW STREAMS;")[0]["streams"]} == {"ORDERS", "S"}
    assert "auto.offset.reset" in {p["name"] for p in one.get_properties()}


def test_ksqldb_pulls_and_pushes(one: Any) -> None:
    """Over HTTP/2 with prior knowledge."""
    head, row = one.query_sync("SELECT * FROM spend WHERE item = 'tea';")
    assert (head["columnNames"], row) == (["ITEM", "N", "TOTAL"], ["tea", 1, 2.5])

    async def push() -> list[Any]:
        sql = "SELECT item FROM orders EMIT CHANGES LIMIT 2;"
        return [row async for row in one.query_async(sql, EARLIEST)]

    assert asyncio.run(push())[1:] == [["tea"], ["nut"]]


def test_ksqldb_inserts_and_closes(one: Any, database: penstock.Database) -> None:
    """A bad row is told; an unknown query cannot be closed."""
    done = one.inserts_stream("orders", [{"id": 3, "item": "tea", "euros": 1}, {"ID": 4, "ITEM": "tea", "EUROS": 1}])
    assert done == [{"status": "ok", "seq": 0}, {"status": "ok", "seq": 1}]
    bad = one.inserts_stream("orders", [{"id": 5}, {"id": "x"}, {"id": 6}])
    assert (bad[0]["status"], bad[1]["status"], bad[1]["error_code"], len(bad)) == ("ok", "error", 40000, 2)
    assert len(list(database.consume("orders"))) == 5
    assert not one.close_query("transient_99")


def test_ng_executes_statements(ng: Any) -> None:
    """It asks /info first; errors become its own."""
    assert ng.get_ksql_version() == penstock.__version__
    assert ng.create_stream("s", ["id INT", "v VARCHAR"], "orders")
    with pytest.raises(ksql.errors.KSQLError) as failed:
        ng.ksql("CREATE NONSENSE")
    assert failed.value.error_code == 40001
    made = ng.create_stream_as("t", ["id", "item", "euros"], "orders", conditions="euros > 1", kafka_topic="t")
    assert made
    (shown,) = ng.ksql("SHOW QUERIES")
    assert len(shown["queries"]) == 2


def test_ng_streams_rows(ng: Any) -> None:
    """Both protocols; it takes each chunk for a row."""
    sql = "SELECT id, item FROM orders EMIT CHANGES LIMIT 2"
    old = list(ng.query(sql, stream_properties=EARLIEST))
    assert json.loads("".join(old))[1] == {"row": {"columns": [1, "tea"]}}
    new = [json.loads(chunk) for chunk in ng.query(sql, stream_properties=EARLIEST, use_http2=True)]
    assert new[1:] == [[1, "tea"], [2, "nut"]]
    parsed = list(ng.query(sql, stream_properties=EARLIEST, use_http2=True, parse=True))
    assert parsed == [{"ID": 1, "ITEM": "tea"}, {"ID": 2, "ITEM": "nut"}]


def test_ng_inserts_and_closes(ng: Any) -> None:
    """Its body ends without a newline."""
    assert ng.inserts_stream("orders", [{"ID": 7, "ITEM": "x", "EUROS": 1.0}]) == [{"status": "ok", "seq": 0}]
    assert ng.close_query("nothing") is False


def test_ng_drops_everything(ng: Any, database: penstock.Database) -> None:
    """Its utilities describe, terminate and drop every stream it is shown."""
    ng.create_stream_as("t", ["id", "item", "euros"], "orders", kafka_topic="t")
    from ksql import utils

    info = utils.get_stream_info(ng, "orders")
    assert {q["id"] for q in info["readQueries"]} == set(database.queries)
    utils.drop_all_streams(ng)
    assert [s.name for s in database.catalog.sources.values() if s.kind == "STREAM"] == ["KSQL_PROCESSING_LOG"]


def test_ksqldb_client(server: penstock.Server) -> None:
    """Its models take entities, rows and errors; a row's types become those of pandas."""
    library = pytest.importorskip("ksqldb_client", reason="the extra `clients` is not installed")
    parse = pytest.importorskip("ksqldb_client.testing.parse")
    client = library.KSqlDBClient(server.url)
    assert client.info().ksql_server_info.server_status == "RUNNING"
    (made,) = client.ksql(
        "CREATE STREAM s (v INT, d DECIMAL(4,2), ts TIMESTAMP, st STRUCT<a INT, b STRING>, ar ARRAY<INT>)"
        " WITH (kafka_topic='s', partitions=1, value_format='json');"
    )
    assert made.command_status.message == "Stream created"
    listed = client.ksql("LIST STREAMS; LIST QUERIES;", command_sequence_number=made.command_sequence_number)
    assert [s.name for s in listed[0].streams] == ["ORDERS", "S"]
    assert [q.sinks for q in listed[1].queries] == [("SPEND",)]
    (described,) = client.ksql("DESCRIBE ${name};", session_variables={"name": "s"})
    assert described.statement_text == "DESCRIBE s;"
    row = "1, 2.5, '2024-01-01T00:00:00', STRUCT(a:=1, b:='x'), ARRAY[1, 2]"
    assert not list(client.ksql(f"INSERT INTO s (v, d, ts, st, ar) VALUES ({row});"))
    with pytest.warns(DeprecationWarning):
        pushed = client.query("SELECT * FROM s EMIT CHANGES LIMIT 1;", stream_properties=EARLIEST)
    assert pushed[1].row.columns == (1, 2.5, "2024-01-01T00:00:00.000", {"A": 1, "B": "x"}, [1, 2])
    assert pushed[2].final_message == "Limit Reached"
    assert list(parse.query_response_to_pandas(pushed).columns) == ["v", "d", "ts", "st", "ar"]
    as_select = client.ksql(
        "CREATE TABLE t AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;", stream_properties=EARLIEST
    )
    assert client.status(as_select[0].command_id).query_id == as_select[0].command_status.query_id
    for wrong in (lambda: client.ksql("CREATE NONSENSE;"), lambda: client.close_query(query_id="x")):
        with pytest.raises(library.exceptions.APIError):
            wrong()
