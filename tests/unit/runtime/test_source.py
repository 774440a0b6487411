"""Decoded topics: windowed keys, sharing, bounds of memory, and topics that come again."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.runtime.dataflow import Source
from penstock.runtime.sink import _with_tails
from penstock.runtime.source import DecodedTopics, decode
from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.log.protocol import FetchedRecords

KEY = pa.schema([("K", pa.string())])
VALUE = pa.schema([("V", pa.int64())])


def records(keys: list[bytes | None]) -> FetchedRecords:
    """Records of one typed value each."""
    n = len(keys)
    values = pa.array([{"V": i} for i in range(n)], pa.struct(list(VALUE)))
    numbers = np.arange(n, dtype=np.int64)
    return FetchedRecords(pa.array(keys, pa.binary()), values, numbers, None, numbers, numbers, 1, n)


def source(window: Any, size_ms: int | None) -> Source:
    serde = make_serde("KAFKA", SerdeOptions(is_key=True))
    return Source("S", "t", False, serde, KEY, None, VALUE, window=window, window_size_ms=size_ms)


@given(st.lists(st.none() | st.tuples(st.text(max_size=5), st.integers(0, 2**40), st.integers(0, 2**40)), max_size=8))
def test_windowed_keys_come_back_as_they_were_written(rows: list[tuple[str, int, int] | None]) -> None:
    """Key bytes with window bounds behind them split into the key and the bounds, for both kinds of windows."""
    keys = pa.array([None if r is None else r[0].encode() for r in rows], pa.binary())
    starts = np.array([0 if r is None else r[1] for r in rows], np.int64)
    ends = np.array([0 if r is None else r[2] for r in rows], np.int64)
    expected = [None if r is None else r[0] for r in rows]
    written = _with_tails(keys, np.ascontiguousarray(starts.reshape(-1, 1), ">i8"))
    chunk = decode(source("TUMBLING", 10), records(written.to_pylist()))
    assert chunk.keys[0].to_pylist() == expected
    assert chunk.windows is not None
    assert [(int(s), int(e)) for s, e in zip(*chunk.windows)] == [(0, 0) if r is None else (r[1], r[1] + 10) for r in rows]
    written = _with_tails(keys, np.ascontiguousarray(np.stack([ends, starts], axis=1), ">i8"))
    chunk = decode(source("SESSION", None), records(written.to_pylist()))
    assert chunk.keys[0].to_pylist() == expected
    assert chunk.windows is not None
    assert [(int(s), int(e)) for s, e in zip(*chunk.windows)] == [(0, 0) if r is None else (r[1], r[2]) for r in rows]


def test_a_key_too_short_for_its_window_is_no_key() -> None:
    """Seven bytes cannot hold a window's start."""
    chunk = decode(source("TUMBLING", 10), records([b"1234567", b"k" + struct.pack(">q", 5)]))
    assert chunk.keys[0].to_pylist() == [None, "k"]


class CountingLog:
    """A log of one endless topic that counts its reads."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, topic: str, partition: int, offset: int, **_: Any) -> FetchedRecords:
        self.reads += 1
        return records([b"k"] * 10)


def test_one_decoded_batch_serves_all_queries() -> None:
    """A second query that reads the same stretch, cut elsewhere, costs no further read; a forgotten topic does."""
    log: Any = CountingLog()
    topics = DecodedTopics(log)
    first, _ = topics.fetch(source(None, None), 0, 0, 10, 10)
    second, row = topics.fetch(source(None, None), 0, 4, 10, 3)
    assert second is first
    assert (row, log.reads) == (4, 1)
    topics.forget("t")
    topics.fetch(source(None, None), 0, 0, 10, 10)
    assert log.reads == 2


def test_a_small_remainder_is_read_again_with_what_follows() -> None:
    """One row that is left of a stretch makes no step of its own where the log goes on; at its end it does."""

    class Numbered(CountingLog):
        def read(self, topic: str, partition: int, offset: int, *, rows_max: int, **_: Any) -> FetchedRecords:
            self.reads += 1
            found = records([b"k"] * rows_max)
            numbers = found.offsets + offset
            return FetchedRecords(found.keys, found.values, numbers, None, numbers, numbers, 1, offset + rows_max)

    log: Any = Numbered()
    topics = DecodedTopics(log)
    topics.fetch(source(None, None), 0, 0, 1_000, 80)
    chunk, row = topics.fetch(source(None, None), 0, 79, 80, 80)
    assert (len(chunk) - row, log.reads) == (1, 1)
    chunk, row = topics.fetch(source(None, None), 0, 70, 1_000, 80)
    assert (len(chunk) - row, log.reads) == (10, 1)
    chunk, row = topics.fetch(source(None, None), 0, 71, 1_000, 80)
    assert (len(chunk) - row, log.reads) == (80, 2)
    again, row = topics.fetch(source(None, None), 0, 71, 1_000, 80)
    assert (again is chunk, row, log.reads) == (True, 0, 2)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit in bytes the least recently read stretch goes."""
    log: Any = CountingLog()
    topics = DecodedTopics(log)
    size = topics.fetch(source(None, None), 0, 0, 10, 10)[0].size_bytes
    monkeypatch.setattr("penstock.runtime.source.DECODED_BYTES_MAX", 2 * size)
    for partition in (1, 2):
        topics.fetch(source(None, None), partition, 0, 10, 10)
    topics.fetch(source(None, None), 2, 0, 10, 10)
    assert log.reads == 3
    topics.fetch(source(None, None), 0, 0, 10, 10)
    assert log.reads == 4


def test_a_topic_that_comes_again_is_another_topic() -> None:
    """After DROP .. DELETE TOPIC a new topic by the same name shows none of the old one's rows."""
    with penstock.connect(threads=0, auto_offset_reset="earliest") as db:
        for value in (1, 2):
            db.execute("CREATE STREAM s (v INT) WITH (kafka_topic='t', partitions=1);")
            db.insert("s", [{"V": value}])
            assert db.sql("SELECT v FROM s;").fetchall() == [(value,)]
            db.execute("DROP STREAM s DELETE TOPIC;")
