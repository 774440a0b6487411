"""What statements may ask for: defaults, durations, windows, circles, characters, and where errors say they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.engine.database import Database, connect
from penstock.errors import StatementError


@pytest.fixture
def db() -> Iterator[Database]:
    """A stream S of JSON, a stream R, and a table T of a query over S."""
    with connect(settings={"auto.offset.reset": "earliest"}, threads=0) as opened:
        opened.execute("""
            CREATE STREAM s (k INT KEY, v INT) WITH (VALUE_FORMAT = 'JSON');
            CREATE STREAM r (k INT KEY, v INT);
            CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
        """)
        yield opened


def test_a_source_has_defaults(db: Database) -> None:
    """Without KAFKA_TOPIC the topic has the source's name and one partition, in memory and after opening again."""
    assert db.catalog.sources["S"].topic == "S" and len(db.describe_topic("S").partitions) == 1
    db.execute("CREATE TABLE u (k INT PRIMARY KEY, v INT); INSERT INTO u VALUES (1, 2); INSERT INTO r VALUES (1, 2);")
    assert db.sql("SELECT * FROM r").fetchall() == [(1, 2)]
    with pytest.raises(StatementError, match="KAFKA_TOPIC"):
        db.execute("CREATE STREAM nothing;")


def test_defaults_survive_opening_again(tmp_path: Path) -> None:
    """The journal keeps the statement as it was written."""
    with connect(tmp_path / "d", threads=0) as db:
        db.execute("CREATE STREAM s (k INT KEY, v INT); INSERT INTO s VALUES (1, 2);")
    with connect(tmp_path / "d", threads=0) as db:
        assert db.sql("SELECT v FROM s").fetchall() == [(2,)]


LONG = "999999999999999 DAYS"
OVERFLOWING = [
    f"CREATE STREAM j AS SELECT s.k, r.v FROM s JOIN r WITHIN {LONG} ON s.k = r.k;",
    f"CREATE STREAM j AS SELECT s.k, r.v FROM s JOIN r WITHIN (1 DAY, {LONG}) ON s.k = r.k;",
    f"CREATE STREAM j AS SELECT s.k, r.v FROM s JOIN r WITHIN 1 DAY GRACE PERIOD {LONG} ON s.k = r.k;",
    f"CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE {LONG}) GROUP BY k;",
    f"CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW SESSION ({LONG}) GROUP BY k;",
    f"CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW HOPPING (SIZE {LONG}, ADVANCE BY 1 DAY) GROUP BY k;",
    f"CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 DAY, RETENTION {LONG}) GROUP BY k;",
    f"CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 DAY, GRACE PERIOD {LONG}) GROUP BY k;",
    f"ASSERT NOT EXISTS TOPIC nothing TIMEOUT {LONG};",
]


@pytest.mark.parametrize("text", OVERFLOWING)
def test_a_duration_that_overflows_is_refused_where_it_stands(db: Database, text: str) -> None:
    """Never wrapped, and never an OverflowError when the first row comes."""
    with pytest.raises(StatementError, match="too long") as caught:
        db.execute(text)
    assert caught.value.span is not None
    assert text[caught.value.span.start : caught.value.span.end] == LONG


def test_a_row_falls_into_a_bounded_number_of_windows(db: Database) -> None:
    """A day by milliseconds would be 86 million groups for every row."""
    text = "CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW HOPPING (SIZE 1 DAY, ADVANCE BY 1 {}) GROUP BY k;"
    with pytest.raises(StatementError, match="86,400,000 windows"):
        db.execute(text.format("MILLISECOND"))
    db.execute(text.format("MINUTE"))


CIRCLES = [
    "INSERT INTO s SELECT k, v + 1 AS v FROM s;",
    "CREATE STREAM a AS SELECT * FROM s; INSERT INTO s SELECT * FROM a;",
    "CREATE STREAM a AS SELECT * FROM s; INSERT INTO r SELECT * FROM a; INSERT INTO a SELECT * FROM r;",
    "CREATE STREAM o (k INT KEY, v INT) WITH (KAFKA_TOPIC = 'S', VALUE_FORMAT = 'JSON'); INSERT INTO o SELECT * FROM s;",
    "CREATE STREAM a WITH (KAFKA_TOPIC = 'S', VALUE_FORMAT = 'JSON') AS SELECT * FROM s;",
]


