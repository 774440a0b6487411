"""A fork from any thread, while others work: the child is not harmed by what it inherits, and opens databases of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock import connect
from penstock.engine import opened
from penstock.errors import StorageError
from tests.support.children import in_child
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")

SCRIPT = """
CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1, VALUE_FORMAT = 'JSON');
CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
"""


def of_its_own() -> object:
    """A child's work in a database of its own, with every engine that a query may use."""
    with connect() as db:
        db.execute(SCRIPT)
        db.insert("s", [{"k": "a", "v": n} for n in range(1000)])
        assert db.wait_idle(60)
        counted = db.duckdb("SELECT COUNT(*) FROM s").fetchall() + db.duckdb("SELECT n FROM t").fetchall()
        return counted + db.sql("SELECT n FROM t WHERE k = 'a';").fetchall()


def in_thread(work: Callable[[], str]) -> str:
    """What ``work`` gives on another thread, while this one waits in a call of a database."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    with connect() as db:
        db.execute(SCRIPT)
        with db.subscribe("SELECT * FROM s EMIT CHANGES;") as rows:
            thread.start()
            while thread.is_alive():
                rows.poll(0.5)
    thread.join()
    return found[0]


def test_a_thread_forks_while_others_have_used_duckdb() -> None:
    """DuckDB's objects do not survive being destroyed in a child."""
    with connect() as db:
        db.execute(SCRIPT)
        db.duckdb("SELECT * FROM s").fetchall()
        assert in_thread(lambda: in_child(lambda: "there")) == "gave 'there'"
        assert in_thread(lambda: in_child(of_its_own)) == "gave [(1000,), (1000,), (1000,)]"
        assert in_child(of_its_own) == "gave [(1000,), (1000,), (1000,)]"
        assert db.duckdb("SELECT COUNT(*) FROM s").fetchall() == [(0,)]


@pytest.mark.parametrize("first", ["", "db.duckdb('SELECT 1').fetchall()"])
def test_a_child_ends_in_the_usual_way(first: str, tmp_path: Path) -> None:
    """Whatever its parent has used; it has used DuckDB itself, too."""
    program = (
        "import os, sys, penstock\n"
        "db = penstock.connect(sys.argv[1])\n"
        f"{first}\n"
        "if (child := os.fork()) == 0:\n"
        "    own = penstock.connect()\n"
        "    own.duckdb('SELECT 2').fetchall()\n"
        "    sys.exit(0)\n"
        "print(os.waitpid(child, 0)[1])\n"
        "db.close()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "db")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_child_of_a_thread_can_be_interrupted() -> None:
    """Though the main thread, which is not there in it, was in a call that lets signals wait."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        _interrupt_a_child()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_a_child() -> None:
    def handler() -> bool:
        return signal.getsignal(signal.SIGINT) is plain

    plain = signal.getsignal(signal.SIGINT)
    assert in_thread(lambda: in_child(handler)) == "gave True"

    def interrupted() -> str:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            with connect() as db:
                db.execute(SCRIPT)
                with db.subscribe("SELECT * FROM s EMIT CHANGES;") as rows:
                    rows.poll(50)
        except KeyboardInterrupt:
            return "interrupted"
        return "not interrupted"

    assert in_thread(lambda: in_child(interrupted)) == "gave 'interrupted'"
    assert signal.getsignal(signal.SIGINT) is plain


def test_a_fork_while_a_thread_opens_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is refused that directory, and gets others; nothing waits for a thread that it has not got."""
    inside, go_on = threading.Event(), threading.Event()
    plain = opened.reopen

    def slow(engine: object) -> None:
        if not inside.is_set():
            inside.set()
            go_on.wait(60)
        plain(engine)  # type: ignore[arg-type]

    monkeypatch.setattr(opened, "reopen", slow)
    databases = []
    thread = threading.Thread(target=lambda: databases.append(connect(tmp_path / "db")))
    thread.start()
    until(inside.is_set)

    def same() -> str:
        with pytest.raises(StorageError, match=str(os.getppid())):
            connect(tmp_path / "db")
        return "refused"

    def other() -> str:
        connect(tmp_path / "other").close()
        return "opened"

    try:
        assert in_child(same) == "gave 'refused'"
        assert in_child(other) == "gave 'opened'"
        assert in_child(of_its_own) == "gave [(1000,), (1000,), (1000,)]"
    finally:
        go_on.set()
        thread.join()
    databases[0].execute(SCRIPT)
    databases[0].close()
