"""AVRO, PROTOBUF and JSON_SR: bytes, schemas, promotion, inference."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import StatementError
from penstock.storage.formats import (
    EmbeddedRegistry,
    SchemaReference,
    SchemaText,
    infer_columns,
    make_serde,
    schema_of_columns,
)
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.formats.values import from_rows, to_rows
from penstock.storage.schemas.avro import key_full_name

COLUMNS = pa.schema([("I", pa.int32()), ("S", pa.string())])


def encode(name: str, registry: EmbeddedRegistry, schema: pa.Schema, rows: list[Any], **options: Any) -> list[Any]:
    """The records of rows, given as tuples."""
    serde = make_serde(name, SerdeOptions(topic="t", **options), registry)
    columns = [from_rows([row[i] for row in rows], field.type) for i, field in enumerate(schema)]
    encoded = serde.encode(columns, schema, None)
    assert encoded.malformed is None, encoded.malformed
    blobs: list[Any] = encoded.data.to_pylist()
    return blobs


def decode(name: str, registry: EmbeddedRegistry, schema: pa.Schema, blobs: list[Any], **options: Any) -> list[Any]:
    """The rows of records, as tuples; a text for one that is malformed."""
    serde = make_serde(name, SerdeOptions(topic="t", **options), registry)
    decoded = serde.decode(pa.array(blobs, pa.binary()), schema)
    rows: list[Any] = list(zip(*(to_rows(column) for column in decoded.columns)))
    if decoded.malformed is not None:
        for row, reason in zip(decoded.malformed.rows, decoded.malformed.reasons):
            rows[row] = reason
    return rows


def test_avro_bytes() -> None:
    """The header is 0 and the id; a nullable int is the branch and a zigzag varint, a text its length and UTF-8."""
    registry = EmbeddedRegistry()
    blobs = encode("AVRO", registry, COLUMNS, [(-2, "hi"), (None, None)])
    assert blobs == [b"\0\0\0\0\x01" + b"\x02\x03" + b"\x02\x04hi", b"\0\0\0\0\x01\0\0"]
    assert decode("AVRO", registry, COLUMNS, blobs) == [(-2, "hi"), (None, None)]


def test_protobuf_bytes() -> None:
    """After the header stands the message's place, the single 0 for the first; then the fields that are not default."""
    registry = EmbeddedRegistry()
    blobs = encode("PROTOBUF", registry, COLUMNS, [(1, "hi"), (None, None)])
    assert blobs == [b"\0\0\0\0\x01" + b"\0" + b"\x08\x01" + b"\x12\x02hi", b"\0\0\0\0\x01\0"]
    assert decode("PROTOBUF", registry, COLUMNS, blobs) == [(1, "hi"), (0, "")]
    assert encode("PROTOBUF_NOSR", registry, COLUMNS, [(1, "hi")]) == [b"\x08\x01\x12\x02hi"]


def test_json_sr_bytes() -> None:
    """The document follows the header."""
    registry = EmbeddedRegistry()
    blobs = encode("JSON_SR", registry, COLUMNS, [(1, "hi"), (None, None)])
    assert blobs == [b'\0\0\0\0\x01{"I":1,"S":"hi"}', b'\0\0\0\0\x01{"I":null,"S":null}']
    assert decode("JSON_SR", registry, COLUMNS, [*blobs, b"{}", b"\0\0\0\0\x01null", None, b"\0\0\0\0\x01"]) == [
        (1, "hi"),
        (None, None),
        "the record does not begin with 0 and a schema id",
        (None, None),
        (None, None),
        (None, None),
    ]


def test_avro_decimal_is_twos_complement() -> None:
    """A decimal is its unscaled value as the shortest two's complement."""
    registry = EmbeddedRegistry()
    schema = pa.schema([("D", pa.decimal128(6, 2))])
    rows = [(Decimal("1.27"),), (Decimal("1.28"),), (Decimal("-1.28"),), (Decimal("0.00"),)]
    blobs = encode("AVRO", registry, schema, rows)
    assert [blob[5:] for blob in blobs] == [b"\x02\x02\x7f", b"\x02\x04\x00\x80", b"\x02\x02\x80", b"\x02\x02\x00"]
    assert decode("AVRO", registry, schema, blobs) == rows


