"""Producers as the log knows them: epochs, numbers per partition, what a retry is told, all across re-opening."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import OutOfOrderSequenceError, ProducerFencedError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Commit, ProducedBatch, Records, TopicConfig
from penstock.storage.log.settings import LogSettings

QUIET = LogSettings(background=False)


def records(*values: bytes) -> Records:
    return Records(None, pa.array(values, pa.binary()), np.zeros(len(values), np.int64))


def write(log: LocalLog, epoch: int, partition: int, values: list[bytes], first: int | None = None) -> Commit:
    transaction = log.transaction()
    transaction.append("t", records(*values), partition)
    transaction.set_producer("p", epoch, {} if first is None else {("t", partition): first})
    return transaction.commit()


def test_numbers_count_per_partition_and_survive_reopening(tmp_path: Path) -> None:
    """What was produced is known after opening again, with the offsets that it got."""
    with_other = records(b"other")
    log = LocalLog.open(tmp_path / "d", QUIET)
    log.create_topic("t", TopicConfig(2))
    assert log.open_producer("p") == 0
    assert write(log, 0, 0, [b"a", b"b"]).starts == {("t", 0): 0}
    transaction = log.transaction()
    transaction.append("t", with_other, 0)
    transaction.commit()
    write(log, 0, 0, [b"c"], first=2)
    write(log, 0, 1, [b"x"], first=0)
    log.close()
    log = LocalLog.open(tmp_path / "d", QUIET)
    assert list(log.produced("p", "t", 0)) == [ProducedBatch(0, 1, 0), ProducedBatch(2, 2, 3)]
    assert list(log.produced("p", "t", 1)) == [ProducedBatch(0, 0, 0)]
    assert list(log.produced("q", "t", 0)) == []
    log.close()


def test_a_gap_and_a_repetition_are_refused_and_the_log_goes_on(tmp_path: Path) -> None:
    """A wrong number fails its own commit only."""
    log = LocalLog.open(None, QUIET)
    log.create_topic("t", TopicConfig(1))
    epoch = log.open_producer("p")
    write(log, epoch, 0, [b"a"], first=0)
    for wrong in (0, 2, 7):
        with pytest.raises(OutOfOrderSequenceError, match="where 1 is next"):
            write(log, epoch, 0, [b"b"], first=wrong)
    write(log, epoch, 0, [b"b"], first=1)
    assert log.end_offset("t", 0) == 2
    log.close()


def test_a_newer_instance_fences_the_older(tmp_path: Path) -> None:
    """Also one that has been opened in another life of the process."""
    log = LocalLog.open(tmp_path / "d", QUIET)
    log.create_topic("t", TopicConfig(1))
    old = log.open_producer("p")
    write(log, old, 0, [b"a"])
    log.close()
    log = LocalLog.open(tmp_path / "d", QUIET)
    new = log.open_producer("p")
    assert new == old + 1
    with pytest.raises(ProducerFencedError, match="opened again"):
        write(log, old, 0, [b"b"])
    write(log, new, 0, [b"b"], first=1)
    assert log.end_offset("t", 0) == 2
    log.close()


def test_only_the_newest_batches_are_kept_and_a_deleted_topic_forgets_them() -> None:
    """Five, as in Kafka; a topic of the same name starts its numbers again."""
    log = LocalLog.open(None, QUIET)
    log.create_topic("t", TopicConfig(1))
    epoch = log.open_producer("p")
    for i in range(8):
        write(log, epoch, 0, [b"%d" % i])
    assert [b.first for b in log.produced("p", "t", 0)] == [3, 4, 5, 6, 7]
    log.delete_topic("t")
    log.create_topic("t", TopicConfig(1))
    write(log, epoch, 0, [b"again"], first=0)
    log.close()


def test_a_producers_compression_is_for_topics_that_have_none() -> None:
    """The topic's own setting wins, as in Kafka; a reader sees no difference."""
    log = LocalLog.open(None, QUIET)
    values = [b"a" * 1000] * 100
    sizes = {}
    for topic, own, asked in (("n", "none", "none"), ("p", "none", "zstd"), ("t", "zstd", "none"), ("b", "zstd", "lz4")):
        log.create_topic(topic, TopicConfig(1, compression=own))  # type: ignore[arg-type]
        transaction = log.transaction()
        transaction.append(topic, records(*values), 0)
        transaction.set_compression(asked)  # type: ignore[arg-type]
        transaction.commit()
        sizes[topic] = log._state.manifest.topics[topic].partitions[0].segments[-1].length
        assert log.read(topic, 0, 0, rows_max=1000).values.to_pylist() == values
    assert sizes["n"] > 10 * sizes["p"]
    assert sizes["t"] == sizes["p"] == sizes["b"]
    log.close()
