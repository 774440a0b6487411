"""`penstock log verify|repair` and `penstock backup`, on directories of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from penstock import connect
from penstock.errors import PenstockError, StorageError
from penstock.repl.cli import main
from penstock.storage.backup import backup_directory, backup_files
from penstock.storage.files import MemoryFiles
from penstock.storage.layout import prepare
from penstock.storage.log.local.commit.journal import CommitJournal
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.storage.repair import plan_repair
from penstock.storage.verify import verify_directory
from penstock.tests.support.faulty_files import Crash, FaultyFiles

SETTINGS = LogSettings(background=False, embedded_bytes_max=0)


def append(log: LocalLog, values: list[bytes], topic: str = "t") -> int:
    """One commit; returns its epoch."""
    transaction = log.transaction()
    transaction.append(topic, Records(None, pa.array(values, pa.binary()), np.arange(len(values))), 0)
    transaction.set_positions("g", {(topic, 0): log.end_offset(topic, 0)})
    return transaction.commit().epoch


def contents(log: LocalLog, topic: str = "t") -> list[Any]:
    """Offsets and values of a topic."""
    found = log.read(topic, 0, log.start_offset(topic, 0), rows_max=10_000)
    return list(zip(found.offsets.tolist(), found.values.to_pylist(), strict=True))


def filled(path: Path) -> list[Any]:
    """Three frames of two records each; closed."""
    log = LocalLog.open(path, SETTINGS)
    log.create_topic("t", TopicConfig())
    for values in ([b"a", b"b"], [b"c", b"d"], [b"e", b"f"]):
        append(log, values)
    found = contents(log)
    log.close()
    return found


def flip(path: Path, needle: bytes) -> None:
    """Damage the byte where ``needle`` is."""
    data = bytearray(path.read_bytes())
    data[data.index(needle)] ^= 1
    path.write_bytes(data)


def only(path: Path, pattern: str) -> Path:
    (found,) = path.rglob(pattern)
    return found


def test_a_damaged_frame_is_cut_out_and_its_offsets_stay_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other frames, the positions and the end stay; the damaged file is kept."""
    whole = filled(tmp_path / "d")
    segment = only(tmp_path / "d", "*.segment")
    data = bytearray(segment.read_bytes())
    data[data.index(b"cd")] ^= 1
    segment.write_bytes(data)
    assert main(["log", "verify", "-d", str(tmp_path / "d")]) == 1
    assert main(["log", "repair", "-d", str(tmp_path / "d"), "--dry-run"]) == 1
    assert "offsets 2 to 3" in capsys.readouterr().out
    assert segment.exists()
    assert main(["log", "repair", "-d", str(tmp_path / "d"), "--yes"]) == 0
    assert (tmp_path / "d.broken-1" / segment.relative_to(tmp_path / "d")).read_bytes() == data
    assert main(["log", "verify", "-d", str(tmp_path / "d")]) == 0
    log = LocalLog.open(tmp_path / "d", SETTINGS)
    assert contents(log) == whole[:2] + whole[4:]
    append(log, [b"g"])
    assert contents(log)[-1] == (6, b"g")
    log.close()


@pytest.mark.parametrize("left", [0, 700, None])
def test_a_segment_that_is_cut_off_or_missing(tmp_path: Path, left: int | None) -> None:
    """What is whole is kept; no offset is given again."""
    whole = filled(tmp_path / "d")
    segment = only(tmp_path / "d", "*.segment")
    if left is None:
        segment.unlink()
    else:
        segment.write_bytes(segment.read_bytes()[:left])
    assert main(["log", "repair", "-d", str(tmp_path / "d"), "--yes"]) == 0
    log = LocalLog.open(tmp_path / "d", SETTINGS)
    found = contents(log)
    assert found == whole[: len(found)]
    append(log, [b"g"])
    assert contents(log) == [*found, (6, b"g")]
    log.close()
    assert verify_directory(tmp_path / "d") == []


