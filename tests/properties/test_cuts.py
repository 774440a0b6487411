"""For random changes of tables every cut into steps gives the same final tables, doubles to the bit, cached or not."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.database import Database, connect

DOUBLES = st.sampled_from(
    [1.0, 2.0, 0.1, 0.2, -0.3, 1e17, 1e20, -1e20, 0.0, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf]
)
ROW = st.fixed_dictionaries(
    {
        "g": st.none() | st.integers(0, 1),
        "v": st.none() | DOUBLES,
        "d": st.none() | st.sampled_from(["99.99", "-50.00", "0.01"]),
    }
)
CHANGE = st.tuples(st.sampled_from("TU"), st.integers(0, 2), st.none() | ROW)
AGGREGATES = (
    "COUNT(*) AS n, COUNT(v) AS m, SUM(v) AS s, AVG(v) AS a, SUM(d) AS d, SUM(id) AS i, SUM_LIST(ARRAY[v, v]) AS l, "
    "STDDEV_SAMP(v) AS p, STDDEV_SAMPLE(id) AS q, CORRELATION(v, v * v) AS c"
)
STATEMENTS = f"""
CREATE TABLE t (k INT PRIMARY KEY, id INT, g INT, v DOUBLE, d DECIMAL(4, 2))
    WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='AVRO');
CREATE TABLE u (k INT PRIMARY KEY, id INT, g INT, v DOUBLE, d DECIMAL(4, 2))
    WITH (KAFKA_TOPIC='u', PARTITIONS=1, VALUE_FORMAT='AVRO');
CREATE TABLE total AS SELECT 1 AS k, {AGGREGATES} FROM t GROUP BY 1;
CREATE TABLE grouped AS SELECT g, {AGGREGATES} FROM t GROUP BY g;
CREATE TABLE by_value AS SELECT v, COUNT(*) AS n FROM t GROUP BY v;
CREATE TABLE some AS SELECT g, SUM(v) AS s FROM t WHERE v > 0 GROUP BY g HAVING COUNT(*) > 1;
CREATE TABLE copied AS SELECT * FROM t WHERE id > 0;
CREATE TABLE chained AS SELECT g, COUNT(*) AS n, AVG(v) AS a FROM copied GROUP BY g;
CREATE TABLE joined AS SELECT t.k, t.g AS g, t.v + u.v AS v FROM t LEFT JOIN u ON t.k = u.k;
CREATE TABLE of_join AS SELECT g, COUNT(*) AS n, SUM(v) AS s FROM joined GROUP BY g;
CREATE TABLE linked AS SELECT t.k AS k, u.v AS v, u.g AS g FROM t JOIN u ON t.g = u.k;
CREATE TABLE of_link AS SELECT g, COUNT(*) AS n, SUM(v) AS s FROM linked GROUP BY g;
"""
TABLES = ("total", "grouped", "by_value", "some", "copied", "chained", "joined", "of_join", "linked", "of_link")


def opened(cache: str) -> Database:
    database = connect(None, threads=0, settings={"cache.max.bytes.buffering": cache})
    database.execute(STATEMENTS)
    return database


def insert(database: Database, number: int, change: tuple[str, int, Any]) -> None:
    """A tombstone where there is no row."""
    name, key, row = change
    if row is None:
        database.produce(name.lower(), key=key.to_bytes(4, "big"), value=None, timestamp=number)
        return
    database.insert(name, [{"k": key, "id": number, **row, "rowtime": number}])


def tables(database: Database) -> dict[str, list[str]]:
    return {name: sorted(map(repr, database.execute(f"SELECT * FROM {name};")[0].fetchall())) for name in TABLES}


@settings(max_examples=40, deadline=None)
@given(st.lists(CHANGE, max_size=10), st.data())
def test_every_cut_gives_the_same_tables(changes: list[Any], data: Any) -> None:
    """The answer is that of one change at a time with every update shown."""
    found = []
    for cache, cuts in (
        ("0", set(range(len(changes)))),
        ("0", set()),
        ("10000000", set()),
        ("10000000", data.draw(st.sets(st.integers(0, 9)))),
    ):
        database = opened(cache)
        for number, change in enumerate(changes):
            insert(database, number, change)
            if number in cuts:
                database.drain()
        database.drain()
        found.append(tables(database))
        database.close()
    assert found[1:] == found[:1] * 3


def test_a_row_that_comes_and_goes_within_a_step() -> None:
    """It leaves the row of an empty group, as it does over two steps."""
    for steps in (1, 2):
        database = connect(None, threads=0)
        database.execute(
            "CREATE TABLE t (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON');"
            "CREATE TABLE n AS SELECT 1 AS k, COUNT(*) n, SUM(v) s FROM t GROUP BY 1;"
        )
        database.insert("t", [{"k": 7, "v": 1}])
        if steps == 2:
            database.drain()
        database.produce("t", key=(7).to_bytes(4, "big"), value=None)
        database.drain()
        assert [tuple(row) for row in database.execute("SELECT * FROM n;")[0].fetchall()] == [(1, 0, 0)]
        database.close()
