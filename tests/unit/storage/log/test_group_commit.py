"""Who leads a group, who waits for it, and what the background thread leaves others free to do."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.storage.faulty_files import FaultyFiles
from penstock.storage.files import File
from penstock.storage.log import committer
from penstock.storage.log.local import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

PATIENCE_S = 30
"""How long a thread that must end may take; it decides nothing but how soon a failing test ends."""


class StoppedDisk(FaultyFiles):
    """Syncs of segments wait while ``go`` is cleared."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.go = threading.Event()
        self.go.set()
        self.waits = threading.Event()

    def open(self, path: str, create: bool = False) -> File:
        file: Any = super().open(path, create)
        sync = file.sync

        def slow() -> None:
            if path.endswith(".segment"):
                self.waits.set()
                assert self.go.wait(PATIENCE_S)
            sync()

        file.sync = slow
        return file  # type: ignore[no-any-return]


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
        while len(log.committer._queue) < 64:
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
        while not log.committer._queue:
            assert leader.is_alive()
        with monkeypatch.context() as patched:
            waiter = committer._Waiter
            patched.setattr(committer, "_Waiter", lambda t, d: waiter(t, d, woken=Interrupted()))  # type: ignore[arg-type]
            with pytest.raises(KeyboardInterrupt):
                commit(log, b"interrupted", durable=True)
    assert ended(leader)
    assert ended(in_thread(lambda: commit(log, b"next", durable=True)))
    assert values(log) == [b"leader", b"next"]