def test_avro_schema_of_columns() -> None:
    """Fields are optional, records of structs are named by their path, temporal types are logical."""
    schema = pa.schema(
        [
            ("S", pa.struct([("T", pa.struct([("X", pa.timestamp("ms"))]))])),
            ("M", pa.map_(pa.string(), pa.struct([("Y", pa.date32())]))),
        ]
    )
    tree = json.loads(schema_of_columns("AVRO", schema).text)
    assert (tree["name"], tree["namespace"]) == ("KsqlDataSourceSchema", "io.confluent.ksql.avro_schemas")
    inner = tree["fields"][0]["type"][1]
    assert inner["name"] == "KsqlDataSourceSchema_S"
    assert inner["fields"][0]["type"][1]["name"] == "KsqlDataSourceSchema_S_T"
    assert inner["fields"][0]["type"][1]["fields"][0]["type"] == [
        "null",
        {"type": "long", "logicalType": "timestamp-millis"},
    ]
    assert tree["fields"][1]["type"][1]["values"][1]["name"] == "KsqlDataSourceSchema_M_MapValue"
    assert key_full_name("MY_SINK") == "io.confluent.ksql.avro_schemas.MySinkKey"
    with pytest.raises(StatementError, match="1x"):
        schema_of_columns("AVRO", pa.schema([("1x", pa.int32())]))


def test_protobuf_schema_of_columns() -> None:
    """Nested structs are nested messages; nulls are represented as asked for."""
    schema = pa.schema([("A", pa.int32()), ("S", pa.struct([("X", pa.string())]))])
    assert schema_of_columns("PROTOBUF", schema).text == (
        'syntax = "proto3";\n\nmessage ConnectDefault1 {\n  int32 A = 1;\n  ConnectDefault2 S = 2;\n\n'
        "  message ConnectDefault2 {\n    string X = 1;\n  }\n}\n"
    )
    optional = schema_of_columns("PROTOBUF", schema, nullable_representation="OPTIONAL").text
    assert "  optional int32 A = 1;" in optional
    wrapper = schema_of_columns("PROTOBUF", schema, nullable_representation="WRAPPER").text
    assert 'import "google/protobuf/wrappers.proto";' in wrapper and "google.protobuf.Int32Value A = 1;" in wrapper


@pytest.mark.parametrize("representation", ["OPTIONAL", "WRAPPER"])
def test_protobuf_nulls(representation: str) -> None:
    """With a representation null and default are told apart."""
    schema = pa.schema([("I", pa.int32()), ("S", pa.string()), ("B", pa.bool_())])
    rows = [(0, "", False), (None, None, None)]
    options = {"properties": {"nullable_representation": representation}}
    for name in ("PROTOBUF", "PROTOBUF_NOSR"):
        registry = EmbeddedRegistry()
        assert decode(name, registry, schema, encode(name, registry, schema, rows, **options), **options) == rows


def test_avro_promotion_and_older_schemas() -> None:
    """Records written before read as today's columns: missing fields are null, numbers are widened or become text."""
    registry = EmbeddedRegistry()
    registry.set_level("NONE")
    old = encode("AVRO", registry, COLUMNS, [(7, "x")])
    today = pa.schema([("I", pa.int64()), ("NEW", pa.string()), ("S", pa.string())])
    new = encode("AVRO", registry, today, [(8, "n", "y")])
    assert decode("AVRO", registry, today, [*old, *new]) == [(7, None, "x"), (8, "n", "y")]
    assert decode("AVRO", registry, pa.schema([("i", pa.string()), ("I", pa.float64())]), old) == [("7", 7.0)]
    assert "BOOLEAN" in decode("AVRO", registry, pa.schema([("S", pa.bool_())]), old)[0]


def test_malformed_records() -> None:
    """No header, an unknown schema and cut-off bytes are malformed, with the reason."""
    registry = EmbeddedRegistry()
    (blob,) = encode("AVRO", registry, COLUMNS, [(1, "hello")])
    found = decode("AVRO", registry, COLUMNS, [b"", b"\x01abcdefg", b"\0\0\0\0\x63\0\0", blob[:-3], blob])
    assert all(isinstance(row, str) for row in found[:4]) and found[4] == (1, "hello")
    assert "99" in found[2]
    (blob,) = encode("PROTOBUF", EmbeddedRegistry(), COLUMNS, [(1, "hello")])
    registry = EmbeddedRegistry()
    registry.register("t-value", schema_of_columns("PROTOBUF", COLUMNS))
    found = decode("PROTOBUF", registry, COLUMNS, [blob[:-3], blob[:5] + b"\x02\x04" + blob[6:], blob[:5], blob])
    assert all(isinstance(row, str) for row in found[:3]) and found[3] == (1, "hello")


