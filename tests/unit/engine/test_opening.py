"""Opening a database: shared in a process, refused to others, nothing made that was not asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import penstock
from penstock.repl import cli
from penstock.runtime.clock import ManualClock

ROOT = Path(__file__).resolve().parents[3]
STREAM = "CREATE STREAM s (v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);"


def test_one_process_may_open_a_directory_twice(tmp_path: Path) -> None:
    """They share everything but SET and DEFINE; the last one that is closed closes the files."""
    first = penstock.connect(tmp_path / "db", threads=0)
    (tmp_path / "link").symlink_to(tmp_path / "db")
    second = penstock.connect(tmp_path / "link", auto_offset_reset="earliest")
    first.execute(STREAM)
    second.insert("s", {"v": 1})
    assert first.sql("SELECT v FROM s;").fetchall() == [(1,)]
    assert (first.settings["auto.offset.reset"], second.settings["auto.offset.reset"]) == ("latest", "earliest")
    first.execute("DEFINE x = '2';")
    with pytest.raises(penstock.StatementError):
        second.execute("INSERT INTO s (v) VALUES (${x});")
    pushed = first.subscribe("SELECT v FROM s EMIT CHANGES;")
    first.close()
    first.close()
    assert pushed.finished and repr(first).endswith("closed>")
    for use in (
        lambda: first.sql("SELECT v FROM s;"),
        lambda: first.insert("s", {"v": 2}),
        lambda: first.execute("SHOW TYPES;"),
    ):
        with pytest.raises(penstock.StatementError, match="closed"):
            use()
    second.insert("s", {"v": 3})
    assert second.sql("SELECT v FROM s;").fetchall() == [(1,), (3,)]
    second.close()
    with penstock.connect(tmp_path / "db") as third:
        assert third.sql("SELECT v FROM s;").fetchall() == [(1,), (3,)]


def test_what_belongs_to_the_database_must_be_the_same(tmp_path: Path) -> None:
    """Threads, clock and properties of the database cannot differ; a failure leaves the open one as it is."""
    clock = ManualClock(5)
    with penstock.connect(tmp_path / "db", threads=0, clock=clock) as db:
        for wrong in ({"threads": 1}, {"clock": ManualClock(5)}, {"one_partition": True}, {"penstock_rows_per_step": 7}):
            with pytest.raises(penstock.StatementError, match="open already"):
                penstock.connect(tmp_path / "db", **wrong)  # type: ignore[arg-type]
        penstock.connect(tmp_path / "db", threads=0, clock=clock).close()
        db.execute(STREAM)
    with penstock.connect(tmp_path / "db", one_partition=False, penstock_rows_per_step=7):
        pass


def test_threads_that_open_and_close_at_once(tmp_path: Path) -> None:
    """None of them meets a database that another one is just closing."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                with penstock.connect(tmp_path / "db", threads=0) as db:
                    db.execute(f"CREATE TYPE t_{number}_{step} AS INT;")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with penstock.connect(tmp_path / "db") as db:
        assert len(db.catalog.types) == 20


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    """The error has the holder's process id."""
    with penstock.connect(tmp_path / "db", threads=0):
        code = f"import penstock; penstock.connect({str(tmp_path / 'db')!r})"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode and "StorageError" in done.stderr and str(os.getpid()) in done.stderr


def test_a_path_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` stands for it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with penstock.connect("~/x", threads=0) as db:
        assert db.path == tmp_path / "x" and (tmp_path / "x" / "format").exists()


def test_a_refused_folder_is_left_as_it_was(tmp_path: Path) -> None:
    """Other files, an unfinished backup, another version: nothing is added to them."""
    for name, files in {
        "photos": {"a.jpg": b"x"},
        "backup": {"backup-unfinished": b""},
        "future": {"format": b"penstock 99\n"},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        with pytest.raises(penstock.StorageError):
            penstock.connect(folder)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


def test_nothing_is_made_by_who_only_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`connect(create=False)`, and commands that read; one that writes makes it."""
    typo = tmp_path / "typo"
    with pytest.raises(penstock.StorageError, match="no database"):
        penstock.connect(typo, create=False)
    for arguments in (
        ["-d", str(typo), "-e", "SHOW STREAMS"],
        ["-d", str(typo), "-e", "-- all\nselect 1; DESCRIBE x;"],
        ["topic", "list", "-d", str(typo)],
        ["topic", "describe", "x", "-d", str(typo)],
        ["group", "list", "-d", str(typo)],
        ["log", "inspect", "-d", str(typo)],
    ):
        assert cli.main(arguments) == 1, arguments
        assert not typo.exists(), arguments
        assert capsys.readouterr().err
    assert cli.main(["-d", str(typo), "-e", "SHOW STREAMS; CREATE TYPE t AS INT;"]) == 0
    assert cli.main(["-d", str(typo), "-e", "SHOW TYPES;"]) == 0


def test_waiting_goes_by_the_names_of_sql(tmp_path: Path) -> None:
    """Lower case means upper case, quotes mean what they say, an unknown name is an error."""
    with penstock.connect() as db:
        db.execute(STREAM + "CREATE TABLE t AS SELECT v, COUNT(*) AS n FROM s GROUP BY v;")
        db.execute("CREATE TABLE `q` AS SELECT v, COUNT(*) AS n FROM s GROUP BY v;")
        for names in (["t"], ["T"], ["`T`"], ["`q`"], ["q", "t"], ["s"]):
            token = db.insert("s", {"v": 1})
            db.wait(token, names, timeout_s=20)
            if names != ["s"]:
                table = "`q`" if names == ["`q`"] else "t"
                assert db.sql(f"SELECT n FROM {table} WHERE v = 1;").fetchall()
        for names in (["nobody"], ["`t`"], ["t", "nobody"]):
            with pytest.raises(penstock.StatementError, match="no stream or table"):
                db.wait(token, names, timeout_s=1)
        db.queries[next(iter(db.queries))].pause()
        token = db.insert("s", {"v": 1})
        with pytest.raises(penstock.StatementError):
            db.wait(token, ["t"], timeout_s=0.2)


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_a_slow_reader_goes_on_at_the_first_record_left(reset: str) -> None:
    """Retention has removed what it had not read: it is told how many, and gets all the others."""
    with penstock.connect(threads=0, auto_offset_reset=reset) as db:
        db.execute(STREAM)
        rows = db.subscribe("SELECT v FROM s EMIT CHANGES;")
        db.insert("s", {"v": [0, 1]})
        db.drain()
        assert [row.values[0] for row in iter(lambda: rows.poll(0), None) if row] == [0, 1]
        for number in range(2, 10):
            db.insert("s", {"v": number})
        db._engine.log.delete_before("s", 0, 6)
        db.drain()
        read = list(iter(lambda: rows.poll(0), None))
        assert [(row.values[0], row.missed) for row in read if row] == [(6, 4), (7, 0), (8, 0), (9, 0)]
