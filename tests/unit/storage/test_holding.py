"""One process at a time: who holds a directory, who is refused and told why, and what a refusal leaves behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock import connect
from penstock.errors import PenstockError, StorageError
from penstock.storage.backup import backup_directory
from penstock.storage.layout import open_directory
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from tests.support.children import in_child

OPEN = """
import sys, penstock
try:
    penstock.connect(sys.argv[1]).close()
    print("opened")
except penstock.StorageError as error:
    print(error)
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock and fork")


def in_another_process(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, cwd=path.parent, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_second_process_is_told_who_has_it(tmp_path: Path) -> None:
    """Process, time and command."""
    with connect(tmp_path / "db"):
        told = in_another_process(tmp_path / "db")
        assert f"pid {os.getpid()}" in told
        assert "since 20" in told
        assert Path(sys.executable).name in told
    assert in_another_process(tmp_path / "db") == "opened\n"


def test_deleting_the_lock_lets_nobody_in(tmp_path: Path) -> None:
    """The directory itself is held, too."""
    with connect(tmp_path / "db") as db:
        (tmp_path / "db" / "lock").unlink()
        assert "another process" in in_another_process(tmp_path / "db")
        assert "another process" in in_another_process(tmp_path / "db")
        db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
    assert in_another_process(tmp_path / "db") == "opened\n"


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("text", ["penstock 3\n", "penstock 99\n", "penstock 0\n", "nonsense"])
def test_a_refused_database_is_left_as_it_was(tmp_path: Path, text: str) -> None:
    """A newer version, an older one, a damaged one: a clear error, and no file is made or changed."""
    path = tmp_path / "db"
    with connect(path) as db:
        db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
    (path / "format").write_text(text)
    (path / "lock").unlink()
    before = tree(path)
    with pytest.raises(StorageError) as caught:
        connect(path)
    assert caught.value.action
    assert tree(path) == before


def test_somebody_elses_folder_is_left_as_it_was(tmp_path: Path) -> None:
    """Not even a lock is left among other people's files."""
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(StorageError, match=r"thesis\.tex"):
        connect(tmp_path)
    assert list(tree(tmp_path)) == ["thesis.tex"]


def test_an_older_directory_opens_and_names_the_present_version(tmp_path: Path) -> None:
    """So that a build that knows less refuses it by its version, and not by what it cannot decode."""
    path = tmp_path / "db"
    connect(path).close()
    (path / "format").write_text("penstock 1\n")
    open_directory(path).close()
    assert (path / "format").read_text() == "penstock 1\n"  # looking is not opening
    connect(path).close()
    assert (path / "format").read_text() == "penstock 2\n"


@pytest.mark.parametrize("inside", [".", "backup", "state/backup", "../db/x/y"])
def test_a_backup_into_the_database_itself_is_refused(tmp_path: Path, inside: str) -> None:
    """It would be removed at the next open."""
    with connect(tmp_path / "db") as db:
        before = tree(tmp_path / "db")
        with pytest.raises(StorageError, match="cannot lie in the directory"):
            db.backup(tmp_path / "db" / inside)
        assert tree(tmp_path / "db") == before
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "db")
    with pytest.raises(StorageError, match="cannot lie in the directory"):
        backup_directory(tmp_path / "db", link / "backup")


RELAXED = """
import gc, sys, penstock
from penstock.storage.log.settings import LogSettings
LogSettings.__init__.__defaults__ = tuple(3600.0 if d == 0.2 else d for d in LogSettings.__init__.__defaults__)
db = penstock.connect(sys.argv[1], threads={threads}, settings={{"penstock.durability.relaxed.ms": 3600000}})
db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);")
for n in range(50):
    db.insert("s", [{{"v": n}}], durable=False)
{end}
"""


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError", "del db; gc.collect()"])
def test_an_exit_without_close_loses_nothing(tmp_path: Path, end: str, threads: int) -> None:
    """Relaxed inserts are durable when the process ends in the usual way."""
    program = RELAXED.format(end=end, threads=threads)
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "db")], cwd=tmp_path, capture_output=True, timeout=120)
    with connect(tmp_path / "db") as db:
        assert len(list(db.consume("s"))) == 50


def test_a_log_that_is_dropped_loses_nothing(tmp_path: Path) -> None:
    """What was relaxed is made durable before its directory is free for the next one."""
    log = LocalLog.open(tmp_path, LogSettings(background=False))
    log.create_topic("t", TopicConfig())
    for n in range(20):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([b"%d" % n]), np.array([n])), 0)
        transaction.commit(durable=False)
    del log, transaction
    gc.collect()
    log = LocalLog.open(tmp_path, LogSettings(background=False))
    assert log.end_offset("t", 0) == 20
    log.close()


# ------------------------------------------------------------------------------------------------------- forks


SCRIPT = """
CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);
CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
"""


class Parent:
    """A database with clients, opened before the fork."""

    def __init__(self, path: Path | None) -> None:
        self.db = connect(path)
        self.db.execute(SCRIPT)
        self.db.insert("s", [{"k": "a", "v": 1}])
        self.db.wait_idle()
        self.producer = self.db.producer()
        self.idle = self.db.producer("id", linger_ms=60_000)
        self.delivery = self.idle.send("s", key=b"b", value=b"{}")
        self.transaction = self.producer.transaction()
        self.transaction.send("s", key=b"c", value=b"{}")
        self.consumer = self.db.consumer("s", group="g", auto_offset_reset="earliest")
        self.consumer.poll()
        self.subscription = self.db.subscribe("SELECT * FROM s EMIT CHANGES;")
        self.session = self.db.session()


