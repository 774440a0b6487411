"""JSON: what values mean, how they are written, what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.formats.values import to_rows

SERDE = make_serde("JSON", SerdeOptions())
STRUCT = pa.struct([("X", pa.int32()), ("y", pa.string())])


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (pa.bool_(), "true", True),
        (pa.int32(), "7", 7),
        (pa.int32(), "7.9", 7),
        (pa.int32(), "-7.9", -7),
        (pa.int32(), '"7"', 7),
        (pa.int64(), "1e3", 1000),
        (pa.float64(), "1", 1.0),
        (pa.float64(), '"1.5"', 1.5),
        (pa.float64(), '"NaN"', None),
        (pa.float64(), "1e400", float("inf")),
        (pa.decimal128(4, 2), "1.5", Decimal("1.50")),
        (pa.decimal128(4, 2), '"1.5"', Decimal("1.50")),
        (pa.decimal128(4, 2), "12", Decimal("12.00")),
        (pa.decimal256(60, 2), "9" * 50, Decimal("9" * 50 + ".00")),
        (pa.string(), '"a"', "a"),
        (pa.string(), "1.10", "1.10"),
        (pa.string(), "true", "true"),
        (pa.string(), '{"b": [1.10, null], "a": "é"}', '{"b":[1.10,null],"a":"é"}'),
        (pa.binary(), '"ew=="', b"{"),
        (pa.date32(), "3", 3),
        (pa.time32("ms"), '"7"', 7),
        (pa.timestamp("ms"), "1.9", 1),
        (pa.list_(pa.string()), "[1, null, true]", ["1", None, "true"]),
        (pa.map_(pa.string(), pa.int32()), '{"b": 1, "a": null}', {"b": 1, "a": None}),
        (STRUCT, '{"x": 1, "y": 2, "z": 3}', {"X": 1, "y": "2"}),
        (STRUCT, '{"Y": 2}', {"X": None, "y": None}),
        (pa.int32(), "null", None),
    ],
)
def test_values(type_: pa.DataType, text: str, value: Any) -> None:
    """Each JSON value has its meaning in each type, alone and in the middle of a batch of usual records."""
    schema = pa.schema([("A", type_)])
    for count in (1, 5):
        records = [f'{{"a": {text}}}'.encode()] + [b'{"a": null}'] * (count - 1)
        decoded = SERDE.decode(pa.array(records), schema)
        assert decoded.malformed is None
        found = to_rows(decoded.columns[0])[0]
        assert found == value or (value is None and found != found)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (pa.bool_(), '"true"'),
        (pa.bool_(), "1"),
        (pa.int32(), '"1.5"'),
        (pa.int32(), "true"),
        (pa.int32(), "[1]"),
        (pa.float64(), '"x"'),
        (pa.decimal128(4, 2), "1.555"),
        (pa.decimal128(4, 2), "100"),
        (pa.binary(), '"?"'),
        (pa.binary(), "1"),
        (pa.time32("ms"), "-1"),
        (pa.list_(pa.int32()), "{}"),
        (pa.list_(pa.int32()), '["x"]'),
        (pa.map_(pa.string(), pa.int32()), "[]"),
        (STRUCT, '"x"'),
        (STRUCT, '{"x": {}}'),
    ],
)
def test_values_that_are_refused(type_: pa.DataType, text: str) -> None:
    """A value of the wrong kind makes the record malformed, and only this record."""
    schema = pa.schema([("A", type_), ("B", pa.int32())])
    records = [f'{{"a": {text}, "b": 1}}'.encode(), b'{"b": 2}']
    decoded = SERDE.decode(pa.array(records), schema)
    assert decoded.malformed is not None and decoded.malformed.rows.tolist() == [0]
    assert decoded.malformed.reasons[0].startswith("`A`")
    assert decoded.columns[1].to_pylist() == [None, 2]


@pytest.mark.parametrize("blob", [b"{", b"{}}", b"{'a': 1}", b"[]", b"1", b'{"a": NaN}', b'{"a": "\xff"}', b"{} {}"])
def test_documents_that_are_refused(blob: bytes) -> None:
    """What is not a JSON object is malformed."""
    decoded = SERDE.decode(pa.array([blob]), pa.schema([("A", pa.int32())]))
    assert decoded.malformed is not None


def test_null_documents() -> None:
    """Null bytes, ``null`` and nothing but blanks all stand for null."""
    decoded = SERDE.decode(pa.array([None, b"null", b"", b" \n", b"{}"]), pa.schema([("A", pa.int32())]))
    assert decoded.malformed is None
    assert decoded.nulls is not None and decoded.nulls.tolist() == [True, True, True, True, False]


def test_names_exact_then_upper_case() -> None:
    """A field is found by its exact name before its upper-cased one, whatever the order and the rest of the batch."""
    schema = pa.schema([("A", pa.int32()), ("b", pa.int32())])
    records = [b'{"a": 1}', b'{"A": 2, "a": 1}', b'{"a": 1, "A": 2}', b'{"B": 5}', b'{"b": 6, "zz": {}}'] * 20
    decoded = SERDE.decode(pa.array(records), schema)
    assert decoded.columns[0].to_pylist() == [1, 2, 2, None, None] * 20
    assert decoded.columns[1].to_pylist() == [None, None, None, None, 6] * 20


def test_records_cannot_borrow_from_their_neighbours() -> None:
    """Records that only together would make JSON are malformed each, although as many documents as records would
    come out.
    """
    records = [b'{"a":1', b'"b":2}', b"{},{}", b'{"a":1} {"a":2}', b'{"a":"x', b'y"}']
    decoded = SERDE.decode(pa.array(records), pa.schema([("A", pa.string())]))
    assert decoded.malformed is not None and decoded.malformed.rows.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (pa.float64(), 1e10, "1.0E10"),
        (pa.float64(), 1.0, "1.0"),
        (pa.float64(), float("nan"), '"NaN"'),
        (pa.decimal128(12, 8), Decimal("0.00000010"), "0.00000010"),
        (pa.string(), 'a"\n\x01é', '"a\\"\\n\\u0001é"'),
        (pa.binary(), b"{", '"ew=="'),
        (pa.list_(pa.string()), ["a", None], '["a",null]'),
        (pa.list_(pa.string()), [], "[]"),
        (pa.map_(pa.string(), pa.bool_()), [("k", True), ("l", None)], '{"k":true,"l":null}'),
        (pa.map_(pa.int32(), pa.bool_()), [(1, True)], "[[1,true]]"),
        (STRUCT, {"X": 1, "y": None}, '{"X":1,"y":null}'),
    ],
)
def test_texts(type_: pa.DataType, value: Any, text: str) -> None:
    """Each value has its text; nulls are written out."""
    schema = pa.schema([("A", type_), ("b", pa.int32())])
    encoded = SERDE.encode([pa.array([value, None], type_), pa.array([None, 1], pa.int32())], schema, None)
    assert encoded.data.to_pylist() == [f'{{"A":{text},"b":null}}'.encode(), b'{"A":null,"b":1}']


def test_unwrapped() -> None:
    """Unwrapped, the document is the column, and null is a null record."""
    bare = make_serde("JSON", SerdeOptions(wrap=False))
    schema = pa.schema([("A", pa.list_(pa.int32()))])
    decoded = bare.decode(pa.array([b"[1, 2]", b"null", b'"x"']), schema)
    assert decoded.columns[0].to_pylist() == [[1, 2], None, None]
    assert decoded.nulls is not None and decoded.nulls.tolist() == [False, True, False]
    assert decoded.malformed is not None and decoded.malformed.rows.tolist() == [2]
    encoded = bare.encode([pa.array([[1], None, [2]], pa.list_(pa.int32()))], schema, np.array([False, False, True]))
    assert encoded.data.to_pylist() == [b"[1]", None, None]


def test_keys_are_bare_by_default_and_objects_if_several() -> None:
    """A single key column is the document itself, several are an object."""
    key = make_serde("JSON", SerdeOptions(is_key=True))
    single = pa.schema([("K", pa.string())])
    assert key.encode([pa.array(["a"])], single, None).data.to_pylist() == [b'"a"']
    double = pa.schema([("K", pa.string()), ("L", pa.int32())])
    columns = [pa.array(["a"]), pa.array([1], pa.int32())]
    assert key.encode(columns, double, None).data.to_pylist() == [b'{"K":"a","L":1}']


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ('{"C":1}\n \t', 1),
        ('\ufeff{"C":1}', 1),
        ('{"C":1,"C":2}', 2),
        ('{"C":1.9}', 1),
        ('{"C":-0.0}', 0),
        ('{"C":2e1}', 20),
        ('{"C":"7"}', 7),
    ],
)
def test_odd_documents(document: str, value: int) -> None:
    """What is around and in a document that still is JSON: blanks, a byte order mark, a key twice, any kind of number."""
    decoded = SERDE.decode(pa.array([document.encode()]), pa.schema([("C", pa.int32())]))
    assert decoded.malformed is None and decoded.columns[0].to_pylist() == [value]


@pytest.mark.parametrize(
    "document",
    [
        '{"C":1} x',
        '{"C":1}{"C":2}',
        '{"C":1}\0',
        '{"C":NaN}',
        '{"C":Infinity}',
        '{"C":01}',
        '{"C":+1}',
        '{"C":.5}',
        '{"C":1,}',
        "{'C':1}",
        '{"C":1e1000000000}',
        '{"S":"\\ud800"}',
        '{"S":"\t"}',
        "nul",
        '{"C":" 1"}',
    ],
)
def test_documents_that_are_not_json(document: str) -> None:
    """Each is malformed, for the record alone."""
    data = pa.array([b'{"C":1}', document.encode(), b'{"C":2}'])
    decoded = SERDE.decode(data, pa.schema([("C", pa.int32()), ("S", pa.string())]))
    assert decoded.malformed is not None and decoded.malformed.rows.tolist() == [1]
    assert decoded.columns[0].to_pylist() == [1, None, 2]


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (pa.int32(), "2147483648"),
        (pa.int32(), "4294967297"),
        (pa.int32(), "1e10"),
        (pa.int64(), "9223372036854775808"),
        (pa.int64(), "-9223372036854775809"),
        (pa.int64(), "18446744073709551616"),
        (pa.int64(), "1e30"),
        (pa.int64(), "123456789012345678901234567890"),
        (pa.list_(pa.int64()), "[1, 9223372036854775808]"),
        (pa.map_(pa.string(), pa.int64()), '{"x": 9223372036854775808}'),
        (pa.struct([("B", pa.int32())]), '{"B": 2147483648}'),
        (pa.timestamp("ms"), "9223372036854775808"),
        (pa.int64(), '"9223372036854775808"'),
    ],
)
def test_numbers_beyond_their_type_are_bad(type_: pa.DataType, text: str) -> None:
    """They are not wrapped, alone and in the middle of a batch of usual records."""
    schema = pa.schema([("A", type_)])
    for count in (1, 5):
        records = [b'{"a": null}'] * (count - 1) + [f'{{"a": {text}}}'.encode()]
        decoded = SERDE.decode(pa.array(records), schema)
        assert decoded.malformed is not None
        assert decoded.malformed.rows.tolist() == [count - 1]
