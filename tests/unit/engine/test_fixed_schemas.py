"""What a source with the id of a schema writes: fields that a row lacks are there, as the schema says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import penstock
from penstock.engine.database import Database
from penstock.storage.formats import SchemaText


@pytest.fixture
def db() -> Iterator[Database]:
    with penstock.connect(None, threads=0) as database:
        yield database


def nullable(tree: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"oneOf": [{"type": "null"}, tree], **more}


INT = {"type": "integer", "connect.type": "int32"}
TEXT = {"type": "string"}


def values(db: Database, topic: str) -> list[Any]:
    return [None if r.value is None else json.loads(r.value[5:]) for r in db.consume(topic)]


def test_json_sr_writes_the_fields_that_a_row_lacks(db: Database) -> None:
    """Optional ones as null or their default, behind the columns; tombstones stay, and so does a bare value."""
    schema = {
        "type": "object",
        "properties": {
            "A": nullable(INT),
            "B": nullable(TEXT),
            "N": nullable({"type": "object", "properties": {"X": nullable(INT)}}),
            "D": nullable(INT, default=7),
        },
    }
    db.schema_registry.register("any", SchemaText("JSON", json.dumps(schema)), id=11)
    db.execute(
        "CREATE STREAM s (k INT KEY, a INT, b STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
        "CREATE STREAM o WITH (KAFKA_TOPIC='o', VALUE_FORMAT='JSON_SR', VALUE_SCHEMA_ID=11) AS SELECT k, a FROM s;"
        "CREATE STREAM p WITH (KAFKA_TOPIC='p', VALUE_FORMAT='JSON_SR', VALUE_SCHEMA_ID=11) AS SELECT k, a, b FROM s;"
        "CREATE STREAM q WITH (KAFKA_TOPIC='q', VALUE_FORMAT='JSON_SR') AS SELECT k, a FROM s;"
    )
    db.insert("s", [{"k": 1, "a": 5, "b": "x"}, {"k": 2, "a": None, "b": None}])
    db.drain()
    rest = {"N": None, "D": 7}
    assert values(db, "o") == [{"A": 5, "B": None, **rest}, {"A": None, "B": None, **rest}]
    assert values(db, "p") == [{"A": 5, "B": "x", **rest}, {"A": None, "B": None, **rest}]
    assert values(db, "q") == [{"A": 5}, {"A": None}]


def test_a_table_keeps_its_tombstones(db: Database) -> None:
    schema = {"type": "object", "properties": {"A": nullable(INT), "B": nullable(TEXT)}}
    db.schema_registry.register("any", SchemaText("JSON", json.dumps(schema)), id=12)
    db.execute(
        "CREATE TABLE t (k INT PRIMARY KEY, a INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON');"
        "CREATE TABLE o WITH (KAFKA_TOPIC='o', VALUE_FORMAT='JSON_SR', VALUE_SCHEMA_ID=12) AS SELECT k, a FROM t;"
    )
    db.insert("t", {"k": 1, "a": 5})
    db.drain()
    db.execute("DELETE FROM t WHERE k = 1;")
    db.drain()
    assert values(db, "o") == [{"A": 5, "B": None}, None]
    assert db.sql("SELECT * FROM o;").fetchall() == []


@pytest.mark.parametrize("format_", ["AVRO", "JSON_SR"])
def test_a_struct_that_is_inserted_gets_the_schemas_defaults(db: Database, format_: str) -> None:
    """Fields that it lacks: the default of the fixed schema, at every depth, else NULL; what is given stays, NULL too."""
    if format_ == "AVRO":
        inner = {"type": "record", "name": "Inner", "fields": [{"name": "Z", "type": "long", "default": 9}]}
        fields = [
            {"name": "X", "type": "int", "default": 4},
            {"name": "Y", "type": ["string", "null"], "default": "y"},
            {"name": "W", "type": ["null", "string"], "default": None},
            {"name": "F", "type": "double", "default": 1},
            {"name": "I", "type": inner, "default": {"Z": 3}},
        ]
        record = {"type": "record", "name": "S", "fields": fields}
        tree: Any = {"type": "record", "name": "R", "fields": [{"name": "N", "type": ["null", record], "default": None}]}
        text = SchemaText("AVRO", json.dumps(tree))
    else:
        members = {
            "X": nullable(INT, default=4),
            "Y": nullable(TEXT, default="y"),
            "W": nullable(TEXT),
            "F": nullable({"type": "number"}, default=1),
            "I": nullable({"type": "object", "properties": {"Z": nullable(INT, default=9)}}, default={"Z": 3}),
        }
        text = SchemaText(
            "JSON",
            json.dumps({"type": "object", "properties": {"N": nullable({"type": "object", "properties": members})}}),
        )
    db.schema_registry.register("any", text, id=21)
    db.execute(f"CREATE STREAM s WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='{format_}', VALUE_SCHEMA_ID=21);")
    db.execute("INSERT INTO s (n) VALUES (STRUCT(x := 1));")
    db.execute("INSERT INTO s (n) VALUES (STRUCT(w := 'w', i := STRUCT(unknown := 5)));")
    db.execute("INSERT INTO s (n) VALUES (STRUCT(y := CAST(NULL AS STRING), f := 2.5e0, i := STRUCT(z := 1)));")
    found = [n for (n,) in db.sql("SELECT n FROM s;").fetchall()]
    assert found == [
        {"X": 1, "Y": "y", "W": None, "F": 1.0, "I": {"Z": 3}},
        {"X": 4, "Y": "y", "W": "w", "F": 1.0, "I": {"Z": 9}},
        {"X": 4, "Y": None, "W": None, "F": 2.5, "I": {"Z": 1}},
    ]


SIZES = (
    "CREATE STREAM a (id INT KEY, v INT) WITH (KAFKA_TOPIC='a', PARTITIONS=1, VALUE_FORMAT='JSON');"
    "CREATE STREAM b (id INT KEY, v INT) WITH (KAFKA_TOPIC='b', PARTITIONS=1, VALUE_FORMAT='JSON');"
    "CREATE TABLE la WITH (KAFKA_TOPIC='l', KEY_FORMAT='{0}', VALUE_FORMAT='JSON') AS"
    " SELECT id, LATEST_BY_OFFSET(v) AS v FROM a WINDOW TUMBLING (SIZE 4 SECONDS) GROUP BY id;"
    "CREATE TABLE rb WITH (KAFKA_TOPIC='r', KEY_FORMAT='{0}', VALUE_FORMAT='JSON') AS"
    " SELECT id, LATEST_BY_OFFSET(v) AS v FROM b WINDOW TUMBLING (SIZE 2 SECONDS) GROUP BY id;"
    "CREATE STREAM l (id INT KEY, v INT) WITH (KAFKA_TOPIC='l', KEY_FORMAT='{0}', VALUE_FORMAT='JSON',"
    " WINDOW_TYPE='TUMBLING', WINDOW_SIZE='4 SECONDS');"
    "CREATE STREAM r (id INT KEY, v INT) WITH (KAFKA_TOPIC='r', KEY_FORMAT='{0}', VALUE_FORMAT='JSON',"
    " WINDOW_TYPE='TUMBLING', WINDOW_SIZE='2 SECONDS');"
)
JOINED = (
    "SELECT l.id AS id, l.v AS a, r.v AS b, l.WINDOWEND AS le, r.WINDOWEND AS re"
    " FROM l {0} JOIN r WITHIN 1 MINUTE ON l.id = r.id"
)


@pytest.mark.parametrize("format_", ["JSON_SR", "AVRO", "PROTOBUF"])
@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("kind", ["", "LEFT", "RIGHT"])
def test_windows_of_different_sizes_join_on_their_starts(db: Database, format_: str, cut: bool, kind: str) -> None:
    """A key has the start of its window only; the result's window is the left one's."""
    db.execute(SIZES.format(format_))
    db.execute(f"CREATE STREAM o WITH (KAFKA_TOPIC='o') AS {JOINED.format(kind)};")
    rows = [("a", 1, 10, 100), ("b", 1, 20, 200), ("b", 1, 21, 2100), ("b", 1, 22, 4100), ("a", 1, 11, 5000)]
    for source, key, value, time in [*rows, ("b", 2, 23, 5001)]:
        db.insert(source, [{"id": key, "v": value, "rowtime": time}])
        if cut:
            db.drain()
    db.drain()
    found = [tuple(row) for row in db.sql("SELECT id, WINDOWSTART, WINDOWEND, a, b, le, re FROM o;").fetchall()]
    pairs = [row for row in found if row[3] is not None and row[4] is not None]
    assert pairs == [(1, 0, 4000, 10, 20, 4000, 2000), (1, 4000, 8000, 11, 22, 8000, 6000)]


@pytest.mark.parametrize("format_", ["JSON", "KAFKA", "DELIMITED"])
def test_windows_of_different_sizes_are_not_joined_without_a_schema_id(db: Database, format_: str) -> None:
    db.execute(SIZES.format(format_))
    with pytest.raises(penstock.StatementError, match=r"sizes are not joined: L \(TUMBLING 4000 ms\) and R"):
        db.execute(f"CREATE STREAM o AS {JOINED.format('')};")
    with pytest.raises(penstock.StatementError, match="windows of different sizes"):
        db.subscribe(f"{JOINED.format('')} EMIT CHANGES;")
