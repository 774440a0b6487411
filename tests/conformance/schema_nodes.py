"""Nodes of the formats that go by schemas (AVRO, PROTOBUF, PROTOBUF_NOSR, JSON_SR) <-> the bytes of records.

Writing is lenient where the kit is (names in any case, numbers for texts), so that the cases' inputs become what their
authors meant; reading back keeps what the bytes say: decimals with their scale, doubles as floats, BYTES as bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pyarrow as pa

from penstock.engine.catalog import FormatInfo
from penstock.engine.schema import Column
from penstock.engine.serdes import serde_maker
from penstock.engine.types import to_arrow
from penstock.storage.formats import SchemaRegistry, make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.formats.json_reader import json_text, parse_json
from penstock.storage.formats.protobuf import read_indexes
from penstock.storage.formats.schema_serde import header, split_header, subject_of
from penstock.storage.formats.values import from_rows, to_rows
from penstock.storage.schemas.inference import natural_type
from penstock.storage.schemas.protobuf import ProtobufReader, load_messages
from penstock.storage.schemas.registry import WIRE_NAMES, SchemaText, resolve

_WIDE = Context(prec=200)


def encode(
    database: Any, info: FormatInfo, columns: Sequence[Column], node: Any, name: str, topic: Any, is_key: bool
) -> bytes | None:
    """A node as bytes, by the topic's registered schema or, without one, by the columns.

    Args:
        topic: the kit's `Topic`, if the case declared it (its schemas are in the registry already).
    """
    return encode_node(database.schema_registry, info, _schema(columns), name, is_key, node)


def decode(database: Any, info: FormatInfo, columns: Sequence[Column], data: bytes, topic: str, is_key: bool) -> Any:
    """Bytes as a node, by the schema they were written with."""
    return decode_node(database.schema_registry, info, _schema(columns), topic, is_key, data)


def _schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([(column.name, to_arrow(column.type)) for column in columns])


def encode_node(
    registry: SchemaRegistry | None, info: FormatInfo, schema: pa.Schema, topic: str, is_key: bool, node: Any
) -> bytes | None:
    """A node as bytes.

    Args:
        schema: the columns of this side; they decide where no schema is registered.
    """
    if node is None:
        return None
    if info.name == "PROTOBUF_NOSR":
        return _encoded(serde_maker(registry)(info, is_key, topic, len(schema)), schema, node, wrapped=True)
    assert registry is not None
    schema_id, text = _writer_schema(registry, info, schema, topic, is_key)
    if info.name == "JSON_SR":
        return header(schema_id) + json_text(node).encode()
    full_name = info.properties.get("fullSchemaName") if info.name == "PROTOBUF" else None
    natural = natural_type(registry, text, full_name)
    wrapped = pa.types.is_struct(natural)
    options = SerdeOptions(is_key=is_key, wrap=wrapped, topic=topic, schema_id=schema_id, full_name=full_name)
    written = pa.schema(list(natural)) if wrapped else pa.schema([("V", natural)])
    return _encoded(make_serde(info.name, options, registry), written, node, wrapped)


def _writer_schema(
    registry: SchemaRegistry, info: FormatInfo, schema: pa.Schema, topic: str, is_key: bool
) -> tuple[int, SchemaText]:
    """The schema that inputs are written with: the one asked for, the subject's newest, or what the columns give."""
    if "schemaId" in info.properties:
        schema_id = int(info.properties["schemaId"])
        return schema_id, registry.by_id(schema_id)
    latest = registry.latest(subject_of(topic, is_key))
    if latest is not None and latest.schema.type == WIRE_NAMES[info.name]:
        return latest.id, latest.schema
    serde: Any = serde_maker(registry)(info, is_key, topic, len(schema))
    schema_id = serde.register(schema)
    return schema_id, registry.by_id(schema_id)


