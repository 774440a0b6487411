"""`register` and frames of the program in `duckdb`."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

import penstock


def test_frames_are_read_and_loaded() -> None:
    """Registered under a name, or found as a variable of the caller; a SELECT over them can be inserted."""
    with penstock.connect(threads=0) as db:
        db.execute("CREATE STREAM s (k STRING KEY, v BIGINT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);")
        db.register("new_rows", pd.DataFrame({"k": ["a", "b"], "v": [1, 2]}))
        db.insert("s", db.duckdb("SELECT k, v * 10 AS v FROM NEW_ROWS WHERE v > 1"))
        frame = pl.DataFrame({"k": ["b"], "name": ["bob"]})
        found = db.duckdb("SELECT frame.name, s.v FROM frame JOIN s ON frame.k = s.k")
        assert found.fetchall() == [("bob", 20)] and len(frame) == 1
        db.unregister("new_rows")
        for text in ("SELECT * FROM new_rows", "SELECT * FROM nobody", "SELECT * FROM pd"):
            with pytest.raises(penstock.StatementError):
                db.duckdb(text)
        with pytest.raises(penstock.StatementError):
            db.unregister("new_rows")
        with pytest.raises(penstock.StatementError, match="this name"):
            db.register("s", frame)


def test_a_session_sees_no_variables() -> None:
    """What comes from somewhere else reads what it has registered itself, and nothing of the program."""
    secret = pd.DataFrame({"v": [1]})
    with penstock.connect(threads=0) as db, db.session() as session:
        with pytest.raises(penstock.StatementError):
            session.duckdb("SELECT * FROM secret")
        session.register("own", secret)
        assert session.duckdb("SELECT v FROM own").fetchall() == [(1,)]
        with pytest.raises(penstock.StatementError):
            db.duckdb("SELECT * FROM own")
        assert db.duckdb("SELECT v FROM secret").fetchall() == [(1,)]
