"""Whatever is given to insert, produce, consume and execute works, or is refused and changes nothing."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError

COLUMNS = (
    "ID INT KEY, A INT, B BIGINT, C DOUBLE, D BOOLEAN, E STRING, F BYTES, G DATE, H TIME, I TIMESTAMP, J DECIMAL(6, 2), "
    "K ARRAY<INT>, L MAP<STRING, INT>, M STRUCT<A INT, B STRING>"
)
VALUES: list[Any] = [
    None,
    0,
    -1,
    2**31,
    2**63,
    2**200,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\udc80",
    "1",
    "2020-01-01",
    b"",
    b"\xff",
    True,
    dt.date.max,
    dt.date.min,
    dt.datetime.max,
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    dt.time(1, 2, 3),
    dt.timedelta(1),
    decimal.Decimal("1.25"),
    decimal.Decimal("NaN"),
    decimal.Decimal("1e30"),
    [],
    [1, None],
    ["x"],
    [[1]],
    {},
    {"a": 1},
    {1: 2},
    {"A": 1, "B": "x"},
    {"Z": 1},
    object(),
    np.int8(1),
    np.datetime64("2020-01-01"),
    np.array([1, 2]),
    (1, 2),
    {1, 2},
    1j,
    range(3),
    ...,
    type,
]
ARRAYS: list[Any] = [
    pa.array([1]).dictionary_encode(),
    pa.array([None]),
    pa.array([2**64 - 1], pa.uint64()),
    pa.array(["x"], pa.string_view()),
    pa.array([1], pa.timestamp("ns", "Asia/Tokyo")),
    pa.array([2**62], pa.timestamp("s")),
    pa.array([1], pa.duration("s")),
    pa.array([[1]], pa.large_list(pa.int8())),
    pa.array([1], pa.date64()),
    pa.nulls(1, pa.struct([])),
    pa.array([{"a": 1}]),
    pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    pa.chunked_array([[1], []]),
    pa.array([2**40]),
    pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([1])),
    pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
]


@pytest.fixture(params=["ARROW", "JSON"])
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A stream S with a column of every type."""
    with connect(threads=0) as opened:
        opened.execute(f"CREATE STREAM S ({COLUMNS}) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='{request.param}');")
        yield opened


def count(db: Database) -> int:
    return sum(db._engine.log.end_offset("s", p) for p in (0, 1))


def refused_or(db: Database, rows: Any, written: int) -> None:
    """The rows are all written, or none is."""
    before = count(db)
    try:
        db.insert("S", rows)
    except StatementError:
        assert count(db) == before
    else:
        assert count(db) == before + written


def test_odd_values(db: Database) -> None:
    """Any Python value for any column, also in the second of two rows; what was taken in can be read."""
    for column in [c.name for c in db.catalog.sources["S"].schema] + ["ROWTIME", "rowtime", "nothing", 1, None]:
        for value in VALUES:
            refused_or(db, [{"ID": 1}, {"ID": 1, column: value}], 2)
    table = db.sql("SELECT * FROM S;")
    assert len(table.fetchall()) == len(table.to_dicts()) == len(table) == count(db)
    assert table.text()


def test_odd_arrays(db: Database) -> None:
    """Any Arrow array for any column."""
    for column in [c.name for c in db.catalog.sources["S"].schema if c.role == "VALUE"] + ["ROWTIME"]:
        for array in ARRAYS:
            refused_or(db, pa.table({"ID": pa.array([1]), column: array}), 1)
    assert len(db.sql("SELECT * FROM S;").fetchall()) == count(db)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        5,
        "x",
        b"x",
        {"ID": 1, "id": 2},
        {"ID": [1], "A": [1, 2]},
        {"ID": [1], "A": 1},
        [1],
        [None],
        [[1]],
        object(),
        [{"ID": 1, "id": 2}],
        np.array([1]),
        pa.table([pa.array([1]), pa.array([1])], names=["ID", "ID"]),
        pa.table([pa.array([1]), pa.array([1])], names=["A", "a"]),
    ],
)
def test_what_are_no_rows(db: Database, rows: Any) -> None:
    """Things that are no rows, and rows with a column twice."""
    with pytest.raises(StatementError):
        db.insert("S", rows)


