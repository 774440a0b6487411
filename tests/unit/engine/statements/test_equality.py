"""One equality: NaN equals NaN and comes last, -0.0 equals 0.0, wherever values are compared, grouped, joined, looked up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from penstock.engine.database import Database, connect
from penstock.errors import AssertionFailedError, StatementError
from penstock.storage.values.canonical import canonical
from penstock.testing import assert_table

NAN = math.nan


@pytest.fixture(params=["0", "10000000"], ids=["every update", "cached"])
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    database = connect(None, threads=0, settings={"cache.max.bytes.buffering": request.param})
    yield database
    database.close()


def insert(db: Database, source: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    """One call for each row, so that rows meet in state, too."""
    for row in rows:
        db.insert(source, [dict(zip(columns, row, strict=True))])
        db.drain()


def table(db: Database, name: str) -> list[tuple[str, ...]]:
    return sorted(tuple(map(repr, row)) for row in db.execute(f"SELECT * FROM {name};")[-1].fetchall())


@pytest.mark.parametrize(
    "type_, wrap",
    [
        ("DOUBLE", lambda v: v),
        ("ARRAY<DOUBLE>", lambda v: [v, 1.0]),
        ("STRUCT<X DOUBLE>", lambda v: {"X": v}),
        ("STRUCT<X ARRAY<DOUBLE>>", lambda v: {"X": [v]}),
    ],
)
def test_groups(db: Database, type_: str, wrap: Any) -> None:
    """GROUP BY puts equal values into one group, also inside of ARRAY and STRUCT."""
    db.execute(f"CREATE STREAM s (k INT KEY, v {type_}) WITH (KAFKA_TOPIC='s', PARTITIONS=3, VALUE_FORMAT='AVRO');")
    db.execute("CREATE TABLE t WITH (KEY_FORMAT='JSON') AS SELECT v, COUNT(*) AS n FROM s GROUP BY v;")
    insert(db, "s", ["k", "v"], [(i, wrap(v)) for i, v in enumerate((0.0, -0.0, NAN, -NAN, 0.0, 5.0))])
    found = table(db, "t")
    assert found == sorted([(repr(wrap(0.0)), "3"), (repr(wrap(NAN)), "2"), (repr(wrap(5.0)), "1")])


def test_keys_of_tables(db: Database) -> None:
    """The rows of a table with equal keys are one row, whoever wrote them; look-ups find it."""
    db.execute("CREATE TABLE t (k DOUBLE PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, FORMAT='JSON');")
    db.execute("CREATE TABLE m AS SELECT * FROM t;")
    insert(db, "t", ["k", "v"], [(0.0, 1), (-0.0, 2), (1.0, 3)])
    db.produce("t", key=b"-0.0", value=b'{"V": 4}')
    db.drain()
    assert table(db, "m") == [("0.0", "4"), ("1.0", "3")]
    assert len(db.execute("SELECT * FROM m WHERE k = -0.0;")[0].fetchall()) == 1
    assert len(db.execute("SELECT * FROM m WHERE k = 0.0;")[0].fetchall()) == 1


def test_partition_by_and_joins(db: Database) -> None:
    """Stream-table, stream-stream and foreign-key joins meet by equality."""
    db.execute(
        "CREATE STREAM l (id INT KEY, v DOUBLE) WITH (KAFKA_TOPIC='l', PARTITIONS=3, FORMAT='JSON');"
        "CREATE STREAM r (id INT KEY, v DOUBLE) WITH (KAFKA_TOPIC='r', PARTITIONS=3, FORMAT='JSON');"
        "CREATE TABLE t (k DOUBLE PRIMARY KEY, w STRING) WITH (KAFKA_TOPIC='t', PARTITIONS=3, FORMAT='JSON');"
        "CREATE TABLE f (id INT PRIMARY KEY, v DOUBLE) WITH (KAFKA_TOPIC='f', PARTITIONS=3, FORMAT='JSON');"
        "CREATE STREAM st AS SELECT l.v, l.id AS i, w FROM l JOIN t ON l.v = t.k;"
        "CREATE STREAM ss AS SELECT l.v, l.id AS i, r.id AS j FROM l JOIN r WITHIN 1 DAYS ON l.v = r.v;"
        "CREATE TABLE ft AS SELECT f.id, w FROM f JOIN t ON f.v = t.k;"
    )
    insert(db, "t", ["k", "w"], [(0.0, "zero")])
    insert(db, "l", ["id", "v"], [(1, -0.0), (2, 0.0)])
    insert(db, "r", ["id", "v"], [(8, 0.0), (9, -0.0)])
    insert(db, "f", ["id", "v"], [(1, -0.0)])
    assert table(db, "ft") == [("1", "'zero'")]
    assert sorted(row[1] for row in records(db, "ST")) == [1, 2]
    assert sorted(row[1:] for row in records(db, "SS")) == [(1, 8), (1, 9), (2, 8), (2, 9)]


def records(db: Database, stream: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.execute(f"SELECT * FROM {stream};")[0].fetchall()]


def test_aggregates_of_distinct_values(db: Database) -> None:
    """COUNT_DISTINCT, COLLECT_SET, TOPKDISTINCT, MIN and MAX."""
    db.execute("CREATE STREAM s (k INT KEY, v DOUBLE) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='AVRO');")
    db.execute(
        "CREATE TABLE t AS SELECT k, COUNT_DISTINCT(v) AS n, COLLECT_SET(v) AS s, TOPKDISTINCT(v, 5) AS top, MIN(v) AS low, "
        "MAX(v) AS high FROM s GROUP BY k;"
    )
    insert(db, "s", ["k", "v"], [(1, v) for v in (-0.0, NAN, 0.0, NAN, 7.0)])
    ((_, n, values, top, low, high),) = db.execute("SELECT * FROM t;")[0].fetchall()
    assert (n, repr(values), repr(top), repr(low), repr(high)) == (3, "[0.0, nan, 7.0]", "[nan, 7.0, 0.0]", "0.0", "nan")


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("ARRAY_CONTAINS(ARRAY[v, 1.0e0], n)", "True"),
        ("ARRAY_DISTINCT(ARRAY[v, n, -n])", "[nan]"),
        ("ARRAY_LENGTH(ARRAY_UNION(ARRAY[v], ARRAY[n]))", "1"),
        ("ARRAY_INTERSECT(ARRAY[v], ARRAY[n])", "[nan]"),
        ("ARRAY_EXCEPT(ARRAY[v], ARRAY[n])", "[]"),
        ("ARRAY_REMOVE(ARRAY[v, 1.0e0], n)", "[1.0]"),
        ("ARRAY_SORT(ARRAY[v, 1.0e0, z])", "[-0.0, 1.0, nan]"),
        ("ARRAY_MAX(ARRAY[v, 1.0e0])", "nan"),
        ("ARRAY_CONTAINS(ARRAY[z], 0.0e0)", "True"),
        ("NULLIF(v, n)", "None"),
        ("NULLIF(ARRAY[v], ARRAY[n])", "None"),
        ("NULLIF(z, 0.0e0)", "None"),
        ("GREATEST(v, 1.0e0)", "nan"),
        ("LEAST(v, 1.0e0)", "1.0"),
        ("v = n AND NOT v <> n AND v > 1.0e300 AND v >= n AND v <= n AND NOT v < n", "True"),
        ("v IN (1.0e0, n)", "True"),
        ("v BETWEEN 1.0e0 AND n", "True"),
        ("z = 0.0e0 AND z IN (0.0e0) AND NOT z < 0.0e0", "True"),
        ("STRUCT(A := v) = STRUCT(A := n)", "True"),
        ("ARRAY[v, z] = ARRAY[n, 0.0e0]", "True"),
        ("ARRAY[STRUCT(A := z)] = ARRAY[STRUCT(A := 0.0e0)]", "True"),
        ("MAP('a' := v) = MAP('a' := n)", "True"),
        ("CASE v WHEN n THEN 'y' ELSE 'n' END", "'y'"),
    ],
)
def test_functions_and_operators(db: Database, expression: str, expected: str) -> None:
    """What compares values in a row."""
    db.execute(
        "CREATE STREAM s (k INT KEY, v DOUBLE, n DOUBLE, z DOUBLE) "
        "WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='AVRO');"
    )
    db.execute(f"CREATE STREAM o AS SELECT k, {expression} AS x FROM s;")
    insert(db, "s", ["k", "v", "n", "z"], [(1, NAN, -NAN, -0.0)])
    ((_, found),) = db.execute("SELECT * FROM o;")[0].fetchall()
    assert repr(found) == expected


@pytest.mark.parametrize(
    "select, expected",
    [
        ("SELECT DISTINCT v FROM t", [(-0.0,), (NAN,), (7.0,)]),
        ("SELECT v, COUNT(*) AS n FROM t GROUP BY v", [(-0.0, 2), (NAN, 2), (7.0, 1)]),
        ("SELECT COUNT(DISTINCT v) AS n FROM t", [(3,)]),
        ("SELECT v FROM t EXCEPT SELECT v FROM t WHERE k = 1", [(-0.0,), (7.0,)]),
        ("SELECT COUNT(*) AS n FROM t a JOIN t b ON a.v = b.v", [(9,)]),
        ("SELECT k FROM t ORDER BY v DESC, k DESC", [(3,), (1,), (4,), (2,), (0,)]),
        ("SELECT k, RANK() OVER (ORDER BY v) AS r FROM t ORDER BY k", [(0, 1), (1, 4), (2, 1), (3, 4), (4, 3)]),
        ("SELECT k, COUNT(*) OVER (PARTITION BY v) AS n FROM t ORDER BY k", [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1)]),
    ],
)
def test_clauses_of_queries_that_are_answered_once(db: Database, select: str, expected: list[tuple[Any, ...]]) -> None:
    """Both NaNs, of either sign: their bytes differ."""
    db.execute("CREATE TABLE b (k INT PRIMARY KEY, v DOUBLE) WITH (value_format='ARROW');CREATE TABLE t AS SELECT * FROM b;")
    insert(db, "b", ["k", "v"], [(i, v) for i, v in enumerate((-0.0, NAN, 0.0, -NAN, 7.0))])
    assert list(map(repr, db.sql(select).fetchall())) == list(map(repr, expected))


def test_canonical_arrays_of_every_shape() -> None:
    """Slices, nulls and every depth; what needs no change is given back as it is."""
    inner = pa.array([[-0.0, NAN], None, [], [1.0, None]], pa.list_(pa.float64()))
    assert repr(canonical(inner.slice(0, 2)).to_pylist()) == "[[0.0, nan], None]"
    structs = pa.array([{"a": -0.0, "b": [{"c": NAN}]}, None, {"a": None, "b": None}, {"a": 1.0, "b": []}])
    assert repr(canonical(structs.slice(1)).to_pylist()) == repr(structs.slice(1).to_pylist())
    assert repr(canonical(structs)[0].as_py()) == "{'a': 0.0, 'b': [{'c': nan}]}"
    maps = pa.array([[("k", -0.0)], None], pa.map_(pa.string(), pa.float64()))
    assert repr(canonical(maps).to_pylist()) == "[[('k', 0.0)], None]"
    assert canonical(text := pa.array(["x"])) is text
    assert canonical(whole := pa.array([1.0, None, 2.0])) is whole


NESTED = {"k": 1, "a": [NAN, -0.0, None], "m": {"x": NAN, "y": 0.0}, "st": {"X": -0.0, "Y": NAN}}
OTHERS = [
    {"a": [NAN, 0.0]}, {"a": [0.0, NAN, None]}, {"a": [NAN, 1.0, None]}, {"m": {"x": NAN}}, {"m": {"x": 0.0, "y": NAN}},
    {"st": {"X": 0.0, "Y": None}},
]  # fmt: skip


def test_assertions(db: Database) -> None:
    """ASSERT VALUES and `assert_table` compare by it at every depth; maps have no order.  Values may be parameters."""
    db.execute("""
        CREATE STREAM nested (k INT KEY, a ARRAY<DOUBLE>, m MAP<STRING, DOUBLE>, st STRUCT<x DOUBLE, y DOUBLE>);
    """)
    same = [
        {**NESTED, "a": [NAN, 0.0, None]},
        {**NESTED, "m": {"y": -0.0, "x": NAN}},
        {**NESTED, "st": {"X": 0.0, "Y": NAN}},
    ]
    db.insert("nested", [NESTED] * (len(same) + 1))
    text = "ASSERT VALUES nested (k, a, m, st) VALUES ($k, $a, $m, $st);"
    for row in same:
        db.execute(text, row)
        assert_table(db, "nested", [row] * (len(same) + 1))
    db.execute("ASSERT VALUES nested (a, m) VALUES (ARRAY[SQRT(-1), 0E0, NULL], MAP('y' := 0E0, 'x' := SQRT(-1)));")
    for number, other in enumerate(OTHERS, len(same) + 2):
        db.insert("nested", NESTED)
        with pytest.raises(AssertionFailedError):
            db.execute(text, {**NESTED, **other})
        with pytest.raises(AssertionError, match="other rows"):
            assert_table(db, "nested", [*[NESTED] * (number - 1), {**NESTED, **other}])
    with pytest.raises(StatementError, match="no field 'z'"):
        db.execute("ASSERT VALUES nested (st) VALUES (?);", [{"z": 1}])
