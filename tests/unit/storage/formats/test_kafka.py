"""KAFKA: Kafka's own serialisers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions

SERDE = make_serde("KAFKA", SerdeOptions())


@pytest.mark.parametrize(
    ("type_", "value", "blob"),
    [
        (pa.int32(), 1, b"\0\0\0\1"),
        (pa.int32(), -2, b"\xff\xff\xff\xfe"),
        (pa.int64(), 2**40, b"\0\0\1\0\0\0\0\0"),
        (pa.float64(), 1.0, b"\x3f\xf0\0\0\0\0\0\0"),
        (pa.string(), "é", b"\xc3\xa9"),
        (pa.binary(), b"\0\xff", b"\0\xff"),
    ],
)
def test_known_bytes(type_: pa.DataType, value: object, blob: bytes) -> None:
    """A value has the bytes that Kafka's serialiser of its type gives, among nulls too, both ways."""
    schema = pa.schema([("A", type_)])
    for values, blobs in (([value], [blob]), ([value, None, value], [blob, None, blob])):
        encoded = SERDE.encode([pa.array(values, type_)], schema, None)
        assert encoded.data.to_pylist() == blobs and encoded.malformed is None
        decoded = SERDE.decode(pa.array(blobs, pa.binary()), schema)
        assert decoded.columns[0].to_pylist() == values and decoded.malformed is None


def test_wrong_length_is_malformed() -> None:
    """A number of another length fails with its row and length; the others are read."""
    decoded = SERDE.decode(pa.array([b"\0\0\0\1", b"", None, b"12345"]), pa.schema([("A", pa.int32())]))
    assert decoded.columns[0].to_pylist() == [1, None, None, None]
    assert decoded.nulls is not None and decoded.nulls.tolist() == [False, False, True, False]
    assert decoded.malformed is not None
    assert decoded.malformed.rows.tolist() == [1, 3]
    assert "not 0" in decoded.malformed.reasons[0] and "not 5" in decoded.malformed.reasons[1]


def test_slices_are_read_from_their_own_start() -> None:
    """An array that is a slice of another is read by its own offsets."""
    whole = pa.array([b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3"])
    assert SERDE.decode(whole.slice(1), pa.schema([("A", pa.int32())])).columns[0].to_pylist() == [2, 3]


def test_absent_rows_are_null() -> None:
    """A row that is absent becomes null whatever its column holds."""
    encoded = SERDE.encode([pa.array([1, 2])], pa.schema([("A", pa.int64())]), np.array([True, False]))
    assert encoded.data.to_pylist() == [None, b"\0\0\0\0\0\0\0\2"]


def test_bytes_that_are_no_utf8_read_as_replacement() -> None:
    """STRING never fails: bytes that are no UTF-8 read as U+FFFD."""
    decoded = SERDE.decode(pa.array([b"a\xff", b"b"]), pa.schema([("A", pa.string())]))
    assert decoded.columns[0].to_pylist() == ["a\ufffd", "b"]
