"""Statements and the schema registry: inference, registration, fixed schemas, durability."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.errors import StatementError
from penstock.storage.formats import SchemaText
from penstock.storage.formats.schema_serde import header


@pytest.fixture
def database() -> Iterator[Any]:
    """A database in memory that processes on demand."""
    with penstock.connect(None, threads=0) as opened:
        yield opened


def record(*fields: tuple[str, Any]) -> SchemaText:
    """An Avro record."""
    tree = {"type": "record", "name": "R", "fields": [{"name": name, "type": type_} for name, type_ in fields]}
    return SchemaText("AVRO", json.dumps(tree))


def test_columns_come_from_the_registry(database: Any) -> None:
    """Names are put in upper case, those of fields too; a single key is ROWKEY."""
    nested = {"type": "record", "name": "N", "fields": [{"name": "x", "type": "long"}]}
    database.schema_registry.register("t-value", record(("a", "int"), ("n", nested)))
    database.schema_registry.register("t-key", SchemaText("AVRO", '"string"'))
    database.execute("CREATE STREAM s WITH (KAFKA_TOPIC='t', FORMAT='AVRO', PARTITIONS=1);")
    assert str(database.catalog.sources["S"].schema) == ("`ROWKEY` STRING KEY, `A` INTEGER, `N` STRUCT<`X` BIGINT>")


def test_maps_have_text_keys(database: Any) -> None:
    """Keys of other types are inferred as STRING, and read as text."""
    proto = 'syntax = "proto3"; message M { map<int32, string> a = 1; N n = 2; message N { map<bool, int32> b = 1; } }'
    database.schema_registry.register("p-value", SchemaText("PROTOBUF", proto), id=1)
    members = [{"name": "key", "type": "long"}, {"name": "value", "type": "string"}]
    entry = {"type": "record", "name": "MapEntry", "namespace": "io.confluent.connect.avro", "fields": members}
    database.schema_registry.register("q-value", record(("m", {"type": "array", "items": entry})), id=2)
    for topic, format_ in (("p", "PROTOBUF"), ("q", "AVRO")):
        database.execute(f"CREATE STREAM {topic} WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='{format_}', PARTITIONS=1);")
    assert str(database.catalog.sources["P"].schema) == "`A` MAP<STRING, STRING>, `N` STRUCT<`B` MAP<STRING, INTEGER>>"
    assert str(database.catalog.sources["Q"].schema) == "`M` MAP<STRING, STRING>"
    database.produce("p", value=header(1) + b"\0\x0a\x05\x08\x05\x12\x01x\x12\x06\x0a\x04\x08\x01\x10\x02")
    database.produce("q", value=header(2) + b"\x02\x0d\x02x\0")
    assert database.sql("SELECT a['5'] AS a, n->b['true'] AS b FROM p").fetchall() == [("x", 2)]
    assert database.sql("SELECT m['-7'] AS m FROM q").fetchall() == [("x",)]


def test_a_schema_id_keeps_names(database: Any) -> None:
    """With an id names are as in the schema, and columns may not be listed."""
    database.schema_registry.register("any", record(("a", "int")), id=7)
    database.execute("CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=7, PARTITIONS=1);")
    assert str(database.catalog.sources["S"].schema) == "`a` INTEGER"
    with pytest.raises(StatementError):
        database.execute("CREATE STREAM r (b INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=7);")


def test_nothing_to_infer_from(database: Any) -> None:
    """Without columns and without a schema the statement is refused."""
    with pytest.raises(StatementError, match="t-value"):
        database.execute("CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', PARTITIONS=1);")


def test_columns_are_not_taken_from_another_format(database: Any) -> None:
    """A schema under the topic's subject, or under an id, must be of the format that the side has."""
    database.schema_registry.register("t-value", record(("A", "int")), id=7)
    database.schema_registry.register("t-key", SchemaText("AVRO", '"string"'), id=8)
    database.execute("CREATE STREAM u (a INT) WITH (KAFKA_TOPIC='u', VALUE_FORMAT='JSON', PARTITIONS=1);")
    source = "CREATE STREAM s (k INT KEY) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT="
    for format_ in ("PROTOBUF", "JSON_SR"):
        for statement in (
            f"{source}'{format_}');",
            f"{source}'{format_}', VALUE_SCHEMA_ID=7);",
            f"CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, KEY_FORMAT='{format_}', VALUE_FORMAT='JSON');",
            f"CREATE STREAM s WITH (VALUE_FORMAT='{format_}', VALUE_SCHEMA_ID=7) AS SELECT * FROM u;",
        ):
            with pytest.raises(StatementError, match=f"schema is one of the AVRO format, not of {format_}"):
                database.execute(statement)
    with pytest.raises(StatementError, match="VALUE_SCHEMA_ID must be a whole number"):
        database.execute("CREATE STREAM s WITH (VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID='one') AS SELECT * FROM u;")


