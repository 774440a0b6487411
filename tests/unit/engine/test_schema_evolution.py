"""Records of every version of a schema are read by one query, through `connect`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import fastavro
import pytest

import penstock
from penstock.errors import StatementError
from penstock.storage.formats import SchemaReference, SchemaText
from penstock.storage.formats.schema_serde import header

Fields = list[dict[str, Any]]


@pytest.fixture
def database() -> Iterator[Any]:
    """A database in memory that processes on demand and reads from the beginning."""
    with penstock.connect(None, threads=0, auto_offset_reset="earliest") as opened:
        yield opened


def avro(fields: Fields) -> dict[str, Any]:
    """A record of some fields."""
    return {"type": "record", "name": "R", "fields": fields}


def produce_avro(database: Any, tree: Any, row: Any) -> None:
    """Register a schema and write a record with it, by fastavro alone."""
    schema_id = database.schema_registry.register("t-value", SchemaText("AVRO", json.dumps(tree)))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(json.loads(json.dumps(tree))), row)
    database.produce("t", value=header(schema_id) + buffer.getvalue())


def read_all(database: Any, columns: str) -> list[tuple[Any, ...]]:
    """What a persistent query makes of the topic's records; none may be malformed."""
    database.drain()
    rows = database.sql(f"SELECT {columns} FROM o").fetchall()
    assert database.sql("SELECT * FROM KSQL_PROCESSING_LOG").fetchall() == []
    return rows


V1: Fields = [
    {"name": "gone", "type": "string"},
    {"name": "n", "type": "int"},
    {"name": "f", "type": "float"},
    {"name": "s", "type": "bytes"},
    {"name": "b", "type": "string"},
    {"name": "e", "type": {"type": "enum", "name": "Suit", "symbols": ["A", "B"]}},
    {"name": "r", "type": {"type": "record", "name": "In", "fields": [{"name": "y", "type": "int"}]}},
]
V2: Fields = [
    {"name": "e", "type": {"type": "enum", "name": "Suit", "symbols": ["A", "B", "C"]}},
    {"name": "s", "type": "string"},
    {"name": "b", "type": "bytes"},
    {"name": "n", "type": ["null", "long"], "default": None},
    {"name": "f", "type": "double"},
    {"name": "r", "type": {"type": "record", "name": "In", "fields": [{"name": "y", "type": "long"}]}},
    {"name": "added", "type": "string", "default": "d"},
]
V3: Fields = [
    {"name": "added", "type": "string", "default": "d"},
    {"name": "raw", "type": "bytes", "default": "\u00ff"},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "default": "\u0096"},
    {"name": "n", "type": ["null", "double"], "default": None},
    *(field for field in V2 if field["name"] in ("s", "b", "f", "e")),
    {
        "name": "r",
        "type": {
            "type": "record",
            "name": "In",
            "fields": [{"name": "y", "type": "long"}, {"name": "x", "type": ["null", "int"], "default": None}],
        },
    },
]
ROWS = (
    (V1, {"gone": "g", "n": 1, "f": 0.5, "s": b"one", "b": "1", "e": "A", "r": {"y": 1}}),
    (V2, {"n": 2**40, "f": 1.5, "s": "two", "b": b"2", "e": "C", "r": {"y": 2**40}, "added": "a"}),
    (
        V3,
        {
            "n": 2.5,
            "f": 3.5,
            "s": "three",
            "b": b"3",
            "e": "B",
            "r": {"y": 3, "x": 7},
            "added": "b",
            "raw": b"x",
            "price": b"\1",
        },
    ),
)


def test_avro_versions_side_by_side(database: Any) -> None:
    """Fields added, removed, reordered, promoted: columns come from the newest version, missing ones are NULL."""
    for fields, _ in ROWS[:2]:
        database.schema_registry.register("t-value", SchemaText("AVRO", json.dumps(avro(fields))))
    database.create_topic("t")
    database.execute("CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO');")
    assert database.catalog.sources["S"].schema.names[:4] == ("E", "S", "B", "N")
    database.execute("CREATE STREAM o WITH (VALUE_FORMAT='JSON') AS SELECT * FROM s;")
    for fields, row in ROWS:
        if fields is not V3:
            produce_avro(database, avro(fields), row)
    found = read_all(database, "n, f, s, b, e, r->y AS y, added")
    assert found == [(1, 0.5, "one", b"1", "A", 1, None), (2**40, 1.5, "two", b"2", "C", 2**40, "a")]


def test_a_fixed_avro_schema_has_its_defaults(database: Any) -> None:
    """A source with a schema id reads old records as Avro resolves them to that schema, newer ones as well."""
    registry = database.schema_registry
    pinned = registry.register("pinned", SchemaText("AVRO", json.dumps(avro(V3))))
    database.create_topic("t")
    database.execute(f"CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID={pinned});")
    database.execute("CREATE STREAM o WITH (VALUE_FORMAT='JSON') AS SELECT * FROM s;")
    for fields, row in ROWS:
        produce_avro(database, avro(fields), row)
    found = read_all(database, "`n`, `f`, `s`, `b`, `e`, `r`->`y` AS y, `r`->`x` AS x, `added`, `raw`, `price`")
    assert found == [
        (1.0, 0.5, "one", b"1", "A", 1, None, "d", b"\xff", Decimal("-1.06")),
        (float(2**40), 1.5, "two", b"2", "C", 2**40, None, "a", b"\xff", Decimal("-1.06")),
        (2.5, 3.5, "three", b"3", "B", 3, 7, "b", b"x", Decimal("0.01")),
    ]


