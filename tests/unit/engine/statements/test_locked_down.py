"""Nothing outside the database can be reached through a query, in the dialect or in DuckDB's SQL."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.engine.database import Database, connect
from penstock.engine.duckdb.watch import resident_bytes
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


@pytest.fixture(scope="module")
def odd() -> Iterator[Database]:
    """Sources, columns and fields whose names differ in case only, and a DECIMAL that DuckDB has not."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("""
            CREATE STREAM s (ID INT KEY, V INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
            CREATE STREAM `s` (ID INT KEY, V INT, `v` STRING, p STRUCT<`x` INT, X INT>)
                WITH (KAFKA_TOPIC = 's2', PARTITIONS = 1);
            CREATE STREAM big (ID INT KEY, d DECIMAL(50, 2), a ARRAY<DECIMAL(40, 1)>)
                WITH (KAFKA_TOPIC = 'b', PARTITIONS = 1);
            INSERT INTO s VALUES (1, 10);
            INSERT INTO `s` VALUES (1, 20, 'low', STRUCT(`x` := 1, X := 2));
            INSERT INTO big VALUES (1, 123456789012345678901234567890123456789012345678.25, ARRAY[1.5]);
        """)
        yield opened


NAMES = {
    "SELECT V FROM s": [(10,)],
    "SELECT V FROM S": [(10,)],
    'SELECT "V" FROM "s"': [(20,)],
    'SELECT "v", v, V FROM "s"': [("low", 20, 20)],
    'SELECT q."v" || \'!\', q.v FROM "s" AS q WHERE q."v" = \'low\'': [("low!", 20)],
    'SELECT a.V, b.V FROM S a JOIN "s" b ON a.ID = b.ID': [(10, 20)],
    'SELECT p."x", p.X, "s".p."x" FROM "s"': [(1, 2, 1)],
    'WITH q AS (SELECT "v" AS w FROM "s") SELECT w FROM q': [("low",)],
    'SELECT p FROM "s"': [({"x": 1, "X": 2},)],
    "SELECT ID FROM big": [(1,)],
    "SELECT d, a FROM big": [("123456789012345678901234567890123456789012345678.25", ["1.5"])],
}


@pytest.mark.parametrize("text", NAMES)
def test_names_that_differ_in_case_only_reach_what_they_name(odd: Database, text: str) -> None:
    """A quoted name is the one that it shows, a bare one is in upper case."""
    assert odd.duckdb(text).fetchall() == NAMES[text]


def test_the_answer_has_the_names_that_users_know(odd: Database) -> None:
    """Whatever they were called in DuckDB."""
    assert odd.duckdb('SELECT * FROM "s"').columns == ("ID", "V", "v", "P", "ROWTIME")
    assert odd.duckdb('SELECT upper("v") FROM "s"').columns == ("upper(v)",)
    with pytest.raises(StatementError, match="in case only"):
        odd.duckdb("SELECT struct_extract(p, 'x') FROM \"s\"")


LEAKS = """
SELECT json_serialize_plan('SELECT current_setting(''threads'')', optimize := true)
SELECT json_serialize_sql('SELECT 1')
SELECT json_deserialize_sql('{}')
SELECT * FROM json_execute_serialized_sql('{}')
WITH RECURSIVE duckdb_logs AS (SELECT 1 FROM duckdb_logs UNION ALL SELECT 2 FROM duckdb_logs) SELECT * FROM duckdb_logs
WITH RECURSIVE pg_settings AS (SELECT name FROM pg_settings) SELECT * FROM pg_settings
WITH RECURSIVE pg_type(a) AS (SELECT typname FROM pg_type UNION SELECT 'x' FROM pg_type) SELECT * FROM pg_type
WITH RECURSIVE x AS (SELECT name FROM duckdb_views UNION ALL SELECT name FROM x WHERE false) SELECT * FROM x
WITH RECURSIVE x AS (SELECT * FROM x UNION ALL SELECT * FROM x) SELECT * FROM x
SELECT list_transform([1], x -> current_setting('threads'))
SELECT list_aggregate([1], 'current_setting')
SELECT COLUMNS(x -> getenv(x) IS NULL) FROM T
SELECT current_database()
SELECT current_query()
SELECT version()
SELECT has_table_privilege('T', 'select')
SELECT 1 ORDER BY current_setting('threads')
SELECT 1 LIMIT current_setting('threads')::INT
SELECT count(*) FILTER (WHERE current_setting('threads') = '1') FROM T
SELECT sum(N) OVER (ORDER BY getvariable('x')) FROM T
SELECT CASE WHEN true THEN current_setting('threads') END
FROM T, LATERAL (SELECT current_setting('threads'))
SELECT * FROM T PIVOT (count(*) FOR N IN (1))
FROM (FROM duckdb_settings())
SELECT (FROM duckdb_settings() SELECT count(*))
SELECT * FROM T WHERE EXISTS (FROM duckdb_logs)
VALUES (current_setting('threads'))
SELECT * FROM (VALUES (getenv('HOME'))) AS x
DESCRIBE duckdb_settings
SUMMARIZE duckdb_settings
SELECT * FROM pragma_version()
SELECT * FROM duckdb_columns
SELECT * FROM "pg_catalog"."pg_settings"
SELECT * FROM 's3://bucket/x.parquet'
SELECT * FROM 'x.csv'
SELECT write_log('x', level := 'info')
SELECT nextval('x'), setseed(0.5)
SELECT 'x\0y'
"""


@pytest.mark.parametrize("text", [line.replace("\\0", "\0") for line in LEAKS.split("\n") if line])
def test_nothing_leaks(db: Database, text: str) -> None:
    """Settings, the catalog, the machine and SQL in texts are out of reach, wherever they stand."""
    try:
        found = db.duckdb(text).fetchall()
    except StatementError:
        return
    assert "PIVOT" in text, found


def test_memory_is_bounded() -> None:
    """Of DuckDB itself and of the answer; nothing is cut."""
    with connect(settings={"penstock.duckdb.memory": 64 * 1024 * 1024}, threads=0) as db:
        assert len(db.duckdb("SELECT * FROM range(100000)")) == 100_000
        with pytest.raises(StatementError, match=r"67,108,864 bytes.*penstock\.duckdb\.memory"):
            db.duckdb("SELECT * FROM range(50000000)")
        for text in (
            "SELECT count(*) FROM (SELECT DISTINCT a.range * 100003 + b.range AS x FROM range(3000) a, range(1000) b)",
            "SELECT list(range) FROM range(100000000)",
            "SELECT repeat('x', 2000000000)",
            "SELECT repeat('x', N) FROM (SELECT 2000000000 AS N)",
            "SELECT lpad('x', 2000000000, 'y')",
            "SELECT range(1000000000)",
            "SELECT unnest(generate_series(-1, 1000000000))",
            "SELECT list_resize([1], 1000000000)",
            "SELECT printf('%1000000000d', 1)",
            "SELECT format('{:>1000000000}', 1)",
            "SELECT format('{:>{}}', 1, 1000000000)",
            "SELECT printf('%*d', 1000000000, 1)",
            "SELECT string_agg(repeat('x', 100000), '') FROM range(10000)",
        ):
            with pytest.raises(StatementError):
                db.duckdb(text)
        assert db.duckdb("SELECT repeat('ab', 3), lpad('7', 3, '0'), range(2), printf('%5.2f', 1.5)").fetchall() == [
            ("ababab", "007", [0, 1], " 1.50")
        ]


def test_switches_hold_in_duckdbs_sql() -> None:
    """A table that may not be scanned, a stream that may not be read."""
    with connect(threads=0) as db:
        db.execute("""
            CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);
            CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
            SET 'ksql.query.pull.table.scan.enabled' = 'false';
            SET 'ksql.query.pull.stream.enabled' = 'false';
        """)
        for text in ("SELECT * FROM t", "SELECT * FROM s"):
            with pytest.raises(StatementError):
                db.duckdb(text)


@pytest.mark.parametrize("parameters", [[object()], [2**200], ["\udc80"], {"x": 1}, [], [1, 2], 5])
def test_parameters_that_do_not_fit_are_refused(db: Database, parameters: object) -> None:
    """Whatever is given in place of one value."""
    with pytest.raises(StatementError):
        db.duckdb("SELECT ?::BIGINT", parameters=parameters)  # type: ignore[arg-type]


def test_texts_that_duckdb_does_not_count() -> None:
    """Texts that are joined again and again, in subqueries inside of each other, end at the same bound."""
    if resident_bytes() is None:
        pytest.skip("how large a process is cannot be told here")
    with connect(None, threads=0, settings={"penstock.duckdb.memory": str(16 * 1024 * 1024)}) as database:
        database.execute("CREATE STREAM s (id INT KEY, x STRING) WITH (PARTITIONS=1);")
        database.insert("s", {"id": 1, "x": "x" * 100_000})
        query = "SELECT x FROM s"
        for _ in range(7):
            query = f"SELECT x || x || x || x AS x FROM ({query})"
        before = resident_bytes()
        with pytest.raises(StatementError, match=r"which is penstock\.duckdb\.memory"):
            database.duckdb(f"SELECT length(x) FROM ({query})")
        after = resident_bytes()
        assert before is not None and after is not None and after - before < 1 << 30
        assert database.duckdb("SELECT length(x || x) FROM s").fetchall() == [(200_000,)]


@pytest.fixture(scope="module")
def bounded() -> Iterator[Database]:
    """A stream of 3,000 rows with a text of 100 characters, and 256 MB for DuckDB."""
    settings = {"auto.offset.reset": "earliest", "penstock.duckdb.memory": str(256 * 1024 * 1024)}
    with connect(None, threads=0, settings=settings) as database:
        database.execute(
            "CREATE STREAM s (k STRING KEY, v INT, w STRING, a ARRAY<INT>, m MAP<STRING, INT>) WITH (PARTITIONS=1);"
        )
        rows = [{"k": str(i), "v": i, "w": "x" * 100, "a": [1, 2], "m": {"a": 1}} for i in range(3_000)]
        database.insert("s", rows)
        yield database


GROWING = [
    "SELECT length(repeat(repeat(w, 1000), 1000)) FROM s",
    "SELECT length(repeat(w, 100000) || repeat(w, 100000)) FROM s",
    "SELECT length(" + " || ".join(["(((w || w) || (w || w)) || ((w || w) || (w || w)))"] * 200) + ") FROM s",
    "SELECT length(x) FROM (SELECT repeat(w, 100) AS x FROM (SELECT repeat(w, 100) AS w FROM s))",
    "WITH a AS (SELECT repeat(w, 100) x FROM s), b AS (SELECT repeat(x, 100) x FROM a) SELECT length(x) FROM b",
    "SELECT (SELECT length(repeat(repeat(w, 1000), 1000))) FROM s",
    "SELECT 1 FROM s WHERE length(repeat(repeat(w, 1000), 1000)) > 5",
    "SELECT 1 FROM s JOIN s AS t ON repeat(repeat(s.w, 1000), 1000) = t.w",
    "SELECT 1 FROM s GROUP BY repeat(repeat(w, 1000), 1000)",
    "SELECT 1 FROM s UNION SELECT length(repeat(repeat(w, 1000), 1000)) FROM s",
    "SELECT length(replace(repeat('a', 100000), 'a', repeat('b', 100000)))",
    "SELECT length(regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g'))",
    "SELECT len(list_transform(range(100000), x -> repeat('a', 100000)))",
    "SELECT len([repeat('a', 100000) for x in range(100000)])",
    "SELECT len(list_transform(range(10000), lambda x: range(10000)))",
    "SELECT len(list_reduce(['a', 'b', 'c', 'd'], (x, y) -> x || x || x || y)) FROM s",
    "SELECT length(concat_ws(repeat(',', 100000), w, w, w, w)) FROM s",
    "SELECT length(to_json(range(1000000))) FROM s",
    "SELECT length(hex(repeat(w, 10000))) FROM s",
    "SELECT max(len(list_resize([1], 1000000))) FROM s",
    "SELECT length(repeat(string_agg(w, ''), 1000)) FROM s",
    "SELECT length(repeat(?, 1000)) FROM s",
    "SELECT CASE WHEN v > 5 THEN repeat(repeat(w, 1000), 1000) END FROM s",
    "WITH RECURSIVE r AS (SELECT 'x' AS t, 0 AS n UNION ALL SELECT repeat(t, 1000000), n + 1 FROM r WHERE n < 9) "
    "SELECT n FROM r",
    "SELECT " + "list_transform(range(2), x -> " * 40 + "1" + ")" * 40,
]


@pytest.mark.parametrize("text", GROWING)
def test_values_that_can_outgrow_the_memory_are_refused_before(bounded: Database, text: str) -> None:
    """However they are put together: DuckDB itself would notice too late, or not at all."""
    before = resident_bytes()
    with pytest.raises(StatementError, match=r"penstock\.duckdb\.memory|in a recursive") as refused:
        bounded.duckdb(text, ["y" * 10_000] if "?" in text else None)
    after = resident_bytes()
    assert "may make values" in str(refused.value)
    assert before is None or after is None or after - before < 1 << 28


ORDINARY = [
    "SELECT length(w || '-' || k || '-' || w) FROM s",
    "SELECT length(repeat(w, 100)) FROM s",
    "SELECT count(*) FROM s WHERE lower(trim(replace(w, 'x', 'yy'))) LIKE 'y%'",
    "SELECT length(string_agg(k, ', ')) FROM s",
    "SELECT length(replace(string_agg(k, ','), ',', ', ')) FROM s",
    "SELECT len(list(w)) FROM s",
    "SELECT list_transform(a, lambda x: x + v), list_sum([x * 2 for x in a]) FROM s LIMIT 1",
    "SELECT to_json({'a': w, 'b': [v, v]}), json_object('k', k) FROM s LIMIT 1",
    "SELECT string_split(w, 'x'), regexp_replace(w, '(x)(x)', '\\2\\1', 'g') FROM s",
    "SELECT format('{:10} {}', k, v), printf('%05d', v) FROM s",
    "SELECT repeat('x', 1000000)",
    "SELECT len(range(1000000))",
    "SELECT k, count(*), max(w), min(v) OVER () FROM s GROUP BY k, v ORDER BY 1 LIMIT 3",
    "WITH a AS (SELECT w || k AS w FROM s), b AS (SELECT w || w AS w FROM a) SELECT max(w) FROM b",
    "WITH RECURSIVE r AS (SELECT 1 AS n, 'x' AS t UNION ALL SELECT n + 1, t || 'x' FROM r WHERE n < 9) SELECT max(t) FROM r",
    "SELECT m['a'], map_keys(m), unnest(a) FROM s",
    "SELECT len(list_reduce(range(100), lambda x, y: x + y)::VARCHAR)",
    "SELECT length(?) + ? FROM s",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_values_that_do_not_grow_are_not(bounded: Database, text: str) -> None:
    """What people write."""
    assert len(bounded.duckdb(text, ["y" * 100_000, 1] if "?" in text else None)) > 0


def test_a_query_that_is_nested_too_deeply(bounded: Database) -> None:
    """Is refused with an error of ours, whoever finds it too deep."""
    for text in ("SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "SELECT " + " || ".join(["'a'"] * 900) + " AS x"):
        with pytest.raises(StatementError, match=r"nested|depth|deep"):
            bounded.duckdb(text)
