"""Columns from the schema registry for statements that name none, and the schemas that statements register (section 10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from ...errors import DataError, Span, StatementError
from ...grammar import ast
from ...storage.formats import RegisteredSchema, SchemaText, format_traits, infer_columns, schema_of_columns
from ...storage.formats.schema_serde import subject_of
from ...storage.schemas.inference import required_fields
from ...storage.schemas.registry import WIRE_NAMES, SchemaRegistry
from .. import types as t
from ..analysis.with_clause import WithClause
from ..catalog import UNWRAP_SINGLES, DataSource, FormatInfo
from ..serdes import key_schema, serdes_of, value_schema


def infer(
    registry: SchemaRegistry | None,
    statement: ast.CreateSource,
    clause: WithClause,
    topic: str,
    key_format: FormatInfo,
    value_format: FormatInfo,
) -> ast.CreateSource:
    """Add the columns of both sides to a statement.

    Names become upper case, unless the statement names a schema by its id.

    Raises:
        StatementError: a side has both columns and a schema id, or there is no schema for it.
    """
    columns = statement.columns
    for side, format_ in (("KEY", key_format), ("VALUE", value_format)):
        roles = ("KEY", "PRIMARY KEY") if side == "KEY" else ("VALUE",)
        declared = any(c.role in roles for c in statement.columns)
        if f"{side}_SCHEMA_ID" in clause and declared:
            raise StatementError(
                f"{side}_SCHEMA_ID says where the {side.lower()} columns come from, so they cannot be listed",
                span=clause.span(f"{side}_SCHEMA_ID"),
                suggestion=f"Leave out the list of {side.lower()} columns, or {side}_SCHEMA_ID.",
            )
        if not declared and format_traits(format_.name).inference:
            found = _columns(registry, statement, clause, topic, side, format_)
            columns = (*found, *columns) if side == "KEY" else (*columns, *found)
    return replace(statement, columns=columns)


def _columns(
    registry: SchemaRegistry | None,
    statement: ast.CreateSource,
    clause: WithClause,
    topic: str,
    side: str,
    format_: FormatInfo,
) -> tuple[ast.ColumnDefinition, ...]:
    is_key = side == "KEY"
    schema_id = format_.properties.get("schemaId")
    schema: SchemaText | None = None
    if registry is not None and schema_id is not None:
        try:
            schema = registry.by_id(int(schema_id))
        except DataError as error:
            raise StatementError(str(error), span=clause.span(f"{side}_SCHEMA_ID")) from None
    elif registry is not None:
        latest: RegisteredSchema | None = registry.latest(subject_of(topic, is_key))
        schema = None if latest is None else latest.schema
    if registry is None or schema is None:
        raise StatementError(
            f"{statement.name} lists no {side.lower()} columns, and no schema is registered as {subject_of(topic, is_key)}",
            span=statement.span,
            suggestion="List the columns, or register a schema.",
        )
    _check_format(schema, format_, side, clause.span(f"{side}_FORMAT") or clause.span("FORMAT") or statement.span)
    wrapped = format_.name == "PROTOBUF" if is_key else clause.boolean("WRAP_SINGLE_VALUE") is not False
    fields = infer_columns(
        registry,
        schema,
        is_key=is_key,
        wrapped=wrapped,
        full_name=format_.properties.get("fullSchemaName") if format_.name == "PROTOBUF" else None,
    )
    role: Any = "VALUE" if not is_key else "KEY" if statement.kind == "STREAM" else "PRIMARY KEY"
    upper = schema_id is None
    return tuple(
        ast.ColumnDefinition(
            field.name.upper() if upper else field.name,
            _type(t.from_arrow(field.type), upper, statement.span),
            role,
            span=statement.span,
        )
        for field in fields
    )


def _check_format(schema: SchemaText, format_: FormatInfo, side: str, span: Span | None) -> None:
    """Check that a schema is in the format of its side.  A schema of another format says nothing about the bytes.

    Raises:
        StatementError: it is not.
    """
    if schema.type != WIRE_NAMES[format_.name]:
        own = next(name for name, wire in WIRE_NAMES.items() if wire == schema.type)
        raise StatementError(
            f"the {side.lower()} schema is one of the {own} format, not of {format_.name}",
            span=span,
            suggestion=f"Set {side}_FORMAT = '{own}', if that is what the records are in.",
        )


def _type(type_: t.SqlType, upper: bool, span: Span) -> ast.Type:
    """A type as a statement writes it.

    The keys of a MAP become STRING: no format with schemas can write others, and the keys of a schema are read as texts.

    Args:
        upper: write the names of fields in upper case.
    """
    match type_:
        case t.Decimal(precision, scale):
            return ast.TypeName("DECIMAL", (precision, scale), span=span)
        case t.Array(item):
            return ast.ArrayType(_type(item, upper, span), span=span)
        case t.Map(_, value):
            return ast.MapType(_type(t.STRING, upper, span), _type(value, upper, span), span=span)
        case t.Struct(fields):
            named = tuple((n.upper() if upper else n, _type(field, upper, span)) for n, field in fields)
            return ast.StructType(named, span=span)
        case _:
            return ast.TypeName(str(type_), span=span)


def register_schemas(registry: SchemaRegistry | None, source: DataSource, level: str) -> None:
    """Register the schemas of a source's columns.

    Only sides whose format has schemas, and no fixed schema, are registered.  Nothing happens if the topic already has
    schemas: they belong to whoever writes the topic.

    Args:
        level: the compatibility level for the subjects; empty: do not change it.

    Raises:
        StatementError: a schema cannot be expressed, or is not compatible with older ones of its subject.
    """
    if registry is None:
        return
    serdes: tuple[Any, Any] = serdes_of(source, registry)
    for is_key, format_, schema, serde in (
        (True, source.key_format, key_schema(source.schema), serdes[0]),
        (False, source.value_format, value_schema(source.schema), serdes[1]),
    ):
        if serde is None or not len(schema):
            continue
        if format_.name == "PROTOBUF_NOSR":
            schema_of_columns("PROTOBUF", schema)  # records need it; it is not registered
        if not format_traits(format_.name).inference:
            continue
        if "schemaId" in format_.properties:
            if source.query_id is not None:
                _check_fixed(registry, source, format_, schema, is_key)
            continue
        subject = subject_of(source.topic, is_key)
        if source.query_id is None and registry.latest(subject) is not None:
            continue
        _register(registry, subject, serde, schema, level)


def _register(registry: SchemaRegistry, subject: str, serde: Any, schema: Any, level: str) -> None:
    """Register a schema, and give the subject this level of compatibility.

    Raises:
        StatementError: the schema is not compatible.  The subject keeps its old level.
    """
    if not level or registry.level(subject) == level.upper():
        serde.register(schema)
        return
    before = registry.own_level(subject)
    registry.set_level(level, subject)
    try:
        serde.register(schema)
    except StatementError:
        registry.set_level(before, subject)
        raise


def _check_fixed(registry: SchemaRegistry, source: DataSource, format_: FormatInfo, schema: pa.Schema, is_key: bool) -> None:
    """Section 10: check that a fixed schema fits the columns of the sink.

    It must begin with these columns, with the same names, types and order.  Its other fields must be optional.

    Raises:
        StatementError: it does not fit.
    """
    side = "key" if is_key else "value"
    try:
        text = registry.by_id(int(format_.properties["schemaId"]))
    except DataError as error:
        raise StatementError(str(error)) from None
    _check_format(text, format_, side.upper(), None)
    bare = UNWRAP_SINGLES in format_.features and len(schema) == 1
    full_name = format_.properties.get("fullSchemaName") if format_.name == "PROTOBUF" else None
    fields = infer_columns(registry, text, is_key=is_key, wrapped=not bare, full_name=full_name)
    found = [(f.name, t.from_arrow(f.type)) for f in fields]
    wanted = [(found[0][0] if bare else f.name, t.from_arrow(f.type)) for f in schema]
    shown = ", ".join(f"{t.quoted(name)} {type_}" for name, type_ in found)
    if found[: len(wanted)] != wanted:
        raise StatementError(
            f"the {side} columns of {source.name} are not those of schema {format_.properties['schemaId']}: {shown}",
            suggestion="Names, types and order must be the schema's.",
        )
    missing = [name for name, _ in found[len(wanted) :] if name in required_fields(text)]
    if missing:
        raise StatementError(
            f"schema {format_.properties['schemaId']} needs fields that are not among the {side} columns: "
            f"{', '.join(missing)}"
        )


def delete_schemas(registry: SchemaRegistry | None, topic: str) -> None:
    """Remove the subjects of a deleted topic."""
    if registry is not None:
        for is_key in (True, False):
            registry.delete_subject(subject_of(topic, is_key))