def test_statements_register_schemas(database: Any) -> None:
    """Sources over new topics and sinks of queries register what their columns give."""
    database.execute("CREATE STREAM s (k INT KEY, a INT) WITH (KAFKA_TOPIC='t', FORMAT='AVRO', PARTITIONS=1);")
    database.execute("CREATE STREAM my_sink AS SELECT * FROM s;")
    registry = database.schema_registry
    assert registry.subjects() == ["MY_SINK-key", "MY_SINK-value", "t-key", "t-value"]
    assert json.loads(registry.latest("MY_SINK-value").schema.text)["fields"][0]["name"] == "A"
    database.execute("DROP STREAM my_sink DELETE TOPIC;")
    assert registry.subjects() == ["t-key", "t-value"]


def test_columns_that_no_schema_can_have(database: Any) -> None:
    """Statements refuse them, of PROTOBUF_NOSR too, which registers nothing: their records could not be read or written."""
    columns = "`a b` INT, l ARRAY<ARRAY<INT>>"
    database.execute(f"CREATE STREAM s ({columns}) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=1);")
    for format_ in ("PROTOBUF", "PROTOBUF_NOSR"):
        for column in ("`a b`", "l"):
            with pytest.raises(StatementError, match="does not support"):
                database.execute(f"CREATE STREAM o WITH (VALUE_FORMAT='{format_}') AS SELECT {column}, 1 AS x FROM s;")
        with pytest.raises(StatementError, match="does not support"):
            database.execute(f"CREATE STREAM o (l ARRAY<ARRAY<INT>>) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='{format_}');")


def test_fixed_schemas_of_sinks(database: Any) -> None:
    """A sink's fixed schema begins with its columns; what follows must be optional."""
    registry = database.schema_registry
    registry.register("more", record(("A", "int"), ("B", ["null", "int"])), id=11)
    registry.register("needs", record(("A", "int"), ("C", "int")), id=12)
    registry.register("other", record(("A", "string")), id=13)
    database.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=1);")
    template = "CREATE STREAM o{0} WITH (VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID={0}) AS SELECT * FROM s;"
    database.execute(template.format(11))
    for wrong in (12, 13, 99):
        with pytest.raises(StatementError):
            database.execute(template.format(wrong))


def test_schemas_are_durable(tmp_path: Path) -> None:
    """Schemas, ids and inferred columns are there again after opening, even if the schema has moved on."""
    with penstock.connect(tmp_path / "d", threads=0) as database:
        database.schema_registry.register("t-value", record(("a", "int")), id=5)
        database.execute("CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=5, PARTITIONS=1);")
        database.schema_registry.set_level("NONE")
        database.schema_registry.register("t-value", record(("z", "string")))
    with penstock.connect(tmp_path / "d", threads=0) as database:
        assert str(database.catalog.sources["S"].schema) == "`a` INTEGER"
        latest = database.schema_registry.latest("t-value")
        assert (latest.version, latest.id, database.schema_registry.level()) == (2, 6, "NONE")


SOURCE = "CREATE STREAM s (k INT KEY, a INT, b STRING) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=1);"


def test_an_incompatible_replacement_is_refused(database: Any) -> None:
    """CREATE OR REPLACE follows the level of the subject: the reasons are given, the old query stays."""
    database.execute(SOURCE + "CREATE STREAM o WITH (VALUE_FORMAT='JSON_SR') AS SELECT k, a FROM s;")
    before = database.catalog.sources["O"]
    replacement = "CREATE OR REPLACE STREAM o WITH (VALUE_FORMAT='JSON_SR') AS SELECT k, a, b FROM s;"
    with pytest.raises(StatementError, match="O-value") as refused:
        database.execute(replacement)
    assert "B" in refused.value.message and "BACKWARD" in str(refused.value)
    assert database.catalog.sources["O"] is before and database.queries[before.query_id].state == "RUNNING"
    assert database.schema_registry.own_level("O-value") is None
    database.execute("SET 'penstock.schema.compatibility' = 'NONE';" + replacement)
    assert database.schema_registry.versions("O-value") == [1, 2]
    assert database.schema_registry.own_level("O-value") == "NONE"