AVRO_ODD = {
    "type": "record",
    "name": "Odd",
    "fields": [
        {"name": "e", "type": {"type": "enum", "name": "Suit", "symbols": ["A", "B"]}},
        {"name": "f", "type": "float"},
        {"name": "x", "type": {"type": "fixed", "name": "Md5", "size": 2}},
        {"name": "n", "type": "null"},
        {"name": "u", "type": ["null", "string", "int", {"type": "record", "name": "R", "fields": []}]},
        {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "scale": 2}},
        {"name": "us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "s", "type": "Suit"},
    ],
}


def test_avro_inference() -> None:
    """Types that SQL has not are mapped or left out; unions become structs of their branches."""
    registry = EmbeddedRegistry()
    columns = infer_columns(registry, SchemaText("AVRO", json.dumps(AVRO_ODD)))
    union = pa.struct([("string", pa.string()), ("int", pa.int32()), ("R", pa.struct([]))])
    assert columns == pa.schema(
        [
            ("e", pa.string()),
            ("f", pa.float64()),
            ("x", pa.binary()),
            ("u", union),
            ("t", pa.time32("ms")),
            ("d", pa.decimal256(64, 2)),
            ("us", pa.int64()),
            ("s", pa.string()),
        ]
    )
    bare = infer_columns(registry, SchemaText("AVRO", '"string"'), is_key=True, wrapped=False)
    assert bare == pa.schema([("ROWKEY", pa.string())])
    with pytest.raises(StatementError):
        infer_columns(registry, SchemaText("AVRO", '"string"'))


def test_avro_written_with_a_registered_schema() -> None:
    """With a fixed schema columns are written as it says: enums, fixed, unions, defaults of other fields."""
    registry = EmbeddedRegistry()
    tree = {**AVRO_ODD, "fields": [*AVRO_ODD["fields"][:5], {"name": "z", "type": "int", "default": 5}]}  # type: ignore[misc]
    id_ = registry.register("t-value", SchemaText("AVRO", json.dumps(tree)), id=77)
    columns = infer_columns(registry, registry.by_id(id_))
    schema = pa.schema([field for field in columns if field.name != "z"])
    rows = [
        ("B", 0.5, b"ab", {"string": "q", "int": None, "R": None}),
        ("A", 1.0, b"cd", {"string": None, "int": 3, "R": None}),
    ]
    blobs = encode("AVRO", registry, schema, rows, schema_id=77)
    assert [blob[:5] for blob in blobs] == [b"\0\0\0\0\x4d"] * 2
    assert decode("AVRO", registry, columns, blobs) == [(*row, 5) for row in rows]


def test_recursive_schemas_are_refused() -> None:
    """A schema that contains itself has no columns."""
    avro = {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}
    proto = 'syntax = "proto3"; message N { N n = 1; }'
    loop = {"type": "object", "properties": {"n": {"$ref": "#"}}}
    for schema in (
        SchemaText("AVRO", json.dumps(avro)),
        SchemaText("PROTOBUF", proto),
        SchemaText("JSON", json.dumps(loop)),
    ):
        with pytest.raises(StatementError, match="recursive"):
            infer_columns(EmbeddedRegistry(), schema)