def test_a_damaged_journal_takes_the_whole_log_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the last commit before the damage, positions included."""
    whole = filled(tmp_path / "d")
    journal = only(tmp_path / "d", "*.journal")
    data = bytearray(journal.read_bytes())
    data[data.rindex(b"PENJ") + 40] ^= 1  # in the last record
    journal.write_bytes(data)
    assert main(["log", "repair", "-d", str(tmp_path / "d"), "--yes"]) == 0
    assert "all commits from 3 on" in capsys.readouterr().out
    log = LocalLog.open(tmp_path / "d", SETTINGS)
    assert contents(log) == whole[:4]
    assert log.positions("g") == {("t", 0): 2}
    log.close()


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("size", [2**40, 2**33])
@pytest.mark.parametrize("name", ["format", "lock", "*.journal", "*.segment"])
def test_a_file_that_was_grown_takes_no_memory(tmp_path: Path, name: str, size: int, closed: bool) -> None:
    """To terabytes of zeros, which take no room on the disk: each command says what is wrong, or does without them."""
    with connect(tmp_path / "db") as db:
        db.create_topic("t")
        db.produce("t", value=b"x" * 50_000)
        if not closed:
            shutil.copytree(tmp_path / "db", tmp_path / "left")
    path = tmp_path / ("db" if closed else "left")
    os.truncate(max(path.rglob(name), key=lambda file: file.stat().st_size), size)

    def opened() -> int:
        with connect(path) as db:
            return len(list(db.consume("t")))

    def repaired() -> None:
        with plan_repair(path) as plan:
            plan.apply()

    for command in (lambda: list(verify_directory(path)), opened, repaired, opened):
        with contextlib.suppress(PenstockError):
            command()


def test_a_process_that_is_killed_while_it_closes(tmp_path: Path) -> None:
    """After the journal says that the log was closed in order, and before files are cut to what they hold."""
    path = tmp_path / "db"
    seal = CommitJournal.seal

    def sealed(journal: CommitJournal, *, closed: bool) -> None:
        seal(journal, closed=closed)
        shutil.copytree(path, tmp_path / "left")

    with connect(path) as db, mock.patch.object(CommitJournal, "seal", sealed):
        db.create_topic("t")
        for number in range(3):
            db.produce("t", value=b"%d" % number)
            list(db.consume("t", offset=0))
        db.close()
    assert max(file.stat().st_size for file in (tmp_path / "left").rglob("*.segment")) == 256 * 1024  # the case is there
    assert all(fault.harmless for fault in verify_directory(tmp_path / "left"))
    with connect(tmp_path / "left") as db:
        assert [record.value for record in db.consume("t", offset=0)] == [b"0", b"1", b"2"]


def test_the_version_and_what_cannot_be_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The version is written again if the journal can be read; an internal topic must be whole."""
    filled(tmp_path / "d")
    (tmp_path / "d" / "format").unlink()
    with pytest.raises(StorageError, match="version is missing"):
        LocalLog.open(tmp_path / "d")
    assert main(["log", "repair", "-d", str(tmp_path / "d"), "--yes"]) == 0
    log = LocalLog.open(tmp_path / "d", SETTINGS)
    log.create_topic("inside", TopicConfig(internal=True))
    append(log, [b"statement"], "inside")
    log.close()
    segment = next((tmp_path / "d").glob("log/topics/inside*/0/*"))
    flip(segment, b"statement")
    before = segment.read_bytes()
    assert main(["log", "repair", "-d", str(tmp_path / "d"), "--yes"]) == 1
    assert "cannot be repaired" in capsys.readouterr().out
    assert segment.read_bytes() == before


def test_files_in_each_others_place_are_found(tmp_path: Path) -> None:
    """A segment names its topic, partition and generation."""
    log = LocalLog.open(tmp_path / "d", SETTINGS)
    log.create_topic("t", TopicConfig(partitions=2))
    for partition in (0, 1):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([b"%d" % partition]), np.array([1])), partition)
        transaction.commit()
    log.close()
    first, second = sorted((tmp_path / "d").rglob("*.segment"))
    second.write_bytes(first.read_bytes())
    (finding, *_) = verify_directory(tmp_path / "d")
    assert "in the place of another" in finding.message
    assert finding.path == str(second)
    log = LocalLog.open(tmp_path / "d", SETTINGS)
    with pytest.raises(StorageError, match="in the place of another"):
        log.read("t", 1, 0, rows_max=1)
    log.close()


