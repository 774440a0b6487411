"""CREATE STREAM .. FROM a file that grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penstock
from tests.support.waiting import until


def rows(db: penstock.Database) -> list[Any]:
    return sorted(db.sql("SELECT * FROM e").fetchall())


def test_lines_that_are_added_become_rows(tmp_path: Path) -> None:
    """Each whole line once, also when the database is opened again; half a line waits for its end."""
    file = tmp_path / "e.csv"
    file.write_text("id,name,v\n1,a,1.5\n2,b,\n")
    create = f"CREATE STREAM IF NOT EXISTS e FROM '{file}' WITH (KEY = 'id', FOLLOW = TRUE);"
    with penstock.connect(tmp_path / "db") as db:
        (made,) = db.execute(create)
        assert "2 rows loaded" in str(made) and "followed until the database is closed" in str(made)
        with file.open("a") as more:
            more.write('3,"c\nd",2.5\n4,d'.replace("\n", " ", 1))
        until(lambda: len(rows(db)) == 3)
        assert rows(db) == [(1, "a", 1.5), (2, "b", None), (3, "c d", 2.5)]
    with file.open("a") as more:
        more.write(",4\n")
    with penstock.connect(tmp_path / "db") as db:
        db.execute(create)
        assert rows(db)[3:] == [(4, "d", 4.0)]
        db.execute(create)
        with file.open("a") as more:
            more.write("5,e,5\n")
        until(lambda: len(rows(db)) == 5)


def test_json_lines(tmp_path: Path) -> None:
    """Fields that the stream has not are left out; lists and structs are taken."""
    file = tmp_path / "e.jsonl"
    file.write_text(json.dumps({"id": 1, "tags": ["x"], "place": {"lat": 1.5}}) + "\n")
    with penstock.connect() as db:
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = 'true');")
        with file.open("a") as more:
            more.write(json.dumps({"id": 2, "tags": [], "place": None, "other": 1}) + "\n")
        until(lambda: len(rows(db)) == 2)
        assert db.sql("SELECT id, tags, place->lat AS lat FROM e").fetchall() == [(1, ["x"], 1.5), (2, [], None)]


def test_what_cannot_be_followed_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files of other kinds, without a line; a line that does not fit and a file that shrinks end it, with a log entry."""
    file = tmp_path / "e.csv"
    with penstock.connect() as db:
        for name, content, message in (("e.parquet", b"", "a row per line"), ("e.csv", b"", "no line yet")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(penstock.StatementError, match=message):
                db.execute(f"CREATE STREAM e FROM '{tmp_path / name}' WITH (FOLLOW = TRUE);")
        with pytest.raises(penstock.StatementError, match="FOLLOW is true or false"):
            db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = 'perhaps');")
        file.write_text("id\n1\n")
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);")
        with file.open("a") as more:
            more.write("one\n")
        until(lambda: "is not followed any more" in caplog.text)
        file.write_text("id\n")
        db.execute(f"CREATE STREAM f FROM '{tmp_path / 'e.csv'}';")
        with pytest.raises(penstock.StatementError, match="become shorter"):
            db.execute(f"CREATE STREAM IF NOT EXISTS e FROM '{file}' WITH (FOLLOW = TRUE);")
