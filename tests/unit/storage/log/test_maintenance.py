"""Retention, compaction and the merging of small frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.manifest import SegmentState
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


def shown(log: LocalLog) -> list[tuple[int, Any, Any]]:
    """Offset, key and value of every record."""
    read = log.read("t", 0, 0, rows_max=10_000, reset="earliest")
    keys = [None] * len(read) if read.keys is None else read.keys.to_pylist()
    return list(zip(read.offsets.tolist(), keys, read.values.to_pylist(), strict=True))


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


def states(log: LocalLog) -> list[SegmentState]:
    """Of the partition's segments."""
    return list(log.topic("t").partitions[0].state.segments)


def test_segment_ms_closes_a_quiet_segment_also_over_a_restart(tmp_path: Path) -> None:
    """The age counts from when maintenance first saw the segment, whatever timestamps its records have."""
    log = LocalLog.open(tmp_path / "db", LogSettings(background=False))
    log.create_topic("t", TopicConfig(segment_ms=1000))
    log.maintain(500)
    assert states(log) == []
    put(log, b"k", b"v", 0)
    log.maintain(10_000)
    log.maintain(10_999)
    assert not states(log)[0].sealed
    log.close()
    log = LocalLog.open(tmp_path / "db", LogSettings(background=False))
    log.maintain(11_000)
    assert states(log)[0].sealed
    put(log, b"k", b"w", 0)
    assert len(states(log)) == 2
    log.maintain(20_000)
    log.maintain(5_000)  # the clock was set back: the age counts anew
    log.maintain(5_999)
    assert not states(log)[1].sealed
    log.maintain(6_000)
    assert states(log)[1].sealed
    assert [v for _, _, v in shown(log)] == [b"v", b"w"]


def test_compaction_leaves_young_records_alone() -> None:
    """min.compaction.lag.ms: nothing from the first segment on that has a younger record."""
    log = open_log()
    log.create_topic("t", TopicConfig(cleanup_policy="compact", min_compaction_lag_ms=100))
    for i in range(60):
        put(log, b"k", b"v" * 40, i)
    before = shown(log)
    log.maintain(None)
    log.maintain(90)
    assert shown(log) == before
    log.maintain(100 + 30)
    young = [row for row in before if row[0] >= 30]
    assert shown(log)[-len(young) :] == young
    assert len(shown(log)) < len(before)


def test_tombstones_are_kept_from_when_compaction_saw_them() -> None:
    """Their own timestamps, long past, do not shorten the time; later passes do not prolong it by more than an eighth."""
    log = open_log()
    log.create_topic("t", TopicConfig(cleanup_policy="compact", delete_retention_ms=100))
    put(log, b"gone", b"v", 0)
    put(log, b"gone", None, 1)
    for now in range(1_000_000, 1_000_300, 50):
        for i in range(80):
            put(log, b"k%d" % i, b"v" * 30, 2)
        log.maintain(now)
        assert now == 1_000_100 or ((1, b"gone", None) in shown(log)) == (now < 1_000_100)


def test_a_pass_is_bounded_and_the_rest_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the distinct keys of what is new would take too much memory, several passes do it."""
    monkeypatch.setattr("penstock.storage.log.local.maintenance.compaction.COMPACTION_KEYS_MAX", 10)
    log = open_log()
    log.create_topic("t", TopicConfig(cleanup_policy="compact"))
    last = {}
    for i in range(200):
        key = b"key %d" % (i % 30)
        put(log, key, b"%d" % i, i)
        last[key] = b"%d" % i
    log.maintain(0)
    assert 0 < sum(s.cleaned for s in states(log)) < len(states(log)) // 2
    for _ in range(50):
        log.maintain(0)
        for key in (b"key 0", b"key 1"):
            put(log, key, b"again" * 10, 0)
            last[key] = b"again" * 10
    assert {k: v for _, k, v in shown(log)} == last
    assert [o for o, _, _ in shown(log)] == sorted({o for o, _, _ in shown(log)})


rows_strategy = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c", b"", None]), st.sampled_from([b"x" * 300, b"", None]), st.integers(0, 50)),
    max_size=60,
)


@given(rows_strategy, st.lists(st.integers(0, 60), max_size=4), st.booleans())
def test_compaction_never_changes_what_the_last_record_of_a_key_says(
    rows: list[tuple[bytes | None, bytes | None, int]], passes: list[int], typed: bool
) -> None:
    """Over any history: latest values stay, records without a key stay, nothing is invented, offsets never come again."""
    log = open_log()
    kind = pa.struct([("v", pa.binary())])
    log.create_topic("t", TopicConfig(cleanup_policy="compact", delete_retention_ms=20, value_type=kind if typed else None))
    written = []
    for i, (key, value, now) in enumerate(rows):
        held = None if value is None else {"v": value} if typed else value
        transaction = log.transaction()
        values = pa.array([held], kind) if typed else pa.array([held], pa.binary())
        transaction.append("t", Records(pa.array([key], pa.binary()), values, np.array([i])))
        transaction.commit()
        written.append((i, key, held))
        if i in passes:
            log.maintain(now)
    log.maintain(100)
    left = shown(log)
    assert [o for o, _, _ in left] == sorted({o for o, _, _ in left})
    assert all(row in written for row in left)
    last = {k: (o, v) for o, k, v in written if k is not None}
    shown_last = {k: (o, v) for o, k, v in left if k is not None}
    assert all(shown_last[k] == found for k, found in last.items() if found[1] is not None)
    assert all(last[k][1] is None for k in last.keys() - shown_last.keys())
    assert all(shown_last[k] == last[k] for k in shown_last)
    assert [r for r in left if r[1] is None] == [r for r in written if r[1] is None]
    assert log.end_offset("t", 0) == len(rows)
