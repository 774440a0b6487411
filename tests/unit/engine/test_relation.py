"""What comes out: a cursor, exact frames, files, tables of text, dicts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet
import pytest

import penstock
from penstock.engine.database import Database, connect
from penstock.engine.results import Listing, Table

BIG = 2**60 + 1


@pytest.fixture
def db() -> Iterator[Database]:
    """A windowed table W and an unwindowed one T over a stream S."""
    with connect(threads=0) as opened:
        opened.execute("""
            CREATE STREAM s (k STRING KEY, v BIGINT, m MAP<STRING, INT>, f STRING)
                WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
            CREATE TABLE w AS SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY k;
            CREATE TABLE t AS SELECT k, MAX(v) AS v, LATEST_BY_OFFSET(m) AS m, LATEST_BY_OFFSET(f) AS f FROM s GROUP BY k;
        """)
        columns = {"k": ["a", "b"], "v": [BIG, None], "m": [{"x": 1}, {"x": None}], "f": ['p, "q"', ""], "rowtime": [1, 2]}
        opened.insert("s", columns)
        opened.insert("s", {"k": "a", "rowtime": 15_000, "v": 0, "m": {"y": 2}, "f": "r"})
        opened.drain()
        yield opened


def test_the_fetch_methods_are_a_cursor(db: Database) -> None:
    """PEP 249: each row is handed out once; iterating, len() and to_dicts() see all of them."""
    table = db.sql("SELECT k FROM t")
    assert table.fetchone() == ("a",)
    assert table.fetchmany(5) == [("b",)]
    assert table.fetchone() is None and table.fetchmany() == [] and table.fetchall() == []
    assert list(table) == [("a",), ("b",)] and len(table) == 2 and table.to_dicts() == [{"K": "a"}, {"K": "b"}]
    with pytest.raises(ValueError, match="negative"):
        table.fetchmany(-1)
    table = db.sql("SELECT k FROM t")
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError):
            table.fetchmany(wrong)  # type: ignore[arg-type]
    assert table.fetchall() == [("a",), ("b",)]


def test_description_tells_names_and_types(db: Database) -> None:
    """Seven items per column, with precision and scale for DECIMALs only."""
    table = db.sql("SELECT k, v, CAST(1 AS DECIMAL(5, 2)) AS d FROM t")
    assert [entry[:2] for entry in table.description] == [("K", "STRING"), ("V", "BIGINT"), ("D", "DECIMAL(5, 2)")]
    assert [entry[4:6] for entry in table.description] == [(None, None), (None, None), (5, 2)]
    assert {len(entry) for entry in table.description} == {7}


def test_frames_are_exact(db: Database) -> None:
    """A BIGINT with NULL stays a whole number, a MAP is a dict, and so in polars as in Arrow."""
    frame = db.sql("SELECT k, v, m FROM t").df()
    assert str(frame["V"].dtype) == "Int64" and frame["V"][0] == BIG and frame["V"].isna().tolist() == [False, True]
    assert frame["M"].tolist() == [{"y": 2}, {"x": None}]
    assert db.sql("SELECT v FROM t").pl()["V"].to_list() == [BIG, None]
    assert db.sql("SELECT sum(v) AS s, count(*) AS n FROM t").fetchall() == [(BIG, 2)]
    assert all(type(value) is int for value in db.sql("SELECT sum(v), sum(n) FROM t, w").fetchall()[0])


def test_wide_decimals_reach_every_frame(db: Database) -> None:
    """DECIMAL(50, 2), by itself and inside of others: polars has at most 38 digits, and must not panic."""
    db.execute("""
        CREATE STREAM wide (k INT KEY, d DECIMAL(50, 2), a ARRAY<DECIMAL(50, 2)>, m MAP<STRING, STRUCT<X DECIMAL(50, 2)>>)
            WITH (KAFKA_TOPIC = 'wide', PARTITIONS = 1);
    """)
    value = Decimal(f"1{'0' * 45}.25")
    db.insert("wide", {"k": 1, "d": value, "a": [value, None], "m": {"x": {"X": value}}})
    table = db.sql("SELECT d, a, m FROM wide")
    text = str(value)
    ((d, a, m),) = table.pl().rows()
    assert (d, a) == (text, [text, None]) and text in str(m)
    assert table.df()["D"].tolist() == [value]
    token = db.insert("wide", db.sql("SELECT k, d, a FROM wide").pl())
    assert db.sql("SELECT d, a FROM wide", after=token).fetchall() == [(value, [value, None])] * 2, "and it goes in again"


def test_maps_are_dicts(db: Database) -> None:
    """In rows of pull and push queries and of topics."""
    assert db.sql("SELECT m FROM t").fetchall() == [({"y": 2},), ({"x": None},)]
    db.execute("SET 'auto.offset.reset' = 'earliest';")
    with db.subscribe("SELECT k, m FROM s EMIT CHANGES LIMIT 1;") as rows:
        db.drain()
        row = rows.poll(5)
    assert row is not None and row.as_dict() == {"K": "a", "M": {"x": 1}}


def test_bounds_of_windows_are_times(db: Database) -> None:
    """They are shown as times and compare with texts, timestamps and dates, on either side, by key and by scan."""
    table = db.sql("SELECT * FROM w WHERE WINDOWSTART = '1970-01-01T00:00:10';")
    assert table.fetchall() == [("a", 10_000, 20_000, 1)]
    assert "1970-01-01T00:00:10.000Z" in table.text() and "10000" not in table.text()
    for condition in (
        "WINDOWSTART = FROM_UNIXTIME(10000)",
        "WINDOWSTART > FROM_UNIXTIME(1)",
        "FROM_UNIXTIME(20000) = WINDOWEND",
        "WINDOWEND BETWEEN FROM_UNIXTIME(20000) AND FROM_UNIXTIME(20001)",
        "n = 1 AND WINDOWSTART > FROM_UNIXTIME(9000) AND WINDOWEND <= CAST('1970-01-02' AS DATE)",
        "WINDOWSTART IN (FROM_UNIXTIME(10000))",
        "k = 'a' AND WINDOWSTART = FROM_UNIXTIME(10000)",
        "k = 'b' AND WINDOWEND < PARSE_TIMESTAMP('1970-01-02', 'yyyy-MM-dd')",
    ):
        assert db.sql(f"SELECT n FROM w WHERE {condition};").fetchall() == [(1,)], condition
    assert len(db.sql("SELECT * FROM s WHERE ROWTIME >= FROM_UNIXTIME(2);")) == 2


def test_listings_are_relations(db: Database) -> None:
    """They print as tables, whole, and become frames."""
    (listing,) = db.execute("SHOW STREAMS;")
    assert isinstance(listing, Listing)
    assert str(listing).splitlines()[0].startswith("Name ")
    assert "S" in listing.df()["Name"].tolist() and listing.fetchone() == listing.rows[0]
    (properties,) = db.execute("SHOW PROPERTIES;")
    assert isinstance(properties, Listing) and len(str(properties).splitlines()) == len(properties) + 2
    assert "<table" in properties._repr_html_()


def test_files(db: Database, tmp_path: Path) -> None:
    """Parquet keeps types; CSV tells NULL from an empty text and quotes what has to be quoted."""
    table = db.sql("SELECT k, v, m FROM t")
    assert pyarrow.parquet.read_table(table.to_parquet(tmp_path / "t.parquet")).column("V").to_pylist() == [BIG, None]
    written = db.sql("SELECT k, v, m, f FROM t").to_csv(tmp_path / "t.csv").read_text("utf-8")
    assert written.splitlines() == ["K,V,M,F", f'a,{BIG},"{{""y"":2}}",r', 'b,,"{""x"":null}",""']
    assert db.sql("SELECT f FROM s").to_csv(tmp_path / "f.csv").read_text("utf-8").splitlines()[1] == '"p, ""q"""'


def test_html_escapes_what_it_shows() -> None:
    """No value is taken for markup."""

    shown = Table(pyarrow.table({"<b>": ["<script>"]}))._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "&lt;b&gt;" in shown


def test_the_door_has_the_relation() -> None:
    """`penstock.Relation` is what tables and listings are."""
    assert issubclass(penstock.Table, penstock.Relation) and issubclass(penstock.Listing, penstock.Relation)


def test_rows_by_their_place() -> None:
    """From the start and from the end; beyond is an error, and reading so leaves the cursor where it is."""
    with penstock.connect(threads=0) as db:
        rows = db.sql("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t (n, s) ORDER BY n;")
        assert (rows[0], rows[1], rows[-1]) == ((1, "a"), (2, "b"), (2, "b"))
        for place in (2, -3):
            with pytest.raises(IndexError):
                rows[place]
        assert rows.fetchall() == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    table = Table(pyarrow.table({"n": pyarrow.array([1])}))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        table.df() if library == "pandas" else table.pl()
