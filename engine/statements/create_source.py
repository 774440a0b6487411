"""CREATE, ALTER and DROP of sources and types: a statement -> a new catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import Span, StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.unparse import quote, unparse
from ...limits import PARTITIONS_MAX
from ...storage.formats import format_traits
from ...storage.log.ownership import refused_name
from ...storage.log.protocol import TopicConfig
from ..analysis.sink import check_format, key_features, side_format, timestamp, value_features
from ..analysis.switches import check_role
from ..analysis.types import resolve_type
from ..analysis.with_clause import CREATE_SOURCE, WithClause
from ..catalog import DataSource, FormatInfo, QueryEntry
from ..results import Message
from ..schema import RESERVED_NAMES, Column, Role, Schema
from ..serdes import value_type
from ..types import BYTES, HEADERS_TYPE
from . import create_query
from .context import Context
from .inference import delete_schemas, infer, register_schemas
from .replacement import (
    check_columns_extend,
    check_may_replace,
    check_name,
    check_same_place,
    check_topic_settings,
    undone_by,
    widen_topic,
)

# --- CREATE STREAM, CREATE TABLE -----------------------------------------------------------


def create_source(context: Context, statement: ast.CreateSource) -> Message:
    """Register a schema over a topic; the topic is created if PARTITIONS is given.

    Raises:
        StatementError: a rule of sections 3, 4, 5 or 10 is broken; nothing was changed.
    """
    kind, name = statement.kind, statement.name
    text = unparse(statement)
    check_name(name, statement.span)
    existing = context.catalog.sources.get(name)
    if existing is not None and statement.if_not_exists:
        return Message(
            f"create {kind.lower()}",
            f"{existing.kind.lower()} {name} exists already; nothing was changed",
            text,
            warning=True,
        )
    _check_replaceable(context, statement, existing)
    made = define(context, statement)
    if existing is not None:
        _check_upgrade(existing, made.source, statement)
    source = replace(made.source, statement=text)
    query = _materialising_query(context, source, text) if statement.read_only and kind == "TABLE" else None
    if query is not None:
        source = replace(source, query_id=query.entry.id)
    register_schemas(context, source)
    context.make_durable(unparse(made.statement), source)
    if context.engine.changes_topics:
        with undone_by(context, None if existing is not None else f"DROP {kind} {quote(name)}"):
            _ensure_topic(context, made, existing)
    context.engine.catalog = context.catalog.with_source(source)
    if query is not None:
        create_query.start(context, query)
    verb = "replaced" if existing is not None else "created"
    return Message(
        f"create {kind.lower()}", f"{kind.lower()} {name} {verb}", text, details={"source": name, "topic": source.topic}
    )


def _check_replaceable(context: Context, statement: ast.CreateSource, existing: DataSource | None) -> None:
    kind, name, span = statement.kind, statement.name, statement.span
    if statement.or_replace and (statement.read_only or (existing is not None and existing.read_only)):
        raise StatementError(f"{name}: a read-only source cannot be replaced", span=span, suggestion="DROP it first.")
    if existing is None:
        return
    if not statement.or_replace:
        raise StatementError(
            f"there is a {existing.kind.lower()} named {name} already",
            span=span,
            suggestion=f"Use CREATE OR REPLACE {kind}, CREATE {kind} IF NOT EXISTS, or another name.",
        )
    check_may_replace(context, existing, kind, span)
    if existing.query_id is not None:
        raise StatementError(
            f"{name} is filled by the query {existing.query_id} and cannot be replaced by a source without one",
            span=span,
            suggestion=f"Use CREATE OR REPLACE {kind} {name} AS SELECT .., or DROP it first.",
        )


def _check_upgrade(old: DataSource, new: DataSource, statement: ast.CreateSource) -> None:
    check_same_place(old, new, statement.span)
    check_columns_extend(old, new, statement.span)


# --- the definition itself -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Definition:
    """``statement`` has inferred columns filled in; ``topic`` is set if the topic is to be created."""

    source: DataSource
    statement: ast.CreateSource
    topic: TopicConfig | None
    replicas: int


def define(context: Context, statement: ast.CreateSource | ast.AssertSource) -> _Definition:
    """The source that a statement describes; nothing is changed.  Raises: StatementError."""
    clause = WithClause(statement.properties, CREATE_SOURCE)
    options = context.options
    topic = clause.text("KAFKA_TOPIC")
    if not topic:
        raise StatementError(
            f"CREATE {statement.kind} needs the property KAFKA_TOPIC",
            span=statement.span,
            suggestion=f"For example: WITH (KAFKA_TOPIC = '{statement.name.lower()}', PARTITIONS = 1).",
        )
    both = clause.text("FORMAT")
    key_name = clause.text("KEY_FORMAT") or both
    value_name = clause.text("VALUE_FORMAT") or both or options.default_value_format
    if not value_name:
        raise StatementError(
            f"CREATE {statement.kind} needs the property VALUE_FORMAT",
            span=statement.span,
            suggestion="For example: VALUE_FORMAT = 'JSON'.",
        )
    default_key = FormatInfo(format_traits(options.default_key_format).name)
    key_format = side_format("KEY", key_name, default_key, clause)
    value_format = side_format("VALUE", value_name, FormatInfo(format_traits(value_name).name), clause)
    written = isinstance(statement, ast.CreateSource)
    if isinstance(statement, ast.CreateSource):
        statement = infer(context, statement, clause, topic, key_format, value_format)
    schema = _schema(context, statement)
    window = clause.window()
    _check_keys(statement, schema, window is not None)
    if not schema.keys and clause.text("KEY_FORMAT") is None and not (both and both.upper() == "NONE"):
        key_format = FormatInfo("NONE") if key_name is None else key_format
    stored = [c for c in schema if c.role == "VALUE"]
    value_format = replace(value_format, features=value_features(value_format.name, len(stored), clause, options))
    if schema.keys:
        key_format = replace(key_format, features=key_features(key_format.name, len(schema.keys)))
        check_format(key_format.name, schema.keys, is_key=True, span=clause.span("KEY_FORMAT") or statement.span)
    check_format(value_format.name, stored, is_key=False, span=clause.span("VALUE_FORMAT") or statement.span)
    timestamp_column, timestamp_format = timestamp(clause, schema)
    partitions = clause.integer("PARTITIONS", 1, PARTITIONS_MAX)
    replicas = clause.integer("REPLICAS", -1)
    have = context.engine.partitions_found(topic)
    if have is not None and written and not context.engine.replaying:
        if partitions is not None and partitions != have and not context.engine.one_partition:
            raise StatementError(
                f"the topic {topic} has {have} partitions, not {partitions}",
                span=clause.span("PARTITIONS"),
                suggestion="Leave PARTITIONS out: the topic exists already.",
            )
        old = context.catalog.sources.get(statement.name) if written else None
        grows = old is not None and old.topic == topic  # CREATE OR REPLACE adds columns
        context.engine.check_topic(topic, value_format, schema, clause.span("KAFKA_TOPIC") or statement.span, grows=grows)
        check_topic_settings(context, topic, clause)
    if not written or options.create_missing_topics:  # ASSERT compares, and creates nothing
        partitions = partitions or 1
    if context.topic(topic) is None and not context.engine.replaying:
        refused = refused_name(topic)
        if refused is not None:
            span = clause.span("KAFKA_TOPIC") or statement.span
            raise StatementError(refused, span=span, suggestion="Choose another name.")
    if have is None and partitions is None:
        raise StatementError(
            f"there is no topic {topic}",
            span=clause.span("KAFKA_TOPIC"),
            suggestion="Add PARTITIONS to have it created: PARTITIONS = 1.",
        )
    kept = have is not None and (context.engine.replaying or not context.engine.one_partition or not partitions)
    count = have if have is not None and kept else partitions or 1
    config = _topic_config(clause, count, value_format, schema) if context.topic(topic) is None else None
    source = DataSource(
        statement.name,
        statement.kind,
        schema,
        topic,
        key_format,
        value_format,
        count,
        window,
        timestamp_column,
        timestamp_format,
        read_only=isinstance(statement, ast.CreateSource) and statement.read_only,
    )
    filled = statement if isinstance(statement, ast.CreateSource) else ast.CreateSource(statement.kind, statement.name)
    return _Definition(source, filled, config, 1 if replicas is None or replicas < 1 else replicas)


def _topic_config(clause: WithClause, partitions: int, value_format: FormatInfo, schema: Schema) -> TopicConfig:
    retention = clause.integer("RETENTION_MS", -1)
    return TopicConfig(
        partitions,
        value_type(value_format, schema),
        clause.cleanup_policy() or "delete",
        None if retention is None or retention < 0 else retention,
    )


def _ensure_topic(context: Context, made: _Definition, existing: DataSource | None) -> None:
    if made.topic is not None:
        context.engine.create_topic(made.source.topic, made.topic, made.replicas)
    elif existing is not None:
        widen_topic(context, made.source)


def _schema(context: Context, statement: ast.CreateSource | ast.AssertSource) -> Schema:
    """Columns, keys first.  Raises: StatementError."""
    if not statement.columns:
        raise StatementError(
            f"{statement.name} has no columns", span=statement.span, suggestion="List them: (ID INT KEY, NAME STRING)."
        )
    columns: list[Column] = []
    for definition in statement.columns:
        columns.append(_column(context, statement, definition))
        _check_column(columns, definition)
    keys = [c for c in columns if c.role == "KEY"]
    return Schema((*keys, *(c for c in columns if c.role != "KEY")))


def _column(context: Context, statement: ast.CreateSource | ast.AssertSource, definition: ast.ColumnDefinition) -> Column:
    name, role = definition.name, definition.role
    check_role(definition, context.options)
    type_ = resolve_type(definition.type, context.catalog.types)
    if role == "KEY" and statement.kind == "TABLE":
        raise StatementError(
            f"the column {name} of a table is marked KEY", span=definition.span, suggestion="Write PRIMARY KEY."
        )
    if role == "PRIMARY KEY" and statement.kind == "STREAM":
        raise StatementError(
            f"the column {name} of a stream is marked PRIMARY KEY", span=definition.span, suggestion="Write KEY."
        )
    if role == "HEADERS" and type_ != HEADERS_TYPE:
        raise StatementError(
            f"the HEADERS column {name} must be {HEADERS_TYPE}, not {type_}",
            span=definition.span,
            suggestion="Write ARRAY<STRUCT<KEY STRING, VALUE BYTES>> HEADERS.",
        )
    if role == "HEADER" and type_ != BYTES:
        raise StatementError(f"the HEADER column {name} must be BYTES, not {type_}", span=definition.span)
    kept: Role = "KEY" if role in ("KEY", "PRIMARY KEY") else role  # type: ignore[assignment]
    return Column(name, type_, kept, definition.header)


def _check_column(columns: list[Column], definition: ast.ColumnDefinition) -> None:
    """Names and headers against the columns before.  Raises: StatementError."""
    *before, column = columns
    if column.name in RESERVED_NAMES:
        raise StatementError(f"{column.name} is a reserved name and cannot be a column", span=definition.span)
    if any(c.name == column.name for c in before):
        raise StatementError(f"the column {column.name} is defined twice", span=definition.span)
    if column.role not in ("HEADERS", "HEADER"):
        return
    if any(c.role == "HEADERS" for c in before):
        raise StatementError("a HEADERS column has all headers: no other header column may follow it", span=definition.span)
    if column.role == "HEADER" and any(c.role == "HEADER" and c.header == column.header for c in before):
        raise StatementError(f"the header '{column.header}' has a column already", span=definition.span)


def _check_keys(statement: ast.CreateSource | ast.AssertSource, schema: Schema, windowed: bool) -> None:
    if statement.kind == "TABLE" and not schema.keys:
        raise StatementError(
            f"the table {statement.name} has no PRIMARY KEY",
            span=statement.span,
            suggestion="Mark the column that identifies a row: ID INT PRIMARY KEY.",
        )
    if windowed and not schema.keys:
        raise StatementError(f"{statement.name} is windowed and needs a key column", span=statement.span)


def _materialising_query(context: Context, source: DataSource, text: str) -> create_query.NewQuery:
    """The query that keeps a SOURCE TABLE's rows for pull queries."""
    number = context.engine.statement_number
    entry = QueryEntry(f"CST_{source.name}_{number}", "CST", text, (source.name,), source.name, number, context.overrides)
    return create_query.new_source_table_query(context, source, entry)


