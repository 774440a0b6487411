"""Decoding AVRO by column gives what decoding it record by record gives, whatever the writer's schema is."""

from __future__ import annotations

import io
import json
import struct
from typing import Any
from unittest import mock

import fastavro
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.storage.formats import EmbeddedRegistry, SchemaText, make_serde, schema_serde
from penstock.storage.formats.base import Decoded, SerdeOptions
from penstock.storage.formats.schema_serde import header
from penstock.storage.formats.values import from_rows, to_rows

INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70)
KINDS: list[tuple[Any, st.SearchStrategy[Any], list[Any]]] = [
    ("boolean", st.booleans(), [pa.bool_(), pa.string()]),
    ("int", INT, [pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.date32()]),
    ("long", LONG, [pa.int64(), pa.float64(), pa.timestamp("ms"), pa.int32()]),
    ("float", st.floats(width=32), [pa.float64()]),
    ("double", st.floats(), [pa.float64()]),
    ("string", st.text(st.characters(exclude_categories=["Cs"]), max_size=5), [pa.string(), pa.binary()]),
    ("bytes", st.binary(max_size=5), [pa.binary(), pa.string()]),
    ({"type": "int", "logicalType": "date"}, INT, [pa.date32(), pa.int32()]),
    ({"type": "int", "logicalType": "time-millis"}, st.integers(-5, 86_400_005), [pa.time32("ms"), pa.int64()]),
    ({"type": "long", "logicalType": "timestamp-millis"}, LONG, [pa.timestamp("ms"), pa.int64()]),
    ({"type": "long", "logicalType": "timestamp-micros"}, LONG, [pa.int64()]),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, st.binary(max_size=3), [pa.decimal128(9, 2)]),
    ("null", st.none(), [pa.int32()]),
    ({"type": "array", "items": "int"}, st.lists(INT, max_size=2), [pa.list_(pa.int32())]),
]
NULLABILITY = st.sampled_from([None, 0, 1])


@st.composite
def versions(draw: st.DrawFn) -> tuple[Any, list[Any], pa.Schema]:
    """A record's schema, rows of it, and columns that want some of its fields and some it has not."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(KINDS), NULLABILITY), min_size=1, max_size=5))
    if draw(st.integers(0, 3)):  # Mostly schemas that can be decoded by column.
        chosen = [(kind, null) for kind, null in chosen if kind[0] != "null" and "array" not in str(kind[0])] or chosen
    fields, strategies, columns = [], {}, []
    for i, ((type_, strategy, targets), null) in enumerate(chosen):
        name = draw(st.sampled_from("aA")) + str(i)
        if null is not None and type_ != "null":
            type_, strategy = (["null", type_] if null == 0 else [type_, "null"]), st.none() | strategy
        fields.append({"name": name, "type": type_})
        strategies[name] = strategy
        if draw(st.booleans()):
            columns.append((draw(st.sampled_from([name, name.upper()])), draw(st.sampled_from(targets[:1] * 3 + targets))))
    rows = draw(st.lists(st.fixed_dictionaries(strategies), min_size=1, max_size=5))
    return {"type": "record", "name": "R", "fields": fields}, rows, pa.schema([*columns, ("MISSING", pa.int64())])


def plain(tree: Any) -> Any:
    """The schema without logical types, so that fastavro writes numbers and bytes as they are."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items() if key != "logicalType"}
    return [plain(item) for item in tree] if isinstance(tree, list) else tree


