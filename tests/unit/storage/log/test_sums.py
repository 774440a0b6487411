"""Checksums per column of large frames: what is read is checked, and the rest is not looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import StorageError
from penstock.storage.files import RealFiles
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.segments.record import pieces_of
from penstock.storage.log.local.segments.sums import message_of, summed, sums_bytes
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

ROWS = 40_000
KIND = pa.struct([("number", pa.int64()), ("text", pa.string())])


def batch_of(rows: int) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "numbers": pa.array([None if i % 3 else i for i in range(rows)], pa.int64()),
            "nothing": pa.nulls(rows),
            "texts": pa.array([f"text {i}" for i in range(rows)]),
            "bits": pa.array([i % 7 == 0 for i in range(rows)]),
            "lists": pa.array([[i] * (i % 3) for i in range(rows)], pa.list_(pa.int64())),
            "structs": pa.array(
                [{"q": i, "z": "k" * (i % 4)} for i in range(rows)], pa.struct([("q", "i8"), ("z", pa.string())])
            ),
            "maps": pa.array([[("k", i)] for i in range(rows)], pa.map_(pa.string(), pa.int64())),
            "fixed": pa.array([b"abc"] * rows, pa.binary(3)),
            "amounts": pa.array(list(range(rows)), pa.decimal128(30, 2)),
            "empty": pa.array([""] * rows),
        }
    )


@given(st.integers(0, 9), st.integers(0, 50), st.data())
def test_a_byte_that_changed_is_found_in_its_column(start: int, count: int, data: st.DataObject) -> None:
    """Columns of all layouts: each byte belongs to the metadata, to one column or to the checksums."""
    batch = batch_of(60).slice(start, count)
    pieces = pieces_of(batch)
    sums = summed(pieces, batch.schema)
    assert sums is not None
    columns, message = len(batch.schema), b"".join(pieces)
    body = bytearray(message + sums)
    assert len(sums) == sums_bytes(columns)
    crc = crc32c(sums)
    assert message_of(memoryview(body), crc, columns, None) == message
    body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert message_of(memoryview(body), crc, columns, None) is None
    blind = [n for n in range(columns) if message_of(memoryview(body), crc, columns, [n]) is not None]
    assert len(blind) in (0, columns - 1)  # 0: the byte is everybody's


def test_dictionaries_have_no_checksums_of_their_own() -> None:
    """Their buffers lie in another message."""
    batch = pa.record_batch({"d": pa.array(["a", "b"]).dictionary_encode()})
    assert summed([b"".join([bytes(p) for p in pieces_of(batch_of(3))[:3]])], batch.schema) is None


def test_readers_check_what_they_read(tmp_path: Path) -> None:
    """Damage in a column is an error to whoever asks for it, and to nobody else; `verify` looks at all."""
    numbers = np.arange(ROWS, dtype=np.int64)
    texts = pa.array([f"a text of some length, number {i:06}" for i in range(ROWS)])
    log = LocalLog(RealFiles(tmp_path), LogSettings(background=False))
    log.create_topic("t", TopicConfig(value_type=KIND))
    with_both = pa.StructArray.from_arrays([pa.array(numbers), texts], fields=list(KIND))
    transaction = log.transaction()
    transaction.append("t", Records(None, with_both, numbers), 0)
    transaction.commit()
    log.close()
    (path,) = tmp_path.rglob("*.segment")
    stored = bytearray(path.read_bytes())
    stored[stored.index(b"number 020000")] ^= 1
    path.write_bytes(stored)

    log = LocalLog(RealFiles(tmp_path), LogSettings(background=False))
    found = log.read("t", 0, 0, rows_max=ROWS, fields=["number"])
    assert found.values.field(0).to_numpy().tolist() == numbers.tolist()
    for fields in (["text"], ["number", "text"], None):
        with pytest.raises(StorageError, match="checksum"):
            log.read("t", 0, 0, rows_max=ROWS, fields=fields)
        with pytest.raises(StorageError, match="checksum"):
            list(log.scan("t", 0, 0, fields=fields))
    assert len(log.read("t", 0, 0, rows_max=ROWS, fields=["number"])) == ROWS
    log.close()
