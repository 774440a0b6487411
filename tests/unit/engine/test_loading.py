"""Sources made of data that is there: `create_stream`, `create_table`, CREATE .. FROM 'file'."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest

import penstock

FRAME = pd.DataFrame({"id": [1, 2], "Customer": ["ann", None], "at time": pd.to_datetime(["2024-01-01", "2024-01-02"])})
ROWS = [(1, "ann", datetime.datetime(2024, 1, 1)), (2, None, datetime.datetime(2024, 1, 2))]


@pytest.mark.parametrize(
    "data",
    [FRAME, pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME), FRAME.to_dict("list"), FRAME.to_dict("records")],
    ids=["pandas", "polars", "arrow", "columns", "rows"],
)
def test_a_frame_becomes_a_stream_or_a_table(data: Any) -> None:
    """Names that need no quotes are folded, the key comes first, types are those of the data."""
    with penstock.connect(threads=0) as db:
        made = db.create_stream("orders", data, key="id", partitions=2)
        assert made.text == "stream ORDERS created, 2 rows loaded" and made.details["rows"] == 2
        assert sorted(db.sql("SELECT * FROM orders").fetchall()) == ROWS
        source = db.catalog.sources["ORDERS"]
        assert [c.name for c in source.schema.keys] == ["ID"] and source.partitions == 2
        assert source.schema.names == ("ID", "CUSTOMER", "at time")
        db.create_table("`people`", data, key="ID")
        assert db.catalog.sources["people"].kind == "TABLE"


def test_files_in_sql_and_in_python(tmp_path: Path) -> None:
    """Parquet, CSV, TSV, JSON lines and Arrow; a path in a script is looked for beside it; '' and NULL are told apart."""
    FRAME.to_parquet(tmp_path / "o.parquet")
    (tmp_path / "o.csv").write_text('id,Customer\n1,ann\n2,\n3,""\n')
    (tmp_path / "o.tsv").write_text("id\tCustomer\n1\tann\n")
    (tmp_path / "o.jsonl").write_text('{"id": 1, "s": {"x": [1.5]}}\n{"id": 2}\n')
    pyarrow.feather.write_feather(pa.table({"id": [1]}), tmp_path / "o.arrow")
    script = tmp_path / "shop.sql"
    with penstock.connect(threads=0) as db:
        results = db.execute("CREATE STREAM p FROM 'o.parquet' WITH (KEY = 'id', PARTITIONS = 2);", path=script)
        assert str(results[0]) == "stream P created, 2 rows loaded"
        assert sorted(db.sql("SELECT * FROM p").fetchall()) == ROWS
        db.execute(f"CREATE STREAM c FROM '{tmp_path / 'o.csv'}';")
        db.execute(f"CREATE TABLE IF NOT EXISTS t FROM '{tmp_path / 'o.csv'}' WITH (KEY = 'id');")
        assert db.sql("SELECT * FROM c").fetchall() == [(1, "ann"), (2, None), (3, "")]
        db.create_stream("v", tmp_path / "o.tsv")
        db.create_stream("j", str(tmp_path / "o.jsonl"), key="id")
        assert db.sql("SELECT id, s->x AS x FROM j").fetchall() == [(1, [1.5]), (2, None)]
        db.create_stream("a", tmp_path / "o.arrow")
        (again,) = db.execute(f"CREATE STREAM IF NOT EXISTS c FROM '{tmp_path / 'o.csv'}';")
        assert isinstance(again, penstock.Message) and again.warning
        assert len(db.sql("SELECT * FROM c")) == 3


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """No file, another kind of file, no key, a name that is taken, columns that fit no type, deep nesting."""
    (tmp_path / "o.csv").write_text("a,A\n1,2\n")
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with penstock.connect(threads=0) as db:
        db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);")
        for text in (
            "CREATE STREAM q FROM '/nowhere/o.csv';",
            f"CREATE STREAM q FROM '{tmp_path / 'o.csv'}';",
            "CREATE STREAM q FROM 'o.doc';",
            "CREATE OR REPLACE STREAM q FROM 'o.csv';",
            "CREATE STREAM q (a INT) FROM 'o.csv';",
            "EXPLAIN CREATE STREAM q FROM 'o.csv';",
        ):
            with pytest.raises(penstock.StatementError):
                db.execute(text)
        for data, key in (
            ([{"a": 1}, {"a": "x"}], None),
            ({"a": [deep], "b": [1]}, None),
            ({"a": [datetime.timedelta(1)]}, None),
            ({"a": [1]}, "b"),
            (FRAME[[]], None),
            (5, None),
        ):
            with pytest.raises(penstock.StatementError):
                db.create_stream("q", data, key=key)
        with pytest.raises(penstock.StatementError, match="already"):
            db.create_stream("s", FRAME)
        with pytest.raises(penstock.StatementError, match="row 2"):
            db.create_table("q", {"k": ["a", None], "v": [1, 2]}, key="k")
        with pytest.raises(penstock.StatementError, match="submitted"):
            db.submit("CREATE STREAM q FROM 'o.csv';", "x")
        assert set(db.catalog.sources) == {"S", "KSQL_PROCESSING_LOG"} and db.topic_names() == ["ksql_processing_log", "s"]


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    """What is journaled is the CREATE with its columns, so the file is not needed any more."""
    (tmp_path / "o.csv").write_text("id\n1\n")
    with penstock.connect(tmp_path / "db", threads=0) as db:
        db.execute(f"CREATE STREAM c FROM '{tmp_path / 'o.csv'}';")
    (tmp_path / "o.csv").unlink()
    with penstock.connect(tmp_path / "db", threads=0) as db:
        assert db.sql("SELECT * FROM c").fetchall() == [(1,)]


def test_a_messy_csv(tmp_path: Path) -> None:
    """Blanks around names do not count; NA and the like are NULL among numbers, and themselves among texts."""
    (tmp_path / "m.csv").write_text('id, Name ,Amount (EUR),at\n1,NA,1.5,2024-01-05\n2,NULL,N/A,\n3,,,\n4,"",2,NA\n')
    with penstock.connect(threads=0) as db:
        db.create_stream("m", tmp_path / "m.csv", key="id")
        assert db.catalog.sources["M"].schema.names == ("ID", "NAME", "Amount (EUR)", "AT")
        day = datetime.date(2024, 1, 5)
        rows = [(1, "NA", 1.5, day), (2, "NULL", None, None), (3, None, None, None), (4, "", 2.0, None)]
        assert db.sql("SELECT * FROM m ORDER BY id").fetchall() == rows


@pytest.mark.parametrize(
    ("name", "content", "cause", "remedy"),
    [
        ("a.csv", b"id;amount\n1;12,5\n", "separated by ';'", "sep=';'"),
        ("a.csv", b"id;amount\n1;12\n", "separated by ';'", "sep=';'"),
        ("a.csv", b"id\tamount\n1\t12\n", "separated by a tabulator", ".tsv"),
        ("a.csv", b"id,name\n1,caf\xe9\n", "not UTF-8 text: see the column name", "iconv"),
        ("a.csv", b"id,name,Name\n1,a,b\n", "several columns of the name NAME: the columns 2 and 3", "Rename them"),
        ("*.csv", None, "there is no file", "one file"),
        ("a.csv", None, "there is no file", "sought as"),
    ],
)
def test_a_file_that_is_not_taken(tmp_path: Path, name: str, content: bytes | None, cause: str, remedy: str) -> None:
    """The error says what is wrong with the file and what to do about it."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with penstock.connect(threads=0) as db:
        with pytest.raises(penstock.StatementError) as raised:
            db.create_stream("s", tmp_path / name)
        assert cause in raised.value.message and remedy in (raised.value.hint or "")
        assert "S" not in db.catalog.sources


def test_a_file_is_no_database(tmp_path: Path) -> None:
    """Somebody who means to read a file is told how."""
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(penstock.StorageError, match="is a file, and a database is a directory") as raised:
        penstock.connect(tmp_path / "a.csv")
    assert "CREATE STREAM name FROM" in str(raised.value)


def test_a_wrong_property_is_said_before_the_file_is_read(tmp_path: Path) -> None:
    """Where it stands, and without looking at the file: here there is none."""
    with penstock.connect(threads=0) as db, pytest.raises(penstock.StatementError, match="no property PARTITONS") as caught:
        db.execute(f"CREATE STREAM e FROM '{tmp_path / 'none.csv'}' WITH (KEY = 'id', PARTITONS = 2);")
    assert caught.value.span is not None and caught.value.suggestion == "Did you mean PARTITIONS?"


def test_an_unknown_property_is_refused_before_a_file_is_read(tmp_path: Path) -> None:
    """The file is not there, so reading it first would be noticed."""
    with (
        penstock.connect(None, threads=0) as database,
        pytest.raises(penstock.StatementError, match=r"(?s)no property partitons.*Did you mean PARTITIONS\?"),
    ):
        database.create_stream("s", tmp_path / "none.csv", partitons=2)
