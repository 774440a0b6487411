"""Small transactions that are committed in one group share frames and a commit record; nobody else can tell."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import OutOfOrderSequenceError, StorageError
from penstock.storage.log.local.commit.transaction import LocalTransaction
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Commit, Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import TEARINGS, Crash, FaultyFiles, Tearing

PATIENCE_S = 30


def opened(files: FaultyFiles) -> LocalLog:
    """Large ones wait with the others."""
    return LocalLog(files, LogSettings(background=False, sync_threads=1, in_flight_bytes_min=1 << 30))


def records(*values: bytes | None, keys: Sequence[bytes | None] | None = None, at: int = 1) -> Records:
    return Records(
        None if keys is None else pa.array(keys, pa.binary()),
        pa.array(values, pa.binary()),
        np.arange(at, at + len(values)),
    )


def appended(log: LocalLog, *parts: tuple[str, int, Records]) -> LocalTransaction:
    transaction = log.transaction()
    for topic, partition, given in parts:
        transaction.append(topic, given, partition)
    return transaction


def in_one_group(log: LocalLog, transactions: Sequence[LocalTransaction]) -> list[Commit | BaseException]:
    """Commit them together, in this order: what each caller gets."""
    got: dict[int, Commit | BaseException] = {}

    def work(number: int) -> None:
        try:
            got[number] = transactions[number].commit(durable=True)
        except BaseException as error:
            got[number] = error

    threads = []
    with log.committer.write_lock:
        for number in range(len(transactions)):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while log.committer.waiting <= number:
                assert threads[-1].is_alive()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    return [got[number] for number in range(len(transactions))]


def frames(log: LocalLog, topic: str, partition: int = 0) -> list[int]:
    """The rows of each frame of a partition's last segment."""
    segment = log.topic(topic).partitions[partition].view.segments[-1]
    data = segment.data()
    return [segment.frame(position, data)[0].rows for position in segment.index().positions]


def rows(log: LocalLog, topic: str, partition: int = 0) -> list[tuple[Any, ...]]:
    """Offset, arrival, timestamp, key, value."""
    found = log.read(topic, partition, 0, rows_max=1000)
    keys = [None] * len(found) if found.keys is None else found.keys.to_pylist()
    columns = found.offsets.tolist(), found.arrivals.tolist(), found.timestamps.tolist(), keys, found.values.to_pylist()
    return list(zip(*columns, strict=True))


def test_they_share_a_frame_and_keep_offsets_arrivals_and_epochs() -> None:
    """Two partitions, with and without keys: each caller is told its own offsets, arrivals go by the order of commits."""
    log = opened(FaultyFiles(seed=0))
    log.create_topic("t", TopicConfig(2))
    epoch = log.epoch
    got = in_one_group(
        log,
        [
            appended(log, ("t", 0, records(b"a", at=5))),
            appended(log, ("t", 1, records(b"b", b"c", keys=[b"k", None]))),
            appended(log, ("t", 0, records(b"d", None, keys=[b"l", b"m"], at=3)), ("t", 1, records(b"e", at=9))),
        ],
    )
    assert got == [
        Commit(epoch + 1, {("t", 0): 1}, {("t", 0): 0}),
        Commit(epoch + 2, {("t", 1): 2}, {("t", 1): 0}),
        Commit(epoch + 3, {("t", 0): 3, ("t", 1): 3}, {("t", 0): 1, ("t", 1): 2}),
    ]
    assert rows(log, "t", 0) == [(0, 0, 5, None, b"a"), (1, 3, 3, b"l", b"d"), (2, 4, 4, b"m", None)]
    assert rows(log, "t", 1) == [(0, 1, 1, b"k", b"b"), (1, 2, 2, None, b"c"), (2, 5, 9, None, b"e")]
    assert (frames(log, "t", 0), frames(log, "t", 1)) == ([3], [3])
    assert (log.epoch, log.arrival_end) == (epoch + 3, 6)


def test_a_large_one_and_a_numbered_one_stand_alone_in_their_place() -> None:
    """Frames of their own, between those of the others, whose order is that of the commits."""
    log = opened(FaultyFiles(seed=0))
    log.create_topic("t", TopicConfig())
    producer = log.open_producer("p")
    numbered = appended(log, ("t", 0, records(b"numbered")))
    numbered.set_producer("p", producer, {("t", 0): 0})
    large = b"x" * 100_000
    given = [records(b"a"), records(b"b"), records(large), records(b"c"), None, records(b"d"), records(b"e")]
    transactions = [numbered if r is None else appended(log, ("t", 0, r)) for r in given]
    assert all(isinstance(c, Commit) for c in in_one_group(log, transactions))
    assert [r[4] for r in rows(log, "t")] == [b"a", b"b", large, b"c", b"numbered", b"d", b"e"]
    assert [r[:2] for r in rows(log, "t")] == [(i, i) for i in range(7)]
    assert frames(log, "t") == [2, 1, 1, 1, 2]
    assert log.produced("p", "t", 0)[0].offset == 4


