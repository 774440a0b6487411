"""Resolves the columns and the WITH clause of CREATE and ASSERT STREAM or TABLE to a source."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import StatementError
from ...grammar import ast
from ...limits import PARTITIONS_MAX
from ...storage.formats import format_traits
from ..analysis.sink import check_format, key_features, side_format, timestamp, value_features
from ..analysis.switches import check_role
from ..analysis.types import resolve_type
from ..analysis.with_clause import CREATE_SOURCE, WithClause
from ..catalog import DataSource, FormatInfo
from ..changes import NewTopic
from ..query_options import QueryOptions
from ..schema import RESERVED_NAMES, Column, Role, Schema
from ..types import BYTES, HEADERS_TYPE
from .checking import Checking


@dataclass(frozen=True, slots=True)
class Definition:
    """A source, and the topic that must be created for it.

    Attributes:
        topic: None if the topic exists.
    """

    source: DataSource
    topic: NewTopic | None


def resolve_source(checking: Checking, statement: ast.CreateSource) -> Definition:
    """Resolve the source that a statement defines.  Its topic exists, or will be created.

    Raises:
        StatementError: the definition breaks a rule.
    """
    clause = WithClause(statement.properties, CREATE_SOURCE)
    topic = _topic_name(statement, clause)
    formats = _formats(statement, clause, checking.options)
    statement = checking.outside.with_columns(statement, clause, topic, formats)
    source = replace(_described(checking, statement, clause, topic, formats), read_only=statement.read_only)
    asked = clause.integer("PARTITIONS", 1, PARTITIONS_MAX)
    replicas = clause.integer("REPLICAS", -1)
    old = checking.catalog.sources.get(statement.name)
    grows = old is not None and old.topic == topic  # CREATE OR REPLACE may add columns to the topic
    checking.outside.check_topic(
        topic, clause, source.value_format, source.schema, statement.span, grows=grows, written=False
    )
    if asked is None and (checking.options.create_missing_topics or clause.text("KAFKA_TOPIC") is None):
        asked = 1
    partitions = checking.outside.partitions(topic, asked) or asked
    if partitions is None:
        raise StatementError(
            f"there is no topic {topic}",
            span=clause.span("KAFKA_TOPIC"),
            suggestion="Add PARTITIONS to have it created: PARTITIONS = 1.",
        )
    made = None
    if checking.outside.is_missing(topic):
        retention = clause.integer("RETENTION_MS", -1)
        made = NewTopic(
            partitions,
            1 if replicas is None or replicas < 1 else replicas,
            clause.cleanup_policy() or "delete",
            None if retention is None or retention < 0 else retention,
        )
    return Definition(replace(source, partitions=partitions), made)


def resolve_asserted(checking: Checking, statement: ast.AssertSource) -> DataSource:
    """Resolve the source that an ASSERT STREAM or ASSERT TABLE describes.  Topics are not looked at.

    Raises:
        StatementError: the definition breaks a rule.
    """
    clause = WithClause(statement.properties, CREATE_SOURCE)
    clause.integer("PARTITIONS", 1, PARTITIONS_MAX)  # allowed in the statement, but not compared
    clause.integer("REPLICAS", -1)
    topic = _topic_name(statement, clause)
    return _described(checking, statement, clause, topic, _formats(statement, clause, checking.options))


def _topic_name(statement: ast.CreateSource | ast.AssertSource, clause: WithClause) -> str:
    """The topic that the clause names; otherwise one with the source's name, if the statement names the formats."""
    topic = clause.text("KAFKA_TOPIC")
    if topic is None and statement.columns:
        return statement.name
    if not topic:
        raise StatementError(
            f"CREATE {statement.kind} needs the property KAFKA_TOPIC",
            span=statement.span,
            suggestion=f"For example: WITH (KAFKA_TOPIC = '{statement.name.lower()}', PARTITIONS = 1).",
        )
    return topic


def _formats(
    statement: ast.CreateSource | ast.AssertSource, clause: WithClause, options: QueryOptions
) -> tuple[FormatInfo, FormatInfo]:
    """The formats of key and value, from the clause or from the options."""
    both = clause.text("FORMAT")
    value_name = clause.text("VALUE_FORMAT") or both or options.default_value_format
    if not value_name:
        raise StatementError(
            f"CREATE {statement.kind} needs the property VALUE_FORMAT",
            span=statement.span,
            suggestion="For example: VALUE_FORMAT = 'JSON'.",
        )
    default_key = FormatInfo(format_traits(options.default_key_format).name)
    key_format = side_format("KEY", clause.text("KEY_FORMAT") or both, default_key, clause)
    return key_format, side_format("VALUE", value_name, FormatInfo(format_traits(value_name).name), clause)


