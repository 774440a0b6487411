"""Bad records are counted, logged and passed over; a query that cannot go on says so, and others do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from penstock.engine.database import Database, connect
from penstock.engine.functions.registry import Registry
from penstock.engine.functions.user import USER_FUNCTIONS, udaf
from penstock.errors import DataError, StorageError

SETTINGS = {"auto.offset.reset": "earliest", "cache.max.bytes.buffering": "0"}


@pytest.fixture(params=[None, "shop"], ids=["memory", "directory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without threads, in memory and in a directory."""
    with connect(None if request.param is None else tmp_path / request.param, settings=SETTINGS, threads=0) as opened:
        yield opened


def key(number: int) -> bytes:
    return number.to_bytes(4)


CASES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "malformed JSON": ("V INT", "VALUE_FORMAT='JSON'", {"value": b"{"}, "value"),
    "JSON of another type": ("V INT", "VALUE_FORMAT='JSON'", {"value": b'{"V": [1]}'}, "value"),
    "JSON that is no object": ("V INT, W INT", "VALUE_FORMAT='JSON'", {"value": b"7"}, "value"),
    "DELIMITED of another type": ("V INT, W INT", "VALUE_FORMAT='DELIMITED'", {"value": b"x,1"}, "value"),
    "DELIMITED with too few columns": ("V INT, W INT", "VALUE_FORMAT='DELIMITED'", {"value": b"1"}, "value"),
    "KAFKA of another length": ("V INT", "VALUE_FORMAT='KAFKA'", {"value": b"123"}, "value"),
    "a key of another length": ("V INT", "VALUE_FORMAT='KAFKA'", {"key": b"12", "value": key(1)}, "key"),
    "a negative timestamp": ("V BIGINT", "VALUE_FORMAT='JSON', TIMESTAMP='V'", {"value": b'{"V": -5}'}, "value"),
    "no timestamp": ("V BIGINT", "VALUE_FORMAT='JSON', TIMESTAMP='V'", {"value": b"{}"}, "value"),
    "a timestamp of another form": (
        "V STRING",
        "VALUE_FORMAT='JSON', TIMESTAMP='V', TIMESTAMP_FORMAT='yyyy-MM-dd'",
        {"value": b'{"V": "soon"}'},
        "value",
    ),
}
GOOD = {"JSON": b'{"V": 1, "W": 1}', "DELIMITED": b"1,1", "KAFKA": key(1)}


@pytest.mark.parametrize("case", CASES)
def test_a_record_that_cannot_be_read(db: Database, case: str) -> None:
    """It is counted and logged with reason and place; the records around it are used; nothing stops."""
    columns, properties, record, side = CASES[case]
    db.execute(f"CREATE STREAM S (K INT KEY, {columns}) WITH (KAFKA_TOPIC='s', PARTITIONS=3, {properties});")
    db.execute("CREATE STREAM O AS SELECT K, V FROM S;")
    format_ = properties.split("'")[1]
    good = b'{"V": "2024-01-01"}' if "FORMAT='yyyy" in properties else GOOD[format_]
    db.produce("s", key=key(1), value=good, partition=2)
    db.produce("s", **{"key": key(2), **record}, partition=2)
    db.produce("s", key=key(3), value=good, partition=2)
    subscription = db.subscribe("SELECT LOGGER, MESSAGE FROM KSQL_PROCESSING_LOG EMIT CHANGES LIMIT 1;")
    db.drain()
    (query,) = db.queries.values()
    account = query.progress().account
    assert (account.read, account.used, account.bad, account.written) == (3, 2, 1, 2)
    assert query.state == "RUNNING"
    (row,) = db.sql("SELECT * FROM KSQL_PROCESSING_LOG;").to_dicts()
    error = row["MESSAGE"]["deserializationError"]
    assert row["LEVEL"] == "ERROR"
    assert row["LOGGER"].startswith(f"processing.{query.id}.")
    assert (error["topic"], error["partition"], error["offset"], error["target"]) == ("s", 2, 1, side)
    assert len(error["errorMessage"]) > 5
    pushed = next(iter(subscription))
    assert pushed.values == (row["LOGGER"], row["MESSAGE"])