# --- ALTER, DROP ---------------------------------------------------------------------------


def alter(context: Context, statement: ast.AlterSource) -> Message:
    """Append value columns.  Raises: StatementError."""
    source = _of_kind(context, statement.kind, statement.name, statement.span)
    text = unparse(statement)
    if source.read_only:
        raise StatementError(f"{source.name} is read-only: it was made by CREATE SOURCE", span=statement.span)
    if source.query_id is not None:
        raise StatementError(
            f"{source.name} is filled by the query {source.query_id}, which decides its columns",
            span=statement.span,
            suggestion=f"Use CREATE OR REPLACE {source.kind} {source.name} AS SELECT ..",
        )
    columns = list(source.schema.columns)
    for definition in statement.add:
        columns.append(Column(definition.name, resolve_type(definition.type, context.catalog.types)))
        _check_column(columns, definition)
    altered = replace(source, schema=Schema(tuple(columns)), statement=text)
    stored = [c for c in columns if c.role == "VALUE"]
    check_format(source.value_format.name, stored, is_key=False, span=statement.span)
    if source.value_format.features and len(stored) > 1:
        altered = replace(altered, value_format=replace(source.value_format, features=frozenset()))
    if not context.engine.replaying:
        context.engine.check_topic(source.topic, altered.value_format, altered.schema, statement.span, grows=True)
    context.make_durable(text)
    if context.engine.changes_topics:
        widen_topic(context, altered)
    context.engine.catalog = context.catalog.with_source(altered)
    listed = ", ".join(c.name for c in statement.add)
    return Message(f"alter {source.kind.lower()}", f"{source.kind.lower()} {source.name} altered: added {listed}", text)