def test_records_that_do_not_resolve(database: Any) -> None:
    """A record that lacks a field without default is read as far as it goes; a type that cannot be read is malformed."""
    registry = database.schema_registry
    registry.set_level("NONE")
    pinned = registry.register("pinned", SchemaText("AVRO", json.dumps(avro([V1[1], V1[0]]))))
    database.create_topic("t")
    database.execute(f"CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID={pinned});")
    database.execute("CREATE STREAM o WITH (VALUE_FORMAT='JSON') AS SELECT * FROM s;")
    produce_avro(database, avro([V1[1]]), {"n": 4})
    assert read_all(database, "`n`, `gone`") == [(4, None)]
    produce_avro(database, avro([{"name": "n", "type": {"type": "array", "items": "int"}}]), {"n": [1]})
    database.drain()
    assert len(database.sql("SELECT * FROM KSQL_PROCESSING_LOG").fetchall()) == 1
    assert len(database.sql("SELECT * FROM o").fetchall()) == 1


def proto(body: str) -> SchemaText:
    """A message M with that body."""
    return SchemaText("PROTOBUF", f'syntax = "proto3"; message M {{ {body} }}')


def test_protobuf_versions_side_by_side(database: Any) -> None:
    """Fields are found by the names of the schema they were written with; one that it lacks is NULL."""
    registry = database.schema_registry
    old = registry.register("t-value", proto("int32 n = 1; float f = 2; string s = 3; K e = 4; enum K { A = 0; B = 1; }"))
    new = registry.register(
        "t-value",
        proto("string added = 5; int64 n = 1; double g = 6; string s = 3; K e = 4; enum K { A = 0; B = 1; C = 2; }"),
    )
    database.create_topic("t")
    database.execute(
        "CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='PROTOBUF');"
        "CREATE STREAM o WITH (VALUE_FORMAT='JSON') AS SELECT * FROM s;"
    )
    database.produce("t", value=header(old) + b"\0" + b"\x08\x05\x1a\x01x\x20\x01")
    database.produce("t", value=header(new) + b"\0" + b"\x08\x80\x80\x80\x80\x80\x20\x20\x02\x2a\x01y")
    assert read_all(database, "added, n, g, s, e") == [(None, 5, None, "x", "B"), ("y", 2**40, 0.0, "", "C")]


def test_json_schema_versions_side_by_side(database: Any) -> None:
    """Documents are read by the columns; old ones lack the new fields."""
    registry = database.schema_registry

    def version(**properties: Any) -> int:
        tree = {"type": "object", "additionalProperties": False, "properties": properties}
        return int(registry.register("t-value", SchemaText("JSON", json.dumps(tree))))

    old = version(n={"type": "integer", "connect.type": "int32"}, gone={"type": "string"})
    registry.set_level("NONE")
    new = version(added={"type": "string"}, n={"type": "number"})
    database.create_topic("t")
    database.execute(
        "CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR');"
        "CREATE STREAM o WITH (VALUE_FORMAT='AVRO') AS SELECT * FROM s;"
    )
    database.produce("t", value=header(old) + b'{"gone":"g","n":1}')
    database.produce("t", value=header(new) + b'{"n":2.5,"added":"a"}')
    assert read_all(database, "added, n") == [(None, 1.0), ("a", 2.5)]


def test_nested_messages_and_imports(database: Any) -> None:
    """A record says which message of its file it is: several, nested ones, and the single byte for the first."""
    registry = database.schema_registry
    registry.register("inner.proto", SchemaText("PROTOBUF", 'syntax = "proto3"; package p; message In { int32 x = 1; }'))
    text = (
        'syntax = "proto3"; import "inner.proto"; message First { int32 a = 1; }'
        " message Outer { message Nested { p.In in = 1; string s = 2; } message Other { int32 z = 1; } }"
    )
    reference = SchemaReference("inner.proto", "inner.proto", 1)
    schema_id = registry.register("t-value", SchemaText("PROTOBUF", text, (reference,)))
    database.create_topic("t")
    database.execute(
        "CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='PROTOBUF', VALUE_SCHEMA_FULL_NAME='Outer.Nested',"
        f" VALUE_SCHEMA_ID={schema_id});"
        "CREATE STREAM o WITH (VALUE_FORMAT='JSON') AS SELECT * FROM s;"
    )
    database.produce("t", value=header(schema_id) + b"\x04\x02\x00" + b"\x0a\x02\x08\x07\x12\x01x")
    assert read_all(database, "`in`->`x` AS x, `s`") == [(7, "x")]
    database.insert("s", [{"in": {"x": 9}, "s": "y"}])
    *_, written = database.consume("t")
    assert written.value == header(schema_id) + b"\x04\x02\x00" + b"\x0a\x02\x08\x09\x12\x01y"


def test_a_sink_may_only_evolve_compatibly(database: Any) -> None:
    """After a newer version was registered by others, a replacement that this one could not read is refused."""
    database.execute(
        "CREATE STREAM s (a INT, b STRING) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=1);"
        "CREATE STREAM o WITH (VALUE_FORMAT='AVRO') AS SELECT a FROM s;"
    )
    tree = json.loads(database.schema_registry.latest("O-value").schema.text)
    tree["fields"].append({"name": "B", "type": ["null", "int"], "default": None})
    database.schema_registry.register("O-value", SchemaText("AVRO", json.dumps(tree)))
    with pytest.raises(StatementError, match=r"B: int"):
        database.execute("CREATE OR REPLACE STREAM o WITH (VALUE_FORMAT='AVRO') AS SELECT a, b FROM s;")
    database.execute("CREATE OR REPLACE STREAM o WITH (VALUE_FORMAT='AVRO') AS SELECT a, a + 1 AS b FROM s;")
