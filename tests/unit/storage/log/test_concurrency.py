"""Many threads on one log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings


def together(*works: Callable[[], None]) -> None:
    """Run all at once; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(w,)) for w in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_writers_readers_and_maintenance_at_once(tmp_path: Path) -> None:
    """Readers see whole transactions in order, whoever writes, rolls, merges, trims and flushes meanwhile."""
    settings = LogSettings(
        segment_bytes_max=8000, journal_bytes_max=30_000, embedded_bytes_max=500, maintenance_interval_s=0.01
    )
    log = LocalLog.open(tmp_path, settings, clock_ms=lambda: 0)
    log.create_topic("left", TopicConfig())
    log.create_topic("right", TopicConfig(retention_bytes=20_000))
    writers, each = 4, 60
    finished = threading.Event()

    def write(writer: int) -> None:
        for i in range(each):
            transaction = log.transaction()
            value = pa.array([b"%d %d" % (writer, i)])
            transaction.append("left", Records(None, value, np.array([i])))
            transaction.append("right", Records(None, value, np.array([i])))
            transaction.commit(durable=i % 3 == 0)

    def write_all() -> None:
        together(*[lambda w=w: write(w) for w in range(writers)])  # type: ignore[misc]
        finished.set()

    def read() -> None:
        offset = 0
        seen = []
        while len(seen) < writers * each:
            _, ends = log.end_offsets([("left", 0), ("right", 0)])
            assert len(set(ends.values())) == 1
            got = log.read("left", 0, offset, rows_max=7)
            assert got.offsets.tolist() == list(range(offset, offset + len(got)))
            assert (got.arrivals == 2 * got.offsets).all()
            seen += got.values.to_pylist()
            offset = got.next_offset
            right = log.read("right", 0, 0, rows_max=5, reset="earliest")
            assert right.offsets.tolist() == sorted(right.offsets.tolist())
            if finished.is_set():
                assert log.end_offset("left", 0) == writers * each
        for writer in range(writers):
            mine = [int(v.split()[1]) for v in seen if int(v.split()[0]) == writer]
            assert mine == list(range(each))

    together(write_all, read, read)
    log.close()
    log = LocalLog.open(tmp_path, settings)
    assert (log.epoch, log.end_offset("left", 0)) == (writers * each, writers * each)
    assert len(log.read("left", 0, 0, rows_max=1000)) == writers * each
    log.close()


def test_a_waiter_is_woken_by_a_commit_and_by_close() -> None:
    """``wait`` returns when something newer is visible, or the log is closed."""
    log = LocalLog.open(None, LogSettings(background=False))
    log.create_topic("t", TopicConfig())
    epochs: list[int] = []

    def commit() -> None:
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([b"x"]), np.array([1])))
        transaction.commit()

    together(lambda: epochs.append(log.wait(0, 30)), commit)
    assert epochs == [1]
    together(lambda: epochs.append(log.wait(1, 30)), log.close)
    assert epochs == [1, 1]


def test_relaxed_commits_become_durable_by_themselves(tmp_path: Path) -> None:
    """The background thread writes them to the journal; nobody has to commit again."""
    log = LocalLog.open(tmp_path, LogSettings(relaxed_delay_s=0.001))
    log.create_topic("t", TopicConfig())
    transaction = log.transaction()
    transaction.append("t", Records(None, pa.array([b"x"]), np.array([1])))
    transaction.commit(durable=False)
    assert log.end_offset("t", 0) == 1
    for _ in range(2000):
        if not log.committer._unflushed:
            break
        threading.Event().wait(0.005)
    assert not log.committer._unflushed
    log.close()
