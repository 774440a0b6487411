"""ASSERT statements.

* ASSERT TOPIC and ASSERT SCHEMA wait until something exists, or no longer exists.
* ASSERT VALUES first waits until queries have processed everything that was written.  Then it compares one record of a
  topic: the first ASSERT VALUES on a topic compares its first record, each later one the record that arrived next.  Only the
  columns that the statement names are compared.
* ASSERT STREAM and ASSERT TABLE compare a source with a definition.

All of them are allowed everywhere, not only in ``penstock test``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ...errors import AssertionFailedError, Span, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime.query.lifecycle import QueryRun
from ..analysis.durations import milliseconds
from ..analysis.with_clause import WithClause
from ..catalog import DataSource
from ..results import Message
from ..same_values import canonical_value
from ..types import BIGINT, INTEGER, SqlType
from .context import Context
from .insert import evaluate, rowtime
from .reading import next_record
from .source_definition import resolve_asserted

_PROPERTIES = frozenset({"PARTITIONS", "REPLICAS"})


def assert_topic(context: Context, statement: ast.AssertTopic) -> Message:
    """Wait for a topic.

    Raises:
        AssertionFailedError: the assertion does not hold within its timeout.
    """
    clause = WithClause(statement.properties, _PROPERTIES)
    wanted = {"partitions": clause.integer("PARTITIONS"), "replicas": clause.integer("REPLICAS")}

    def problem() -> str | None:
        exists = context.topic(statement.topic) is not None
        if not statement.exists:
            return f"the topic {statement.topic} exists" if exists else None
        if not exists:
            return f"there is no topic {statement.topic}"
        have = {
            "partitions": context.engine.partitions(statement.topic),
            "replicas": context.engine.replicas(statement.topic),
        }
        for what, count in wanted.items():
            if count is not None and count != have[what]:
                return f"the topic {statement.topic} has {have[what]} {what}, not {count}"
        return None

    _wait(context, problem, statement.timeout, "topic", statement)
    state = "exists" if statement.exists else "does not exist"
    return Message(
        "assert topic", f"topic {statement.topic} {state}", unparse(statement), details={"topic": statement.topic}
    )


def assert_schema(context: Context, statement: ast.AssertSchema) -> Message:
    """Wait for a schema.

    Raises:
        AssertionFailedError: the assertion does not hold within its timeout.
        StatementError: the statement has neither a subject nor an id.
    """
    if statement.subject is None and statement.schema_id is None:
        raise StatementError("ASSERT SCHEMA needs a SUBJECT or an ID", span=statement.span)
    parts = [f"subject {statement.subject}"] if statement.subject is not None else []
    parts += [f"id {statement.schema_id}"] if statement.schema_id is not None else []
    what = "schema of " + " and ".join(parts)

    def problem() -> str | None:
        found = _schema_exists(context, statement.subject, statement.schema_id)
        if found == statement.exists:
            return None
        return f"there is {'a' if found else 'no'} {what}"

    _wait(context, problem, statement.timeout, "schema", statement)
    return Message("assert schema", f"{what} {'exists' if statement.exists else 'does not exist'}", unparse(statement))


def _schema_exists(context: Context, subject: str | None, schema_id: int | None) -> bool:
    schemas = context.schemas
    if schemas is None:
        return False
    if subject is not None:
        ids = [schemas.version(subject, v).id for v in schemas.versions(subject)] if subject in schemas.subjects() else []
        return bool(ids) and (schema_id is None or schema_id in ids)
    ids = [schemas.version(s, v).id for s in schemas.subjects() for v in schemas.versions(s)]
    return schema_id in ids


def _wait(
    context: Context,
    problem: Callable[[], str | None],
    timeout: ast.Duration | None,
    what: Literal["topic", "schema"],
    statement: ast.Node,
) -> None:
    """Look for the problem again after every commit, until there is none or the timeout is over."""
    import time

    options = context.options
    default = options.assert_topic_timeout_ms if what == "topic" else options.assert_schema_timeout_ms
    allowed_ms = default if timeout is None else milliseconds(timeout)
    deadline = time.monotonic() + allowed_ms / 1000
    while (found := problem()) is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise AssertionFailedError(found, span=statement.span)
        context.log.wait(context.log.epoch, min(left, 0.1))


# --- ASSERT VALUES -------------------------------------------------------------------------

_PSEUDO: dict[str, SqlType] = {
    "ROWTIME": BIGINT,
    "ROWPARTITION": INTEGER,
    "ROWOFFSET": BIGINT,
    "WINDOWSTART": BIGINT,
    "WINDOWEND": BIGINT,
}


def assert_values(context: Context, statement: ast.AssertValues) -> Message:
    """Compare the next record of a source's topic with the given values.

    Raises:
        AssertionFailedError: there is no further record, or it differs.
        StatementError: the source or a column does not exist, or a value does not fit its column.
    """
    source = _source(context, statement.source, statement.span)
    wanted = _wanted(context, source, statement)
    context.host.wait_idle(context.options.assert_topic_timeout_ms / 1000)
    record = next_record(context, source, context.session.asserted.get(source.topic, -1))
    shown = _shown(wanted)
    if record is None:
        raise AssertionFailedError(
            f"{source.name} has no further record, but {shown} was expected",
            span=statement.span,
            suggestion=_failures(context) or "Every ASSERT VALUES takes the next record of the topic.",
        )
    context.session.asserted[source.topic] = record.arrival
    where = f"record {record.offset} of {source.name}"
    found = record.keys if statement.tombstone else record.values
    if record.problem is not None:
        raise AssertionFailedError(f"{where}: {record.problem}", span=statement.span)
    if statement.tombstone and record.values is not None:
        have = _shown({n: record.values[n] for n in source.schema.names})
        raise AssertionFailedError(f"{where} is {have}, not a tombstone with the key {shown}", span=statement.span)
    if found is None:
        raise AssertionFailedError(
            f"{where} is a tombstone with the key {_shown(record.keys)}, not {shown}",
            span=statement.span,
            suggestion=f"ASSERT NULL VALUES {source.name} (..) KEY (..); expects a tombstone.",
        )
    wrong = [name for name, value in wanted.items() if not _same(found[name], value)]
    if wrong:
        raise AssertionFailedError(
            f"{where} has {_shown({n: found[n] for n in wrong})}, not {_shown({n: wanted[n] for n in wrong})}",
            span=statement.span,
        )
    kind = "assert null values" if statement.tombstone else "assert values"
    return Message(kind, f"{where} is {'a tombstone of ' if statement.tombstone else ''}{shown}", unparse(statement))


def _wanted(context: Context, source: DataSource, statement: ast.AssertValues) -> dict[str, Any]:
    """The columns to compare, and their values."""
    stored = [c.name for c in source.schema if c.role in ("KEY", "VALUE")]
    names = statement.columns or ([c.name for c in source.schema.keys] if statement.tombstone else stored)
    if len(names) != len(statement.values):
        raise StatementError(
            f"there are {len(names)} columns and {len(statement.values)} values",
            span=statement.span,
            suggestion="Give one value for each column.",
        )
    wanted: dict[str, Any] = {}
    for name, expression in zip(names, statement.values, strict=True):
        column = source.schema.find(name)
        type_ = _PSEUDO.get(name) if column is None else column.type
        known = type_ is not None and (source.window is not None or name not in ("WINDOWSTART", "WINDOWEND"))
        if statement.tombstone and (column is None or column.role != "KEY"):
            known = False
        if not known or type_ is None:
            what = "key column" if statement.tombstone else "column"
            raise StatementError(
                f"{source.name} has no {what} {name}",
                span=statement.span,
                suggestion=f"It has {', '.join(_names(source, statement.tombstone))}.",
            )
        if name in wanted:
            raise StatementError(f"the column {name} is given twice", span=statement.span, suggestion="Give it once.")
        wanted[name] = rowtime(context, expression) if name == "ROWTIME" else evaluate(context, expression, type_)[0].as_py()
    return wanted


def _names(source: DataSource, keys_only: bool) -> list[str]:
    """The columns that the statement may name."""
    return [c.name for c in (source.schema.keys if keys_only else source.schema)]


def _same(found: object, wanted: object) -> bool:
    """Whether two values are equal in SQL: NaN equals NaN, also inside of arrays, maps and structs, and maps have no
    order.
    """
    return canonical_value(found) == canonical_value(wanted)


def _shown(row: Any) -> str:
    return ", ".join(f"{name} = {'NULL' if value is None else value}" for name, value in row.items())


def _failures(context: Context) -> str | None:
    """The errors of queries that stopped; None if none did.  They may be the reason why a record is missing."""
    runs: list[QueryRun] = [r for r in context.host.runs.values() if r.state == "ERROR"]
    return None if not runs else f"The query {runs[0].query_id} has failed: {runs[0].error}"


# --- ASSERT STREAM, ASSERT TABLE -----------------------------------------------------------


def assert_source(context: Context, statement: ast.AssertSource) -> Message:
    """Compare a source with the definition in the statement.

    Compared are the kind, columns, topic, formats, wrapping of single values, window and timestamp column.

    Raises:
        AssertionFailedError: they differ.  The message says where.
        StatementError: there is no such source, or the definition itself is wrong.
    """
    source = _source(context, statement.name, statement.span)
    if source.kind != statement.kind:
        raise AssertionFailedError(
            f"{source.name} is a {source.kind.lower()}, not a {statement.kind.lower()}", span=statement.span
        )
    wanted = resolve_asserted(context.checking(), statement)
    for what, have, want in (
        ("columns", str(source.schema), str(wanted.schema)),
        ("topic", source.topic, wanted.topic),
        ("key format", source.key_format.name, wanted.key_format.name),
        ("value format", source.value_format.name, wanted.value_format.name),
        ("wrapping", set(source.value_format.features), set(wanted.value_format.features)),
        ("window", source.window, wanted.window),
        ("timestamp column", source.timestamp_column, wanted.timestamp_column),
        ("timestamp format", source.timestamp_format, wanted.timestamp_format),
    ):
        if have != want:
            raise AssertionFailedError(
                f"{source.name} has the {what} {have or 'the default'}, not {want or 'the default'}", span=statement.span
            )
    word = source.kind.lower()
    return Message(f"assert {word}", f"{word} {source.name} is as written", unparse(statement))


def _source(context: Context, name: str, span: Span) -> DataSource:
    try:
        return context.catalog.source(name)
    except StatementError as error:
        error.span = span
        raise
