"""Being out of descriptors, or of anything but a disk that works, costs a commit at most; never the log."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.storage import files as files_module
from penstock.storage.files import NothingSyncedError
from penstock.storage.log.local.commit import parallel_io
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

SMALL, LARGE = 10, 100_000
"""Bytes of a value that rides in the commit record, and of one whose segment is synced."""


def opened(path: Path) -> LocalLog:
    return LocalLog.open(path, LogSettings(background=False))


def commit(log: LocalLog, value: bytes) -> None:
    transaction = log.transaction()
    transaction.append("t", Records(None, pa.array([value]), np.array([1])), 0)
    transaction.commit()


def values(log: LocalLog) -> list[int]:
    return [len(v) for v in log.read("t", 0, 0, rows_max=1000).values.to_pylist()]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("call", ["dup", "open"])
def test_one_emfile_at_a_sync_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, call: str) -> None:
    """All files have been closed for now; the next call that takes a descriptor gets none: others are closed, it goes on."""
    log = opened(tmp_path)
    log.create_topic("t", TopicConfig())
    commit(log, b"x" * size)
    for file in list(log._files._open):  # type: ignore[attr-defined]
        file.rest()
    real: Callable[..., Any] = getattr(os, call)
    left = [1]

    def failing(*args: Any, **kwargs: Any) -> Any:
        if left:
            left.pop()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    commit(log, b"y" * size)
    commit(log, b"z" * size)
    log.close()
    assert values(opened(tmp_path)) == [size] * 3


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("times", range(1, 8))
def test_emfile_that_lasts_costs_that_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, times: int) -> None:
    """The commit happens or fails whole; the log takes the next one, and the same is there after opening again."""
    log = opened(tmp_path)
    log.create_topic("t", TopicConfig())
    commit(log, b"x" * size)
    for file in list(log._files._open):  # type: ignore[attr-defined]
        file.rest()
    real, left = os.open, list(range(times))

    def failing(*args: Any, **kwargs: Any) -> Any:
        if left:
            left.pop()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*args, **kwargs)

    happened = 1
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing)
        try:
            commit(log, b"y" * size)
            happened += 1
        except StorageError as error:
            assert "open files" in str(error)
    left.clear()
    commit(log, b"z" * size)
    assert len(values(log)) == happened + 1
    log.close()
    assert len(values(opened(tmp_path))) == happened + 1


def test_a_journal_that_cannot_be_opened_to_be_synced_forgets_what_it_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written, the sync does not begin: the commit fails, and is not there after a crash, either."""
    log = opened(tmp_path)
    log.create_topic("t", TopicConfig())
    commit(log, b"x")
    file = log.committer._journal_writer._journal._file
    monkeypatch.setattr(type(file), "sync", _refusing(type(file).sync, file))
    with pytest.raises(NothingSyncedError):
        commit(log, b"lost")
    crashed = tmp_path.parent / "crashed"
    subprocess.run(["cp", "-r", str(tmp_path), str(crashed)], check=True)
    commit(log, b"yy")
    assert values(log) == [1, 2]
    log.close()
    assert values(opened(tmp_path)) == [1, 2]
    assert values(opened(crashed)) == [1]


def _refusing(real: Callable[[Any], None], which: Any) -> Callable[[Any], None]:
    left = [1]

    def sync(file: Any) -> None:
        if file is which and left:
            left.pop()
            raise NothingSyncedError("cannot open the file: too many open files")
        real(file)

    return sync


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread"), ValueError("anything")])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_an_error_before_the_journal_has_it_costs_that_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, size: int
) -> None:
    """Whatever goes wrong while frames are placed, written or synced: the next commit works."""
    log = opened(tmp_path)
    log.create_topic("t", TopicConfig())

    def failing(*args: Any) -> None:
        raise error

    for part, name in ((log.committer, "_write"), (log.committer._journal_writer, "take")):
        with monkeypatch.context() as patched:
            patched.setattr(part, name, failing)
            with pytest.raises(type(error)):
                commit(log, b"y" * size)
        commit(log, b"z" * size)
    assert values(log) == [size] * 2
    log.close()
    assert values(opened(tmp_path)) == [size] * 2


def test_no_thread_to_sync_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the one that commits syncs file after file."""
    log = opened(tmp_path)
    log.create_topic("t", TopicConfig())

    class NoThreads:
        def __init__(self, *args: Any) -> None: ...

        def submit(self, *args: Any) -> Any:
            raise RuntimeError("can't start new thread")

        def shutdown(self) -> None: ...

    monkeypatch.setattr(parallel_io, "ThreadPoolExecutor", NoThreads)
    commit(log, b"z" * LARGE)
    log.close()
    assert values(opened(tmp_path)) == [LARGE]


def test_a_failed_sync_still_ends_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was handed over to the disk and may not be there cannot be counted on: no commit comes behind it."""
    log = opened(tmp_path)
    log.create_topic("t", TopicConfig())

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        with pytest.raises(StorageError, match="sync the file"):
            commit(log, b"y")
    with pytest.raises(StorageError, match="takes no more commits"):
        commit(log, b"z")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
import penstock
with penstock.connect(sys.argv[1]) as db:
    for i in range(9):
        options = f"KAFKA_TOPIC='s{i}', VALUE_FORMAT='JSON', PARTITIONS=8"
        db.execute(f"CREATE STREAM s{i} (k STRING KEY, v STRING) WITH ({options});")
        db.execute(f"CREATE TABLE t{i} AS SELECT k, COUNT(*) AS n FROM s{i} GROUP BY k;")
    for n in range(3):
        db.insert_many({f"s{i}": [{"k": str(k), "v": "x" * 1000} for k in range(400)] for i in range(9)})
    db.wait_idle()
with penstock.connect(sys.argv[1]) as db:
    db.wait_idle()
    print(sum(db.sql(f"SELECT SUM(n) FROM t{i}").fetchall()[0][0] for i in range(9)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of descriptors there")
def test_nine_streams_of_eight_partitions_with_256_descriptors(tmp_path: Path) -> None:
    """The files that are kept open adapt to what the process may have."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "db")], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(9 * 3 * 400)


def test_the_files_kept_open_follow_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 400; fewer where the process may have fewer; never none."""
    resource = pytest.importorskip("resource")
    for allowed, kept in ((resource.RLIM_INFINITY, 400), (65_536, 400), (1024, 385), (256, 78), (20, 16)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, allowed=allowed: (allowed, allowed))
        assert files_module.open_files_max() == kept
