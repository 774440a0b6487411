"""Who leads a group, who waits for it, and what the background thread leaves others free to do."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.storage import combining
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles, StoppedDisk

PATIENCE_S = 30
"""How long a thread that must end may take; it decides nothing but how soon a failing test ends."""


def commit(log: LocalLog, value: bytes, durable: bool) -> None:
    transaction = log.transaction()
    transaction.append("t", Records(None, pa.array([value]), np.array([1])), 0)
    transaction.commit(durable)


def values(log: LocalLog) -> list[bytes]:
    found: list[bytes] = log.read("t", 0, 0, rows_max=1000).values.to_pylist()
    return found


def opened(files: FaultyFiles) -> LocalLog:
    return LocalLog(files, LogSettings(background=False, embedded_bytes_max=0, sync_threads=1))


def in_thread(work: Any) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wake_by(patched: pytest.MonkeyPatch, lock: Any) -> None:
    """From here on callers that come wait for such a lock."""
    waiter = combining._Waiter
    patched.setattr(combining, "_Waiter", lambda request: waiter(request, woken=lock()))


def ended(thread: threading.Thread) -> bool:
    thread.join(PATIENCE_S)
    return not thread.is_alive()


def test_a_relaxed_commit_does_not_wait_for_the_background_flush() -> None:
    """While the disk works for the relaxed commits of before, others happen; and all are there after a crash."""
    files = StoppedDisk()
    log = opened(files)
    log.create_topic("t", TopicConfig())
    commit(log, b"a", durable=False)
    files.go.clear()
    flusher = in_thread(log.committer.flush_beside)
    assert files.waits.wait(PATIENCE_S)
    assert ended(in_thread(lambda: commit(log, b"b", durable=False)))
    assert values(log) == [b"a", b"b"]
    durable = in_thread(lambda: commit(log, b"c", durable=True))
    files.go.set()
    assert ended(flusher)
    assert ended(durable)
    assert values(opened(files.after_crash())) == [b"a", b"b", b"c"]


def test_what_came_during_a_background_flush_is_flushed_by_the_next() -> None:
    """The first flush takes only what it found; the commit beside it stays relaxed until the second."""
    files = StoppedDisk()
    log = opened(files)
    log.create_topic("t", TopicConfig())
    commit(log, b"a", durable=False)
    files.go.clear()
    flusher = in_thread(log.committer.flush_beside)
    assert files.waits.wait(PATIENCE_S)
    commit(log, b"b", durable=False)
    files.go.set()
    assert ended(flusher)
    assert [len(p.writes) for p in log.committer._unflushed] == [1]
    log.committer.flush_beside()
    assert not log.committer._unflushed
    assert log.committer._bytes_taken_in == log.committer._bytes_flushed
    assert values(opened(files.after_crash())) == [b"a", b"b"]


def test_a_background_flush_that_fails_stops_the_log() -> None:
    """A durable commit behind it is refused: what the disk has is unknown."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())
    commit(log, b"a", durable=False)
    files.sync_fails_chance = 1.0
    with pytest.raises(StorageError):
        log.committer.flush_beside()
    files.sync_fails_chance = 0.0
    with pytest.raises(StorageError, match="no more commits"):
        commit(log, b"b", durable=True)


def test_everyone_in_a_queue_is_led_through() -> None:
    """64 callers with a commit each, while another holds the log: all happen once, with one sync per file."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())
    epoch, syncs = log.epoch, files.syncs
    with log.committer.write_lock:
        threads = [in_thread(lambda n=n: commit(log, b"%d" % n, durable=True)) for n in range(64)]
        while log.committer.waiting < 64:
            assert any(t.is_alive() for t in threads)
    assert all(ended(t) for t in threads)
    assert sorted(values(log)) == sorted(b"%d" % n for n in range(64))
    assert log.epoch == epoch + 64
    assert files.syncs == syncs + 3  # the segment, its directory, the journal


def test_a_caller_that_is_interrupted_in_the_queue_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction does not happen; the next one is led by somebody else."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())

    class Interrupted:
        def acquire(self) -> None:
            raise KeyboardInterrupt

        def release(self) -> None: ...

    with log.committer.write_lock:
        leader = in_thread(lambda: commit(log, b"leader", durable=True))
        while not log.committer.waiting:
            assert leader.is_alive()
        with monkeypatch.context() as patched:
            wake_by(patched, Interrupted)
            with pytest.raises(KeyboardInterrupt):
                commit(log, b"interrupted", durable=True)
    assert ended(leader)
    assert ended(in_thread(lambda: commit(log, b"next", durable=True)))
    assert values(log) == [b"leader", b"next"]


def test_a_caller_that_is_interrupted_on_the_way_is_told_how_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else leads its transactions through meanwhile: they happened, and it knows."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())
    outcomes: list[Any] = []
    made = []
    for value in (b"a", b"b"):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([value]), np.array([1])), 0)
        made.append((transaction, True))

    class Interrupted:
        """Its thread is interrupted once it has been taken by the leader, and before it is woken."""

        def __init__(self) -> None:
            self.lock = combining._held_lock()

        def acquire(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                return self.lock.acquire(timeout=timeout)
            log.committer.write_lock.release()
            assert ended(leader)
            raise KeyboardInterrupt

        def release(self) -> None:
            self.lock.release()

    log.committer.write_lock.acquire()
    leader = in_thread(lambda: commit(log, b"leader", durable=True))
    while not log.committer.waiting:
        assert leader.is_alive()
    with monkeypatch.context() as patched:
        wake_by(patched, Interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.commit_all(made, outcomes)
    assert [o.ends for o in outcomes] == [{("t", 0): 2}, {("t", 0): 3}]
    assert values(log) == [b"leader", b"a", b"b"]


def test_several_that_are_interrupted_in_the_queue_do_not_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them leave it; those before and behind stay."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())
    outcomes: list[Any] = []
    made = []
    for value in (b"a", b"b"):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([value]), np.array([1])), 0)
        made.append((transaction, True))
    threads = []

    class Interrupted:
        def acquire(self) -> None:
            patched.undo()
            threads.append(in_thread(lambda: commit(log, b"behind", durable=True)))
            while log.committer.waiting < 3:
                assert threads[0].is_alive()
            raise KeyboardInterrupt

        def release(self) -> None: ...

    with log.committer.write_lock:
        leader = in_thread(lambda: commit(log, b"leader", durable=True))
        while not log.committer.waiting:
            assert leader.is_alive()
        with monkeypatch.context() as patched:
            wake_by(patched, Interrupted)
            with pytest.raises(KeyboardInterrupt):
                log.commit_all(made, outcomes)
    assert ended(leader)
    assert ended(threads[0])
    assert outcomes == [None, None]
    assert values(log) == [b"leader", b"behind"]