@pytest.mark.parametrize("text", CIRCLES)
def test_a_query_does_not_feed_itself(db: Database, text: str) -> None:
    """Directly, through other queries, or through the topic."""
    with pytest.raises(StatementError, match="would read what it writes"):
        db.execute(text)
    db.execute("INSERT INTO s VALUES (1, 1);")
    db.drain()


def test_two_queries_may_write_to_one_stream(db: Database) -> None:
    """That is no circle."""
    db.execute("CREATE STREAM a AS SELECT * FROM s; INSERT INTO a SELECT * FROM r; INSERT INTO a SELECT * FROM s;")


def test_the_result_of_a_query_is_its_own(db: Database) -> None:
    """A row in the topic of a table would not be in the table."""
    with pytest.raises(StatementError, match="CTAS_T"):
        db.execute("INSERT INTO t VALUES (1, 5);")
    with pytest.raises(StatementError, match="CTAS_T"):
        db.insert("t", [{"K": 1, "N": 5}])
    with pytest.raises(StatementError, match="CTAS_T"):
        db.execute("DELETE FROM t WHERE k = 1;")


@pytest.mark.parametrize("character", ["\udc80", "\0"])
def test_characters_that_nothing_can_hold(db: Database, character: str) -> None:
    """Half a surrogate pair and NUL are refused wherever a text comes in."""
    for text in ("SELECT '{}' AS x FROM s;", "SET 'ksql.service.id' = '{}';", "CREATE STREAM `{}` (a INT);"):
        with pytest.raises(StatementError):
            db.execute(text.format(character))
    for call in (
        lambda: db.sql(f"SELECT '{character}' AS x"),
        lambda: db.duckdb(f"SELECT '{character}'"),
        lambda: db.subscribe(f"SELECT '{character}' AS x FROM s EMIT CHANGES;"),
        lambda: db.create_topic(f"t{character}"),
        lambda: db.submit("SHOW STREAMS;", f"x{character}"),
        lambda: db.insert(f"s{character}", [{"K": 1}]),
        lambda: connect(settings={"ksql.service.id": f"a{character}"}, threads=0),
    ):
        with pytest.raises(StatementError):
            call()


def test_a_byte_order_mark_is_fine(db: Database) -> None:
    """Editors write one at the beginning of a file."""
    assert db.sql("\ufeffSELECT 1 AS x").fetchall() == [(1,)]
    assert len(db.execute("\ufeff-- a comment\nSHOW STREAMS;")) == 1


def test_errors_name_the_file_and_its_line(db: Database, tmp_path: Path) -> None:
    """Of the script that the statement is in, not of the one that runs it."""
    outer, inner = tmp_path / "outer.sql", tmp_path / "inner.sql"
    outer.write_text("\ufeffSHOW STREAMS;\n\nRUN SCRIPT 'inner.sql';\n", encoding="utf-8")
    inner.write_text("-- nothing\n\nSHOW STREAMS;\n  SELECT nothing FROM s;\n")
    with pytest.raises(StatementError) as caught:
        db.execute(outer.read_text(encoding="utf-8"), path=outer)
    assert f"{inner}, line 4, column 10" in str(caught.value)


EXPLAINED = {
    "SELECT k FROM (SELECT k, v FROM s WHERE v > 1) AS q ORDER BY k LIMIT 3": [
        "read all records of the stream S",
        "sort by K",
    ],
    "SELECT COUNT(*) FROM t GROUP BY n HAVING COUNT(*) > 1": ["read all rows of the table T", "group by N", "filter groups"],
    "SELECT n FROM t WHERE k = 1 ORDER BY n": ["1 rows by key of the table T"],
    "SELECT a.n FROM t a JOIN s ON a.k = s.k UNION SELECT 1 AS n": ["union of:", "inner join on A.K = S.K"],
}


@pytest.mark.parametrize("text", EXPLAINED)
def test_explain_shows_the_steps(db: Database, text: str) -> None:
    """Of a query that is answered once; nothing is read."""
    (found,) = db.execute(f"EXPLAIN {text};")
    steps = str(dict(found.sections)["Steps"])  # type: ignore[union-attr]
    assert all(step in steps for step in EXPLAINED[text]), steps