def _described(
    checking: Checking,
    statement: ast.CreateSource | ast.AssertSource,
    clause: WithClause,
    topic: str,
    formats: tuple[FormatInfo, FormatInfo],
) -> DataSource:
    """The source, with one partition."""
    key_format, value_format = formats
    schema, window = _schema(checking, statement), clause.window()
    _check_keys(statement, schema, window is not None)
    stored = [c for c in schema if c.role == "VALUE"]
    features = value_features(value_format.name, len(stored), clause, checking.options)
    value_format = replace(value_format, features=features)
    if schema.keys:
        key_format = replace(key_format, features=key_features(key_format.name, len(schema.keys)))
        check_format(key_format.name, schema.keys, is_key=True, span=clause.span("KEY_FORMAT") or statement.span)
    elif clause.text("KEY_FORMAT") is None and clause.text("FORMAT") is None:
        key_format = FormatInfo("NONE")
    check_format(value_format.name, stored, is_key=False, span=clause.span("VALUE_FORMAT") or statement.span)
    return DataSource(
        statement.name,
        statement.kind,
        schema,
        topic,
        key_format,
        value_format,
        1,
        window,
        *timestamp(clause, schema),
    )


def _schema(checking: Checking, statement: ast.CreateSource | ast.AssertSource) -> Schema:
    """The columns, keys first.

    Raises:
        StatementError: a column is wrong.
    """
    if not statement.columns:
        raise StatementError(
            f"{statement.name} has no columns", span=statement.span, suggestion="List them: (ID INT KEY, NAME STRING)."
        )
    columns: list[Column] = []
    for definition in statement.columns:
        columns.append(_column(checking, statement, definition))
        check_column(columns, definition)
    keys = [c for c in columns if c.role == "KEY"]
    return Schema((*keys, *(c for c in columns if c.role != "KEY")))


def _column(checking: Checking, statement: ast.CreateSource | ast.AssertSource, definition: ast.ColumnDefinition) -> Column:
    name, role = definition.name, definition.role
    check_role(definition, checking.options)
    type_ = resolve_type(definition.type, checking.catalog.types)
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
        raise StatementError(
            f"the HEADER column {name} must be BYTES, not {type_}",
            span=definition.span,
            suggestion=f"Write {name} BYTES HEADER(..).",
        )
    kept: Role = "KEY" if role in ("KEY", "PRIMARY KEY") else role  # type: ignore[assignment]
    return Column(name, type_, kept, definition.header)


def check_column(columns: list[Column], definition: ast.ColumnDefinition) -> None:
    """Check a column's name and headers against the columns before it.

    Raises:
        StatementError: the name is reserved or occurs twice, or the header is wrong.
    """
    *before, column = columns
    if column.name in RESERVED_NAMES:
        raise StatementError(
            f"{column.name} is a reserved name and cannot be a column",
            span=definition.span,
            suggestion=f"Call it something else, {column.name}_ for example.",
        )
    if any(c.name == column.name for c in before):
        raise StatementError(
            f"the column {column.name} is defined twice", span=definition.span, suggestion="Give one of them another name."
        )
    if column.role not in ("HEADERS", "HEADER"):
        return
    if any(c.role == "HEADERS" for c in before):
        raise StatementError("a HEADERS column has all headers: no other header column may follow it", span=definition.span)
    if column.role == "HEADER" and any(c.role == "HEADER" and c.header == column.header for c in before):
        raise StatementError(
            f"the header '{column.header}' has a column already", span=definition.span, suggestion="Leave one of them out."
        )


def _check_keys(statement: ast.CreateSource | ast.AssertSource, schema: Schema, windowed: bool) -> None:
    if statement.kind == "TABLE" and not schema.keys:
        raise StatementError(
            f"the table {statement.name} has no PRIMARY KEY",
            span=statement.span,
            suggestion="Mark the column that identifies a row: ID INT PRIMARY KEY.",
        )
    if windowed and not schema.keys:
        raise StatementError(
            f"{statement.name} is windowed and needs a key column",
            span=statement.span,
            suggestion="Mark the key of the windows: (ID STRING KEY, ..).",
        )
