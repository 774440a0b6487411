"""A topic of ten thousand partitions: what one costs does not grow with how many there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.limits import PARTITIONS_MAX
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.partitioner import partitions_of
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings


def test_ten_thousand_partitions_are_written_read_and_opened_again(tmp_path: Path) -> None:
    """Records go where their keys belong, empty partitions stay empty, and maintenance touches no file of theirs."""
    log = LocalLog.open(tmp_path / "db", LogSettings(background=False))
    log.create_topic("t", TopicConfig(PARTITIONS_MAX, retention_bytes=10**9))
    keys = pa.array([b"key %d" % i for i in range(300)])
    transaction = log.transaction()
    transaction.append("t", Records(keys, keys, np.arange(300)))
    commit = transaction.commit()
    placed = partitions_of(keys, PARTITIONS_MAX).tolist()
    assert {number for _, number in commit.ends} == set(placed)
    log.maintain(10**12)
    log.close()
    log = LocalLog.open(tmp_path / "db", LogSettings(background=False))
    _, ends = log.end_offsets([("t", p) for p in range(PARTITIONS_MAX)])
    assert sum(ends.values()) == 300
    for key, number in zip(keys.to_pylist(), placed, strict=True):
        assert key in log.read("t", number, 0, rows_max=300).keys.to_pylist()
    assert sum(len(p.view.segments) for p in log.topic("t").partitions) == len(set(placed))
    log.close()


def test_records_of_more_partitions_than_the_process_may_have_files(tmp_path: Path) -> None:
    """All of them are held at once, as a query's step does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    log = LocalLog.open(tmp_path / "db", LogSettings(background=False))
    log.create_topic("t", TopicConfig(1_200))
    keys = pa.array([b"key %d" % i for i in range(12_000)])
    transaction = log.transaction()
    transaction.append("t", Records(keys, keys, np.arange(12_000)))
    transaction.commit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    try:
        held = [log.read("t", p, 0, rows_max=1_000) for p in range(1_200)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sum(len(records) for records in held) == 12_000
    log.close()


def test_a_transaction_that_began_before_partitions_were_added_does_not_misplace_keys() -> None:
    """What it placed by the old number of partitions fails as a whole; records without keys go through."""
    log = LocalLog.open(None, LogSettings(background=False))
    log.create_topic("t", TopicConfig(2))
    keyed, plain = log.transaction(), log.transaction()
    keys = pa.array([b"a", b"b", b"c"])
    keyed.append("t", Records(keys, keys, np.arange(3)))
    plain.append("t", Records(None, keys, np.arange(3)))
    log.alter_topic("t", TopicConfig(5))
    with pytest.raises(StorageError, match="got partitions during a transaction"):
        keyed.commit()
    plain.commit()
    assert sum(log.end_offset("t", p) for p in range(5)) == 3
    with pytest.raises(StorageError, match="cannot get fewer"):
        log.alter_topic("t", TopicConfig(2))
