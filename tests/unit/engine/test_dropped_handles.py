"""Handles of one directory that are dropped instead of closed do not count; what was made from them keeps it open."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock import StatementError, StorageError, connect, dbapi
from penstock.engine.database import Database
from penstock.engine.results import PrintResult, PushResult
from penstock.storage.holding import Hold
from tests.support.waiting import until

SCRIPT = """
CREATE STREAM IF NOT EXISTS s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
CREATE TABLE IF NOT EXISTS t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
"""


def held(path: Path) -> bool:
    """Whether somebody has the directory open."""
    try:
        Hold(str(path), str(path / "lock")).release()
    except StorageError:
        return True
    return False


def test_a_cell_that_is_run_again_and_one_close_free_the_directory(tmp_path: Path) -> None:
    """`db = penstock.connect(d)` three times, as in a notebook, then ``db.close()``."""
    for _ in range(3):
        db = connect(tmp_path)
        db.execute(SCRIPT)
    db.insert("s", {"k": "a", "v": 1})
    assert held(tmp_path)
    db.close()
    assert not held(tmp_path)
    with connect(tmp_path) as db:
        assert len(list(db.consume("s"))) == 1


def test_handles_that_are_there_count(tmp_path: Path) -> None:
    """Closing one does not take the directory from the others."""
    first, second, third = connect(tmp_path), connect(tmp_path), connect(tmp_path)
    first.execute(SCRIPT)
    first.close()
    first.close()
    del third
    assert second.sql("SELECT * FROM t;").fetchall() == []
    second.close()
    assert not held(tmp_path)


def test_a_handle_in_a_cycle_counts_until_it_is_collected(tmp_path: Path) -> None:
    """Closing does not look for garbage, which takes long where a program has many objects; connecting otherwise does."""
    connect(tmp_path, threads=1)
    box: list[Any] = [connect(tmp_path)]
    box.append(box)
    with pytest.raises(StatementError, match="with other threads"):
        connect(tmp_path, threads=0)
    del box
    connect(tmp_path, threads=0).close()
    assert not held(tmp_path)


def _async(db: Database) -> Any:
    from penstock.aio.database import AsyncDatabase
    from penstock.aio.threads import Threads

    return AsyncDatabase(db, Threads())


def _push(db: Database) -> Any:
    (result,) = db.execute("SELECT * FROM s EMIT CHANGES;")
    assert isinstance(result, PushResult)
    return result


def _print(db: Database) -> Any:
    (result,) = db.execute("PRINT s;")
    assert isinstance(result, PrintResult)
    return result


MADE: dict[str, tuple[Callable[[Database], Any], Callable[[Any], object]]] = {
    "session": (lambda db: db.session(), lambda made: made.sql("SELECT * FROM t;").fetchall()),
    "producer": (lambda db: db.producer(), lambda made: made.send("s", key=b"x", value=b"{}").result()),
    "producer's transaction": (
        lambda db: db.producer().transaction(),
        lambda made: (made.send("s", key=b"x", value=b"{}"), made.commit()),
    ),
    "consumer": (lambda db: db.consumer("s", auto_offset_reset="earliest"), lambda made: made.poll(1000)),
    "subscription": (lambda db: db.subscribe("SELECT * FROM s EMIT CHANGES;"), lambda made: made.poll(0.0)),
    "push query": (_push, lambda made: made.subscription.poll(0.0)),
    "PRINT": (_print, lambda made: made.tail.poll(0.0)),
    "stream": (lambda db: db.stream("s"), lambda made: made.insert({"k": "b", "v": 1})),
    "table": (lambda db: db.table("t"), lambda made: made.get("a")),
    "key lookup": (lambda db: db.key_lookup("T"), lambda made: made.get("a")),
    "query": (lambda db: next(iter(db.queries.values())), lambda made: made.lag),
    "steps": (lambda db: db.steps("SHOW STREAMS; SHOW TABLES;"), next),
    "records": (lambda db: db.consume("s"), lambda made: next(made, None)),
    "asyncio": (_async, lambda made: made.database.sql("SELECT * FROM t;").fetchall()),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_was_made_from_a_dropped_handle_keeps_the_directory_open(tmp_path: Path, kind: str) -> None:
    """A close of another handle does not end it; after it was dropped, too, the next close does."""
    make, use = MADE[kind]
    connect(tmp_path).execute(SCRIPT)
    made = make(connect(tmp_path))
    gc.collect()
    connect(tmp_path).close()
    use(made)
    assert held(tmp_path)
    del made
    gc.collect()
    connect(tmp_path).close()
    assert not held(tmp_path)


def test_rows_at_hand_need_no_handle(tmp_path: Path) -> None:
    """A result that was read is the program's own."""
    connect(tmp_path).execute(SCRIPT)
    connect(tmp_path).insert("s", {"k": "a", "v": 1})
    connect(tmp_path).wait_idle()
    table = connect(tmp_path).sql("SELECT * FROM t;")
    connect(tmp_path).close()
    assert not held(tmp_path)
    assert table.fetchall() == [("a", 1)]


