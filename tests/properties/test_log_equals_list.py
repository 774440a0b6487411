"""Whatever is appended in whatever pieces, with whatever columns present: reading gives the list of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import HEADERS, Compression, Records, TopicConfig
from penstock.storage.log.settings import LogSettings

NESTED = pa.struct(
    [
        pa.field("n", pa.int32()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("inner", pa.struct([pa.field("d", pa.decimal128(9, 2)), pa.field("b", pa.bool_())])),
        pa.field("counts", pa.map_(pa.string(), pa.int64())),
    ]
)

values_of_bytes = st.none() | st.binary(max_size=6)
values_nested = st.none() | st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**31), 2**31 - 1),
        "tags": st.none() | st.lists(st.none() | st.text(max_size=3), max_size=2),
        "inner": st.none() | st.fixed_dictionaries({"d": st.none() | st.decimals(-99, 99, places=2), "b": st.booleans()}),
        "counts": st.none() | st.lists(st.tuples(st.text(max_size=2), st.integers(0, 9)), max_size=2),
    }
)
headers = st.none() | st.lists(st.fixed_dictionaries({"KEY": st.text(max_size=2), "VALUE": values_of_bytes}), max_size=2)
COMPRESSIONS: tuple[Compression, ...] = ("none", "lz4", "zstd")
Row = tuple[int, bytes | None, Any, Any]


def rows_of(values: Any) -> Any:
    """Transactions of records: timestamp, key, headers, value."""
    times = st.integers(0, 3)
    row = st.tuples(times, values_of_bytes, st.just(None) | headers, values)
    return st.lists(st.lists(row, min_size=1, max_size=6), max_size=8)


def append(log: LocalLog, rows: list[Row], kind: Any) -> None:
    """One transaction; columns that are all null are left out."""
    keys, heads = [r[1] for r in rows], [r[2] for r in rows]
    transaction = log.transaction()
    records = Records(
        None if all(k is None for k in keys) else pa.array(keys, pa.binary()),
        pa.array([r[3] for r in rows], kind),
        np.array([r[0] for r in rows]),
        None if all(h is None for h in heads) else pa.array(heads, HEADERS),
    )
    half = len(rows) // 2
    for part in (slice(0, half), slice(half, None)):  # two appends to one partition in one transaction, sliced arrays
        length = len(records.timestamps[part])
        transaction.append(
            "t",
            Records(
                None if records.keys is None else records.keys.slice(part.start, length),
                records.values.slice(part.start, length),
                records.timestamps[part],
                None if records.headers is None else records.headers.slice(part.start, length),
            ),
            0,
        )
    transaction.commit(durable=False)


def read_all(log: LocalLog, rows_max: int, fields: list[str] | None) -> list[Row]:
    """Everything, in pieces."""
    rows: list[Row] = []
    while len(read := log.read("t", 0, len(rows), rows_max=rows_max, fields=fields)):
        n = len(read)
        keys = [None] * n if read.keys is None else read.keys.to_pylist()
        heads = [None] * n if read.headers is None else read.headers.to_pylist()
        assert read.offsets.tolist() == read.arrivals.tolist() == list(range(len(rows), len(rows) + n))
        assert read.next_offset == len(rows) + n
        rows += zip(read.timestamps.tolist(), keys, heads, read.values.to_pylist(), strict=True)
    return rows


def scan_all(log: LocalLog, offset: int, fields: list[str] | None) -> list[Row]:
    """Everything from an offset on, in the pieces that lie there."""
    rows: list[Row] = []
    for read in log.scan("t", 0, offset, fields=fields):
        n = len(read)
        assert n
        place = offset + len(rows)
        keys = [None] * n if read.keys is None else read.keys.to_pylist()
        heads = [None] * n if read.headers is None else read.headers.to_pylist()
        assert read.offsets.tolist() == read.arrivals.tolist() == list(range(place, place + n))
        assert read.next_offset == place + n
        rows += zip(read.timestamps.tolist(), keys, heads, read.values.to_pylist(), strict=True)
    return rows


def equal(log: LocalLog, expected: list[Row], rows_max: int, fields: list[str] | None) -> None:
    """However it is read, from wherever, and found by time: the log is the list."""
    assert read_all(log, rows_max, fields) == expected
    for offset in (0, rows_max % (len(expected) + 1), len(expected)):
        assert scan_all(log, offset, fields) == expected[offset:]
    for time in range(5):  # timestamps are 0 to 3, in any order
        first = next((i for i, row in enumerate(expected) if row[0] >= time), len(expected))
        assert log.offset_for_time("t", 0, time) == first


def check(batches: list[list[Row]], kind: Any, fields: list[str] | None, rows_max: int, segment_bytes_max: int) -> None:
    """Append, with segments closed for their age and merged on the way; read, merge, read."""
    log = LocalLog.open(None, LogSettings(background=False))
    compression = COMPRESSIONS[len(batches) % 3]
    log.create_topic(
        "t", TopicConfig(value_type=kind, segment_bytes=segment_bytes_max, segment_ms=2, compression=compression)
    )
    for now_ms, batch in enumerate(batches):
        append(log, batch, pa.binary() if kind is None else kind)
        if len(batch) % 2:
            log.maintain(now_ms)
    expected = [
        (t, k, h, v if v is None or fields is None else {f: v[f] for f in fields}) for b in batches for t, k, h, v in b
    ]
    equal(log, expected, rows_max, fields)
    log.maintain(None)
    equal(log, expected, rows_max, fields)
    log.close()


@given(rows_of(values_of_bytes), st.integers(1, 20), st.sampled_from([500, 1 << 20]))
@settings(max_examples=60, deadline=None)
def test_a_topic_of_bytes_equals_a_list(batches: list[list[Row]], rows_max: int, segment_bytes_max: int) -> None:
    """Keys, headers and values with nulls anywhere."""
    check(batches, None, None, rows_max, segment_bytes_max)


@given(
    rows_of(values_nested),
    st.none() | st.lists(st.sampled_from([f.name for f in NESTED]), unique=True),
    st.integers(1, 20),
    st.sampled_from([2000, 1 << 20]),
)
@settings(max_examples=60, deadline=None)
def test_a_typed_topic_equals_a_list(
    batches: list[list[Row]], fields: list[str] | None, rows_max: int, segment_bytes_max: int
) -> None:
    """Nested values, any choice of fields in any order."""
    check(batches, NESTED, fields, rows_max, segment_bytes_max)
