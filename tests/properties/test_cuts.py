"""For random changes of tables every cut into steps gives the same final tables, doubles to the bit, cached or not.

More changes with ``PENSTOCK_CUTS=2000``.
"""

from __future__ import annotations

import math
import os
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
CREATE TABLE inner_joined AS SELECT t.k, t.g AS g, t.v AS v, u.d AS d FROM t JOIN u ON t.k = u.k;
CREATE TABLE full_joined AS SELECT ROWKEY AS k, t.g AS g, u.g AS h, t.v AS v, u.v AS w FROM t FULL OUTER JOIN u ON t.k = u.k;
CREATE TABLE of_full AS SELECT g, COUNT(*) AS n, SUM(w) AS s, COUNT(h) AS m FROM full_joined WHERE w > 0 OR h = 1 GROUP BY g;
CREATE TABLE left_linked AS SELECT t.k AS k, u.v AS v, u.g AS g, t.v AS w FROM t LEFT JOIN u ON t.g = u.k;
CREATE TABLE of_left_link AS SELECT w, COUNT(*) AS n, SUM(v) AS s FROM left_linked GROUP BY w;
CREATE TABLE of_groups AS SELECT n, COUNT(*) AS m, SUM(s) AS s FROM grouped GROUP BY n;
CREATE TABLE few AS SELECT * FROM grouped WHERE n < 3;
CREATE TABLE of_few AS SELECT s, COUNT(*) AS m FROM few GROUP BY s;
CREATE TABLE of_some AS SELECT 1 AS one, COUNT(*) AS m, SUM(s) AS s FROM some GROUP BY 1;
CREATE TABLE of_those AS SELECT m, COUNT(*) AS l FROM of_groups GROUP BY m;
CREATE TABLE of_link AS SELECT g, COUNT(*) AS n, SUM(v) AS s FROM linked GROUP BY g;
"""
TABLES = tuple(line.split()[2] for line in STATEMENTS.splitlines() if " AS SELECT " in line)


def opened(cache: str, rows_per_step: int = 0, partitions: int = 1) -> Database:
    """A database with the tables, which takes ``rows_per_step`` rows at once (0: all)."""
    settings = {"cache.max.bytes.buffering": cache}
    if rows_per_step:
        settings["penstock.rows.per.step"] = str(rows_per_step)
    database = connect(None, threads=0, settings=settings)
    database.execute(STATEMENTS.replace("PARTITIONS=1", f"PARTITIONS={partitions}"))
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


@settings(max_examples=int(os.environ.get("PENSTOCK_CUTS", "40")), deadline=None)
@given(st.lists(CHANGE, max_size=10), st.sampled_from((1, 1, 2, 3)), st.data())
def test_every_cut_gives_the_same_tables(changes: list[Any], partitions: int, data: Any) -> None:
    """The answer is that of one change at a time with every update shown; the last way takes a few rows per step."""
    found = []
    for cache, cuts in (
        ("0", set(range(len(changes)))),
        ("0", set()),
        ("10000000", set()),
        ("10000000", data.draw(st.sets(st.integers(0, 9)))),
        ("10000000", data.draw(st.integers(1, 5))),
    ):
        rows = cuts if isinstance(cuts, int) else 0
        database = opened(cache, rows, partitions)
        for number, change in enumerate(changes):
            insert(database, number, change)
            if not isinstance(cuts, int) and number in cuts:
                database.drain()
        database.drain()
        found.append(tables(database))
        database.close()
    assert found[1:] == found[:1] * 4


EVENT = st.fixed_dictionaries({"k": st.none() | st.integers(0, 2), "v": st.none() | DOUBLES, "rowtime": st.integers(0, 60)})
FINAL = """
CREATE STREAM s (k INT KEY, v DOUBLE) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='AVRO');
CREATE TABLE tumbled AS SELECT k, COUNT(*) AS n, SUM(v) AS s FROM s
    WINDOW TUMBLING (SIZE 10 MILLISECONDS, GRACE PERIOD 5 MILLISECONDS) GROUP BY k EMIT FINAL;
CREATE TABLE hopped AS SELECT k, COUNT(*) AS n, SUM(v) AS s, LATEST_BY_OFFSET(v) AS l FROM s
    WINDOW HOPPING (SIZE 10 MILLISECONDS, ADVANCE BY 4 MILLISECONDS, GRACE PERIOD 0 MILLISECONDS) GROUP BY k EMIT FINAL;
CREATE TABLE sessions AS SELECT k, COUNT(*) AS n, SUM(v) AS s FROM s
    WINDOW SESSION (5 MILLISECONDS, GRACE PERIOD 10 MILLISECONDS) GROUP BY k EMIT FINAL;
CREATE TABLE some AS SELECT k, COUNT(*) AS n FROM s
    WINDOW TUMBLING (SIZE 10 MILLISECONDS, GRACE PERIOD 0 MILLISECONDS) GROUP BY k HAVING COUNT(*) > 1 EMIT FINAL;
CREATE STREAM closed (k INT KEY, n BIGINT)
    WITH (KAFKA_TOPIC='SOME', VALUE_FORMAT='AVRO', WINDOW_TYPE='TUMBLING', WINDOW_SIZE='10 MILLISECONDS');
"""


@settings(max_examples=int(os.environ.get("PENSTOCK_CUTS", "15")), deadline=None)
@given(st.lists(EVENT, max_size=20), st.sampled_from((1, 1, 2, 3)), st.data())
def test_final_results_come_once_whatever_the_cut(events: list[Any], partitions: int, data: Any) -> None:
    """Windows and sessions that are put out once: the same ones with the same results, in topics, too."""
    found = []
    for cache, rows in (("0", 1), ("0", 0), ("10000000", 0), ("10000000", data.draw(st.integers(2, 7)))):
        given_rows = {"penstock.rows.per.step": str(rows)} if rows else {}
        with connect(None, threads=0, settings={"cache.max.bytes.buffering": cache, **given_rows}) as database:
            database.execute(FINAL.replace("PARTITIONS=1", f"PARTITIONS={partitions}"))
            database.insert("s", events)
            database.drain()
            asked = ("tumbled", "hopped", "sessions", "some", "closed")
            rows_of = {name: sorted(map(repr, database.sql(f"SELECT * FROM {name}").fetchall())) for name in asked}
            assert len(rows_of["some"]) == len(rows_of["closed"])
            found.append(rows_of)
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