ENTRIES: dict[str, Callable[[Parent], object]] = {
    "insert": lambda p: p.db.insert("s", [{"k": "child", "v": 1}]),
    "many rows": lambda p: p.db.insert("s", [{"k": "child", "v": n} for n in range(1000)]),
    "relaxed": lambda p: p.db.insert("s", [{"k": "child", "v": 1}], durable=False),
    "produce": lambda p: p.db.produce("s", value=b"{}"),
    "consume": lambda p: list(p.db.consume("s")),
    "sql": lambda p: p.db.sql("SELECT * FROM counts WHERE k = 'a';"),
    "duckdb": lambda p: p.db.sql("SELECT COUNT(*) FROM counts"),
    "execute": lambda p: p.db.execute("SHOW STREAMS;"),
    "steps": lambda p: list(p.db.steps("SHOW STREAMS;")),
    "submit": lambda p: p.db.submit("INSERT INTO s (k, v) VALUES ('x', 1);", "script"),
    "create": lambda p: p.db.create_topic("x"),
    "delete": lambda p: p.db.delete_topic("s"),
    "drain": lambda p: p.db.drain(),
    "wait": lambda p: p.db.wait_idle(),
    "subscribe": lambda p: p.db.subscribe("SELECT * FROM s EMIT CHANGES;"),
    "next row": lambda p: p.subscription.poll(None),
    "send": lambda p: p.producer.send("s", value=b"{}"),
    "flush": lambda p: p.idle.flush(),
    "result": lambda p: p.delivery.result(),
    "commit of a transaction": lambda p: p.transaction.commit(),
    "poll": lambda p: p.consumer.poll(),
    "commit": lambda p: p.consumer.commit(),
    "producer": lambda p: p.db.producer(),
    "consumer": lambda p: p.db.consumer("s"),
    "session": lambda p: p.session.insert("s", [{"k": "child", "v": 1}]),
    "backup": lambda p: p.db.backup("/nowhere/at/all"),
    "last sequence": lambda p: p.db.last_sequence("x"),
}
ENDS: dict[str, Callable[[Parent], object]] = {
    "database": lambda p: p.db.close(),
    "with": lambda p: p.db.__exit__(None, None, None),
    "producer": lambda p: p.idle.close(),
    "consumer": lambda p: p.consumer.close(),
    "subscription": lambda p: p.subscription.close(),
    "all": lambda p: [x.close() for x in (p.idle, p.producer, p.consumer, p.subscription, p.session, p.db)],
}


@pytest.fixture(scope="module", params=["directory", "memory"])
def parent(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    path = tmp_path_factory.mktemp("fork") / "db" if request.param == "directory" else None
    made = Parent(path)
    yield made
    made.idle.flush()
    made.transaction.commit()
    made.db.insert("s", [{"k": "a", "v": 2}])
    made.db.wait_idle()
    rows = sorted(made.db.sql("SELECT * FROM counts;").fetchall())
    assert rows == [("a", 2), ("b", 1), ("c", 1)]
    assert made.consumer.poll(1000)
    made.db.close()
    if path is not None:
        with connect(path) as again:
            again.wait_idle()
            assert sorted(again.sql("SELECT * FROM counts;").fetchall()) == rows


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_forked_child_is_refused(parent: Parent, entry: str) -> None:
    """With an error that says so; the parent's database is whole at the end (see the fixture)."""
    told = in_child(lambda: ENTRIES[entry](parent))
    assert "forked from process" in told, told
    assert f"process {os.getpid()}" in told


@pytest.mark.parametrize("end", ENDS)
def test_a_child_that_closes_does_no_harm(parent: Parent, end: str) -> None:
    """`with connect(..)` around a fork ends in both."""
    told = in_child(lambda: ENDS[end](parent))
    assert told.startswith("gave"), told


def test_a_child_that_ends_in_the_usual_way_does_no_harm(tmp_path: Path) -> None:
    """Its interpreter runs what is to run at the end, and collects its garbage."""
    program = (
        "import os, sys, penstock\n"
        "db = penstock.connect(sys.argv[1])\n"
        f"db.execute({SCRIPT!r})\n"
        "db.insert('s', [{'k': 'a', 'v': 1}], durable=False)\n"
        "if os.fork() == 0:\n"
        "    sys.exit(0)\n"
        "os.wait()\n"
        "db.insert('s', [{'k': 'a', 'v': 1}])\n"
        "db.close()\n"
        "db = penstock.connect(sys.argv[1])\n"
        "db.wait_idle()\n"
        "print(db.sql('SELECT * FROM counts;').fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "db")], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.stdout.strip() == "[('a', 2)]", done.stderr
    assert "Error" not in done.stderr


def test_a_child_does_not_keep_the_directory_from_others(tmp_path: Path) -> None:
    """The parent closes: the next one opens it although the child is still there."""
    db = connect(tmp_path / "db")
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    db.close()
    try:
        with connect(tmp_path / "db"):
            pass
        assert in_another_process(tmp_path / "db") == "opened\n"
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)


def test_a_child_opens_databases_of_its_own(tmp_path: Path) -> None:
    """Only what was opened before the fork is the parent's; the parent's directory is held."""
    with connect(tmp_path / "parents"):

        def work() -> str:
            with connect(tmp_path / "own") as db:
                db.execute(SCRIPT)
                db.insert("s", [{"k": "a", "v": 1}])
                db.wait_idle()
            try:
                connect(tmp_path / "parents")
            except PenstockError as error:
                return str(error)
            return "opened"

        assert f"pid {os.getpid()}" in in_child(work)
