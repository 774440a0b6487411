"""The sink of a persistent query: topic, formats, partitions and timestamps (sections 3, 5, 6 and 10)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from ...errors import Span, StatementError
from ...grammar import ast
from ...limits import PARTITIONS_MAX
from ...storage.formats import FormatTraits, check_columns, check_wrapping, format_traits
from ...storage.formats.delimited import delimiter_of
from ...storage.schemas.avro import key_full_name
from ..catalog import UNWRAP_SINGLES, WRAP_SINGLES, Catalog, DataSource, FormatInfo
from ..expressions.nodes import Cast, TypedExpression
from ..java.time_patterns import parts_of
from ..query_options import QueryOptions
from ..schema import Column, Schema
from ..types import BIGINT, INTEGER, STRING, TIMESTAMP, Decimal, SqlType, to_arrow
from .coercion import can_coerce
from .resolved import OutputColumn, ResolvedQuery, ResolvedSink, SourceKind
from .with_clause import CREATE_AS, INSERT_INTO, WithClause

SINK_PARTITIONS = "ksql.sink.partitions"
SINK_REPLICAS = "ksql.sink.replicas"


@dataclass(frozen=True, slots=True)
class SinkRequest:
    """What a statement says about its sink.

    Attributes:
        kind: the kind that CREATE STREAM AS or CREATE TABLE AS asks for.
        insert: whether the statement is INSERT INTO .. SELECT.
    """

    kind: SourceKind
    name: str
    properties: tuple[ast.Property, ...] = ()
    insert: bool = False


def resolve_sink(
    query: ResolvedQuery, request: SinkRequest, catalog: Catalog, options: QueryOptions, span: Span
) -> ResolvedQuery:
    """Resolve the sink.  For INSERT INTO, also add casts to the types of the target.

    Raises:
        StatementError: the result does not fit the statement, the formats or the existing stream.
    """
    if request.insert:
        return _insert(query, request, catalog, span)
    _check_kind(query, request, span)
    clause = WithClause(request.properties, CREATE_AS)
    left = query.sources[0].source
    key_format, value_format = _formats(request.name, query, clause, left, options, span)
    topic = clause.text("KAFKA_TOPIC") or options.output_topic_prefix + request.name
    timestamp_column, timestamp_format = timestamp(clause, query.schema)
    partitions = clause.integer("PARTITIONS", 1, PARTITIONS_MAX) or _setting(SINK_PARTITIONS, options.sink_partitions)
    partitions = partitions or left.partitions
    replicas = clause.integer("REPLICAS", -1) or _setting(SINK_REPLICAS, options.sink_replicas) or 1
    cleanup = clause.cleanup_policy()
    if cleanup is None and query.kind == "TABLE":
        cleanup = "compact" if query.window is None else "compact,delete"
    sink = ResolvedSink(
        request.name,
        request.kind,
        query.schema,
        topic,
        key_format,
        value_format,
        partitions,
        replicas,
        clause.integer("RETENTION_MS", -1),
        cleanup,
        query.window,
        timestamp_column,
        timestamp_format,
    )
    return replace(query, sink=sink)


def _check_kind(query: ResolvedQuery, request: SinkRequest, span: Span) -> None:
    """Section 3: the statement must name the kind of the result."""
    if query.kind != request.kind:
        raise StatementError(
            f"the query gives a {query.kind.lower()}, not a {request.kind.lower()}",
            span=span,
            suggestion=f"Write CREATE {query.kind} {request.name} AS SELECT ..",
        )


# --- formats -------------------------------------------------------------------------------


def _formats(
    name: str, query: ResolvedQuery, clause: WithClause, left: DataSource, options: QueryOptions, span: Span
) -> tuple[FormatInfo, FormatInfo]:
    """The formats of key and value.  Both default to those of the first source; if it has no key, to the configured key
    format.
    """
    schema = query.schema
    both = clause.text("FORMAT")
    key_name = clause.text("KEY_FORMAT") or both
    value_name = clause.text("VALUE_FORMAT") or both
    if not schema.keys:
        if clause.text("KEY_FORMAT") is not None and format_traits(str(key_name)).name != "NONE":
            raise StatementError(
                "the stream has no key, so it takes no KEY_FORMAT",
                span=clause.span("KEY_FORMAT"),
                suggestion="Leave KEY_FORMAT out.",
            )
        key = FormatInfo("NONE")
    else:
        default = left.key_format
        if default.name == "NONE":
            default = FormatInfo(options.default_key_format.upper())
        key = side_format("KEY", key_name, default, clause)
        key = replace(key, features=key_features(key.name, len(schema.keys)))
        if key.name == "AVRO" and "fullSchemaName" not in key.properties:
            key = replace(key, properties={**key.properties, "fullSchemaName": key_full_name(name)})
    value = side_format("VALUE", value_name, left.value_format, clause)
    columns = [c for c in schema.values if c.role == "VALUE"]
    value = replace(value, features=value_features(value.name, len(columns), clause, options))
    check_format(key.name, schema.keys, is_key=True, span=clause.span("KEY_FORMAT") or clause.span("FORMAT") or span)
    check_format(value.name, columns, is_key=False, span=clause.span("VALUE_FORMAT") or clause.span("FORMAT") or span)
    return key, value


def side_format(side: str, name: str | None, default: FormatInfo, clause: WithClause) -> FormatInfo:
    """The format of the key or the value.  Its properties are those of the WITH clause, else those of ``default``.

    Raises:
        StatementError: the format is unknown, or does not have a property.
    """
    traits = format_traits(default.name if name is None else name)
    properties: dict[str, str] = {}
    if traits.name == default.name:
        inherited = {"delimiter", "nullableRepresentation", "unwrapPrimitives"}
        properties = {k: v for k, v in default.properties.items() if k in inherited}
    full_name = f"{side}_SCHEMA_FULL_NAME"
    if side == "VALUE" and clause.text(full_name) is None:
        full_name = "VALUE_AVRO_SCHEMA_FULL_NAME" if clause.text("VALUE_AVRO_SCHEMA_FULL_NAME") is not None else full_name
    given = {
        "delimiter": _delimiter(clause, f"{side}_DELIMITER"),
        "schemaId": _schema_id(clause, f"{side}_SCHEMA_ID"),
        "fullSchemaName": clause.text(full_name),
        "nullableRepresentation": _nullable(clause, f"{side}_PROTOBUF_NULLABLE_REPRESENTATION"),
    }
    words = {
        "delimiter": ("delimiter", f"{side}_DELIMITER"),
        "schemaId": ("schema_id", f"{side}_SCHEMA_ID"),
        "fullSchemaName": ("full_name", full_name),
        "nullableRepresentation": ("nullable_representation", f"{side}_PROTOBUF_NULLABLE_REPRESENTATION"),
    }
    for key, value in given.items():
        if value is None:
            continue
        word, written = words[key]
        if word not in traits.properties:
            raise StatementError(
                f"the {traits.name} format has no {written}", span=clause.span(written), suggestion=f"Leave {written} out."
            )
        if key == "fullSchemaName" and not value.strip():
            raise StatementError(
                f"{written} is empty", span=clause.span(written), suggestion=f"Give a name, or leave {written} out."
            )
        properties[key] = value.lower() if key == "nullableRepresentation" else value
    if traits.name == "PROTOBUF":
        properties.setdefault("unwrapPrimitives", "true")
    return FormatInfo(traits.name, properties)


def _delimiter(clause: WithClause, name: str) -> str | None:
    """The delimiter of a WITH clause: one character, SPACE or TAB."""
    written = clause.text(name)
    if written is not None:
        try:
            delimiter_of(written)
        except StatementError as error:
            error.span = clause.span(name)
            raise
    return written


def _schema_id(clause: WithClause, name: str) -> str | None:
    number = clause.integer(name, most=2**31 - 1)
    return None if number is None else str(number)


def _nullable(clause: WithClause, name: str) -> str | None:
    written = clause.text(name)
    if written is not None and written.upper() not in ("OPTIONAL", "WRAPPER"):
        raise StatementError(f"{name} must be OPTIONAL or WRAPPER, not {written!r}", span=clause.span(name))
    return None if written is None else written.lower()


def key_features(name: str, columns: int) -> frozenset[str]:
    """Section 10: a single key column is never wrapped.  The feature records it for formats that could wrap the column."""
    traits = format_traits(name)
    if columns == 1 and len(traits.wrap_settings) > 1:
        return frozenset((UNWRAP_SINGLES,))
    return frozenset()


def value_features(name: str, columns: int, clause: WithClause, options: QueryOptions) -> frozenset[str]:
    """Section 10: whether a single value column is wrapped: WRAP_SINGLE_VALUE, or the configured default.

    Raises:
        StatementError: there is not exactly one value column, or the format does not support the setting.
    """
    traits = format_traits(name)
    wrap = clause.boolean("WRAP_SINGLE_VALUE")
    if wrap is not None:
        try:
            check_wrapping(name, wrap, columns)
        except StatementError as error:
            error.span = clause.span("WRAP_SINGLE_VALUE")
            raise
        return _features(traits, wrap)
    wrap = options.wrap_single_values if columns == 1 else None
    return _features(traits, wrap) if wrap is not None and wrap in traits.wrap_settings else frozenset()


def _features(traits: FormatTraits, wrap: bool) -> frozenset[str]:
    if len(traits.wrap_settings) < 2:
        return frozenset()
    return frozenset((WRAP_SINGLES if wrap else UNWRAP_SINGLES,))


def check_format(name: str, columns: tuple[Column, ...] | list[Column], *, is_key: bool, span: Span | None) -> None:
    """Check that a format supports the types of columns.

    Raises:
        StatementError: the format does not support a type.  The error names the columns.
    """
    try:
        check_columns(name, pa.schema([(c.name, to_arrow(c.type)) for c in columns]), is_key)
    except StatementError as error:
        error.span = error.span or span
        raise


# --- timestamps ----------------------------------------------------------------------------


def timestamp(clause: WithClause, schema: Schema) -> tuple[str | None, str | None]:
    """Section 6: the column that holds the records' timestamps, and the format of its text.

    Raises:
        StatementError: the column does not exist or does not hold times, or the format is not a valid pattern.
    """
    written, format_ = clause.text("TIMESTAMP"), clause.text("TIMESTAMP_FORMAT")
    if written is None:
        if format_ is not None:
            raise StatementError(
                "TIMESTAMP_FORMAT describes the column that TIMESTAMP names, and there is no TIMESTAMP",
                span=clause.span("TIMESTAMP_FORMAT"),
                suggestion="Name the column: TIMESTAMP = 'created'.",
            )
        return None, None
    column = schema.find(_identifier(written)) or schema.find(written)
    if column is None:
        raise StatementError(
            f"TIMESTAMP names {written}, which is not a column",
            span=clause.span("TIMESTAMP"),
            suggestion=f"The columns are {', '.join(schema.names)}.",
        )
    if column.type == STRING:
        if format_ is None:
            raise StatementError(
                f"TIMESTAMP column {column.name} is a STRING, which needs a TIMESTAMP_FORMAT",
                span=clause.span("TIMESTAMP"),
                suggestion="For example: TIMESTAMP_FORMAT = 'yyyy-MM-dd''T''HH:mm:ss'.",
            )
        try:
            parts_of(format_)
        except ValueError as error:  # without this check every record would fail
            raise StatementError(f"TIMESTAMP_FORMAT: {error}", span=clause.span("TIMESTAMP_FORMAT")) from error
    elif column.type not in (BIGINT, TIMESTAMP):
        raise StatementError(
            f"TIMESTAMP column {column.name} must be BIGINT, TIMESTAMP or STRING, not {column.type}",
            span=clause.span("TIMESTAMP"),
        )
    elif format_ is not None:
        raise StatementError(
            f"TIMESTAMP_FORMAT is for STRING columns; {column.name} is {column.type}",
            span=clause.span("TIMESTAMP_FORMAT"),
            suggestion="Leave TIMESTAMP_FORMAT out.",
        )
    return column.name, format_


def _identifier(written: str) -> str:
    """Read an identifier from a string: a name in backticks stays as it is, any other becomes upper case."""
    if len(written) > 1 and written[0] == written[-1] == "`":
        return written[1:-1].replace("``", "`")
    return written.upper()


# --- INSERT INTO .. SELECT -----------------------------------------------------------------


def _insert(query: ResolvedQuery, request: SinkRequest, catalog: Catalog, span: Span) -> ResolvedQuery:
    """Section 3: resolve INSERT INTO.  Its target is an existing stream, and the result must have the stream's columns."""
    WithClause(request.properties, INSERT_INTO)
    target = catalog.source(request.name)
    if target.kind != "STREAM":
        raise StatementError(
            f"{target.name} is a table; INSERT INTO .. SELECT writes to streams only",
            span=span,
            suggestion="Use CREATE TABLE AS.",
        )
    if target.read_only:
        raise StatementError(
            f"{target.name} is read-only: it was made by CREATE SOURCE",
            span=span,
            suggestion="Declare a stream over the same topic without SOURCE.",
        )
    if any(c.role in ("HEADERS", "HEADER") for c in target.schema):
        raise StatementError(
            f"{target.name} has header columns, which cannot be written",
            span=span,
            suggestion="Write to its topic through a stream without them.",
        )
    if query.kind != "STREAM":
        raise StatementError(
            f"the query gives a table, which cannot be inserted into the stream {target.name}",
            span=span,
            suggestion="Use CREATE TABLE AS SELECT.",
        )
    if query.window != target.window and (query.window is None) != (target.window is None):
        raise StatementError(
            f"the query and {target.name} do not have the same windows",
            span=span,
            suggestion="Group by the same window, or create another stream.",
        )
    outputs = _fitted(query, target, span)
    sink = ResolvedSink(
        target.name,
        "STREAM",
        target.schema,
        target.topic,
        target.key_format,
        target.value_format,
        target.partitions,
        window=target.window,
        timestamp_column=target.timestamp_column,
        timestamp_format=target.timestamp_format,
        insert=True,
    )
    return replace(query, outputs=outputs, sink=sink)