def written(tree: Any, row: Any) -> bytes:
    """A row as fastavro writes it."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(plain(tree)), row)
    return buffer.getvalue()


BROKEN = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 2), st.sampled_from([0, 1, 2, 3, 0x7F, 0x80, 0xFF])), max_size=3
)


def broken(blob: bytes, changes: list[tuple[int, int, int]]) -> bytes:
    """A record with some bytes replaced, put in or cut off."""
    for at, kind, byte in changes:
        at %= len(blob) + 1
        blob = blob[:at] + (bytes([byte]) * kind + blob[at + kind // 2 :] if kind else b"")
    return blob


def one_by_one(serde: Any, data: Any, schema: pa.Schema) -> Decoded:
    """The same without the reading of whole batches."""
    with mock.patch.object(schema_serde, "COLUMNWISE_ROWS_MIN", 10**9):
        decoded: Decoded = serde.decode(data, schema)
        return decoded


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(versions(), st.lists(st.tuples(st.integers(0, 4), BROKEN), max_size=4), st.integers(0, 2), st.booleans())
def test_by_column_equals_by_record(
    version: tuple[Any, list[Any], pa.Schema], damages: list[Any], strangers: int, pinned: bool
) -> None:
    """Whole and broken records, tombstones, other schemas and no schema: columns, nulls and failures are the same."""
    tree, rows, schema = version
    registry = EmbeddedRegistry()
    registry.set_level("NONE")
    schema_id = registry.register("t-value", SchemaText("AVRO", json.dumps(tree)))
    other = registry.register("t-value", SchemaText("AVRO", json.dumps({**tree, "fields": tree["fields"][::-1]})))
    blobs: list[bytes | None] = [header(schema_id) + written(tree, row) for row in rows]
    blobs += [header(schema_id) + broken(written(tree, rows[i % len(rows)]), changes) for i, changes in damages]
    reversed_ = {**tree, "fields": tree["fields"][::-1]}
    blobs += [header(other) + written(reversed_, row) for row in rows[:strangers]]
    blobs += [None, b"", b"\1abc", header(999)][: strangers * 2]
    serde: Any = make_serde("AVRO", SerdeOptions(topic="t", schema_id=schema_id if pinned else None), registry)
    data = pa.array([None, *blobs * 20], pa.binary()).slice(1)
    fast, slow = serde.decode(data, schema), one_by_one(serde, data, schema)
    for left, right, field in zip(fast.columns, slow.columns, schema):
        left.validate(full=True)
        assert left.type == right.type == field.type
        assert repr(to_rows(left)) == repr(to_rows(right))
    assert (fast.nulls is None) == (slow.nulls is None)
    assert fast.nulls is None or fast.nulls.tolist() == slow.nulls.tolist()
    assert (fast.malformed is None) == (slow.malformed is None)
    if fast.malformed is not None:
        assert fast.malformed.rows.tolist() == slow.malformed.rows.tolist()
        assert fast.malformed.reasons == slow.malformed.reasons


def test_lengths_that_lie() -> None:
    """A length beyond the record, beyond int64, or negative is malformed, for its record alone."""
    registry = EmbeddedRegistry()
    tree = {"type": "record", "name": "R", "fields": [{"name": "A", "type": "string"}, {"name": "B", "type": "double"}]}
    schema_id = registry.register("t-value", SchemaText("AVRO", json.dumps(tree)))
    good = header(schema_id) + b"\2x" + struct.pack("<d", 1.5)
    lies = [b"\x7f", b"\xff" * 9 + b"\1", b"\xfe" + b"\xff" * 8 + b"\1", b"\xff" * 10, b"\1", b"\4x", b"\2\xff"]
    blobs = [good, *(header(schema_id) + lie + good[7:] for lie in lies)] * 20
    serde: Any = make_serde("AVRO", SerdeOptions(topic="t"), registry)
    schema = pa.schema([("A", pa.string()), ("B", pa.float64())])
    fast, slow = serde.decode(pa.array(blobs), schema), one_by_one(serde, pa.array(blobs), schema)
    assert fast.malformed is not None and slow.malformed is not None
    assert fast.malformed.rows.tolist() == slow.malformed.rows.tolist()
    assert [to_rows(c) for c in fast.columns] == [to_rows(c) for c in slow.columns]
    assert fast.columns[1][0].as_py() == 1.5


WRITTEN = {
    pa.bool_(): st.booleans(),
    pa.int32(): INT,
    pa.int64(): LONG,
    pa.float64(): st.floats(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    pa.binary(): st.binary(max_size=5),
    pa.date32(): INT,
    pa.time32("ms"): st.integers(0, 86_399_999),
    pa.timestamp("ms"): LONG,
}


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(st.data(), st.lists(st.sampled_from(list(WRITTEN)), min_size=2, max_size=5))
def test_encoding_by_column_equals_by_record(data: Any, kinds: list[Any]) -> None:
    """The bytes of all types are the same, with nulls among the values and columns that begin inside of an array."""
    schema = pa.schema([(f"C{i}", type_) for i, type_ in enumerate(kinds)])
    rows = data.draw(st.lists(st.tuples(*(st.none() | WRITTEN[type_] for type_ in kinds)), min_size=1, max_size=5)) * 40
    columns = [from_rows([row[i] for row in rows], type_).slice(2) for i, type_ in enumerate(kinds)]
    registry = EmbeddedRegistry()
    fast: Any = make_serde("AVRO", SerdeOptions(topic="t"), registry).encode(columns, schema, None)
    with mock.patch.object(schema_serde, "COLUMNWISE_ROWS_MIN", 10**9):
        slow: Any = make_serde("AVRO", SerdeOptions(topic="t"), registry).encode(columns, schema, None)
    fast.data.validate(full=True)
    assert fast.data.to_pylist() == slow.data.to_pylist()
    assert fast.malformed is None and slow.malformed is None
