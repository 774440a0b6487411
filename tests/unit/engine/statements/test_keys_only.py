"""Streams and tables that have only a key: rows go in and come out, in every format that can have no value columns."""

from __future__ import annotations

import pytest

from penstock.engine.database import connect


@pytest.mark.parametrize("kind", ["STREAM", "TABLE"])
@pytest.mark.parametrize("value_format", ["JSON", "DELIMITED", "KAFKA", "NONE", "ARROW", "PROTOBUF_NOSR"])
def test_rows_of_a_key(kind: str, value_format: str) -> None:
    """INSERT VALUES, insert of several rows, a query over them."""
    with connect(None, threads=0) as db:
        key = "PRIMARY KEY" if kind == "TABLE" else "KEY"
        db.execute(f"CREATE {kind} s (k INT {key}) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='{value_format}');")
        db.execute(f"CREATE {kind} c WITH (VALUE_FORMAT='JSON') AS SELECT k, AS_VALUE(k) AS v FROM s;")
        db.execute("CREATE TABLE n AS SELECT k, COUNT(*) AS n FROM c GROUP BY k;")
        db.execute("INSERT INTO s VALUES (1);")
        db.insert("s", [{"k": 2}, {"k": 3}])
        db.drain()
        assert sorted(tuple(row) for row in db.execute("SELECT k, n FROM n;")[0].fetchall()) == [(1, 1), (2, 1), (3, 1)]
        if kind == "STREAM":
            assert sorted(tuple(row) for row in db.execute("SELECT * FROM s;")[0].fetchall()) == [(1,), (2,), (3,)]
