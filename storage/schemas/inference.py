"""Columns from registered schemas, and schemas from columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ...errors import StatementError
from .checks import refusing_what_is_malformed
from .protocol import WIRE_NAMES, SchemaRegistry, SchemaText, resolve

BARE_KEY = "ROWKEY"
BARE_VALUE = "ROWVAL"
"""The names of single columns without a record around them: ROWKEY and ROWVAL."""


def infer_columns(
    registry: SchemaRegistry,
    schema: SchemaText,
    *,
    is_key: bool = False,
    wrapped: bool = True,
    full_name: str | None = None,
) -> pa.Schema:
    """The columns that a schema describes, with names as in the schema (the engine turns them into upper case).

    Args:
        wrapped: the columns are the fields of the schema's record; else the whole schema is one column, ROWKEY or ROWVAL.
        full_name: the name of the message, if a protobuf schema has several.

    Raises:
        StatementError: the schema is malformed, recursive, or describes no columns.
    """
    with refusing_what_is_malformed(schema.type):
        natural = natural_type(registry, schema, full_name)
    if natural is None:
        raise StatementError("SQL has no type for the registered schema")
    if not wrapped:
        return pa.schema([(BARE_KEY if is_key else BARE_VALUE, natural)])
    if not pa.types.is_struct(natural):
        raise StatementError(
            "the registered schema is a bare value, not a record",
            suggestion=None if is_key else "WITH (WRAP_SINGLE_VALUE = false) reads it as one column.",
        )
    if natural.num_fields == 0:
        raise StatementError("the registered schema has no fields that SQL has a type for")
    return pa.schema(list(natural))


def required_fields(schema: SchemaText) -> frozenset[str]:
    """The fields of a schema's record that a writer must give: not nullable and without default (protobuf has none of them).

    Raises:
        StatementError: the schema is malformed.
    """
    with refusing_what_is_malformed(schema.type):
        return _required_fields(schema)


def _required_fields(schema: SchemaText) -> frozenset[str]:
    if schema.type == "AVRO":
        from .avro import parse_avro

        tree = parse_avro(schema.text)
        fields = tree.get("fields", ()) if isinstance(tree, dict) else ()
        return frozenset(
            f["name"] for f in fields if "default" not in f and not (isinstance(f["type"], list) and "null" in f["type"])
        )
    if schema.type == "JSON":
        from .json import parse_json_schema

        tree = parse_json_schema(schema.text)
        return frozenset(tree.get("required", ())) if isinstance(tree, dict) else frozenset()
    return frozenset()


def natural_type(registry: SchemaRegistry, schema: SchemaText, full_name: str | None = None) -> Any:
    """The Arrow type of a whole schema when no column asks for another one.

    Raises:
        StatementError: the schema is malformed or recursive.
    """
    referenced = resolve(registry, schema)
    match schema.type:
        case "AVRO":
            from .avro import AvroReader, NamedTypes, parse_avro

            names = NamedTypes()
            for reference in referenced.values():
                names.add(parse_avro(reference.text))
            tree = parse_avro(schema.text)
            names.add(tree)
            return AvroReader(names).natural(tree)[0]
        case "JSON":
            from .json import JsonSchemaReader, parse_json_schema

            root = parse_json_schema(schema.text)
            others = {name: parse_json_schema(reference.text) for name, reference in referenced.items()}
            return JsonSchemaReader(root, others).natural(root)
        case "PROTOBUF":
            from .protobuf import ProtobufReader, load_messages

            messages = load_messages(schema, referenced)
            return ProtobufReader(messages.parameters).natural(messages.by_name(full_name))
        case other:
            raise StatementError(f"the registry has a schema of type {other}, which is not supported")


def schema_of_columns(
    format_name: str,
    schema: pa.Schema,
    *,
    wrapped: bool = True,
    full_name: str | None = None,
    nullable_representation: str = "NONE",
) -> SchemaText:
    """The schema that a sink with these columns registers.

    Raises:
        StatementError: the format has no schemas, or cannot express a name or a type.
    """
    import json

    match WIRE_NAMES.get(format_name.upper()):
        case "AVRO":
            from .avro import avro_schema

            return SchemaText("AVRO", json.dumps(avro_schema(schema, wrapped, full_name), separators=(",", ":")))
        case "JSON":
            from .json import json_schema

            return SchemaText("JSON", json.dumps(json_schema(schema, wrapped), separators=(",", ":")))
        case "PROTOBUF":
            from .protobuf import nullable_named, proto_schema

            return SchemaText("PROTOBUF", proto_schema(schema, full_name, nullable_named(nullable_representation)))
        case _:
            raise StatementError(f"the {format_name.upper()} format has no schemas")