def test_a_directory_that_nobody_uses_opens_with_other_arguments(tmp_path: Path) -> None:
    """There is no handle left that could be closed first."""
    connect(tmp_path, threads=1).execute(SCRIPT)
    connect(tmp_path).insert("s", {"k": "a", "v": 1}, durable=False)
    gc.collect()
    with connect(tmp_path, threads=0) as db:
        db.drain()
        assert db.sql("SELECT * FROM t;").fetchall() == [("a", 1)]
    assert not held(tmp_path)


def test_connections_of_the_db_api_that_were_dropped_do_not_count(tmp_path: Path) -> None:
    """One that is closed frees the directory; a cursor keeps its own connection."""
    cursor = dbapi.connect(str(tmp_path)).cursor()
    for statement in SCRIPT.strip().splitlines():
        cursor.execute(statement)
    dbapi.connect(str(tmp_path)).close()
    cursor.execute("SELECT * FROM t;")
    assert cursor.fetchall() == []
    del cursor
    gc.collect()
    dbapi.connect(str(tmp_path)).close()
    assert not held(tmp_path)


def test_a_followed_file_does_not_keep_the_directory_open(tmp_path: Path) -> None:
    """Following is the database's own work."""
    (tmp_path / "f.csv").write_text("a\n1\n")
    connect(tmp_path / "db").execute(f"CREATE STREAM f FROM '{tmp_path / 'f.csv'}' WITH (FOLLOW = TRUE);")
    gc.collect()
    connect(tmp_path / "db").close()
    assert not held(tmp_path / "db")


def test_databases_in_memory_that_were_dropped_end_their_threads() -> None:
    """With the next one that is opened, at the latest."""
    connect().close()
    before = threading.active_count()
    for _ in range(5):
        connect().execute(SCRIPT)
    gc.collect()
    kept = connect().stream
    with connect() as db:
        db.execute(SCRIPT)
    until(lambda: threading.active_count() <= before + 3)
    assert kept.__self__.sql("SELECT 1 AS one FROM (VALUES (1)) AS v;").fetchall() == [(1,)]
    kept.__self__.close()


def test_a_handle_that_was_dropped_last_loses_nothing_at_the_end(tmp_path: Path) -> None:
    """The directory stays open; the process ends in the usual way."""
    program = (
        "import sys, penstock\n"
        f"penstock.connect(sys.argv[1]).execute({SCRIPT!r})\n"
        "for n in range(20):\n"
        "    penstock.connect(sys.argv[1]).insert('s', {'k': 'a', 'v': n}, durable=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "db")], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    with connect(tmp_path / "db") as db:
        db.wait_idle()
        assert db.sql("SELECT * FROM t;").fetchall() == [("a", 20)]
