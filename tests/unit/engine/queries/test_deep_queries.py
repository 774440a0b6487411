"""Queries that are deep or wide: long chains of WITH work, what is too deep is refused, and a stream is read once."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from penstock import connect
from penstock.engine.database import Database
from penstock.engine.statements import duckdb_query
from penstock.errors import StatementError


@pytest.fixture
def db() -> Iterator[Database]:
    with connect(threads=0) as database:
        database.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');")
        database.insert("s", [(1,), (2,)])
        yield database


def chain(length: int, link: str) -> str:
    """Tables of WITH, each made of the one before it; ``link`` has its name as {}."""
    tables = ["c0 AS (SELECT v FROM s)"] + [f"c{n} AS ({link.format(f'c{n - 1}')})" for n in range(1, length)]
    return f"WITH {', '.join(tables)} SELECT SUM(v) AS v FROM c{length - 1};"


@pytest.mark.parametrize(
    "link",
    [
        "SELECT v FROM {}",
        "SELECT v FROM s WHERE v IN (SELECT v FROM {})",
        "SELECT v FROM {0} UNION SELECT v FROM {0}",
        "SELECT q.v AS v FROM (SELECT v FROM {}) q",
        "SELECT a.v AS v FROM {0} a JOIN {0} b ON a.v = b.v",
    ],
)
def test_a_long_chain_of_with(db: Database, link: str) -> None:
    """However long it is: each table is made when the one before it is there."""
    assert db.sql(chain(400, link)).fetchall() == [(3,)]
    assert "WITH" not in str(db.execute(f"EXPLAIN {chain(300, link)}")[0])[:4]


def test_a_table_of_with_that_nobody_names_is_not_made(db: Database) -> None:
    """Nor is one that only such a table names."""
    text = "WITH bad AS (SELECT CAST('x' AS INT) AS v FROM nowhere), worse AS (SELECT * FROM bad), c AS (SELECT v FROM s) "
    assert db.sql(f"{text} SELECT SUM(v) AS v FROM c;").fetchall() == [(3,)]
    with pytest.raises(StatementError, match="nowhere"):
        db.sql(f"{text} SELECT * FROM worse;")


def test_subqueries_too_deep_for_the_stack(db: Database) -> None:
    """They are refused, wherever the caller stands."""

    def deeper(frames: int, text: str) -> Any:
        return deeper(frames - 1, text) if frames else db.sql(text).fetchall()

    def nested(depth: int) -> str:
        return "SELECT v FROM (" * depth + "SELECT v FROM s" + ") q" * depth + ";"

    assert len(deeper(0, nested(50))) == 2
    with pytest.raises(StatementError, match="nested too deeply"):
        deeper(sys.getrecursionlimit() - len(inspect.stack()) - 150, nested(60))


def test_duckdb_reads_a_stream_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a query names it."""
    reads = []
    plain = duckdb_query.read_stream

    def counted(*arguments: Any) -> Any:
        reads.append(1)
        return plain(*arguments)

    monkeypatch.setattr(duckdb_query, "read_stream", counted)
    assert db.duckdb(" UNION ALL ".join(["SELECT SUM(v) FROM s"] * 50)).fetchall() == [(3,)] * 50
    assert len(reads) == 1


@pytest.mark.parametrize("depth", [0, 1, 3000])
def test_a_setting_is_one_value(db: Database, depth: int) -> None:
    """Not a list, however deep."""
    value: Any = ["earliest"]
    for _ in range(depth):
        value = [value]
    for container in (value, tuple(value), {"a": value}):
        with pytest.raises(StatementError, match="must be one value"):
            db.session({"auto.offset.reset": container})