def test_a_backup_while_writers_and_retention_go_on(tmp_path: Path) -> None:
    """The copy is one commit's state: both topics of each commit are there, or neither is."""
    settings = LogSettings(segment_bytes_max=3_000, journal_bytes_max=20_000, background=False, embedded_bytes_max=200)
    log = LocalLog.open(tmp_path / "d", settings)
    for topic in "tu":
        log.create_topic(topic, TopicConfig(retention_bytes=20_000))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            transaction = log.transaction()
            for topic in "tu":
                values = pa.array([b"%d" % number] * (1 + number % 7), pa.binary())
                transaction.append(topic, Records(None, values, np.arange(len(values))), 0)
            transaction.set_positions("g", {("t", 0): number})
            transaction.commit()
            number += 1
            if number % 20 == 0:
                log.maintain(10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [backup_directory(tmp_path / "d", tmp_path / f"b{n}") for n in range(4)]
    finally:
        stop.set()
        writer.join()
    log.close()
    assert [b.epoch for b in made] == sorted(b.epoch for b in made)
    for n, backup in enumerate(made):
        assert verify_directory(tmp_path / f"b{n}") == []
        copy = LocalLog.open(tmp_path / f"b{n}", SETTINGS)
        assert copy.epoch == backup.epoch
        if backup.epoch:
            assert contents(copy, "t")[-1:] == contents(copy, "u")[-1:]
            assert int(contents(copy)[-1][1]) == copy.positions("g")["t", 0]
        copy.close()


def test_a_backup_that_was_not_finished_does_not_open() -> None:
    """Wherever it stops, the copy is refused by name or whole, and the source is as it was."""
    source = MemoryFiles()
    log = LocalLog(prepare(source), SETTINGS)
    log.create_topic("t", TopicConfig())
    append(log, [b"a", b"b"])
    expected = contents(log)
    target = FaultyFiles(0)
    backup_files(source, target)
    for crash_at in range(target.operations):
        target = FaultyFiles(crash_at, crash_at=crash_at)
        with pytest.raises(Crash):
            backup_files(source, target)
        left = target.after_crash()
        if not left.contents():
            continue
        try:
            copy = LocalLog(prepare(left), SETTINGS)
        except StorageError as error:
            assert "not finished" in str(error) or "no database" in str(error), (crash_at, error)
        else:
            assert contents(copy) == expected if "t" in copy.topics() else not copy.topics(), crash_at
    assert contents(log) == expected
    log.close()


def test_a_backup_needs_an_empty_directory(tmp_path: Path) -> None:
    """Nothing is written over."""
    filled(tmp_path / "d")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("x")
    with pytest.raises(StorageError, match="empty"):
        backup_directory(tmp_path / "d", tmp_path / "b")
    assert main(["backup", str(tmp_path / "c"), "-d", str(tmp_path / "d")]) == 0


def tools(path: Path, copy: Path) -> list[Any]:
    """What verify, repair, inspect, backup and open say about a directory: findings, or the text of an error of ours."""

    def repair() -> list[Any]:
        with plan_repair(path) as plan:
            return [*plan.refused, *plan.steps]

    def opened() -> None:
        connect(path).close()

    said: list[Any] = []
    for tool in (lambda: verify_directory(path), repair, lambda: backup_directory(path, copy), opened):
        try:
            said.append(tool())  # type: ignore[no-untyped-call]
        except StorageError as error:
            said.append(str(error))
    return said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
@pytest.mark.parametrize("name", ["format", "*.journal", "*.segment"])
def test_something_else_in_a_files_place(tmp_path: Path, name: str, kind: str) -> None:
    """A pipe, whose other end never comes, a directory or a device is told by every tool, with what to do."""
    filled(tmp_path / "db")
    connect(tmp_path / "db").close()
    place = next(iter((tmp_path / "db").rglob(name)))
    place.unlink()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    for said in tools(tmp_path / "db", tmp_path / "copy"):
        rewritten = name == "format" and "write 'penstock" in str(said)
        assert rewritten or "no regular file" in str(said) or "Is a directory" in str(said), said


def test_a_backup_says_which_file_is_missing(tmp_path: Path) -> None:
    """A file that is missing, and was not just removed, is damage, not bad luck."""
    filled(tmp_path / "db")
    gone = only(tmp_path / "db", "*.segment")
    gone.unlink()
    with pytest.raises(StorageError, match="a file of the database is missing") as told:
        backup_directory(tmp_path / "db", tmp_path / "copy")
    assert gone.name in str(told.value) and "log verify" in str(told.value)