def _encoded(serde: Any, schema: pa.Schema, node: Any, wrapped: bool) -> bytes | None:
    row = list(_to_struct(node, schema).values()) if wrapped else [to_value(node, schema.field(0).type)]
    columns = [from_rows([value], field.type) for value, field in zip(row, schema)]
    encoded = serde.encode(columns, schema, None)
    if encoded.malformed is not None:
        raise ValueError(encoded.malformed.reasons[0])
    blob: bytes | None = encoded.data[0].as_py()
    return blob


def decode_node(
    registry: SchemaRegistry | None, info: FormatInfo, schema: pa.Schema, topic: str, is_key: bool, data: bytes
) -> Any:
    """Bytes as a node.

    Args:
        schema: the columns of this side, which PROTOBUF_NOSR needs.
    """
    if info.name == "JSON_SR":
        return parse_json(bytes(split_header(data)[1]))
    if info.name == "PROTOBUF_NOSR":
        return _decoded(serde_maker(registry)(info, is_key, topic, len(schema)), schema, data, wrapped=True)
    assert registry is not None
    schema_id, rest = split_header(data)
    text = registry.by_id(schema_id)
    if info.name == "PROTOBUF":
        messages = load_messages(text, resolve(registry, text))
        natural = ProtobufReader(messages.parameters).natural(messages.by_indexes(read_indexes(rest)[0]))
    else:
        natural = natural_type(registry, text)
    wrapped = pa.types.is_struct(natural)
    serde = make_serde(info.name, SerdeOptions(is_key=is_key, wrap=wrapped), registry)
    return _decoded(serde, pa.schema(list(natural)) if wrapped else pa.schema([("V", natural)]), data, wrapped)


def _decoded(serde: Any, schema: pa.Schema, data: bytes, wrapped: bool) -> Any:
    decoded = serde.decode(pa.array([data], pa.binary()), schema)
    if decoded.malformed is not None:
        raise ValueError(decoded.malformed.reasons[0])
    if decoded.nulls is not None and decoded.nulls[0]:
        return None
    values = [to_rows(column)[0] for column in decoded.columns]
    return dict(zip(schema.names, values)) if wrapped else values[0]


def to_value(node: Any, type_: Any) -> Any:
    """The value of rows that a node stands for in an Arrow type; what does not fit is left to the format to refuse."""
    if node is None:
        return None
    if pa.types.is_struct(type_):
        return _to_struct(node, type_)
    if pa.types.is_map(type_):
        return {to_value(k, type_.key_type): to_value(v, type_.item_type) for k, v in dict(node).items()}
    if pa.types.is_list(type_):
        return [to_value(v, type_.value_type) for v in node]
    if pa.types.is_decimal(type_):
        return Decimal(node).quantize(Decimal(1).scaleb(-type_.scale), ROUND_HALF_UP, _WIDE)
    if pa.types.is_boolean(type_):
        return node if isinstance(node, bool) else str(node).lower() == "true"
    if pa.types.is_floating(type_):
        return float(node)
    if pa.types.is_string(type_):
        return node if isinstance(node, str) else json_text(node)
    if pa.types.is_binary(type_):
        return base64.b64decode(node)
    return int(node)


def _to_struct(node: Any, fields: Any) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        # A union of several types: the branch that the node's kind asks for.
        return {field.name: to_value(node, field.type) if _is_kind(node, field.type) else None for field in fields}
    upper = {name.upper(): value for name, value in node.items()}
    return {f.name: to_value(node.get(f.name, upper.get(f.name.upper())), f.type) for f in fields}


def _is_kind(node: Any, type_: Any) -> bool:
    kinds: tuple[tuple[type, Any], ...] = (
        (bool, pa.types.is_boolean),
        (int, pa.types.is_integer),
        (Decimal, pa.types.is_floating),
        (str, pa.types.is_string),
        (list, pa.types.is_list),
    )
    return any(isinstance(node, python) and check(type_) for python, check in kinds)
