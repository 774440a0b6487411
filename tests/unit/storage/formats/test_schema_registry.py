"""The embedded schema registry and its checks of compatibility."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.errors import DataError, StatementError
from penstock.storage.formats import EmbeddedRegistry, SchemaReference, SchemaText


def avro(*fields: dict[str, Any]) -> SchemaText:
    """A record of some fields."""
    return SchemaText("AVRO", json.dumps({"type": "record", "name": "R", "fields": list(fields)}))


A = {"name": "a", "type": "int"}
B = {"name": "b", "type": ["null", "string"], "default": None}
C = {"name": "c", "type": "long"}


def test_ids_and_versions() -> None:
    """Ids are global and versions count per subject; registering again changes nothing."""
    registry = EmbeddedRegistry()
    assert registry.register("s", avro(A)) == 1
    assert registry.register("s", avro(A, B)) == 2
    assert registry.register("t", avro(A)) == 1
    assert registry.register("s", SchemaText("AVRO", json.dumps(json.loads(avro(A).text), indent=2))) == 1
    assert registry.subjects() == ["s", "t"] and registry.versions("s") == [1, 2]
    latest = registry.latest("s")
    assert latest is not None and (latest.id, latest.version) == (2, 2)
    assert registry.version("s", 1).schema == avro(A) == registry.by_id(1)
    assert registry.latest("u") is None
    with pytest.raises(DataError):
        registry.by_id(9)
    assert registry.delete_subject("s") == [1, 2] and registry.subjects() == ["t"]
    assert registry.by_id(2) == avro(A, B)
    registry.register("s", avro(C))
    assert registry.versions("s") == [3]


def test_fixed_ids() -> None:
    """A schema can be given an id, which no other schema may have."""
    registry = EmbeddedRegistry()
    assert registry.register("s", avro(A), id=100) == 100
    assert registry.register("t", avro(A)) == 100
    assert registry.register("u", avro(C)) == 101
    with pytest.raises(StatementError):
        registry.register("v", avro(B), id=100)


def test_records_rebuild_the_registry() -> None:
    """Replaying the records that were written gives the same registry."""
    log: list[tuple[bytes, bytes | None]] = []
    registry = EmbeddedRegistry(append=lambda key, value: log.append((key, value)))
    registry.register("r", avro(A))
    reference = SchemaText("AVRO", avro(B).text, (SchemaReference("R", "r", 1),))
    registry.register("s", reference)
    registry.set_level("FULL", "s")
    registry.set_level("NONE")
    registry.register("gone", avro(C))
    registry.delete_subject("gone")
    again = EmbeddedRegistry(log)
    assert again.subjects() == registry.subjects() == ["r", "s"]
    assert again.by_id(2) == reference
    assert (again.level(), again.level("s"), again.level("r")) == ("NONE", "FULL", "NONE")
    assert again.register("x", avro(A, C)) == 4


def test_versions_are_removed_and_forgotten() -> None:
    """A removed version is remembered, with its number, until it is forgotten; its id stays readable."""
    log: list[tuple[bytes, bytes | None]] = []
    registry = EmbeddedRegistry(append=lambda key, value: log.append((key, value)))
    for schema in (avro(A), avro(A, B)):
        registry.register("s", schema)
    registry.delete_version("s", 2)
    registry.delete_version("s", 7)
    registry.forget_version("s", 1)  # it is not removed
    for found in (registry, EmbeddedRegistry(log)):
        assert (found.versions("s"), found.versions("s", deleted=True), found.subjects(deleted=True)) == ([1], [2], ["s"])
        assert found.version("s", 2, deleted=True).schema == found.by_id(2) == avro(A, B)
    assert registry.register("s", avro(A, B)) == 2 and registry.versions("s") == [1, 3]
    assert registry.delete_subject("s") == [1, 3] and registry.versions("s", deleted=True) == [1, 2, 3]
    for version in (1, 2, 3):
        registry.forget_version("s", version)
    for found in (registry, EmbeddedRegistry(log)):
        assert (found.subjects(deleted=True), found.subjects(), found.by_id(1)) == ([], [], avro(A))
    with pytest.raises(DataError):
        registry.version("s", 1, deleted=True)


@pytest.mark.parametrize(
    ("level", "old", "new", "allowed"),
    [
        ("BACKWARD", avro(A), avro(A, B), True),
        ("BACKWARD", avro(A), avro(A, C), False),
        ("BACKWARD", avro(A, C), avro(A), True),
        ("FORWARD", avro(A), avro(A, C), True),
        ("FORWARD", avro(A, C), avro(A), False),
        ("FULL", avro(A), avro(A, B), True),
        ("FULL", avro(A), avro(A, C), False),
        ("NONE", avro(A), avro(C), True),
        ("BACKWARD", avro(A), avro({**A, "type": "long"}), True),
        ("BACKWARD", avro(A), avro({**A, "type": "string"}), False),
        ("FORWARD", avro(A), avro({**A, "type": "long"}), False),
        ("BACKWARD", avro(A), avro({**A, "type": ["null", "int"]}), True),
        ("BACKWARD", avro({**A, "type": ["null", "int"]}), avro(A), False),
        ("BACKWARD", avro(A), SchemaText("JSON", "{}"), False),
    ],
)
def test_avro_compatibility(level: str, old: SchemaText, new: SchemaText, allowed: bool) -> None:
    """Each level allows the changes that its readers survive."""
    registry = EmbeddedRegistry()
    registry.set_level(level)
    registry.register("s", old)
    assert (registry.problems("s", new) == []) is allowed
    if not allowed:
        with pytest.raises(StatementError):
            registry.register("s", new)


def test_transitive_levels_look_at_all_versions() -> None:
    """BACKWARD asks the latest version only, BACKWARD_TRANSITIVE all of them."""
    for level, allowed in (("BACKWARD", True), ("BACKWARD_TRANSITIVE", False)):
        registry = EmbeddedRegistry()
        registry.register("s", avro(A))
        registry.register("s", avro({**B, "default": None}))
        registry.set_level(level)
        assert (registry.problems("s", avro({"name": "b", "type": ["null", "string"]})) == []) is allowed


def proto(body: str) -> SchemaText:
    """A message with that body."""
    return SchemaText("PROTOBUF", f'syntax = "proto3"; message M {{ {body} }}')


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        (proto("int32 a = 1;"), proto("int32 a = 1; string b = 2;"), True),
        (proto("int32 a = 1; string b = 2;"), proto("int32 a = 1;"), True),
        (proto("int32 a = 1;"), proto("int64 renamed = 1;"), True),
        (proto("int32 a = 1;"), proto("string a = 1;"), False),
        (proto("int32 a = 1;"), proto("N a = 1; message N {}"), False),
        (proto("int32 a = 1; message N {}"), proto("int32 a = 1;"), False),
        (proto("int32 a = 1;"), proto("oneof o { int32 a = 1; string b = 2; }"), False),
    ],
)
def test_protobuf_compatibility(old: SchemaText, new: SchemaText, allowed: bool) -> None:
    """Field numbers keep their encoding; messages stay."""
    registry = EmbeddedRegistry()
    registry.register("s", old)
    assert (registry.problems("s", new) == []) is allowed


def closed(**properties: Any) -> SchemaText:
    """An object with no other properties."""
    return SchemaText("JSON", json.dumps({"type": "object", "properties": properties, "additionalProperties": False}))


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        (closed(a={"type": "integer"}), closed(a={"type": "integer"}, b={"type": "string"}), True),
        (closed(a={"type": "integer"}), closed(a={"type": "number"}), True),
        (closed(a={"type": "number"}), closed(a={"type": "integer"}), False),
        (closed(a={"type": "integer"}), closed(), False),
        (
            SchemaText("JSON", '{"type":"object","properties":{}}'),
            SchemaText("JSON", '{"type":"object","properties":{"a":{"type":"string"}}}'),
            False,
        ),
        (closed(), SchemaText("JSON", '{"type":"object","required":["a"]}'), False),
        (closed(a={"enum": ["x"]}), closed(a={"enum": ["x", "y"]}), True),
        (closed(a={"enum": ["x", "y"]}), closed(a={"enum": ["x"]}), False),
    ],
)
def test_json_schema_compatibility(old: SchemaText, new: SchemaText, allowed: bool) -> None:
    """The new schema must allow whatever the old one did."""
    registry = EmbeddedRegistry()
    registry.register("s", old)
    assert (registry.problems("s", new) == []) is allowed


@pytest.mark.parametrize(
    "schema",
    [SchemaText("AVRO", "{"), SchemaText("AVRO", '"x"'), SchemaText("PROTOBUF", "message"), SchemaText("JSON", "1")],
)
def test_schemas_that_do_not_parse(schema: SchemaText) -> None:
    """A text that is no schema of its type is refused at every level."""
    registry = EmbeddedRegistry()
    registry.set_level("NONE")
    with pytest.raises(StatementError):
        registry.register("s", schema)


def test_levels_are_checked() -> None:
    """There are seven levels."""
    with pytest.raises(StatementError):
        EmbeddedRegistry().set_level("SIDEWAYS")


def test_a_level_can_be_taken_back() -> None:
    """A subject without a level of its own has the default one, and the default goes back to BACKWARD."""
    registry = EmbeddedRegistry()
    registry.set_level("FULL", "s")
    registry.set_level("none")
    assert (registry.own_level("s"), registry.level("s")) == ("FULL", "FULL")
    registry.set_level(None, "s")
    assert (registry.own_level("s"), registry.level("s")) == (None, "NONE")
    registry.set_level(None)
    assert registry.level("s") == "BACKWARD"