def drop(context: Context, statement: ast.DropSource) -> Message:
    """Forget a source, end the query that fills it and, if asked, delete its topic.  Raises: StatementError."""
    text = unparse(statement)
    kind = statement.kind.lower()
    if statement.name not in context.catalog.sources and statement.if_exists:
        return Message(f"drop {kind}", f"there is no {kind} {statement.name}; nothing was changed", text, warning=True)
    source = _of_kind(context, statement.kind, statement.name, statement.span)
    _check_unused(context, source, statement.span)
    if statement.delete_topic and source.read_only:
        raise StatementError(f"{source.name} is read-only: its topic cannot be deleted with it", span=statement.span)
    refused = refused_name(source.topic) if statement.delete_topic and not context.engine.replaying else None
    if refused is not None:
        raise StatementError(refused, span=statement.span, suggestion="DROP without DELETE TOPIC.")
    deleted = context.engine.topic_to_delete(source.topic) if statement.delete_topic else None
    if deleted is not None and not context.engine.replaying:
        _check_topic_unused(context, source, statement.span)
    context.make_durable(text, deleted=deleted)
    if source.query_id is not None:
        create_query.end(context, source.query_id)
    context.engine.catalog = context.catalog.without_source(source.name)
    if deleted is not None:
        context.host.delete_topic(deleted)
        delete_schemas(context, deleted)
    return Message(
        f"drop {kind}", f"{kind} {source.name} dropped", text, details={"source": source.name, "topic": source.topic}
    )


