"""CREATE STREAM .. FROM a file that grows."""

from __future__ import annotations

import json
import os
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
        assert "2 rows loaded" in str(made) and "is followed while the database is open" in str(made)
        with file.open("a") as more:
            more.write('3,"c\nd",2.5\n4,d'.replace("\n", " ", 1))
        until(lambda: len(rows(db)) == 3)
        assert rows(db) == [(1, "a", 1.5), (2, "b", None), (3, "c d", 2.5)]
    with file.open("a") as more:
        more.write(",4\n")
    with penstock.connect(tmp_path / "db") as db:
        until(lambda: rows(db)[3:] == [(4, "d", 4.0)])
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
        with pytest.raises(penstock.StatementError, match="FOLLOW must be true or false"):
            db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = 'perhaps');")
        file.write_text("id\n1\n")
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);")
        with file.open("a") as more:
            more.write("one\n")
        until(lambda: "is no longer followed" in caplog.text)
        file.write_text("id\n")
        db.execute(f"CREATE STREAM f FROM '{tmp_path / 'e.csv'}';")
        with pytest.raises(penstock.StatementError, match="become shorter"):
            db.execute(f"CREATE STREAM IF NOT EXISTS e FROM '{file}' WITH (FOLLOW = TRUE);")


def add(file: Path, line: str) -> None:
    with file.open("a") as more:
        more.write(line + "\n")


def test_opening_goes_on_with_each_line_once(tmp_path: Path) -> None:
    """Without a statement, as often as it is opened, and after ALTER and CREATE OR REPLACE."""
    file = tmp_path / "e.csv"
    file.write_text("id\n0\n")
    with penstock.connect(tmp_path / "db") as db:
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE, VALUE_FORMAT = 'JSON');")
    for number in range(1, 4):
        add(file, str(number))
        with penstock.connect(tmp_path / "db") as db:
            until(lambda number=number: len(rows(db)) == number + 1)  # type: ignore[misc]
            if number == 1:
                db.execute("ALTER STREAM e ADD COLUMN note STRING;")
            if number == 2:
                db.execute(
                    "CREATE OR REPLACE STREAM e (id BIGINT, note STRING, more INT)"
                    " WITH (KAFKA_TOPIC = 'E', VALUE_FORMAT = 'JSON', PARTITIONS = 1);"
                )
            described = str(db.execute("DESCRIBE e EXTENDED;")[0])
            assert str(file) in described
    with penstock.connect(tmp_path / "db") as db:
        assert [row[0] for row in rows(db)] == [0, 1, 2, 3]


def test_following_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By FOLLOW = FALSE and by DROP, at once and for later openings, without a word in the log."""
    file = tmp_path / "e.csv"
    file.write_text("id\n0\n")
    follow = f"CREATE STREAM IF NOT EXISTS e FROM '{file}' WITH (FOLLOW = TRUE);"
    with penstock.connect(tmp_path / "db") as db:
        db.execute(follow)
        (made,) = db.execute(f"CREATE STREAM IF NOT EXISTS e FROM '{file}' WITH (FOLLOW = FALSE);")
        assert "no longer follows a file" in str(made)
        follower = db._engine.followers["E"]
        add(file, "1")
        until(lambda: not follower._thread.is_alive())  # type: ignore[attr-defined]
        assert len(rows(db)) == 1
    with penstock.connect(tmp_path / "db") as db:
        assert not db._engine.followers
        db.execute(follow)
        assert len(rows(db)) == 2
        follower = db._engine.followers["E"]
        db.execute("DROP STREAM e DELETE TOPIC;")
        until(lambda: not follower._thread.is_alive())  # type: ignore[attr-defined]
        db.execute(follow)
        assert len(rows(db)) == 2  # the whole file: the topic is new
    assert "followed" not in caplog.text


def test_a_stream_made_anew_over_its_old_topic(tmp_path: Path) -> None:
    """Lines that the topic holds already do not come again."""
    file = tmp_path / "e.csv"
    file.write_text("id\n0\n")
    follow = f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);"
    with penstock.connect(tmp_path / "db") as db:
        db.execute(follow)
        db.execute("DROP STREAM e;")
        add(file, "1")
        db.execute(follow)
        assert len(rows(db)) == 2


def test_a_file_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The database opens all the same, logs it and shows it; once the file is back, the next opening goes on."""
    file = tmp_path / "e.csv"
    file.write_text("id\n0\n")
    with penstock.connect(tmp_path / "db") as db:
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);")
    file.rename(tmp_path / "away")
    with penstock.connect(tmp_path / "db") as db:
        until(lambda: "is no longer followed" in caplog.text)
        assert "is no longer followed" in str(db.execute("DESCRIBE e EXTENDED;")[0])
        assert len(rows(db)) == 1
    (tmp_path / "away").rename(file)
    add(file, "1")
    with penstock.connect(tmp_path / "db") as db:
        until(lambda: len(rows(db)) == 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither from the beginning nor in the place of the file later: nobody may ever write to it, and close() would wait."""
    file = tmp_path / "e.csv"
    os.mkfifo(file)
    create = f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);"
    with penstock.connect() as db:
        with pytest.raises(penstock.StatementError, match="no regular file"):
            db.execute(create)
        file.unlink()
        file.write_text("id\n1\n")
        db.execute(create)
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "pipe").replace(file)
        until(lambda: "no regular file" in caplog.text)


def test_a_first_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read as a whole to find out."""
    monkeypatch.setattr("penstock.engine.file_following.READ_BYTES", 100)
    file = tmp_path / "e.csv"
    file.write_text("a" * 1000)
    with penstock.connect() as db, pytest.raises(penstock.StatementError):
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);")


def test_cells_mean_what_they_mean_where_files_are_loaded(tmp_path: Path) -> None:
    """NA is a text in columns of text and NULL in others; blanks around names do not count; later lines are read alike."""
    file = tmp_path / "e.csv"
    file.write_text('id, land ,v\n1,NA,1\n2,,NA\n3,"",NULL\n')
    expected = [(1, "NA", 1), (2, None, None), (3, "", None)]
    with penstock.connect() as db:
        db.execute(f"CREATE STREAM l FROM '{file}';")
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);")
        assert db.catalog.sources["E"].schema.names == ("ID", "LAND", "V") == db.catalog.sources["L"].schema.names
        assert rows(db) == sorted(db.sql("SELECT * FROM l").fetchall()) == expected
        with file.open("a") as more:
            more.write("4,null,nan\n5,nan,5\n")
        until(lambda: rows(db) == [*expected, (4, "null", None), (5, "nan", 5)])


def test_other_separators_are_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_text("id;v\n1;2\n")
    with penstock.connect() as db, pytest.raises(penstock.StatementError, match="separated by ';'"):
        db.execute(f"CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE);")
