"""Nodes of formats with schemas become records and come back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from penstock.engine.catalog import FormatInfo
from penstock.storage.formats import EmbeddedRegistry, SchemaText
from penstock.tests.conformance.schema_nodes import decode_node, encode_node

COLUMNS = pa.schema([("I", pa.int32()), ("D", pa.decimal128(6, 4)), ("B", pa.binary()), ("T", pa.timestamp("ms"))])


def there_and_back(name: str, node: Any, registry: EmbeddedRegistry | None = None) -> Any:
    """What a node reads back as."""
    registry = registry or EmbeddedRegistry()
    blob = encode_node(registry, FormatInfo(name), COLUMNS, "t", False, node)
    return None if blob is None else decode_node(registry, FormatInfo(name), COLUMNS, "t", False, blob)


@pytest.mark.parametrize("name", ["AVRO", "PROTOBUF", "PROTOBUF_NOSR"])
def test_binary_formats(name: str) -> None:
    """Names match in any case, decimals take the scale of the column, missing fields are null."""
    found = there_and_back(name, {"i": 1, "D": Decimal("10.0"), "b": "ew==", "zz": 1})
    assert found == {"I": 1, "D": Decimal("10.0000"), "B": b"{", "T": None}
    assert str(found["D"]) == "10.0000"
    assert there_and_back(name, None) is None


def test_json_sr() -> None:
    """The node is the document, digits kept."""
    node = {"I": 1, "D": Decimal("1.10"), "X": [None, True, "é"]}
    found = there_and_back("JSON_SR", node)
    assert found == node and str(found["D"]) == "1.10"


def test_registered_schema_decides() -> None:
    """A registered schema is the writer's, whatever the columns are; bare ones too."""
    registry = EmbeddedRegistry()
    record = {"type": "record", "name": "R", "fields": [{"name": "c1", "type": "int"}]}
    registry.register("t-value", SchemaText("AVRO", json.dumps(record)), id=9)
    assert there_and_back("AVRO", {"C1": 5, "I": 1}, registry) == {"c1": 5}
    bare = EmbeddedRegistry()
    bare.register("t-value", SchemaText("AVRO", '{"type": "array", "items": ["null", "string"]}'))
    assert there_and_back("AVRO", [1, None], bare) == ["1", None]