def test_rows_that_a_sink_cannot_write_are_bad(db: Database) -> None:
    """A row whose timestamp column is null goes no further, and is counted and logged."""
    db.execute("CREATE STREAM S (K INT KEY, V BIGINT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
    db.execute("CREATE STREAM O WITH (TIMESTAMP='V') AS SELECT K, V FROM S;")
    db.insert("S", [{"K": 1, "V": 5}, {"K": 2, "V": None}, {"K": 3, "V": -1}])
    db.drain()
    account = db.queries["CSAS_O_1"].progress().account
    assert (account.read, account.used, account.bad, account.written) == (3, 1, 2, 1)
    rows = db.sql("SELECT * FROM KSQL_PROCESSING_LOG;").to_dicts()
    assert [r["MESSAGE"]["serializationError"]["offset"] for r in rows] == [1, 2]


def test_a_function_that_fails_makes_a_null_or_drops_the_row(tmp_path: Path) -> None:
    """In the SELECT list NULL, in WHERE the row is dropped as bad, in GROUP BY too; each is logged; the query goes on."""
    registry = Registry(USER_FUNCTIONS)
    with connect(tmp_path / "x", settings=SETTINGS, threads=0, registry=registry) as db:
        db.execute("CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        db.execute("CREATE STREAM A AS SELECT K, 10 / V AS W FROM S;")
        db.execute("CREATE STREAM B AS SELECT K, V FROM S WHERE 10 / V > 1;")
        db.execute("CREATE TABLE C AS SELECT 10 / V AS G, COUNT(*) AS N FROM S GROUP BY 10 / V;")
        db.insert("S", [{"K": 1, "V": 5}, {"K": 2, "V": 0}, {"K": 3, "V": 2}])
        db.drain()
        found = {q.statement.split()[2]: q.progress().account for q in db.queries.values()}
        assert (found["A"].used, found["A"].bad) == (3, 0)
        assert (found["B"].used, found["B"].bad) == (2, 1)
        assert (found["C"].used, found["C"].bad) == (2, 1)
        logged = db.sql("SELECT * FROM KSQL_PROCESSING_LOG;").to_dicts()
        assert [r["MESSAGE"]["recordProcessingError"]["offset"] for r in logged] == [1, 1, 1]


class Picky:
    """An aggregate that fails beyond 100."""

    def initialize(self) -> int:
        return 0

    def aggregate(self, state: int, value: int) -> int:
        if state + value > 100:
            raise ValueError("too much")
        return state + value


def failing(db: Database) -> None:
    """A query whose aggregate fails, one beside it, and good rows before the bad one."""
    udaf(name="PICKY_SUM")(Picky)
    db.execute("SET 'penstock.row.failure'='stop';")
    db.execute("CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
    db.execute("CREATE TABLE T AS SELECT K, PICKY_SUM(V) AS TOTAL FROM S GROUP BY K;")
    db.execute("CREATE TABLE N AS SELECT K, COUNT(*) AS C FROM S GROUP BY K;")
    db.insert("S", [{"K": 1, "V": 60}])
    db.drain()
    db.insert("S", [{"K": 2, "V": 1}, {"K": 1, "V": 60}])


def test_a_query_that_cannot_go_on_shows_why_and_others_do(db: Database) -> None:
    """Its table stays as of its last commit: never half a step."""
    failing(db)
    with pytest.raises(DataError):
        db.drain()
    with pytest.raises(DataError):
        db.drain()
    query = db.queries["CTAS_T_1"]
    assert query.state == "ERROR"
    assert query.progress().error
    assert db.sql("SELECT K, C FROM N;").fetchall() in ([(1, 1)], [(1, 2), (2, 1)], [(2, 1), (1, 2)])
    assert db.sql("SELECT K FROM T;").fetchall() == [(1,)]
    query.resume()
    assert query.state == "RUNNING"
    assert db.sql("SELECT K FROM T;").fetchall() == [(1,)]


def test_resume_after_an_error_goes_on_from_the_last_commit(tmp_path: Path) -> None:
    """What failed once and no longer does (a disk that was full) leaves no gap and counts nothing twice."""
    with connect(tmp_path / "x", settings={**SETTINGS, "penstock.rows.per.step": "2"}, threads=0) as db:
        db.execute("CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        db.execute("CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
        db.insert("S", [{"K": i % 2, "V": i} for i in range(10)])
        run = db._engine.host.run("CTAS_T_1")
        original, calls = run.parts.committer.commit, iter(range(100))

        def commit(outcome: Any) -> None:
            if next(calls) == 2:
                raise StorageError("once")
            original(outcome)

        with mock.patch.object(run.parts.committer, "commit", commit), pytest.raises(StorageError, match="once"):
            db.drain()
        db.queries["CTAS_T_1"].resume()
        db.drain()
        assert sorted(db.sql("SELECT K, N FROM T;").fetchall()) == [(0, 5), (1, 5)]
        account = db.queries["CTAS_T_1"].progress().account
        assert (account.read, account.used) == (10, 10)
