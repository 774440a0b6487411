"""Databases whose schemas are kept by a registry server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.errors import StatementError, StorageError
from penstock.storage.formats import SchemaReference, SchemaText
from penstock.storage.formats.schema_serde import header

PIPELINE = """
CREATE STREAM s (k INT KEY, a INT) WITH (KAFKA_TOPIC='t', KEY_FORMAT='KAFKA', VALUE_FORMAT='AVRO', PARTITIONS=1);
CREATE TABLE sums AS SELECT k, SUM(a) AS total FROM s GROUP BY k;
"""


def opened(server: Any, path: Path | None = None) -> Any:
    """A database that uses the server, reads from the beginning and processes on demand."""
    return penstock.connect(path, threads=0, ksql_schema_registry_url=server.url, auto_offset_reset="earliest")


def test_statements_use_the_server(registry_server: Any, tmp_path: Path) -> None:
    """Schemas are registered there and read back from there, also after opening the database again."""
    with opened(registry_server, tmp_path / "d") as database:
        database.execute(PIPELINE)
        database.insert("s", [{"k": 1, "a": 2}, {"k": 1, "a": 3}])
        database.drain()
        assert database.sql("SELECT k, total FROM sums").fetchall() == [(1, 5)]
    assert registry_server.registry.subjects() == ["SUMS-value", "t-value"]
    with opened(registry_server, tmp_path / "d") as database:
        database.insert("s", [{"k": 1, "a": 4}])
        database.drain()
        assert database.sql("SELECT total FROM sums").fetchall() == [(9,)]


def test_columns_come_from_the_server(registry_server: Any) -> None:
    """Columns are inferred through references, too."""
    inner = {"type": "record", "name": "N", "fields": [{"name": "x", "type": "long"}]}
    registry_server.registry.register("n", SchemaText("AVRO", json.dumps(inner)))
    outer = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "N"}]}
    registry_server.registry.register("t-value", SchemaText("AVRO", json.dumps(outer), (SchemaReference("N", "n", 1),)))
    with opened(registry_server) as database:
        database.execute("CREATE STREAM s WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', PARTITIONS=1);")
        assert str(database.catalog.sources["S"].schema) == "`N` STRUCT<`X` BIGINT>"
        database.insert("s", [{"N": {"X": 7}}])
        assert database.sql("SELECT n->x AS x FROM s").fetchall() == [(7,)]


def test_the_server_decides_compatibility(registry_server: Any) -> None:
    """What the server refuses is refused with its reasons, and nothing is left behind."""
    old = {"type": "record", "name": "R", "fields": [{"name": "A", "type": "string"}]}
    registry_server.registry.register("O-value", SchemaText("AVRO", json.dumps(old)))
    with opened(registry_server) as database:
        database.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', PARTITIONS=1);")
        with pytest.raises(StatementError, match="string is not one of the types") as refused:
            database.execute("CREATE STREAM o AS SELECT * FROM s;")
        assert "BACKWARD" in str(refused.value)
        assert "O" not in database.catalog.sources and "O" not in database.topic_names()
        assert not database.queries


def test_a_server_that_is_away(registry_server: Any) -> None:
    """Statements fail as a whole; a query stops without losing a record and goes on when it is resumed."""
    with opened(registry_server) as database:
        database.execute(PIPELINE)
        known = registry_server.registry.latest("t-value")
        text = registry_server.registry.by_id(known.id)
        later = registry_server.registry.register("elsewhere", text, id=50)
        (written,) = [raw.value for raw in _written(database)]
        registry_server.failures = [503] * 1000
        database.produce("t", key=b"\0\0\0\1", value=header(later) + written[5:])
        with pytest.raises(StorageError, match="503"):
            database.drain()
        (query,) = database.queries.values()
        assert query.state == "ERROR"
        with pytest.raises(StorageError, match="503"):
            database.execute("CREATE STREAM o WITH (KAFKA_TOPIC='new') AS SELECT * FROM s;")
        assert "O" not in database.catalog.sources and "new" not in database.topic_names()
        registry_server.failures = []
        query.resume()
        database.drain()
        assert query.state == "RUNNING"
        assert database.sql("SELECT k, total FROM sums").fetchall() == [(1, 4)]


def _written(database: Any) -> list[Any]:
    database.insert("s", [{"k": 1, "a": 2}])
    return list(database.consume("t"))


def test_a_database_stays_with_its_registry(registry_server: Any, tmp_path: Path) -> None:
    """Ids of records mean something in one registry, so another one is refused."""
    with opened(registry_server, tmp_path / "remote") as database:
        database.execute(PIPELINE)
    with pytest.raises(StatementError, match="server"):
        penstock.connect(tmp_path / "remote")
    with penstock.connect(tmp_path / "own", threads=0) as database:
        database.execute(PIPELINE.replace("'t'", "'u'").replace("a INT", "b INT").replace("SUM(a)", "SUM(b)"))
        own = database.schema_registry.schemas()
    with pytest.raises(StatementError, match="schema id 1"):
        opened(registry_server, tmp_path / "own")
    registry_server.registry = type(registry_server.registry)()
    for schema_id, schema in own.items():
        registry_server.registry.register(f"imported-{schema_id}", schema, id=schema_id)
    with opened(registry_server, tmp_path / "own") as database:
        database.insert("s", [{"k": 1, "b": 2}])


def test_the_url_belongs_to_connect(registry_server: Any) -> None:
    """It cannot be SET, its password is not shown, and it is not kept with queries."""
    registry_server.credentials = "ann:secret"
    with penstock.connect(
        None, threads=0, ksql_schema_registry_url=registry_server.url.replace("//", "//ann:secret@")
    ) as database:
        with pytest.raises(StatementError, match="connect"):
            database.execute("SET 'ksql.schema.registry.url' = 'http://other:8081';")
        database.execute(PIPELINE)
        (listing,) = database.execute("SHOW PROPERTIES;")
        assert "secret" not in str(listing) and "ann:***@127.0.0.1" in str(listing)
        assert "url" not in str(database.catalog.queries)
    for wrong in ("nonsense", "http://"):
        with pytest.raises(StatementError, match="URL"):
            penstock.connect(None, ksql_schema_registry_url=wrong)
