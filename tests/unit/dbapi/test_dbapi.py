"""PEP 249: what the compliance suite does not ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import penstock
from penstock import dbapi

SETUP = """
    CREATE STREAM s (k STRING KEY, v BIGINT, d DECIMAL(5, 2), seen TIMESTAMP) WITH (KAFKA_TOPIC = 's', PARTITIONS = 2);
    CREATE TABLE t AS SELECT k, SUM(v) AS v FROM s GROUP BY k;
"""


@pytest.fixture
def connection() -> Iterator[dbapi.Connection]:
    with penstock.connect() as db:
        db.execute(SETUP)
        with dbapi.connect(db) as opened:
            yield opened
        assert not db._closed


def test_a_program_reads_its_own_writes(connection: dbapi.Connection) -> None:
    """A SELECT from a table waits for what the connection has inserted; parameters are values, whatever they look like."""
    cursor = connection.cursor()
    for number in range(20):
        assert cursor.execute("INSERT INTO s (k, v) VALUES (?, ?)", ["it's", number]).rowcount == 1
        cursor.execute("SELECT v FROM t WHERE k = $k;", {"k": "it's"})
        assert cursor.fetchall() == [(sum(range(number + 1)),)]
    cursor.executemany("INSERT INTO s (k, v) VALUES (?, ?)", [("a", 1), ("b", 2)])
    assert cursor.rowcount == 2
    assert cursor.execute("INSERT INTO s (k, v) VALUES ('c', 1), ('d', 2)").rowcount == 2
    assert list(cursor.execute("SELECT k FROM t WHERE v < 3 ORDER BY k")) == [("a",), ("b",), ("c",), ("d",)]


def test_descriptions_compare_with_the_type_objects(connection: dbapi.Connection) -> None:
    """NUMBER, STRING, DATETIME; DECIMALs have precision and scale."""
    cursor = connection.cursor().execute("SELECT k, v, d, seen FROM s")
    assert cursor.description is not None and cursor.rowcount == 0
    assert [entry[0] for entry in cursor.description] == ["K", "V", "D", "SEEN"]
    codes = [entry[1] for entry in cursor.description]
    assert codes == [dbapi.STRING, dbapi.NUMBER, dbapi.NUMBER, dbapi.DATETIME] and codes[0] != dbapi.NUMBER
    assert cursor.description[2][4:6] == (5, 2)
    assert connection.cursor().execute("SHOW STREAMS").fetchall()
    assert connection.cursor().execute("DESCRIBE s").fetchone() is not None


def test_errors_are_those_of_the_standard(connection: dbapi.Connection, tmp_path: object) -> None:
    """Each with Penstock's own as its cause."""
    cursor = connection.cursor()
    for text, kind in (
        ("SELECT nothing FROM s", dbapi.ProgrammingError),
        ("SELEC 1", dbapi.ProgrammingError),
        ("SELECT 1; SELECT 2", dbapi.ProgrammingError),
        ("SELECT * FROM s EMIT CHANGES", dbapi.NotSupportedError),
        ("PRINT s", dbapi.NotSupportedError),
    ):
        with pytest.raises(kind) as caught:
            cursor.execute(text)
        if kind is dbapi.ProgrammingError:
            assert isinstance(caught.value.__cause__, penstock.StatementError)
    with pytest.raises(dbapi.InterfaceError):
        cursor.fetchone()
    cursor.close()
    with pytest.raises(dbapi.Error):
        cursor.execute("SELECT 1")
    with pytest.raises(dbapi.OperationalError):
        dbapi.connect(__file__)


def test_a_push_query_with_a_limit_is_read_to_its_end(connection: dbapi.Connection) -> None:
    """It ends, so it has a result."""
    cursor = connection.cursor()
    cursor.execute("SET 'auto.offset.reset' = 'earliest';")
    cursor.execute("INSERT INTO s (k, v) VALUES ('a', 1);")
    assert cursor.execute("SELECT k, v FROM s EMIT CHANGES LIMIT 1;").fetchall() == [("a", 1)]


def test_connections_have_settings_of_their_own() -> None:
    """SET in one is not SET in the other."""
    with penstock.connect(threads=0) as db, dbapi.connect(db) as one, dbapi.connect(db) as other:
        one.cursor().execute("DEFINE x = '1'")
        one.cursor().execute("SELECT ${x} AS x")
        with pytest.raises(dbapi.ProgrammingError):
            other.cursor().execute("SELECT ${x} AS x")