def _check_unused(context: Context, source: DataSource, span: Span) -> None:
    own = source.query_id
    readers = {q for q in context.readers(source.name) if q != own}
    derived = sorted(context.catalog.queries[q].sink for q in readers if context.catalog.queries[q].kind != "INSERT")
    if derived:
        raise StatementError(
            f"{source.name} cannot be dropped: {', '.join(derived)} read from it",
            span=span,
            suggestion="DROP what was derived from it first.",
        )
    others = sorted(readers | {q for q in context.writers(source.name) if q != own})
    if others:
        raise StatementError(
            f"{source.name} cannot be dropped: the queries {', '.join(others)} read or write it",
            span=span,
            suggestion="TERMINATE them first.",
        )


def _check_topic_unused(context: Context, source: DataSource, span: Span) -> None:
    """A topic goes only with the last source over it.  Raises: StatementError."""
    others = sorted(s.name for s in context.catalog.sources.values() if s.topic == source.topic and s.name != source.name)
    if others:
        raise StatementError(
            f"the topic {source.topic} cannot be deleted: {', '.join(others)} reads it too",
            span=span,
            suggestion="DROP without DELETE TOPIC, or drop the others first.",
        )


def _of_kind(context: Context, kind: str, name: str, span: Span) -> DataSource:
    """Raises: StatementError, if there is none of that name, or one of the other kind."""
    try:
        source = context.catalog.source(name)
    except StatementError as error:
        error.span = span
        raise
    if source.kind != kind:
        raise StatementError(
            f"{name} is a {source.kind.lower()}, not a {kind.lower()}", span=span, suggestion=f"Write {source.kind}."
        )
    return source


# --- types ---------------------------------------------------------------------------------


def create_type(context: Context, statement: ast.CreateType) -> Message:
    """Name a type.  Raises: StatementError."""
    text = unparse(statement)
    if statement.name in context.catalog.types:
        if statement.if_not_exists:
            return Message("create type", f"type {statement.name} exists already; nothing was changed", text, warning=True)
        raise StatementError(
            f"there is a type named {statement.name} already", span=statement.span, suggestion="DROP TYPE it first."
        )
    type_ = resolve_type(statement.type, context.catalog.types)
    context.make_durable(text)
    context.engine.catalog = context.catalog.with_type(statement.name, type_)
    return Message("create type", f"type {statement.name} is {type_}", text, details={"type": statement.name})


def drop_type(context: Context, statement: ast.DropType) -> Message:
    """Forget a type; what was made with it keeps it.  Raises: StatementError."""
    text = unparse(statement)
    if statement.name not in context.catalog.types:
        if statement.if_exists:
            return Message("drop type", f"there is no type {statement.name}; nothing was changed", text, warning=True)
        raise StatementError(f"there is no type named {statement.name}", span=statement.span)
    context.make_durable(text)
    context.engine.catalog = context.catalog.without_type(statement.name)
    return Message("drop type", f"type {statement.name} dropped", text, details={"type": statement.name})


__all__ = ["UnsupportedError", "alter", "create_source", "create_type", "define", "drop", "drop_type"]