def test_protobuf_inference() -> None:
    """Scalars, enums, maps, repeated fields, oneofs, nested and well-known messages have their types."""
    text = """
    syntax = "proto3"; // a comment
    package shop.v1;
    import "google/protobuf/timestamp.proto";
    import 'google/protobuf/wrappers.proto';
    import "google/type/date.proto";
    import "confluent/type/decimal.proto";
    option java_package = "x";
    /* another */
    message Order {
      reserved 20, 30 to 40;
      enum Kind { NONE = 0; BIG = 1 [deprecated = true]; }
      message Item { string name = 1; repeated float prices = 2 [packed = true]; }
      uint32 u = 1; sint64 i = 2; fixed64 f = 3; bytes b = 4; Kind kind = 5;
      repeated Item items = 6; map<string, Item> by_name = 7;
      oneof pay { string card = 8; int32 cash = 9; }
      google.protobuf.Timestamp at = 10; google.protobuf.Int64Value w = 11; google.type.Date day = 12;
      confluent.type.Decimal total = 13 [(confluent.field_meta) = {
        params: [ { key: "precision", value: "5" }, { key: "scale", value: "2" } ] }];
      optional bool maybe = 14;
      map message = 15;
    }
    message map { bool yes = 1; }
    service Shop { rpc Buy(Order) returns (Order) { option x = 1; } }
    """
    item = pa.struct([("name", pa.string()), ("prices", pa.list_(pa.float64()))])
    registry = EmbeddedRegistry()
    columns = infer_columns(registry, SchemaText("PROTOBUF", text))
    assert columns == pa.schema(
        [
            ("pay_0", pa.struct([("card", pa.string()), ("cash", pa.int32())])),
            ("u", pa.int64()),
            ("i", pa.int64()),
            ("f", pa.int64()),
            ("b", pa.binary()),
            ("kind", pa.string()),
            ("items", pa.list_(item)),
            ("by_name", pa.map_(pa.string(), item)),
            ("at", pa.timestamp("ms")),
            ("w", pa.int64()),
            ("day", pa.date32()),
            ("total", pa.decimal128(5, 2)),
            ("maybe", pa.bool_()),
            ("message", pa.struct([("yes", pa.bool_())])),
        ]
    )
    id_ = registry.register("t-value", SchemaText("PROTOBUF", text))
    one = {"name": "n", "prices": [0.5]}
    row = ({"card": None, "cash": 3}, 1, -2, 7, b"x", "BIG", [one], {"k": one}, -1, 0, 19000, Decimal("1.50"), False, None)
    blobs = encode("PROTOBUF", registry, columns, [row], schema_id=id_)
    assert decode("PROTOBUF", registry, columns, blobs) == [row]
    second = infer_columns(registry, SchemaText("PROTOBUF", text), full_name="shop.v1.Order.Item")
    assert second == pa.schema(list(item))
    assert encode("PROTOBUF", registry, second, [("a", [])], schema_id=id_, full_name="shop.v1.Order.Item")[0][5:8] == (
        b"\x04\x00\x00"
    )


def test_references() -> None:
    """Schemas use others that are registered under subjects of their own."""
    registry = EmbeddedRegistry()
    registry.register("event.proto", SchemaText("PROTOBUF", 'syntax = "proto3"; message Event { int64 ts = 1; }'))
    proto = SchemaText(
        "PROTOBUF",
        'syntax = "proto3"; import "event.proto"; message L { Event event = 1; }',
        (SchemaReference("event.proto", "event.proto", 1),),
    )
    assert infer_columns(registry, proto) == pa.schema([("event", pa.struct([("ts", pa.int64())]))])
    registry.register("Event", SchemaText("AVRO", json.dumps({"type": "record", "name": "Event", "fields": []})))
    avro = {"type": "record", "name": "L", "fields": [{"name": "event", "type": "Event"}]}
    text = SchemaText("AVRO", json.dumps(avro), (SchemaReference("Event", "Event", 1),))
    assert infer_columns(registry, text) == pa.schema([("event", pa.struct([]))])