def test_positions_and_sequences_of_all_count_and_a_retry_writes_nothing() -> None:
    """The later of two positions of one group is the one that stays; the same sequence twice is one append."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())
    transactions = [appended(log, ("t", 0, records(b"%d" % n))) for n in range(3)]
    for transaction, sequence, position in zip(transactions, (4, 4, 5), (1, 2, 3), strict=True):
        transaction.set_sequence("loader", sequence)
        transaction.set_positions("group", {("t", 0): position})
    got = in_one_group(log, transactions)
    assert [isinstance(c, Commit) and bool(c.ends) for c in got] == [True, False, True]
    log = opened(files.after_crash())
    assert [r[4] for r in rows(log, "t")] == [b"0", b"2"]
    assert log.positions("group") == {("t", 0): 3}
    assert log.last_sequence("loader") == 5


def test_what_is_refused_keeps_none_of_the_others_out() -> None:
    """A producer's wrong number, a topic that got partitions: each caller gets what is its own."""
    log = opened(FaultyFiles(seed=0))
    log.create_topic("t", TopicConfig())
    log.create_topic("few", TopicConfig())
    wrong = appended(log, ("t", 0, records(b"wrong")))
    wrong.set_producer("p", log.open_producer("p"), {("t", 0): 7})
    lost = appended(log, ("few", 0, records(b"lost", keys=[b"k"])))
    first, last = appended(log, ("t", 0, records(b"first"))), appended(log, ("t", 0, records(b"last")))
    log.alter_topic("few", TopicConfig(2))
    got = in_one_group(log, [first, wrong, lost, last])
    assert isinstance(got[1], OutOfOrderSequenceError)
    assert isinstance(got[2], StorageError)
    assert [r[4] for r in rows(log, "t")] == [b"first", b"last"]


def test_a_topic_that_has_grown_takes_what_was_made_before() -> None:
    """Rows of the old type and of the new one in one group: null in the new field, or its value."""
    old = pa.struct([("a", pa.int64())])
    new = pa.struct([("a", pa.int64()), ("b", pa.string())])
    log = opened(FaultyFiles(seed=0))
    log.create_topic("t", TopicConfig(value_type=old))
    before = [appended(log, ("t", 0, Records(None, pa.array([{"a": n}], old), np.array([n])))) for n in range(2)]
    log.alter_topic("t", TopicConfig(value_type=new))
    after = [appended(log, ("t", 0, Records(None, pa.array([{"a": 2, "b": "x"}], new), np.array([2]))))]
    assert all(isinstance(c, Commit) for c in in_one_group(log, [*before, *after]))
    assert [r[4] for r in rows(log, "t")] == [{"a": 0, "b": None}, {"a": 1, "b": None}, {"a": 2, "b": "x"}]


@pytest.mark.parametrize("tearing", TEARINGS)
def test_a_crash_keeps_or_loses_each_append_as_a_whole(tearing: Tearing) -> None:
    """At every operation of the disk: both of an append's topics have it or neither has, and what was acknowledged stays."""

    def run(crash_at: int | None) -> FaultyFiles:
        files = FaultyFiles(1, None)
        log = opened(files)
        log.create_topic("left", TopicConfig())
        log.create_topic("right", TopicConfig(2))
        files.crash_at = None if crash_at is None else files.operations + crash_at
        start = files.operations
        names = [b"%d" % n for n in range(6)]
        got: list[Commit | BaseException] = []
        for some in (names[:3], names[3:]):
            made = [appended(log, ("left", 0, records(n)), ("right", int(n) % 2, records(n))) for n in some]
            got += in_one_group(log, made)
        assert all(isinstance(c, Commit | Crash | StorageError) for c in got)
        acknowledged = {n for n, c in zip(names, got, strict=True) if isinstance(c, Commit)}
        after = opened(files.after_crash(tearing=tearing))
        left = [r[4] for r in rows(after, "left")]
        right = [r[4] for partition in (0, 1) for r in rows(after, "right", partition)]
        assert left == names[: len(left)]
        assert sorted(right) == left
        assert acknowledged <= set(left)
        operations.append(files.operations - start)
        return files

    operations: list[int] = []
    run(None)
    for crash_at in range(operations[0]):
        run(crash_at)


def test_callers_without_end() -> None:
    """Many threads, again and again: every append is there once, at the offset its caller was told."""
    log = opened(FaultyFiles(seed=2))
    log.create_topic("t", TopicConfig())
    told: dict[int, bytes] = {}

    def work(caller: int) -> None:
        for number in range(30):
            value = b"%d %d" % (caller, number)
            got = appended(log, ("t", 0, records(value))).commit(durable=number % 3 > 0)
            told[got.starts["t", 0]] = value

    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [told[offset] for offset in range(16 * 30)] == [r[4] for r in rows(log, "t")]
