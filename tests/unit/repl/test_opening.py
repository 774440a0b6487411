"""The bar that shows how far a database is back while it opens."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.repl import opening
from penstock.repl.opening import Opening, bar, opened
from penstock.runtime.metrics import RecoveryMeter, RecoveryProgress


class Screen(io.StringIO):
    """A terminal, as far as anyone asks."""

    def isatty(self) -> bool:
        return True


def test_a_bar_says_how_much_is_done_and_left() -> None:
    """Also before anything is known, and in a narrow terminal."""
    half = bar(RecoveryProgress(10, 20, 3.0))
    assert "[############............]  50%  10 of 20 rows, 3 s left" in half
    assert bar(RecoveryProgress(0, 20, 3.0)).endswith("0 of 20 rows")
    assert "100%" in bar(RecoveryProgress(20, 20, 3.0))
    assert len(bar(RecoveryProgress(10, 20, 3.0), 30)) < 30


def test_a_terminal_shows_it_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left of it; a pipe gets nothing."""
    monkeypatch.setattr(opening, "_REDRAW_S", 0.0)

    def connect(progress: Any) -> str:
        if progress is not None:
            progress(RecoveryProgress(1, 2, 1.0))
        return "database"

    screen = Screen()
    assert opened(connect, screen, lambda: 100) == "database"
    assert screen.getvalue() == ""  # it was quick
    monkeypatch.setattr(opening, "_PATIENCE_S", 0.0)
    assert opened(connect, screen, lambda: 100) == "database"
    assert "50%" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")
    pipe = io.StringIO()
    assert opened(connect, pipe, lambda: 100) == "database"
    assert pipe.getvalue() == ""


def test_the_prompt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `Opening` has a line for its toolbar."""
    monkeypatch.setattr(opening, "_REDRAW_S", 0.0)
    told: list[str] = []
    made = Opening(lambda progress: RecoveryMeter(4, progress).add(2))
    made.on_progress = lambda: told.append(made.state)
    made.database()
    assert len(told) == 1
    assert "50%" in told[0]


def test_connect_reports_all_that_there_is(tmp_path: Path) -> None:
    """Rows of changelogs and checkpoints, up to the last of them, without one too many."""
    with penstock.connect(tmp_path, auto_offset_reset="earliest", threads=0) as db:
        db.execute(
            "CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=2);"
            "CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"
        )
        for _ in range(3):
            db.insert("s", [{"k": i, "v": i} for i in range(50)])
            db.drain()
        (run,) = db._engine.host.runs.values()
        run.parts.keeper.checkpoint(run.parts.keeper.stores[0])
        db.insert("s", [{"k": 1, "v": 1}])
        db.drain()
    seen: list[RecoveryProgress] = []
    with penstock.connect(tmp_path, threads=0, progress=seen.append) as db:
        assert db.sql("SELECT n FROM t WHERE k = 1;").fetchall() == [(4,)]
    assert seen[0].rows == 0
    assert [p.rows for p in seen] == sorted(p.rows for p in seen)
    assert seen[-1].rows == seen[-1].rows_total > 50
    assert seen[-1].left_s == 0.0
