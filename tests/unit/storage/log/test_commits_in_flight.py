"""Large durable commits that are begun while the disk works for those before them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import OutOfOrderSequenceError, StorageError
from penstock.storage.log.local.commit.committer import Committer
from penstock.storage.log.local.commit.log_end import LogEnd
from penstock.storage.log.local.commit.transaction import LocalTransaction
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles, StoppedDisk

PATIENCE_S = 30
ROWS = 100
"""More than a small transaction has."""


def opened(files: FaultyFiles, embedded_bytes_max: int = 0) -> LocalLog:
    settings = LogSettings(background=False, embedded_bytes_max=embedded_bytes_max, in_flight_bytes_min=0, sync_threads=1)
    log = LocalLog(files, settings)
    if "t" not in log.topics():
        log.create_topic("t", TopicConfig())
    return log


def made(log: LocalLog, value: bytes, rows: int = ROWS) -> LocalTransaction:
    transaction = log.transaction()
    transaction.append("t", Records(None, pa.array([value] * rows), np.arange(rows)), 0)
    return transaction


def values(log: LocalLog) -> list[bytes]:
    """Of each commit's first record."""
    found: list[bytes] = log.read("t", 0, 0, rows_max=100_000).values.to_pylist()
    return [value for before, value in zip([None, *found], found, strict=False) if value != before]


def test_nothing_is_seen_before_it_is_durable_and_one_sync_serves_all() -> None:
    """Three that were begun get offsets one behind the other; whoever waits first has the disk work for all of them."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    begun = [made(log, value).begin_commit() for value in (b"a", b"b", b"c")]
    assert not any(b.done for b in begun)
    assert log.end_offset("t", 0) == 0
    assert values(opened(files.copy(1).after_crash())) == []
    syncs, epoch = files.syncs, log.epoch
    commits = [b.result() for b in reversed(begun)][::-1]
    assert files.syncs == syncs + 3  # the segment, its directory, the journal
    assert [(c.starts["t", 0], c.ends["t", 0], c.epoch) for c in commits] == [
        (ROWS * i, ROWS * (i + 1), epoch + 1 + i) for i in range(3)
    ]
    assert values(log) == [b"a", b"b", b"c"]
    assert values(opened(files.after_crash())) == [b"a", b"b", b"c"]


def test_one_is_written_while_the_disk_works_for_another() -> None:
    """The second one's bytes are in the file before the first one's sync is through; and both happen."""
    files = StoppedDisk()
    log = opened(files)
    files.go.clear()
    first = threading.Thread(target=made(log, b"a").commit)
    first.start()
    assert files.waits.wait(PATIENCE_S)
    second = made(log, b"b").begin_commit()
    assert any(b"b" * ROWS in data for path, data in files.contents().items() if path.endswith(".segment"))
    files.go.set()
    assert second.result().starts == {("t", 0): ROWS}
    first.join(PATIENCE_S)
    assert values(log) == [b"a", b"b"]


def test_whatever_else_changes_the_log_waits_for_them() -> None:
    """A small commit, a relaxed one, a flush, a new topic: what was begun before is through."""
    for other in (
        lambda log: made(log, b"z", 1).commit(),
        lambda log: made(log, b"z").commit(durable=False),
        lambda log: log.flush(),
        lambda log: log.create_topic("u", TopicConfig()),
    ):
        log = opened(FaultyFiles(seed=0))
        begun = made(log, b"a").begin_commit()
        other(log)
        assert begun.done
        assert values(log)[:1] == [b"a"]
        made(log, b"b").commit()
        assert values(log)[-1] == b"b"


def test_a_full_disk_fails_all_that_are_on_their_way_and_the_log_goes_on() -> None:
    """Nobody's bytes count, and the next one takes their place."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    begun = [made(log, value).begin_commit() for value in (b"a", b"b")]
    files.full_chance = 1.0
    for one in begun:
        with pytest.raises(StorageError, match="no space"):
            one.result()
    files.full_chance = 0.0
    assert values(log) == []
    assert made(log, b"c").commit().starts == {("t", 0): 0}
    log.close()
    assert values(opened(files)) == [b"c"]


