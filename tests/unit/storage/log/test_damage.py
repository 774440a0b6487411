"""A damaged byte is never read as data: it is an error with file and offset, or (in the journal's tail) a cut."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.maintenance.inspect import read_log
from penstock.storage.log.local.maintenance.leftovers import find_leftovers
from penstock.storage.log.local.maintenance.verify import verify_log
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles

SETTINGS = LogSettings(background=False, embedded_bytes_max=0)


def filled() -> tuple[FaultyFiles, list[bytes]]:
    """A closed log with four records in two frames, and their values."""
    files = FaultyFiles(0)
    log = LocalLog(files, SETTINGS)
    log.create_topic("t", TopicConfig())
    for values in ([b"one", b"two"], [b"three", b"four"]):
        transaction = log.transaction()
        transaction.append("t", Records(pa.array([b"k", b"l"]), pa.array(values, pa.binary()), np.array([1, 2])))
        transaction.commit()
    log.close()
    return files, [b"one", b"two", b"three", b"four"]


def names(files: FaultyFiles, ending: str) -> str:
    """The one file whose name ends so."""
    (name,) = [n for n in files.contents() if n.endswith(ending)]
    return name


def test_every_damaged_byte_of_a_segment_is_reported() -> None:
    """Whatever byte is flipped, a read fails with the segment's path and a place before or at the damage's frame."""
    files, _ = filled()
    name = names(files, ".segment")
    for position in range(len(files.contents()[name])):
        files.damage(name, position, 0x10)
        log = LocalLog(files, SETTINGS)
        with pytest.raises(StorageError) as caught:
            log.read("t", 0, 0, rows_max=10)
        assert caught.value.path == name
        assert caught.value.offset is not None
        assert caught.value.action
        log.close()
        files.damage(name, position, 0x10)


def test_frames_before_the_damage_are_still_read() -> None:
    """Damage in the last frame does not take the first one away."""
    files, values = filled()
    name = names(files, ".segment")
    files.damage(name, len(files.contents()[name]) - 1, 1)
    log = LocalLog(files, SETTINGS)
    assert log.read("t", 0, 0, rows_max=2).values.to_pylist() == values[:2]
    with pytest.raises(StorageError):
        log.read("t", 0, 2, rows_max=2)


def test_a_segment_that_is_too_short_or_missing_is_reported_on_open() -> None:
    """The journal knows how long each segment has to be."""
    files, _ = filled()
    name = names(files, ".segment")
    files.open(name).truncate(100)
    with pytest.raises(StorageError) as caught:
        LocalLog(files, SETTINGS)
    assert (caught.value.path, caught.value.offset) == (name, 100)
    files.remove(name)
    with pytest.raises(StorageError, match="missing"):
        LocalLog(files, SETTINGS)


def test_a_missing_journal_is_reported() -> None:
    """Without it nobody knows what was committed: an empty log would be a lie."""
    files, _ = filled()
    files.remove(names(files, ".journal"))
    with pytest.raises(StorageError, match="journal is missing"):
        LocalLog(files, SETTINGS)


def test_a_damaged_byte_of_the_journal_is_reported() -> None:
    """After a sync the trailer says that all before it is durable: damage is never taken for a torn tail."""
    files, values = filled()
    name = names(files, ".journal")
    used = len(files.contents()[name].rstrip(b"\0"))
    outcomes = set()
    for position in range(used):
        files.damage(name, position, 0x10)
        snapshot = FaultyFiles(1)
        for path, data in files.contents().items():
            snapshot.make_directory(path.rpartition("/")[0])
            snapshot.open(path, create=True).write(0, data)
        try:
            log = LocalLog(snapshot, SETTINGS)
        except StorageError as error:
            assert error.path is not None
            outcomes.add("reported")
        else:
            shown = log.read("t", 0, 0, rows_max=9).values.to_pylist()
            assert shown == values[: len(shown)]
            outcomes.add(f"cut to {len(shown)}")
            log.close()
        files.damage(name, position, 0x10)
    assert outcomes == {"reported", "cut to 4"}  # the second: a blank between records, or the trailer itself


def test_a_torn_tail_is_cut_where_no_trailer_says_that_it_was_durable() -> None:
    """The trailer is not synced with its group: without it, the last group is as if it had never come."""
    files, values = filled()
    name = names(files, ".journal")
    data = files.contents()[name]
    trailer = len(data.rstrip(b"\0")) // 8 * 8
    while data[trailer : trailer + 4] != b"PENM":
        trailer -= 8
    files.open(name).write(trailer - 16, bytes(48))
    log = LocalLog(files, SETTINGS)
    assert log.read("t", 0, 0, rows_max=9).values.to_pylist() == values[:2]


def test_a_journal_that_is_older_than_its_segments_is_reported() -> None:
    """A journal that was closed in order knows all that its segments hold: nothing is cut on its word."""
    files, _ = filled()
    journal = names(files, ".journal")
    old = files.contents()[journal]
    log = LocalLog(files, SETTINGS)
    transaction = log.transaction()
    transaction.append("t", Records(None, pa.array([b"five"]), np.array([3])))
    transaction.commit()
    log.close()
    files.remove(names(files, ".journal"))
    files.open(journal, create=True).write(0, old)
    with pytest.raises(StorageError, match="closed in order") as caught:
        LocalLog(files, SETTINGS)
    assert caught.value.path == names(files, ".segment")


def test_the_extension_of_a_file_is_no_damage() -> None:
    """A file that is read while it grows is extended by zeros.  They stay if the process is killed while it closes."""
    files, values = filled()
    name = names(files, ".segment")
    length = len(files.contents()[name])
    files.open(name).write(length, bytes((256 << 10) - length))
    assert [fault.harmless for fault in verify_log(files)] == [True]
    assert not find_leftovers(files, read_log(files))
    log = LocalLog(files, SETTINGS)
    assert log.read("t", 0, 0, rows_max=9).values.to_pylist() == values
    log.close()
    assert len(files.contents()[name]) == length
    files.open(name).write((256 << 10) - 1, b"x")
    assert not any(fault.harmless for fault in verify_log(files))
    with pytest.raises(StorageError, match="closed in order"):
        LocalLog(files, SETTINGS)


def test_a_journal_that_is_cut_off_or_renamed_is_reported() -> None:
    """A journal has a least size and a name that says its number."""
    files, _ = filled()
    name = names(files, ".journal")
    data = files.contents()[name]
    files.open(name).truncate(len(data) // 2)
    with pytest.raises(StorageError, match="cut off"):
        LocalLog(files, SETTINGS)
    files.open(name).write(0, data)
    for other in ("9" * 20 + ".journal", "x.journal"):
        files.rename(name, "log/journal/" + other)
        with pytest.raises(StorageError) as caught:
            LocalLog(files, SETTINGS)
        assert other in str(caught.value.path)
        files.rename("log/journal/" + other, name)


def crashed() -> tuple[FaultyFiles, list[bytes]]:
    """`filled`, but never closed."""
    files = FaultyFiles(0)
    log = LocalLog(files, SETTINGS)
    log.create_topic("t", TopicConfig())
    values = [b"one", b"two"]
    transaction = log.transaction()
    transaction.append("t", Records(None, pa.array(values, pa.binary()), np.array([1, 2])))
    transaction.commit()
    return files, values


def test_writes_beyond_the_recorded_length_are_cut_on_open() -> None:
    """What an uncommitted append left in a segment goes."""
    files, values = crashed()
    name = names(files, ".segment")
    length = len(files.contents()[name])
    files.open(name).write(length, b"half a frame")
    log = LocalLog(files, SETTINGS)
    assert len(files.contents()[name]) == length
    assert log.read("t", 0, 0, rows_max=9).values.to_pylist() == values


def test_files_that_the_journal_does_not_know_are_removed() -> None:
    """Left by a crash in the middle of a rewrite or of creating a topic."""
    files, _ = crashed()
    name = names(files, ".segment")
    files.open(name.replace("-0.", "-9."), create=True).write(0, b"x")
    files.make_directory("log/topics/ghost.7/0")
    files.open("log/topics/ghost.7/0/x.segment", create=True).write(0, b"x")
    LocalLog(files, SETTINGS).close()
    assert [n for n in files.contents() if n.endswith(".segment")] == [name]
