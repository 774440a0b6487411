"""AVRO a batch at a time against AVRO a record at a time: the same bytes, the same values, the same reasons."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.storage.formats import EmbeddedRegistry, SchemaText, make_serde
from penstock.storage.formats.base import Decoded, SerdeOptions

pytest.importorskip("fastavro")

SCHEMA = pa.schema(
    [
        ("I", pa.int32()),
        ("L", pa.int64()),
        ("D", pa.float64()),
        ("B", pa.bool_()),
        ("S", pa.string()),
        ("Y", pa.binary()),
    ]
)
FOREIGN = {
    "type": "record",
    "name": "Foreign",
    "fields": [
        {"name": "X", "type": "string"},
        {"name": "L", "type": ["long", "null"]},
        {"name": "F", "type": "float"},
        {"name": "S", "type": ["null", "string"]},
        {"name": "I", "type": "int"},
    ],
}
ROWS = st.tuples(
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-100, 100),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.booleans(),
    st.none() | st.text(max_size=40),
    st.none() | st.binary(max_size=200),
)


def columns_of(rows: list[Any]) -> list[Any]:
    return [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(SCHEMA)]


def serde(registry: EmbeddedRegistry) -> Any:
    return make_serde("AVRO", SerdeOptions(topic="t"), registry)


def one_by_one(registry: EmbeddedRegistry, blobs: list[bytes | None], schema: pa.Schema) -> list[Any]:
    """Each record as a batch of its own, which is read row by row."""
    return [outcome(serde(registry).decode(pa.array([blob], pa.binary()), schema))[0] for blob in blobs]


def outcome(decoded: Decoded) -> list[Any]:
    """Per row: its values, "null", or why it is malformed."""
    rows: list[Any] = [repr(row) for row in zip(*(c.to_pylist() for c in decoded.columns), strict=True)]
    if decoded.nulls is not None:
        rows = ["null" if null else row for row, null in zip(rows, decoded.nulls, strict=True)]
    if decoded.malformed is not None:
        for row, reason in zip(decoded.malformed.rows.tolist(), decoded.malformed.reasons, strict=True):
            rows[row] = f"malformed: {reason}"
    return rows


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8), st.data())
def test_written_and_read_alike(rows: list[Any], data: st.DataObject) -> None:
    """A batch has the bytes of its records one by one, and gives their values back, in any selection of the columns."""
    registry = EmbeddedRegistry()
    many = (rows * 40)[:40]
    blobs = serde(registry).encode(columns_of(many), SCHEMA, None).data.to_pylist()
    single = [serde(registry).encode(columns_of([row]), SCHEMA, None).data[0].as_py() for row in rows]
    assert blobs == (single * 40)[:40]
    wanted = pa.schema(data.draw(st.lists(st.sampled_from(list(SCHEMA)), min_size=2, unique=True)))
    assert (
        outcome(serde(registry).decode(pa.array(blobs, pa.binary()), wanted))
        == (one_by_one(registry, single, wanted) * 40)[:40]
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(ROWS, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=6),
    st.lists(st.none() | st.binary(max_size=30), max_size=4),
    st.integers(0, 20),
)
def test_damaged_records_alike(
    rows: list[Any], changes: list[tuple[int, int]], strange: list[bytes | None], cut: int
) -> None:
    """Changed, cut and strange bytes are judged as they are one by one, and harm no other record."""
    registry = EmbeddedRegistry()
    good = serde(registry).encode(columns_of((rows * 32)[:32]), SCHEMA, None).data.to_pylist()
    damaged: list[bytes | None] = []
    for place, byte in changes:
        blob = bytearray(good[0])
        blob[place % len(blob)] = byte
        damaged.append(bytes(blob))
    damaged += [good[0][: len(good[0]) - cut] if cut < len(good[0]) else b"", *strange]
    damaged += [b"\0\0\0\0\x01" + blob for blob in strange if blob is not None]
    blobs = [*good, *damaged]
    assert outcome(serde(registry).decode(pa.array(blobs, pa.binary()), SCHEMA)) == one_by_one(registry, blobs, SCHEMA)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_foreign_schemas_alike(bodies: list[bytes]) -> None:
    """Fields in another order, not nullable, of other names, and any bytes behind the header."""
    registry = EmbeddedRegistry()
    number = registry.register("other", SchemaText("AVRO", json.dumps(FOREIGN)))
    blobs = [b"\0" + number.to_bytes(4, "big") + body for body in bodies]
    wanted = pa.schema([("S", pa.string()), ("L", pa.int64()), ("F", pa.float64()), ("I", pa.int32())])
    many = (blobs * 40)[:40]
    assert (
        outcome(serde(registry).decode(pa.array(many, pa.binary()), wanted))
        == (one_by_one(registry, blobs, wanted) * 40)[:40]
    )