@pytest.mark.parametrize("rows", [ROWS, 1])
def test_one_that_follows_another_does_not_happen_without_it(rows: int) -> None:
    """Begun before the other fails, or after it; a large one, or one that is through at once."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    first = made(log, b"a").begin_commit()
    second = made(log, b"b").begin_commit(after=first)
    files.full_chance = 1.0
    with pytest.raises(StorageError, match="no space"):
        second.result()
    files.full_chance = 0.0
    with pytest.raises(StorageError):
        made(log, b"c", rows).begin_commit(after=first).result()
    assert values(log) == []
    third = made(log, b"d").begin_commit()
    assert made(log, b"e", rows).begin_commit(after=third).result().starts == {("t", 0): ROWS}
    assert values(log) == [b"d", b"e"]


def test_a_sync_that_fails_stops_the_log() -> None:
    """What is on its way did not happen, what comes is refused."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    begun = [made(log, value).begin_commit() for value in (b"a", b"b")]
    files.sync_fails_chance = 1.0
    for one in begun:
        with pytest.raises(StorageError):
            one.result()
    files.sync_fails_chance = 0.0
    with pytest.raises(StorageError, match="no more commits"):
        made(log, b"c").begin_commit()
    assert values(log) == []


def test_one_that_was_planned_behind_a_failure_is_planned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before it fail while it writes: it takes their offsets."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    first = made(log, b"a").begin_commit()
    write = Committer._write
    planned: list[int] = []

    def meanwhile(self: Committer, plan: Any) -> None:
        write(self, plan)
        if self is not log.committer:
            return  # of another test's log, whose threads may still run
        planned.append(plan.bytes)
        if len(planned) == 1:
            files.full_chance = 1.0
            with pytest.raises(StorageError, match="no space"):
                first.result()
            files.full_chance = 0.0

    monkeypatch.setattr(Committer, "_write", meanwhile)
    assert made(log, b"b").commit().starts == {("t", 0): 0}
    assert len(planned) == 2
    assert values(log) == [b"b"]
    log.close()
    assert values(opened(files)) == [b"b"]


def test_what_fails_is_out_of_the_queue_before_others_can_know_of_it() -> None:
    """One that is planned anew goes behind what is left, so nothing may be taken out behind it."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    waiting: list[int] = []

    class Watched(LogEnd):
        __slots__ = ()

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "broken" and value:
                waiting.append(len(log.committer._unflushed))
            super().__setattr__(name, value)

    begun = [made(log, value).begin_commit() for value in (b"a", b"b")]
    assert log.committer._end is not None
    log.committer._end.__class__ = Watched
    files.full_chance = 1.0
    for one in begun:
        with pytest.raises(StorageError):
            one.result()
    assert waiting == [0]


@pytest.mark.parametrize("fails", [False, True])
def test_a_retry_waits_for_what_it_repeats(fails: bool) -> None:
    """A number that is on its way is not written twice, and not acknowledged before it is durable."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    begun = []
    for _ in range(2):
        transaction = made(log, b"a")
        transaction.set_sequence("p", 7)
        begun.append(transaction.begin_commit())
    assert not begun[1].done
    if fails:
        files.full_chance = 1.0
        for one in begun:
            with pytest.raises(StorageError):
                one.result()
        assert log.last_sequence("p") is None
    else:
        begun[1].result()
        assert log.end_offset("t", 0) == ROWS
        assert log.last_sequence("p") == 7