def _fitted(query: ResolvedQuery, target: DataSource, span: Span) -> tuple[OutputColumn, ...]:
    """Add casts to the types of the target's columns.

    Raises:
        StatementError: the names, order, key or types of the columns do not fit.
    """
    given, wanted = query.schema, target.schema
    fits = len(given) == len(wanted) and all(
        a.name == b.name and a.role == b.role and (a.type == b.type or (b.role == "VALUE" and _widens(a.type, b.type)))
        for a, b in zip(given, wanted, strict=True)
    )
    if not fits:
        raise StatementError(
            f"the columns of the query do not fit {target.name}: it gives {given}, but the stream has {wanted}",
            span=span,
            suggestion="Names, order, key and types must be the same; use aliases and CAST.",
        )
    return tuple(
        OutputColumn(column, _cast(output.expression, column)) for output, column in zip(query.outputs, wanted, strict=True)
    )


def _widens(given: SqlType, wanted: SqlType) -> bool:
    """Whether a type can be cast implicitly.  An integer fits into any DECIMAL; a value that is too large becomes NULL."""
    return can_coerce(given, wanted) or (given in (INTEGER, BIGINT) and isinstance(wanted, Decimal))


def _cast(expression: TypedExpression, column: Column) -> TypedExpression:
    if expression.type == column.type:
        return expression
    return Cast(expression, implicit=True, type=column.type, span=expression.span)


def _setting(name: str, value: str) -> int | None:
    """Read a property that is a number; None if it is not set.

    Raises:
        StatementError: its text is not a number from 1 to `limits.PARTITIONS_MAX`.
    """
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= PARTITIONS_MAX:
        raise StatementError(
            f"{name} must be a number from 1 to {PARTITIONS_MAX}, not {value!r}", suggestion="SET it to another value."
        )
    return int(value)
