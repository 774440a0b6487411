"""confluent-kafka's client of a schema registry, and its serialisers, as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

import penstock

schema_registry = pytest.importorskip(
    "confluent_kafka.schema_registry", reason="confluent-kafka[avro,schemaregistry] is missing"
)
serialization = pytest.importorskip("confluent_kafka.serialization")

ORDER = {"type": "record", "name": "Order", "fields": [{"name": "ID", "type": "long"}, {"name": "ITEM", "type": "string"}]}
WIDER = {**ORDER, "fields": [*ORDER["fields"], {"name": "NOTE", "type": ["null", "string"], "default": None}]}
BROKEN = {**ORDER, "fields": [*ORDER["fields"], {"name": "NOTE", "type": "string"}]}


@pytest.fixture
def client(server: penstock.Server) -> Any:
    return schema_registry.SchemaRegistryClient({"url": server.url})


def test_schemas_are_registered_found_and_deleted(client: Any) -> None:
    """Ids are global, versions of a subject."""
    text = json.dumps(ORDER)
    number = client.register_schema("shop-value", schema_registry.Schema(text, "AVRO"))
    assert client.register_schema("shop-value", schema_registry.Schema(text, "AVRO")) == number
    assert json.loads(client.get_schema(number).schema_str) == ORDER
    found = client.lookup_schema("shop-value", schema_registry.Schema(text, "AVRO"))
    assert (found.schema_id, found.version, found.subject) == (number, 1, "shop-value")
    client.register_schema("shop-value", schema_registry.Schema(json.dumps(WIDER), "AVRO"))
    assert client.get_versions("shop-value") == [1, 2]
    assert client.get_latest_version("shop-value").version == 2
    assert client.get_version("shop-value", 1).schema_id == number
    assert "shop-value" in client.get_subjects()
    assert client.delete_subject("shop-value") == [1, 2]
    with pytest.raises(schema_registry.SchemaRegistryError) as missing:
        client.get_versions("shop-value")
    assert (missing.value.http_status_code, missing.value.error_code) == (404, 40401)


def test_versions_and_subjects_are_deleted_for_good(client: Any) -> None:
    """First marked as deleted, then permanently, as the client does it; what others refer to stays."""
    for schema in (ORDER, WIDER):
        client.register_schema("s-value", schema_registry.Schema(json.dumps(schema), "AVRO"))
    reference = schema_registry.SchemaReference("Order", "s-value", 1)
    user = {"type": "record", "name": "User", "fields": [{"name": "LAST", "type": "Order"}]}
    client.register_schema("user-value", schema_registry.Schema(json.dumps(user), "AVRO", [reference]))
    with pytest.raises(schema_registry.SchemaRegistryError) as used:
        client.delete_version("s-value", 1)
    assert (used.value.http_status_code, used.value.error_code) == (422, 42206)
    assert client.get_referenced_by("s-value", 1) == [3]
    assert client.delete_subject("user-value") == client.delete_subject("user-value", permanent=True) == [1]
    assert client.delete_version("s-value", 1) == 1
    assert client.get_versions("s-value") == [2]
    assert client.get_versions("s-value", deleted=True) == [1, 2]
    assert client.get_version("s-value", 1, deleted=True).schema.schema_str == json.dumps(ORDER)
    with pytest.raises(schema_registry.SchemaRegistryError) as twice:
        client.delete_version("s-value", 1)
    assert twice.value.error_code == 40406
    with pytest.raises(schema_registry.SchemaRegistryError) as alive:
        client.delete_version("s-value", 2, permanent=True)
    assert alive.value.error_code == 40407
    assert client.delete_version("s-value", 2) == client.delete_version("s-value", 2, permanent=True) == 2
    assert client.get_subjects() == []
    assert client.get_subjects(deleted=True) == ["s-value"]
    with pytest.raises(schema_registry.SchemaRegistryError) as gone:
        client.delete_subject("s-value")
    assert gone.value.error_code == 40404


def test_compatibility_is_checked(client: Any) -> None:
    """Asked, and when registering: 409; the level is the subject's."""
    client.register_schema("s-value", schema_registry.Schema(json.dumps(ORDER), "AVRO"))
    assert client.test_compatibility("s-value", schema_registry.Schema(json.dumps(WIDER), "AVRO"))
    assert not client.test_compatibility("s-value", schema_registry.Schema(json.dumps(BROKEN), "AVRO"))
    with pytest.raises(schema_registry.SchemaRegistryError) as refused:
        client.register_schema("s-value", schema_registry.Schema(json.dumps(BROKEN), "AVRO"))
    assert refused.value.http_status_code == 409
    client.set_compatibility(subject_name="s-value", level="NONE")
    assert client.get_compatibility(subject_name="s-value") == "NONE"
    client.register_schema("s-value", schema_registry.Schema(json.dumps(BROKEN), "AVRO"))
    with pytest.raises(schema_registry.SchemaRegistryError) as bad:
        client.register_schema("s-value", schema_registry.Schema("{", "AVRO"))
    assert bad.value.http_status_code == 422


def test_what_the_serialiser_writes_a_stream_reads(client: Any, database: penstock.Database) -> None:
    """AvroSerializer with our registry, its bytes produced to a topic, read as a stream whose columns it registered."""
    avro = pytest.importorskip("confluent_kafka.schema_registry.avro")
    serialise = avro.AvroSerializer(client, json.dumps(ORDER))
    context = serialization.SerializationContext("avro-orders", serialization.MessageField.VALUE)
    database.create_topic("avro-orders")
    for number in range(3):
        data = serialise({"ID": number, "ITEM": f"item {number}"}, context)
        database.produce("avro-orders", value=data)
    database.execute("CREATE STREAM read WITH (kafka_topic='avro-orders', value_format='avro');")
    rows = database.sql("SELECT id, item FROM read").fetchall()
    assert rows == [(n, f"item {n}") for n in range(3)]
    read = avro.AvroDeserializer(client)
    assert read(data, context) == {"ID": 2, "ITEM": "item 2"}


def test_schemas_of_statements_are_there(client: Any, database: penstock.Database) -> None:
    """What CREATE STREAM .. AS registers, the client finds."""
    database.execute("CREATE STREAM out WITH (value_format='avro', kafka_topic='out') AS SELECT * FROM orders;")
    found = client.get_latest_version("out-value")
    assert {f["name"] for f in json.loads(found.schema.schema_str)["fields"]} == {"ITEM", "EUROS"}