def test_numbers_of_a_producer_go_on_behind_what_is_on_its_way() -> None:
    """The second batch continues the first; a third that leaves a gap is refused."""
    log = opened(FaultyFiles(seed=0))
    epoch = log.open_producer("p")
    begun = []
    for first in (0, ROWS):
        transaction = made(log, b"a")
        transaction.set_producer("p", epoch, {("t", 0): first})
        begun.append(transaction.begin_commit())
    gap = made(log, b"a")
    gap.set_producer("p", epoch, {("t", 0): ROWS})
    with pytest.raises(OutOfOrderSequenceError):
        gap.begin_commit()
    for one in begun:
        one.result()
    assert [(b.first, b.last, b.offset) for b in log.produced("p", "t", 0)] == [(0, 99, 0), (100, 199, 100)]


def test_small_segments_and_bytes_in_the_journal_on_the_way() -> None:
    """A roll to a new segment behind one that nobody sees yet, and bytes that ride in the commit record."""
    files = FaultyFiles(seed=0)
    log = LocalLog(
        files, LogSettings(4_000, background=False, embedded_bytes_max=1_500, in_flight_bytes_min=0, sync_threads=1)
    )
    log.create_topic("t", TopicConfig())
    begun = [made(log, b"%02d" % i, 65 + 40 * (i % 3)).begin_commit() for i in range(12)]
    begun[5].result()
    assert all(b.done for b in begun)
    expected = [b"%02d" % i for i in range(12)]
    assert values(log) == expected
    assert len(log.topic("t").partitions[0].view.segments) > 3
    log.committer.roll()
    assert values(opened(files.after_crash())) == expected


def test_an_interruption_waits_until_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction happened, the caller is interrupted behind it, and the log goes on."""
    log = opened(FaultyFiles(seed=0))
    begun = made(log, b"a").begin_commit()

    class Interrupting:
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.times = 0

        def __enter__(self) -> None:
            self.times += 1
            if self.times == 1:
                raise KeyboardInterrupt
            self.lock.acquire()

        def __exit__(self, *about: object) -> None:
            self.lock.release()

    monkeypatch.setattr(log.committer, "_flushing", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        begun.result()
    assert begun.done
    assert values(log) == [b"a"]
    made(log, b"b").commit()
    assert values(log) == [b"a", b"b"]


def test_an_interruption_behind_the_commit_leaves_nobody_waiting() -> None:
    """It comes when the transaction has happened and is being taken out of the queue: its caller gets both."""
    log = opened(FaultyFiles(seed=0))
    begun = made(log, b"a").begin_commit()

    class Interrupting(list[Any]):
        def __delitem__(self, places: Any) -> None:
            super().__delitem__(places)
            raise KeyboardInterrupt

    log.committer._in_flight = Interrupting(log.committer._in_flight)
    with pytest.raises(KeyboardInterrupt):
        begun.result()
    assert begun.done
    assert values(log) == [b"a"]


def test_many_threads_on_real_files(tmp_path: Any) -> None:
    """Each caller's commits happen in its order, all of them once."""
    log = LocalLog.open(tmp_path, LogSettings(200_000, 4_000, background=False))
    log.create_topic("t", TopicConfig(2))
    done: list[tuple[int, int]] = []

    def work(number: int) -> None:
        for i in range(20):
            transaction = log.transaction()
            value = b"%d:%d" % (number, i)
            rows = 1 if i % 5 == 4 else 400
            records = Records(None, pa.array([value.ljust(120)] * rows), np.arange(rows))
            transaction.append("t", records, number % 2)
            commit = transaction.commit(durable=i % 7 != 6)
            start = commit.starts["t", number % 2]
            read = log.read("t", number % 2, start, rows_max=rows).values.to_pylist()
            assert read == [value.ljust(120)] * rows
            done.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S * 4)
    assert sorted(done) == [(n, i) for n in range(6) for i in range(20)]
    log.close()
    log = LocalLog.open(tmp_path)
    for partition in (0, 1):
        found = log.read("t", partition, 0, rows_max=100_000).values.to_pylist()
        order = list(dict.fromkeys(value.strip() for value in found))
        for number in range(partition, 6, 2):
            assert [v for v in order if v.startswith(b"%d:" % number)] == [b"%d:%d" % (number, i) for i in range(20)]
    log.close()