def test_rows_may_spell_a_column_in_different_ways(db: Database) -> None:
    """Each row's value is found under the name that the row has."""
    db.insert("S", [{"ID": 1, "A": 5}, {"id": 2, "a": 6}, {"ID": 3}])
    assert sorted(db.sql("SELECT ID, A FROM S;").fetchall(), key=str) == [(1, 5), (2, 6), (3, None)]


@pytest.mark.parametrize(
    "record",
    [
        {"value": 5},
        {"value": object()},
        {"value": {"Z": "x", "A": "x"}},
        {"key": 5},
        {"timestamp": -1},
        {"timestamp": 2**63},
        {"timestamp": "x"},
        {"timestamp": 1.5},
        {"partition": -1},
        {"partition": 99},
        {"partition": "x"},
        {"headers": [("a", "b")] * 2 + [(1, b"b")]},
        {"headers": 5},
        {"headers": ["a"]},
        {"headers": [("\udc80", None)]},
    ],
)
def test_odd_records(db: Database, record: dict[str, Any]) -> None:
    """`produce` refuses what the topic cannot hold."""
    with pytest.raises(StatementError):
        db.produce("s", **record)
    assert count(db) == 0


@pytest.mark.parametrize("arguments", [{"offset": "x"}, {"partition": 9}, {"partition": -1}, {"partition": "x"}])
def test_odd_places(db: Database, arguments: dict[str, Any]) -> None:
    """`consume` refuses places that cannot be."""
    with pytest.raises(StatementError):
        list(db.consume("s", **arguments))


@pytest.mark.parametrize(
    "text", [None, 5, b"SHOW STREAMS;", "\0", "(" * 5000, "SELECT " + "(" * 300, "x" * 2_000_000, "SELECT '"]
)
def test_odd_statements(db: Database, text: Any) -> None:
    """What is no text, too long, too deep or cut off."""
    for take in (db.execute, db.sql, db.subscribe, lambda t: db.submit(t, "name")):
        with pytest.raises(StatementError):
            take(text)


def test_a_topic_has_a_limited_number_of_partitions(db: Database) -> None:
    """By statement, by setting and by call."""
    for count_ in (0, 10_001, 10**9):
        with pytest.raises(StatementError):
            db.execute(f"CREATE STREAM X (ID INT) WITH (KAFKA_TOPIC='x', PARTITIONS={count_});")
        with pytest.raises(StatementError):
            db.create_topic("x", partitions=count_)
        db.execute(f"SET 'ksql.sink.partitions' = '{count_}';")
        with pytest.raises(StatementError):
            db.execute("CREATE STREAM X AS SELECT * FROM S;")
    assert db.topic_names() == ["ksql_processing_log", "s"]


def test_padding_and_series_have_a_limit(db: Database) -> None:
    """The row's value is NULL, and the processing log says why."""
    db.execute("SET 'auto.offset.reset' = 'earliest';")
    db.execute("CREATE STREAM X AS SELECT ID, LPAD('x', 2000000000, 'y') AS P, GENERATE_SERIES(1, 2000000000) AS G FROM S;")
    db.insert("S", [{"ID": 1}])
    db.drain()
    assert [(r[1], r[2]) for r in db.sql("SELECT ID, P, G FROM X;").fetchall()] == [(None, None)]
    reasons = [
        r["MESSAGE"]["recordProcessingError"]["errorMessage"]
        for r in db.sql("SELECT * FROM KSQL_PROCESSING_LOG;").to_dicts()
    ]
    assert any("above the limit" in r for r in reasons)