def test_the_level_is_a_setting(database: Any) -> None:
    """Subjects get the level that is set when a statement registers schemas under them; a refused one keeps its own."""
    registry = database.schema_registry
    database.execute(SOURCE)
    database.execute("SET 'penstock.schema.compatibility' = 'full_transitive';")
    database.execute("CREATE STREAM o WITH (VALUE_FORMAT='AVRO') AS SELECT k, a FROM s;")
    assert registry.own_level("O-value") == "FULL_TRANSITIVE" and registry.level() == "BACKWARD"
    registry.register("P-value", record(("A", "string")))
    registry.set_level("BACKWARD", "P-value")
    with pytest.raises(StatementError, match="P-value"):
        database.execute("CREATE STREAM p WITH (VALUE_FORMAT='AVRO') AS SELECT k, a FROM s;")
    assert registry.own_level("P-value") == "BACKWARD" and "P" not in database.topic_names()
    with pytest.raises(StatementError, match="full_transitive"):
        database.execute("SET 'penstock.schema.compatibility' = 'sideways';")


def test_appended_columns_are_compatible(database: Any) -> None:
    """AVRO and PROTOBUF sinks may get further columns: their fields are optional."""
    database.execute(SOURCE)
    for format_ in ("AVRO", "PROTOBUF"):
        create = f"STREAM o_{format_} WITH (VALUE_FORMAT='{format_}') AS SELECT"
        database.execute(f"CREATE {create} k, a FROM s; CREATE OR REPLACE {create} k, a, b FROM s;")
        assert database.schema_registry.versions(f"O_{format_}-value") == [1, 2]


def test_unknown_schema_ids_are_bad_records(database: Any) -> None:
    """A record with the id of no schema goes to the processing log, and the query goes on; so does a broken one."""
    database.execute("SET 'auto.offset.reset' = 'earliest';")
    database.execute(
        "CREATE STREAM s (k INT KEY, a INT) WITH (KAFKA_TOPIC='t', KEY_FORMAT='KAFKA', VALUE_FORMAT='AVRO', PARTITIONS=1);"
        "CREATE TABLE sums AS SELECT k, SUM(a) AS total FROM s GROUP BY k;"
    )
    database.insert("s", [{"k": 1, "a": 2}])
    for value in (b"\0\0\0\1\0" + b"\2\4", b"\0\0\0\0\1", b"\7", b"", b"\0\0\0\0\1\2\4trailing"):
        database.produce("t", key=b"\0\0\0\1", value=value)
    database.insert("s", [{"k": 1, "a": 3}])
    database.drain()
    (query,) = database.queries.values()
    assert query.state == "RUNNING"
    logged = database.sql("SELECT * FROM KSQL_PROCESSING_LOG").fetchall()
    assert "schema id 256 is not in the registry" in str(logged)
    assert len(logged) == 4
    assert database.sql("SELECT total FROM sums").fetchall() == [(7,)]


def test_pull_queries_see_what_protobuf_keeps(database: Any) -> None:
    """A table written as protobuf has no NULL in a primitive column, for pull queries as for readers of the topic."""
    database.execute("SET 'auto.offset.reset' = 'earliest';")
    database.execute("CREATE TABLE t (k INT PRIMARY KEY, a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=1);")
    body = "AS SELECT k, a, a + 1 AS b FROM t;"
    database.execute(f"CREATE TABLE bare WITH (VALUE_FORMAT='PROTOBUF') {body}")
    database.execute(
        f"CREATE TABLE marked WITH (VALUE_FORMAT='PROTOBUF', VALUE_PROTOBUF_NULLABLE_REPRESENTATION='OPTIONAL') {body}"
    )
    database.insert("t", [{"k": 1, "a": None}, {"k": 2, "a": 5}])
    database.drain()
    assert sorted(database.sql("SELECT * FROM bare").fetchall()) == [(1, 0, 0), (2, 5, 6)]
    assert sorted(database.sql("SELECT * FROM marked").fetchall()) == [(1, None, None), (2, 5, 6)]
