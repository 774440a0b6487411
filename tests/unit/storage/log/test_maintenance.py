"""Retention, compaction and the merging of small frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.storage.log.local import LocalLog
from penstock.storage.log.protocol import Compression, Records, TopicConfig
from penstock.storage.log.settings import LogSettings


def open_log(**changes: Any) -> LocalLog:
    """In memory, with segments of a few records."""
    return LocalLog.open(None, LogSettings(background=False, **{"segment_bytes_max": 1500, **changes}))


def put(log: LocalLog, key: bytes, value: bytes | None, time: int) -> None:
    """One record to the topic ``t``."""
    transaction = log.transaction()
    transaction.append("t", Records(pa.array([key]), pa.array([value], pa.binary()), np.array([time])))
    transaction.commit()


def shown(log: LocalLog) -> list[tuple[int, bytes, bytes | None]]:
    """Offset, key and value of every record."""
    read = log.read("t", 0, 0, rows_max=10_000, reset="earliest")
    return list(zip(read.offsets.tolist(), read.keys.to_pylist(), read.values.to_pylist(), strict=True))


def test_retention_by_time_drops_whole_segments() -> None:
    """Segments whose newest record is too old go, the one in use too."""
    log = open_log()
    log.create_topic("t", TopicConfig(retention_ms=10))
    for i in range(20):
        put(log, b"k", b"v", i)
    log.maintain(25)
    left = shown(log)
    assert 0 < log.start_offset("t", 0) <= 15
    assert [o for o, _, _ in left] == list(range(log.start_offset("t", 0), 20))
    log.maintain(1000)
    assert shown_empty(log)
    put(log, b"k", b"new", 1000)
    assert shown(log) == [(20, b"k", b"new")]


def shown_empty(log: LocalLog) -> bool:
    """Nothing is left, and the offsets go on."""
    return len(log.read("t", 0, 0, rows_max=1, reset="earliest")) == 0 and log.start_offset("t", 0) == log.end_offset("t", 0)


def test_retention_by_size_keeps_at_least_that_much() -> None:
    """The oldest segments go while enough is left without them."""
    log = open_log()
    log.create_topic("t", TopicConfig(retention_bytes=4000))
    for i in range(50):
        put(log, b"k", b"v", i)
    lengths = [s.length for s in log.topic("t").partitions[0].state.segments]
    ends = [s.end for s in log.topic("t").partitions[0].state.segments]
    log.maintain(None)
    gone = ends.index(log.start_offset("t", 0)) + 1
    assert sum(lengths[gone:]) >= 4000 > sum(lengths[gone + 1 :])
    assert [o for o, _, _ in shown(log)] == list(range(ends[gone - 1], 50))


def test_compaction_keeps_the_last_record_of_each_key() -> None:
    """Offsets and order stay; reads step over the gaps; the segment in use is left alone."""
    log = open_log()
    log.create_topic("t", TopicConfig(cleanup_policy="compact"))
    for i in range(60):
        put(log, b"k%d" % (i % 3), b"v%d" % i, i)
    everything = shown(log)
    log.maintain(0)
    left = shown(log)
    assert len(left) < 20
    assert set(left) <= set(everything)
    assert {k: v for _, k, v in left} == {k: v for _, k, v in everything}
    offset, pieces = 0, []
    while len(read := log.read("t", 0, offset, rows_max=1)):
        pieces.append(int(read.offsets[0]))
        offset = read.next_offset
    assert pieces == [o for o, _, _ in left]


def test_compaction_drops_tombstones_when_they_are_old() -> None:
    """A tombstone stays for the set time, so that a reader who is behind sees it; then it goes too."""
    log = open_log()
    log.create_topic("t", TopicConfig(cleanup_policy="compact", delete_retention_ms=100))
    put(log, b"gone", b"v", 0)
    put(log, b"gone", None, 1)
    for i in range(30):
        put(log, b"k", b"v", i)
    log.maintain(50)
    assert (1, b"gone", None) in shown(log)
    assert (0, b"gone", b"v") not in shown(log)
    for i in range(60):
        put(log, b"k", b"v", i)
    log.maintain(500)
    assert all(k != b"gone" for _, k, _ in shown(log))


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_small_frames_of_sealed_segments_are_merged(compression: Compression) -> None:
    """Fewer frames, the same records, with their arrivals and epochs."""
    log = open_log()
    log.create_topic("t", TopicConfig(compression=compression))
    log.create_topic("other", TopicConfig())
    for i in range(40):
        put(log, b"k", b"v%d" % i, i)
        transaction = log.transaction()
        transaction.append("other", Records(None, pa.array([b"x"]), np.array([i])))
        transaction.commit()
    before = log.read("t", 0, 0, rows_max=100)
    segment = log.topic("t").partitions[0].view.segments[0]
    assert len(segment.index()) > 1
    log.maintain(None)
    after = log.read("t", 0, 0, rows_max=100)
    assert len(log.topic("t").partitions[0].view.segments[0].index()) == 1
    assert after.values.to_pylist() == before.values.to_pylist()
    assert after.arrivals.tolist() == before.arrivals.tolist()
    assert after.timestamps.tolist() == before.timestamps.tolist()
    assert after.offsets.tolist() == before.offsets.tolist()


def test_readers_keep_what_they_read_when_segments_go() -> None:
    """Arrays handed out stay valid after their file was removed."""
    log = open_log()
    log.create_topic("t", TopicConfig())
    for i in range(20):
        put(log, b"k", b"v%d" % i, i)
    read = log.read("t", 0, 0, rows_max=100)
    log.delete_before("t", 0, 20)
    log.close()
    assert read.values.to_pylist() == [b"v%d" % i for i in range(20)]
