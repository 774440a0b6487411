"""Rows of pull queries as protobuf messages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import message_factory

import penstock
from penstock.engine.results import Table
from penstock.errors import StatementError
from penstock.storage.formats import SchemaText
from penstock.storage.schemas.protobuf import load_messages


def read(schema: str, messages: tuple[bytes, ...]) -> list[Any]:
    """The messages, read with nothing but their schema."""
    made = message_factory.GetMessageClass(load_messages(SchemaText("PROTOBUF", schema), {}).by_name(None))
    return [made.FromString(blob) for blob in messages]


def test_rows_of_a_table() -> None:
    """Columns are fields in order; a map is a repeated entry; NULL is not written."""
    with penstock.connect(None, threads=0, auto_offset_reset="earliest") as database:
        database.execute(
            "CREATE TABLE t (id BIGINT PRIMARY KEY, m MAP<STRING, ARRAY<INT>>, s STRUCT<x DOUBLE, y STRING>,"
            " d DECIMAL(4, 2), b BYTES, stamp TIMESTAMP) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=1);"
            "CREATE TABLE u AS SELECT * FROM t;"
        )
        row = {"m": {"a": [1, 2], "b": []}, "s": {"x": 0.5, "y": "é"}, "d": Decimal("1.50"), "b": b"\0", "stamp": 1_500}
        database.insert("t", [{"id": 7, **row}, {"id": 8}])
        database.drain()
        rows = database.sql("SELECT * FROM u WHERE id = 7;").protobuf()
        (message,) = read(rows.schema, rows.messages)
        assert message.DESCRIPTOR.name == "ConnectDefault1"
        assert [f.name for f in message.DESCRIPTOR.fields] == ["ID", "M", "S", "D", "B", "STAMP"]
        assert {entry.key: list(entry.value) for entry in message.M} == {"a": [1, 2], "b": []}
        assert (message.ID, message.S.X, message.S.Y) == (7, 0.5, "é")
        assert int.from_bytes(message.D.value, "big") == 150 and message.B == b"\0"
        assert (message.STAMP.seconds, message.STAMP.nanos) == (1, 500_000_000)
        rows = database.sql("SELECT * FROM u WHERE id = 8;").protobuf()
        (message,) = read(rows.schema, rows.messages)
        assert [field.name for field, _ in message.ListFields()] == ["ID"]


def test_no_rows_still_have_a_schema() -> None:
    """An empty result has the schema and no messages."""
    rows = Table(pa.table({"A": pa.array([], pa.int32())})).protobuf()
    assert rows.schema == 'syntax = "proto3";\n\nmessage ConnectDefault1 {\n  int32 A = 1;\n}\n' and rows.messages == ()


def test_results_of_duckdb() -> None:
    """What DuckDB answered can be had too, if its names and types are SQL's."""
    with penstock.connect(None, threads=0) as database:
        rows = database.duckdb("SELECT 1 AS one, 'x' AS x, sum(2.5::DOUBLE) AS total").protobuf()
        (message,) = read(rows.schema, rows.messages)
        assert (message.one, message.x, message.total) == (1, "x", 2.5)
        with pytest.raises(StatementError, match="name"):
            database.duckdb("SELECT 1 + 1").protobuf()


@pytest.mark.parametrize("type_", [pa.uint64(), pa.null(), pa.list_(pa.list_(pa.int32()))])
def test_types_without_a_counterpart(type_: Any) -> None:
    """A type that protobuf or SQL has not is refused, with the column's name."""
    with pytest.raises(StatementError):
        Table(pa.table({"A": pa.array([], type_)})).protobuf()
