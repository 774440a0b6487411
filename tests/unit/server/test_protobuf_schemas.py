"""Protobuf schemas in the registry: as text, and as a descriptor in base64."""

from __future__ import annotations

import base64
from typing import Any

import pytest

descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")

TEXT = (
    'syntax = "proto3"; package shop; message Made { int32 A = 1; repeated Part parts = 2; message Part { string B = 1; } }'
)


def test_both_forms_are_one_schema(api: Any) -> None:
    """What was registered as text is given as a descriptor; that is registered in turn, and reads the same columns."""
    number = api.http.post("/subjects/t-value/versions", json={"schemaType": "PROTOBUF", "schema": TEXT}).json()["id"]
    assert api.http.get(f"/schemas/ids/{number}").json()["schema"] == TEXT
    given = api.http.get(f"/schemas/ids/{number}", params={"format": "serialized"}).json()
    assert given["schemaType"] == "PROTOBUF"
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(given["schema"]))
    assert [(f.name, f.number) for f in file.message_type[0].field] == [("A", 1), ("parts", 2)]
    assert file.message_type[0].field[1].type_name == ".shop.Made.Part"
    version = api.http.get("/subjects/t-value/versions/1", params={"format": "serialized"}).json()
    assert version["schema"] == given["schema"]
    answer = api.http.post("/subjects/u-value/versions", json={"schemaType": "PROTOBUF", "schema": given["schema"]})
    assert answer.status_code == 200
    for topic in ("t", "u"):
        api.database.create_topic(topic)
        api.database.execute(f"CREATE STREAM {topic} WITH (KAFKA_TOPIC = '{topic}', VALUE_FORMAT = 'PROTOBUF');")
    t, u = (api.database.catalog.source(name).schema for name in ("T", "U"))
    assert str(t) == str(u) and "PARTS" in str(t).upper()


def test_other_base64_is_no_schema(api: Any) -> None:
    """Bytes that are no descriptor."""
    for text in ("AAAA", base64.b64encode(b"hello").decode()):
        answer = api.http.post("/subjects/t-value/versions", json={"schemaType": "PROTOBUF", "schema": text})
        assert answer.status_code == 422, text
