"""The kit's JSON nodes <-> the bytes of records, per format (see the kit's adapter for what a node is)."""

from __future__ import annotations

import base64
import datetime
import json
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from adapter import Record, Topic, dump_json, load_json  # the kit's module

from penstock.engine import types as t
from penstock.engine.catalog import DataSource, FormatInfo
from penstock.engine.schema import Column
from penstock.tests.conformance import schema_nodes

REGISTRY_FORMATS = ("AVRO", "PROTOBUF", "PROTOBUF_NOSR", "JSON_SR")
_DEFAULT = FormatInfo("JSON")
_LONG = 16
"""Characters: a mantissa longer than this has all the digits that a double can have."""


def encode_record(database: Any, source: DataSource | None, topic: Topic | None, record: Record) -> tuple[Any, Any]:
    """Key and value bytes of an input record, in the formats of the source on its topic."""
    keys = () if source is None else source.schema.keys
    values = () if source is None else tuple(c for c in source.schema if c.role == "VALUE")
    key_format = _DEFAULT if source is None else source.key_format
    value_format = _DEFAULT if source is None else source.value_format
    key = _encode(database, key_format, keys, record.key, record.topic, topic, True)
    value = _encode(database, value_format, values, record.value, record.topic, topic, False)
    if key is not None and record.window is not None:
        bounds = (record.window.start,) if record.window.type == "TIME" else (record.window.end, record.window.start)
        key += b"".join(struct.pack(">q", bound) for bound in bounds)
    return key, value


def _encode(
    database: Any, info: FormatInfo, columns: Sequence[Column], node: Any, name: str, topic: Topic | None, is_key: bool
) -> bytes | None:
    if info.name in REGISTRY_FORMATS:
        return schema_nodes.encode(database, info, columns, node, name, topic, is_key)
    if node is None or info.name == "NONE":
        return None
    if info.name == "JSON":
        return dump_json(node).encode()
    if info.name == "DELIMITED":
        return str(node).encode()
    return _encode_kafka(node, columns[0].type if columns else t.STRING)


def _encode_kafka(node: Any, type_: t.SqlType) -> bytes:
    if isinstance(node, str):
        return node.encode()
    if type_ == t.INTEGER:
        return struct.pack(">i", int(node))
    if type_ == t.BIGINT:
        return struct.pack(">q", int(node))
    if type_ == t.DOUBLE:
        return struct.pack(">d", float(node))
    return dump_json(node).encode()


def decode_record(database: Any, source: DataSource | None, topic: str, raw: Any) -> tuple[Any, Any, tuple[Any, ...] | None]:
    """Key node, value node, and (start, end, type) of a windowed key."""
    key, window = raw.key, None
    if source is None:
        return _text(key), _text(raw.value), None
    if key is not None and source.window is not None:
        if source.window.type == "SESSION":
            end, start = struct.unpack(">qq", key[-16:])
            key, window = key[:-16], (start, end, "SESSION")
        else:
            (start,) = struct.unpack(">q", key[-8:])
            key, window = key[:-8], (start, start + (source.window.size_ms or 0), "TIME")
    values = tuple(c for c in source.schema if c.role == "VALUE")
    return (
        _decode(database, source.key_format, source.schema.keys, key, topic, True),
        _decode(database, source.value_format, values, raw.value, topic, False),
        window,
    )


def _text(data: Any) -> Any:
    if not isinstance(data, bytes):
        return data
    try:
        return load_json(data)
    except ValueError:
        return data.decode(errors="replace")


def _decode(database: Any, info: FormatInfo, columns: Sequence[Column], data: Any, topic: str, is_key: bool) -> Any:
    if data is None or info.name == "NONE":
        return None
    if info.name in REGISTRY_FORMATS:
        return schema_nodes.decode(database, info, columns, data, topic, is_key)
    if info.name == "JSON":
        return json.loads(data, parse_float=_fraction)
    if info.name == "DELIMITED":
        return data.decode()
    if info.name == "KAFKA":
        type_ = columns[0].type if columns else t.STRING
        if type_ == t.INTEGER:
            return struct.unpack(">i", data)[0]
        if type_ == t.BIGINT:
            return struct.unpack(">q", data)[0]
        if type_ == t.DOUBLE:
            return struct.unpack(">d", data)[0]
        return data if type_ == t.BYTES else data.decode()
    return data


def _fraction(text: str) -> float | Decimal:
    """A number with a point, to be compared digit by digit.

    Only DOUBLEs are written with an exponent, and old Javas give some of the longest of these a digit more than it takes to
    tell them apart: as floats they are compared by value.
    """
    mantissa, _, exponent = text.partition("E")
    return float(text) if exponent and len(mantissa) > _LONG else Decimal(text)


def result_node(value: Any, type_: t.SqlType) -> Any:
    """One value of a query's result as a server sends it (reference section 14)."""
    if value is None:
        return None
    match type_:
        case t.Array(item):
            return [result_node(v, item) for v in value]
        case t.Map(_, item):
            pairs = value.items() if isinstance(value, dict) else value
            return {_map_key(k): result_node(v, item) for k, v in pairs}
        case t.Struct(fields):
            return {name: result_node(value[name], field) for name, field in fields}
        case t.Decimal():
            return value if isinstance(value, Decimal) else Decimal(str(value))
        case t.BYTES:
            return base64.b64encode(value).decode()
        case t.DATE:
            return value.isoformat()
        case t.TIME:
            return value.isoformat(timespec="milliseconds" if value.microsecond else "auto")
        case t.TIMESTAMP:
            assert isinstance(value, datetime.datetime)
            return value.isoformat(timespec="milliseconds")
    return value


def _map_key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