def test_json_schema_inference() -> None:
    """Hints of Connect, references, alternatives and maps have their types; what has none is left out."""
    tree = {
        "type": "object",
        "definitions": {"p": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "properties": {
            "i": {"type": "integer", "connect.index": 1},
            "s": {"type": ["null", "integer"], "connect.type": "int16", "connect.index": 0},
            "d": {"type": "number", "title": "org.apache.kafka.connect.data.Decimal", "connect.parameters": {"scale": "2"}},
            "t": {"type": "integer", "title": "org.apache.kafka.connect.data.Timestamp"},
            "p": {"$ref": "#/definitions/p"},
            "o": {"oneOf": [{"type": "string"}, {"type": "boolean"}]},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "e": {"enum": ["a", "b"]},
            "a": {"type": "array", "items": {"type": "boolean"}},
            "any": {},
        },
    }
    columns = infer_columns(EmbeddedRegistry(), SchemaText("JSON", json.dumps(tree)))
    union = [(f"io.confluent.connect.json.OneOf.field.{i}", t) for i, t in enumerate((pa.string(), pa.bool_()))]
    assert columns == pa.schema(
        [
            ("s", pa.int32()),
            ("i", pa.int64()),
            ("d", pa.decimal256(64, 2)),
            ("t", pa.timestamp("ms")),
            ("p", pa.struct([("x", pa.float64())])),
            ("o", pa.struct(union)),
            ("m", pa.map_(pa.string(), pa.string())),
            ("e", pa.string()),
            ("a", pa.list_(pa.bool_())),
        ]
    )


@pytest.mark.parametrize("name", ["AVRO", "JSON_SR"])
def test_unwrapped_values(name: str) -> None:
    """A single column can be the whole value; null is a null record then."""
    registry = EmbeddedRegistry()
    schema = pa.schema([("A", pa.list_(pa.int64()))])
    rows = [([1, None],), (None,)]
    blobs = encode(name, registry, schema, rows, wrap=False)
    assert blobs[1] is None
    assert decode(name, registry, schema, blobs, wrap=False) == rows


@pytest.mark.parametrize("name", ["AVRO", "JSON_SR", "PROTOBUF"])
def test_inference_gives_back_the_columns(name: str) -> None:
    """The schema that columns give describes the same columns."""
    schema = pa.schema(
        [
            ("A", pa.int32()),
            ("B", pa.decimal128(10, 3)),
            ("C", pa.timestamp("ms")),
            ("D", pa.list_(pa.struct([("X", pa.date32()), ("Y", pa.time32("ms"))]))),
            ("E", pa.map_(pa.string(), pa.float64())),
            ("F", pa.binary()),
            ("G", pa.bool_()),
            ("H", pa.int64()),
        ]
    )
    assert infer_columns(EmbeddedRegistry(), schema_of_columns(name, schema)) == schema


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional package the error says what to install."""
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(StatementError) as failure:
        make_serde("AVRO", SerdeOptions(topic="t"), EmbeddedRegistry())
    assert "penstock[avro]" in str(failure.value)


def test_decimals_in_a_protobuf_map_keep_their_digits() -> None:
    """A map's field states precision and scale for its values: the entry that protobuf makes of it has no parameters."""
    kind = pa.map_(pa.string(), pa.decimal128(9, 3))
    schema = pa.schema([("A", kind)])
    column = pa.array([[("k", Decimal("0.001"))], [("", Decimal("-12.500"))], []], kind)
    serde = make_serde("PROTOBUF", SerdeOptions(topic="t"), EmbeddedRegistry())
    decoded = serde.decode(serde.encode([column], schema, None).data, schema)
    assert decoded.malformed is None
    assert decoded.columns[0].to_pylist() == column.to_pylist()


@pytest.mark.parametrize("field", ["uint64 f = 1;", "fixed64 f = 1;", "google.protobuf.UInt64Value f = 1;"])
def test_unsigned_numbers_beyond_bigint_are_bad(field: str) -> None:
    """Neither read as negative ones nor written for them."""
    registry = EmbeddedRegistry()
    text = f'syntax = "proto3"; import "google/protobuf/wrappers.proto"; message M {{ {field} }}'
    id_ = registry.register("t-value", SchemaText("PROTOBUF", text))
    schema = pa.schema([("f", pa.int64())])
    (largest,) = encode("PROTOBUF", registry, schema, [(2**63 - 1,)], schema_id=id_)
    assert decode("PROTOBUF", registry, schema, [largest]) == [(2**63 - 1,)]
    payload = b"\x08" + b"\xff" * 9 + b"\x01"
    if "fixed" in field:
        payload = b"\x09" + b"\xff" * 8
    elif "Value" in field:
        payload = b"\x0a" + bytes([len(payload)]) + payload
    (found,) = decode("PROTOBUF", registry, schema, [largest[:6] + payload])
    assert "does not fit" in found
    encoded = make_serde("PROTOBUF", SerdeOptions(topic="t", schema_id=id_), registry).encode([pa.array([-1])], schema, None)
    assert encoded.malformed is not None
