"""A damaged file of a database is an error that names it, or (at the journal's torn end) a cut: never other data."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_workload import QUERIES, SOURCES, open_on, outcome

from penstock.engine.database import Database, connect
from penstock.errors import StorageError
from penstock.tests.support.faulty_files import FaultyFiles


def fill(db: Database) -> None:
    """Rounds of rows, enough for checkpoints, through a few queries."""
    for text in (*SOURCES, QUERIES["BIG"], QUERIES["SPEND"], QUERIES["VISITS"]):
        db.execute(text)
    for base in range(0, 200, 40):
        rows = [{"ID": i, "CUSTOMER": "abc"[i % 3], "AMOUNT": i % 10, "ITEMS": [], "ROWTIME": base + i} for i in range(40)]
        db.insert("ORDERS", rows)
        db.drain()


def copied(files: FaultyFiles, path: str | None = None, change: Any = None) -> FaultyFiles:
    """The same files, one of them changed."""
    copy = FaultyFiles(1)
    for name, data in files.contents().items():
        if "/" in name:
            copy.make_directory(name.rpartition("/")[0])
        copy.open(name, create=True).write(0, change(bytearray(data)) if name == path else data)
    return copy


def test_every_kind_of_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flipped bits and cut ends: what can be read at all is what was written, or an older commit of it."""
    monkeypatch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 1)
    files = FaultyFiles(0)
    db = open_on(files, 65_536)
    fill(db)
    whole = outcome(db)
    db.close()
    chance = random.Random(3)
    kinds: dict[str, set[str]] = {}
    names = [n for n in sorted(files.contents()) if n != "lock" and files.contents()[n].rstrip(b"\0")]
    for name in names:
        used = len(files.contents()[name].rstrip(b"\0"))
        kind = name.rpartition(".")[2]
        for _ in range(3 if kind in ("segment", "checkpoint") else 20):
            place, bit = chance.randrange(used), 1 << chance.randrange(8)

            def flip(data: bytearray, place: int = place, bit: int = bit) -> bytes:
                data[place] ^= bit
                return bytes(data)

            def cut(data: bytearray, place: int = place) -> bytes:
                return bytes(data[:place])

            for change in (flip, cut):
                kinds.setdefault(kind, set()).add(look(copied(files, name, change), whole))
    assert set(kinds) == {"format", "journal", "segment", "checkpoint", "index"}
    assert kinds["index"] == {"whole"}  # never trusted, built anew
    assert kinds["format"] <= {"error", "whole"}  # a blank for another blank does no harm
    assert kinds["checkpoint"] == {"error"}
    assert "error" in kinds["segment"]
    assert "error" in kinds["journal"]


def look(files: FaultyFiles, whole: dict[str, Any]) -> str:
    """What reading everything gives: ``error``, ``whole`` or ``older``."""
    try:
        db = open_on(files, 65_536)
        found = outcome(db)
        db.close()
    except StorageError as error:
        assert error.path
        assert error.action or error.offset is not None, error
        return "error"
    if found == whole:
        return "whole"
    for key, rows in found.items():
        if key.startswith("topic "):
            assert rows == whole[key][: len(rows)] or sorted(map(repr, rows)) <= sorted(map(repr, whole[key]))
    return "older"


def test_damaged_state_stops_its_query_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others run; the query goes on once its state can be read again, or is dropped and made anew from its source."""
    monkeypatch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 1)
    files = FaultyFiles(0)
    db = open_on(files, 65_536)
    fill(db)
    whole = db.sql("SELECT * FROM SPEND;").fetchall()
    db.close()
    name = next(n for n in files.contents() if "SPEND" in n and n.endswith(".checkpoint"))
    content = files.contents()[name]

    def flip(at: FaultyFiles) -> None:
        at.open(name).write(40, bytes([at.contents()[name][40] ^ 1]))

    flip(files)
    db = open_on(files, 65_536)
    states = {q.id.split("_")[1]: q.state for q in db.queries.values()}
    assert states == {"BIG": "RUNNING", "SPEND": "ERROR", "VISITS": "RUNNING"}
    for read in (lambda: db.sql("SELECT * FROM SPEND;").fetchall(), lambda: db.execute("RESUME ALL;")):
        with pytest.raises(StorageError, match=name.rpartition("/")[2]):
            read()
    before = sum(1 for _ in db.consume("BIG"))
    db.insert("ORDERS", [{"ID": 1, "CUSTOMER": "a", "AMOUNT": 9, "ITEMS": [], "ROWTIME": 1}])
    with pytest.raises(StorageError):
        db.drain()
    assert sum(1 for _ in db.consume("BIG")) == before + 1
    db.close()
    mended = files.copy(1)
    flip(mended)
    assert mended.contents()[name] == content
    again = open_on(mended, 65_536)
    again.drain()
    expected = again.sql("SELECT * FROM SPEND;").fetchall()
    assert len(expected) == len(whole) and expected != whole
    again.close()
    db = open_on(files, 65_536)
    db.execute("DROP TABLE SPEND DELETE TOPIC;" + QUERIES["SPEND"])
    db.drain()
    assert sorted(map(repr, db.sql("SELECT * FROM SPEND;").fetchall())) == sorted(map(repr, expected))
    db.close()


HOLDER = """
import sys, penstock
db = penstock.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_directory_that_another_process_has_open(tmp_path: Path) -> None:
    """The error names the directory and the other process."""
    typing = Path(__file__).parents[2] / ".typing"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(typing), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StorageError) as caught:
            connect(tmp_path / "x")
        assert str(tmp_path / "x") in str(caught.value)
        assert str(holder.pid) in str(caught.value)
        holder.stdin.close()
    connect(tmp_path / "x").close()


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    """Nothing is written into it."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match=r"letter\.txt"):
        connect(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= {"letter.txt", "lock"}


def test_a_full_disk_fails_what_it_meets_and_nothing_else() -> None:
    """Inserts and queries fail while there is no room; with room again, nothing is missing and nothing is there twice."""
    files = FaultyFiles(5)
    db = open_on(files, 65_536)
    for text in (*SOURCES, QUERIES["SPEND"]):
        db.execute(text)
    expected = 0
    for turn in range(30):
        files.full_chance = 0.5 if 5 <= turn < 25 else 0.0
        try:
            db.insert("ORDERS", [{"ID": turn, "CUSTOMER": "a", "AMOUNT": 1, "ITEMS": [], "ROWTIME": turn}])
            expected += 1
        except StorageError:
            pass
        try:
            db.drain()
        except StorageError:
            files.full_chance = 0.0
            for query in db.queries.values():
                query.resume()
    db.drain()
    assert db.sql("SELECT N, TOTAL FROM SPEND;").fetchall() == [(expected, expected)]
    assert expected < 30
    found = outcome(db)
    db.close()
    again = open_on(files, 65_536)
    assert outcome(again) == found
    again.close()
