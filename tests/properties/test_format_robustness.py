"""Whatever bytes a record has, decoding gives values or a reason; the extremes of every type survive every format."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.storage.formats import FORMATS, EmbeddedRegistry, SchemaText, format_traits, make_serde
from penstock.storage.formats.base import Decoded, SerdeOptions
from penstock.storage.formats.protobuf_nulls import read_back
from penstock.storage.formats.values import from_rows, to_rows

ROW: list[tuple[str, Any, Any]] = [
    ("A", pa.int32(), 1),
    ("B", pa.int64(), -(2**40)),
    ("C", pa.float64(), 1.5),
    ("D", pa.string(), 'hé, "x"'),
    ("E", pa.binary(), b"\0\xff"),
    ("F", pa.bool_(), True),
    ("G", pa.decimal128(9, 3), Decimal("1.250")),
    ("H", pa.date32(), 100),
    ("I", pa.time32("ms"), 5000),
    ("J", pa.timestamp("ms"), 10**12),
]
NESTED: list[tuple[str, Any, Any]] = [
    ("K", pa.list_(pa.int32()), [1, None, 3]),
    (
        "L",
        pa.map_(pa.string(), pa.struct([("X", pa.float64()), ("Y", pa.list_(pa.string()))])),
        {"k": {"X": 1.0, "Y": ["a"]}},
    ),
    ("M", pa.struct([("X", pa.int64()), ("Y", pa.map_(pa.string(), pa.decimal256(50, 2)))]), {"X": 5, "Y": {"z": None}}),
]
WITH_HEADER = ("AVRO", "JSON_SR", "PROTOBUF")


def shapes(name: str) -> list[list[tuple[str, Any, Any]]]:
    """Columns with a value each that the format can hold, by its traits."""
    traits = format_traits(name)
    plain = [column for column in ROW if traits.unsupported(column[1]) is None]
    nested = [column for column in NESTED if traits.unsupported(column[1]) is None]
    if traits.columns_max == 1:
        return [[column] for column in plain + nested]
    return [plain, plain + nested] if nested else [plain]


CASES = [(name, shape) for name in FORMATS if name not in ("ARROW", "NONE") for shape in shapes(name)]
CHANGES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 200), st.binary(max_size=6)), min_size=1, max_size=4)


def changed(blob: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """A record with bytes replaced, removed, inserted, repeated, cut off."""
    for kind, at, extra in changes:
        at = at % (len(blob) + 1)
        blob = [
            blob[:at] + extra + blob[at + len(extra) :],
            blob[:at] + blob[at + 1 :],
            blob[:at] + extra + blob[at:],
            blob[:at] + blob[max(0, at - 7) : at] + blob[at:],
            blob[:at],
            blob[:at] + b"\xff" * len(extra) + blob[at + 1 :],
        ][kind]
    return blob


def check(decoded: Decoded, count: int, sound: set[int]) -> None:
    """Fails unless columns are whole and valid, and sound records are not malformed."""
    for column in decoded.columns:
        assert len(column) == count
        column.validate(full=True)
    assert decoded.malformed is None or not sound & set(decoded.malformed.rows.tolist())


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CASES), st.lists(st.tuples(CHANGES, st.booleans()) | st.binary(max_size=20), max_size=6))
def test_any_bytes_give_values_or_a_reason(case: tuple[str, Any], broken: list[Any]) -> None:
    """No bytes make decoding fail as a whole, and broken records do not harm those beside them."""
    name, columns = case
    schema = pa.schema([(column, type_) for column, type_, _ in columns])
    serde = make_serde(name, SerdeOptions(topic="t"), EmbeddedRegistry())
    good = serde.encode([from_rows([value], type_) for _, type_, value in columns], schema, None).data[0].as_py()
    blobs = [good]
    for item in broken:
        blob = item if isinstance(item, bytes) else changed(good, item[0])
        keeps_header = name in WITH_HEADER and not isinstance(item, bytes) and item[1]
        blobs.append(good[:5] + blob[5:] if keeps_header else blob)
    blobs.append(good)
    decoded = serde.decode(pa.array(blobs, pa.binary()), schema)
    check(decoded, len(blobs), {0, len(blobs) - 1})
    for column in decoded.columns:
        assert column[0] == column[len(blobs) - 1]


@pytest.mark.parametrize("depth", [50, 400, 900, 2_000, 300_000])
@pytest.mark.parametrize("kind", ["array", "object", "unclosed"])
def test_deep_json(kind: str, depth: int) -> None:
    """Deep nesting is taken or refused, and costs neither the stack nor the record beside it."""
    deep = {"array": b"[" * depth + b"]" * depth, "object": b'{"a":' * depth + b"1" + b"}" * depth, "unclosed": b"[" * depth}
    schema = pa.schema([("A", pa.string()), ("B", pa.list_(pa.string())), ("C", pa.int32())])
    blobs = [
        b'{"A":"x","C":5}',
        *(pattern % deep[kind] for pattern in (b'{"A":%b}', b'{"B":[%b]}', b'{"Z":%b,"C":5}', b"%b")),
    ]
    decoded = make_serde("JSON", SerdeOptions()).decode(pa.array(blobs, pa.binary()), schema)
    check(decoded, len(blobs), {0})
    assert decoded.columns[2][0].as_py() == 5


def test_avro_items_without_bytes() -> None:
    """An array whose items take no bytes could be of any length: it is refused before it is read."""
    registry = EmbeddedRegistry()
    text = (
        '{"type": "record", "name": "R", "fields": [{"name": "A", "type": "int"}, {"name": "Z", "type": '
        '{"type": "array", "items": {"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]}}}]}'
    )
    schema_id = registry.register("t-value", SchemaText("AVRO", text))
    serde = make_serde("AVRO", SerdeOptions(topic="t"), registry)
    blob = bytes([0, 0, 0, 0, schema_id, 2]) + bytes([0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0])
    decoded = serde.decode(pa.array([blob], pa.binary()), pa.schema([("A", pa.int32())]))
    assert decoded.malformed is not None and "no bytes" in decoded.malformed.reasons[0]


def nines(precision: int, scale: int) -> Decimal:
    """The largest decimal of a type."""
    return Decimal(10**precision - 1).scaleb(-scale, Context(prec=200))


EXTREMES: dict[Any, list[Any]] = {
    pa.bool_(): [True, False],
    pa.int32(): [-(2**31), 2**31 - 1, 0],
    pa.int64(): [-(2**63), 2**63 - 1, 0, 2**53 + 1],
    pa.float64(): [0.0, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 0.1, 1e22],
    pa.string(): [
        "x",
        " ",
        "\0",
        "é",
        "😀",
        "\u2028",
        "\ufeff",
        "\uffff",
        '"',
        "\\",
        "\r\n",
        ",",
        "null",
        "\t",
        "a" * 200_000,
    ],
    pa.binary(): [b"\0", b"\xff" * 5, bytes(range(256))],
    pa.date32(): [0, -719162, 2932896],
    pa.time32("ms"): [0, 86_399_999],
    pa.timestamp("ms"): [0, -1, 253_402_300_799_999, -62_135_596_800_000],
    pa.decimal128(38, 0): [nines(38, 0), nines(38, 0).copy_negate(), Decimal(0)],
    pa.decimal128(38, 38): [nines(38, 38), Decimal("0E-38")],
    pa.decimal256(76, 0): [nines(76, 0), nines(76, 0).copy_negate()],
    pa.decimal256(76, 76): [nines(76, 76)],
    pa.decimal256(76, 38): [nines(76, 38).copy_negate()],
    pa.list_(pa.int32()): [[], [None], [1, None]],
    pa.map_(pa.string(), pa.int64()): [{}, {"": None}, {"": 2, "a": 1}],
    pa.struct([("A", pa.int32()), ("B", pa.string())]): [{"A": None, "B": None}, {"A": 1, "B": ""}],
    pa.list_(pa.struct([("A", pa.list_(pa.string()))])): [[], [None], [{"A": None}], [{"A": []}], [{"A": [None, ""]}]],
    pa.struct([("S", pa.struct([("T", pa.float64())]))]): [{"S": None}, {"S": {"T": None}}, {"S": {"T": math.inf}}],
}


def shown(values: list[Any]) -> list[str]:
    """Values in a form that tells -0.0 from 0.0 and finds NaN equal to itself; the order of a map does not count."""
    return [repr(sorted(value.items())) if isinstance(value, dict) else repr(value) for value in values]


@pytest.mark.parametrize("wrap", [None, True, False])
@pytest.mark.parametrize("is_key", [False, True])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "NONE"])
@pytest.mark.parametrize("columns", [1, 2])
def test_extremes_survive(name: str, is_key: bool, wrap: bool | None, columns: int) -> None:
    """The first and last values of every type, NULL, and empty and unusual texts come back as they were."""
    traits = format_traits(name)
    if (name == "ARROW" and not is_key) or (wrap is not None and (is_key or wrap not in traits.wrap_settings)):
        pytest.skip("no such serde")
    if traits.columns_max is not None and columns > traits.columns_max:
        pytest.skip("a single column only")
    protobuf = name.startswith("PROTOBUF")
    for type_, values in EXTREMES.items():
        if traits.unsupported(type_) is not None or (is_key and pa.types.is_map(type_)):
            continue
        # DELIMITED has one text for NULL and for an empty line; a bare NULL is no record.
        rows = [*values, None] if columns == 2 or name != "DELIMITED" else values
        schema = pa.schema([("V", type_), ("W", pa.int32())][:columns])
        options = SerdeOptions(
            is_key, wrap, topic="t", properties={"nullable_representation": "OPTIONAL"} if protobuf else {}
        )
        serde = make_serde(name, options, EmbeddedRegistry())
        column = from_rows(rows, type_)
        encoded = serde.encode([column, pa.array([1] * len(rows), pa.int32())][:columns], schema, None)
        decoded = serde.decode(encoded.data, schema)
        assert encoded.malformed is None and decoded.malformed is None, type_
        expected = to_rows(read_back(column, "OPTIONAL")) if protobuf else rows
        assert shown(to_rows(decoded.columns[0])) == shown(expected), type_
