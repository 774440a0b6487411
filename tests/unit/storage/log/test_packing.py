"""Frames of records of one length, and of times that lie close together: smaller, and the same when they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.segments.record import Flags, encode_frames, frame_schema, normalise, pieces_of
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles

N = 300


def log_of(*parts: Records, **config: Any) -> LocalLog:
    log = LocalLog(FaultyFiles(0), LogSettings(segment_bytes_max=20_000, background=False))
    log.create_topic("t", TopicConfig(**config))
    for records in parts:
        transaction = log.transaction()
        transaction.append("t", records, 0)
        transaction.commit()
    return log


def rows(records: Any) -> list[tuple[Any, ...]]:
    keys = [None] * len(records) if records.keys is None else records.keys.to_pylist()
    return list(zip(records.timestamps.tolist(), keys, records.values.to_pylist(), strict=True))


def shape(records: Records) -> tuple[int, int, int]:
    (frame,) = encode_frames(normalise(records, None), np.arange(len(records)), None)
    return frame.shape


lengths = st.sampled_from([0, 1, 7, 8, 100])


@st.composite
def columns(draw: st.DrawFn, n: int) -> Any:
    """binary[n]: mostly of one length, sometimes with one that differs, or a null, or cut out of a longer column."""
    length = draw(lengths)
    values: list[bytes | None] = [i.to_bytes(4, "big").ljust(length, b".")[:length] for i in range(n)]
    odd = draw(st.sampled_from(["no", "no", "longer", "null", "swapped"]))
    if odd == "longer":
        values[draw(st.integers(0, n - 1))] = b"x" * (length + 1)
    elif odd == "null":
        values[draw(st.integers(0, n - 1))] = None
    elif odd == "swapped" and length:  # the sum of the lengths is as if all were the same
        values[1], values[n - 1] = b"y" * (length - 1), b"z" * (length + 1)
    before = draw(st.integers(0, 3))
    return pa.array([b"before"] * before + values + [b"behind"], pa.binary()).slice(before, n)


@st.composite
def record_lists(draw: st.DrawFn) -> Records:
    """A few hundred records, or few."""
    n = draw(st.sampled_from([2, 255, 256, 257, 400]))
    first = draw(st.sampled_from([0, 1_000, 2**61]))
    span = draw(st.sampled_from([0, 1, 65_535, 65_536, 2**32 - 1, 2**32, 2**60]))
    times = np.full(n, first)
    times[draw(st.integers(0, n - 1))] += span
    keys = draw(st.one_of(st.none(), columns(n)))
    return Records(keys, draw(columns(n)), times)


@settings(max_examples=60, deadline=None)
@given(st.lists(record_lists(), min_size=1, max_size=3), st.sampled_from(["none", "zstd"]), st.data())
def test_what_is_read_is_what_was_written(parts: list[Records], compression: str, data: st.DataObject) -> None:
    """Whole, from any offset on, frame by frame, merged by maintenance, and opened again."""
    log = log_of(*parts, compression=compression)
    expected = [row for part in parts for row in rows(part)]
    assert rows(log.read("t", 0, 0, rows_max=10_000)) == expected
    start = data.draw(st.integers(0, len(expected) - 1))
    count = data.draw(st.integers(1, 500))
    assert rows(log.read("t", 0, start, rows_max=count)) == expected[start : start + count]
    assert [row for piece in log.scan("t", 0, start) for row in rows(piece)] == expected[start:]
    log.maintain(None)
    assert rows(log.read("t", 0, 0, rows_max=10_000)) == expected


def test_keys_and_values_of_one_length_and_close_times_are_packed() -> None:
    """8 + 100 + 2 bytes a record, and not 4 + 8 + 4 + 100 + 8."""
    keys = pa.array([b"%08d" % i for i in range(N)])
    values = pa.array([b"%0100d" % i for i in range(N)])
    packed = Records(keys, values, np.arange(N))
    assert shape(packed) == (Flags.KEYS | Flags.TIMES_16, 8, 100)
    (frame,) = encode_frames(packed, np.arange(N), None)
    assert frame.size < 110 * N + 600
    assert shape(Records(keys, values, np.arange(N) * 1_000)) == (Flags.KEYS | Flags.TIMES_32, 8, 100)
    assert shape(Records(keys, values, np.arange(N) * 10**9)) == (Flags.KEYS | Flags.TIMESTAMPS, 8, 100)


@pytest.mark.parametrize(
    "values",
    [
        [b""] * N,
        [b"a"] * (N - 1) + [None],
        [b"a"] * (N - 1) + [b"bb"],
        [b"x" * 65_536] * N,
        [b"a"] * 255,
    ],
    ids=["empty", "a null", "a longer one", "too long", "too few"],
)
def test_others_are_kept_as_they_are(values: list[bytes | None]) -> None:
    """Their frames have no width, and they are read as they were."""
    records = Records(None, pa.array(values, pa.binary()), np.arange(len(values)))
    assert shape(records)[1:] == (0, 0)
    assert log_of(records).read("t", 0, 0, rows_max=1_000).values.to_pylist() == values


def test_compaction_of_packed_records() -> None:
    """The latest of each key, in frames of another length than before."""
    first = Records(pa.array([b"%04d" % i for i in range(N)]), pa.array([b"a" * 50] * N), np.arange(N))
    second = Records(pa.array([b"%04d" % i for i in range(0, N, 2)]), pa.array([b"b" * 60] * (N // 2)), np.arange(0, N, 2))
    log = log_of(first, second, first, cleanup_policy="compact", segment_bytes=15_000)
    log.maintain(10**6)
    log.maintain(10**6)
    latest = {key: value for _, key, value in rows(log.read("t", 0, 0, rows_max=10_000, reset="earliest"))}
    assert latest == {b"%04d" % i: b"a" * 50 for i in range(N)}
    read = log.read("t", 0, log.start_offset("t", 0), rows_max=10_000)
    assert len(read) < 2 * N + N // 2


@given(st.integers(0, 40), st.integers(0, 300))
def test_the_pieces_of_a_batch_are_its_message(start: int, count: int) -> None:
    """Columns of all layouts, slices of them, nulls and none: byte by byte what Arrow makes in one piece."""
    n = 400
    batch = pa.record_batch(
        {
            "numbers": pa.array([None if i % 3 else i for i in range(n)], pa.int64()),
            "texts": pa.array([f"text {i}" if i % 5 else None for i in range(n)]),
            "bits": pa.array([i % 7 == 0 for i in range(n)]),
            "lists": pa.array([[i] * (i % 3) for i in range(n)]),
            "structs": pa.array([{"q": i, "z": "k" * (i % 4)} for i in range(n)]),
            "nulls": pa.nulls(n),
            "empty": pa.array([""] * n),
            "maps": pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
            "fixed": pa.array([b"abc"] * n, pa.binary(3)),
        }
    ).slice(start, count)
    assert b"".join(pieces_of(batch)) == batch.serialize().to_pybytes()


def test_large_columns_are_not_copied() -> None:
    """A frame that is to be written holds the columns' own memory, and is read back as it was."""
    numbers = np.arange(100_000, dtype=np.int64)
    values = pa.StructArray.from_arrays([pa.array(numbers)], ["n"])
    (frame,) = encode_frames(normalise(Records(None, values, numbers), values.type), numbers, values.type)[:1]
    assert any(isinstance(piece, pa.Buffer) and piece.address == numbers.ctypes.data for piece in frame.body)
    body = b"".join(frame.body)
    assert len(body) == frame.body_length and frame.summed
    batch = pa.ipc.read_record_batch(pa.py_buffer(body), frame_schema(values.type, *frame.shape))
    assert batch.column("n").to_numpy().tolist() == numbers[: frame.rows].tolist()
