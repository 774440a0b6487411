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


STORED = pa.schema([("A", pa.int64()), ("B", pa.string()), ("C", pa.float64())])


def json_source(*wanted: str) -> Source:
    """One that wants some of three columns."""
    schema = pa.schema([STORED.field(name) for name in wanted])
    stored = None if len(wanted) == len(STORED) else STORED
    serde = make_serde("JSON", SerdeOptions())
    return Source("S", "t", False, None, pa.schema([]), serde, schema, stored_schema=stored)


def json_records(pieces: list[list[bytes | None]], first: int = 0) -> FetchedRecords:
    """Values in pieces, as the log has them."""
    values = pa.chunked_array([pa.array(piece, pa.binary()) for piece in pieces], pa.binary())
    numbers = np.arange(first, first + len(values), dtype=np.int64)
    return FetchedRecords(None, values, numbers, None, numbers, numbers, 1, first + len(values))


ODD_RECORDS = st.sampled_from(
    [
        *(
            b'{"A":1,"B":"b","C":0.5}',
            b'{"A":"7","B":"b"}',
            b'{"A":1,"B":{"x":[1]},"C":"0.25"}',
            b'{"A":null}',
            b"null",
            b"{}",
        ),
        *(
            b"",
            b'{"A":true}',
            b'{"C":[1]}',
            b'{"A":1e3,"B":"\\u00e4"}',
            b'{"B":"\xc3\xa4"}',
            b'{"B":"\xff"}',
            b'{"Z":1,"A":2}',
            b"{",
        ),
    ]
)
PLAIN_RECORDS = st.integers(0, 99).map(lambda n: b'{"A":%d,"B":"text %d","C":%d.5}' % (n, n, n))


@given(
    st.lists(
        st.lists(PLAIN_RECORDS | st.none() | ODD_RECORDS, max_size=6) | st.lists(PLAIN_RECORDS, max_size=90), max_size=4
    ),
    st.sets(st.sampled_from(STORED.names)),
)
def test_columns_that_nobody_wants_are_looked_at(pieces: list[list[bytes | None]], wanted: set[str]) -> None:
    """Some columns of JSON are what all of them are, and the same records are malformed, for the same reasons."""
    names = [name for name in STORED.names if name in wanted]
    whole = decode(json_source(*STORED.names), json_records([[record for piece in pieces for record in piece]]))
    some = decode(json_source(*names), json_records(pieces))
    assert [column.to_pylist() for column in some.values] == [
        column.to_pylist() for name, column in zip(STORED.names, whole.values, strict=True) if name in wanted
    ]
    assert some.malformed == whole.malformed
    assert (some.nulls is None) == (whole.nulls is None)
    assert some.nulls is None or whole.nulls is None or some.nulls.tolist() == whole.nulls.tolist()


def test_json_is_decoded_once_for_queries_that_want_other_columns() -> None:
    """The stretch behind the first has what both asked for; a query that is gone is forgotten one stretch later."""

    class Log:
        reads = 0

        def read(self, topic: str, partition: int, offset: int, **_: Any) -> FetchedRecords:
            self.reads += 1
            return json_records([[b'{"A":1,"B":"b","C":0.5}'] * 10], offset)

    log: Any = Log()
    topics = DecodedTopics(log)
    one, other = json_source("A"), json_source("C", "B")
    for first, reads in ((0, 2), (10, 3), (20, 4)):
        assert topics.fetch(one, 0, first, 100, 10)[0].values[0].to_pylist() == [1] * 10
        chunk, _ = topics.fetch(other, 0, first, 100, 10)
        assert [column.to_pylist() for column in chunk.values] == [[0.5] * 10, ["b"] * 10]
        assert log.reads == reads
    for first in (30, 40, 50):
        topics.fetch(one, 0, first, 100, 10)
    assert log.reads == 7
    topics.fetch(other, 0, 50, 100, 10)
    assert log.reads == 8


def test_a_column_that_is_not_read_still_makes_a_record_malformed() -> None:
    """As in ksqlDB, which decodes whole records: the row is left out, and the processing log says why."""
    with penstock.connect(threads=0, auto_offset_reset="earliest") as db:
        db.execute("CREATE STREAM s (a INT, b INT) WITH (kafka_topic='s', value_format='JSON', partitions=1);")
        db.execute("CREATE STREAM made AS SELECT a FROM s;")
        for value in (b'{"A":1,"B":2}', b'{"A":2,"B":"two"}', b'{"A":3,"B":null}'):
            db.produce("s", value=value)
        db.drain()
        assert db.sql("SELECT a FROM made;").fetchall() == [(1,), (3,)]
