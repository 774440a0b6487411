"""Large commits to several files, which two threads write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.storage.files import RealFiles
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

ROWS = 20_000


def log_at(path: Path) -> LocalLog:
    return LocalLog(RealFiles(path), LogSettings(background=False))


def append(log: LocalLog, *, durable: bool = True) -> None:
    transaction = log.transaction()
    for partition in range(3):
        values = pa.array([b"%d of %d, " % (row, partition) + b"x" * 40 for row in range(ROWS)], pa.binary())
        transaction.append("t", Records(None, values, np.arange(ROWS, dtype=np.int64)), partition)
    transaction.commit(durable)


@pytest.mark.parametrize("durable", [True, False])
def test_all_is_there(tmp_path: Path, durable: bool) -> None:
    """Every partition, in its order, also after the log was opened again."""
    log = log_at(tmp_path)
    log.create_topic("t", TopicConfig(3))
    for _ in range(2):
        append(log, durable=durable)
    log.close()
    log = log_at(tmp_path)
    for partition in range(3):
        found = log.read("t", partition, 0, rows_max=3 * ROWS).values
        expected = [b"%d of %d, " % (row, partition) + b"x" * 40 for row in range(ROWS)]
        assert found.to_pylist() == 2 * expected
    log.close()


@pytest.mark.parametrize("faulty", range(3))
def test_a_file_that_cannot_be_written_fails_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faulty: int
) -> None:
    """Whoever writes it: nothing of it happened, and the next one does."""
    log = log_at(tmp_path)
    log.create_topic("t", TopicConfig(3))
    append(log)
    kind = type(log._state.topic("t").partitions[0].view.segments[0].file)  # type: ignore[attr-defined]
    write = kind.write

    def fail(self: object, position: int, *chunks: object) -> None:
        if f"/{faulty}/" in self.path:  # type: ignore[attr-defined]
            raise StorageError("no space left (by the test)", path=self.path)  # type: ignore[attr-defined]
        write(self, position, *chunks)

    monkeypatch.setattr(kind, "write", fail)
    with pytest.raises(StorageError, match="by the test"):
        append(log)
    monkeypatch.undo()
    assert [log.end_offset("t", partition) for partition in range(3)] == [ROWS] * 3
    append(log)
    assert [log.end_offset("t", partition) for partition in range(3)] == [2 * ROWS] * 3
    log.close()
