"""Nothing outside the database can be reached through a query, in the dialect or in DuckDB's SQL."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError


@pytest.fixture
def db() -> Iterator[Database]:
    """A stream S, a table T over it, and a row in each."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("CREATE STREAM S (ID INT KEY, V INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        opened.execute("CREATE TABLE T AS SELECT ID, COUNT(*) AS N FROM S GROUP BY ID;")
        opened.insert("S", [{"ID": 1, "V": 2}])
        opened.drain()
        yield opened


REFUSED = """
SELECT * FROM read_csv('{file}')
SELECT * FROM read_csv_auto('{file}')
SELECT * FROM '{file}'
SELECT * FROM "{file}"
SELECT * FROM read_text('{file}')
SELECT * FROM read_blob('{file}')
SELECT * FROM read_json('{file}')
SELECT * FROM read_parquet('{file}')
SELECT * FROM parquet_metadata('{file}')
SELECT * FROM read_duckdb('{file}')
SELECT * FROM sniff_csv('{file}')
SELECT * FROM glob('/*')
SELECT * FROM read_csv('https://example.com/a.csv')
SELECT getenv('HOME')
SELECT GETENV('HOME')
SELECT "getenv"('HOME')
SELECT 'HOME'.getenv()
SELECT list_transform(['HOME'], lambda x: getenv(x))
SELECT current_setting('threads')
SELECT system.main.current_setting('threads')
SELECT * FROM T WHERE N > (SELECT current_setting('threads')::INT)
SELECT * FROM duckdb_settings()
SELECT * FROM system.main.duckdb_settings()
SELECT * FROM duckdb_settings
SELECT * FROM pg_catalog.pg_settings
SELECT * FROM information_schema.tables
SELECT * FROM sqlite_master
SELECT * FROM duckdb_secrets()
SELECT * FROM which_secret('s3://x', 's3')
SELECT * FROM duckdb_extensions()
SELECT * FROM duckdb_databases()
SELECT * FROM duckdb_logs
SELECT * FROM pragma_database_size()
SELECT * FROM query('SELECT 1')
SELECT * FROM query_table('T')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
SELECT * FROM arrow_scan(1, 2, 3)
SELECT * FROM python_map_function()
SELECT * FROM seq_scan('T')
SELECT * FROM test_all_types()
SELECT * FROM db
SELECT * FROM main.T
WITH duckdb_settings AS (SELECT * FROM duckdb_settings) SELECT * FROM duckdb_settings
SELECT * FROM (WITH duckdb_logs AS (SELECT 1) SELECT * FROM duckdb_logs) a, duckdb_logs b
WITH a AS (SELECT 1), b AS (SELECT * FROM duckdb_settings()) SELECT * FROM b
SELECT 1 UNION ALL SELECT count(*) FROM duckdb_functions()
SELECT nextval('x')
SELECT write_log('x')
SELECT sleep_ms(100000)
SELECT pg_sleep(100000)
SHOW DATABASES
SELECT * FROM (SHOW TABLES)
ATTACH '{new}'
COPY (SELECT 1) TO '{new}'
EXPORT DATABASE '{new}'
INSTALL httpfs
LOAD httpfs
SET threads = 4
PRAGMA database_list
CALL duckdb_settings()
CREATE TABLE x AS SELECT 1
INSERT INTO T VALUES (1)
DROP TABLE T
EXPLAIN SELECT 1
SELECT 1; SELECT 2
SELECT FROM
SELECT 'half \udc80 a pair'
SELECT (
"""


@pytest.mark.parametrize("text", [line for line in REFUSED.split("\n") if line])
def test_what_a_pull_query_must_not_do(db: Database, tmp_path: Path, text: str) -> None:
    """Files, the network, the environment, settings and other statements are refused, and nothing happens."""
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    before = sorted(tmp_path.iterdir())
    text = text.replace("{file}", str(tmp_path / "secret.csv")).replace("{new}", str(tmp_path / "new.db"))
    for ask in (db.duckdb, db.sql):
        with pytest.raises(StatementError):
            ask(text)
    assert sorted(tmp_path.iterdir()) == before


ANSWERED = {
    "SELECT N FROM t": [(1,)],
    "SELECT n.N FROM T AS n": [(1,)],
    "FROM S SELECT V": [(2,)],
    "VALUES (1)": [(1,)],
    "SELECT * FROM range(2)": [(0,), (1,)],
    "SELECT unnest([1, 2])": [(1,), (2,)],
    "SELECT T.N + S.V FROM T JOIN S ON T.ID = S.ID": [(3,)],
    "WITH T AS (SELECT 7 AS x) SELECT x FROM T": [(7,)],
    "WITH a AS (SELECT N FROM T), b AS (SELECT * FROM a) SELECT * FROM b": [(1,)],
    "WITH T AS (SELECT N + 1 AS M FROM T) SELECT M FROM T": [(2,)],
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT max(n) FROM r": [(3,)],
    "SELECT count(*) OVER () FROM T": [(1,)],
    "SELECT (SELECT max(V) FROM S) AS m": [(2,)],
    "SELECT column_name FROM (DESCRIBE SELECT N FROM T)": [("N",)],
    "SELECT pg_typeof(1)": [("integer",)],
}


@pytest.mark.parametrize("text", ANSWERED)
def test_what_a_pull_query_may_do(db: Database, text: str) -> None:
    """Any SELECT over streams, tables and its own values is answered, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert db.duckdb(text).fetchall() == ANSWERED[text]


def test_an_error_of_duckdb_shows_its_place(db: Database) -> None:
    """The message is one line of DuckDB's, with the place in the statement."""
    with pytest.raises(StatementError) as caught:
        db.duckdb("SELECT N,\n       CAST('a' AS INT) FROM T JOIN S USING (ID)")
    assert caught.value.span is not None
    assert (caught.value.span.line, caught.value.span.column) == (2, 8)


def test_names_that_differ_in_case_only_are_not_mixed_up(db: Database) -> None:
    """DuckDB would take one for the other."""
    db.execute("CREATE STREAM `s` (ID INT KEY, V INT) WITH (KAFKA_TOPIC='s2', PARTITIONS=1);")
    with pytest.raises(StatementError, match="differ in case only"):
        db.duckdb('SELECT * FROM S, "s" AS other')


def test_an_answer_that_is_too_large_is_an_error(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never cut."""
    monkeypatch.setattr("penstock.engine.duckdb.pull.ANSWER_BYTES_MAX", 1_000_000)
    assert len(db.duckdb("SELECT * FROM range(100000)")) == 100_000
    with pytest.raises(StatementError, match="larger than 1,000,000 bytes"):
        db.duckdb("SELECT * FROM range(1000000)")


@pytest.mark.parametrize("parameters", [[object()], [2**200], ["\udc80"], {"x": 1}, [], [1, 2], 5])
def test_parameters_that_do_not_fit_are_refused(db: Database, parameters: object) -> None:
    """Whatever is given in place of one value."""
    with pytest.raises(StatementError):
        db.duckdb("SELECT ?::BIGINT", parameters=parameters)  # type: ignore[arg-type]
