"""CREATE STREAM and CREATE TABLE .. AS SELECT: create a source, and the query that writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import quote, unparse
from ..analysis.durations import duration_text
from ..analysis.resolved import ResolvedQuery, ResolvedSink
from ..analysis.sink import SinkRequest
from ..analysis.with_clause import CREATE_AS, WithClause
from ..catalog import DataSource, QueryEntry
from ..changes import DropSource, NewTopic, SetSource
from ..results import Message
from .checking import Checked, Checking
from .new_queries import next_query_id, register_copies, sources_of
from .planning import copies, plan_query, ready
from .replacement import check_columns_extend, check_may_replace, check_name, check_same_place, nothing_changed
from .upgrade import check_upgrade


def check(checking: Checking, statement: ast.CreateAsSelect) -> Checked | Message:
    """Check a CREATE .. AS SELECT.

    Raises:
        StatementError: the query or the sink breaks a rule; nothing has changed.
    """
    kind, name, word = statement.kind, statement.name, f"create {statement.kind.lower()} as select"
    text = unparse(statement)
    check_name(name, statement.span)
    existing = checking.catalog.sources.get(name)
    if existing is not None and statement.if_not_exists:
        return nothing_changed(existing, word, text)
    _check_free(checking, statement, existing)
    query = plan_query(checking, statement.query, SinkRequest(kind, name, statement.properties))
    assert query.resolved is not None and query.resolved.sink is not None
    sink = query.resolved.sink
    checking.outside.check_topic(
        sink.topic,
        WithClause(statement.properties, CREATE_AS),
        sink.value_format,
        sink.schema,
        statement.span,
        grows=existing is not None,
        written=True,
    )
    checking.outside.check_writes(checking.catalog, sink.topic, name, sources_of(query.resolved), statement.span)
    entry = _entry(checking, statement, text, query.resolved, existing)
    source = _source(checking, sink, entry)
    if existing is not None:
        _check_replacement(checking, existing, source, query.resolved, statement.span)
    planned = ready(checking, query, entry)
    checking.outside.check_copies(copies(planned.plan), entry.id)
    registered, unregistered = register_copies(checking, planned)
    verb = "replaced" if existing is not None else "created"
    return Checked(
        SetSource(source, entry, _topic(checking, sink, source)),
        Message(
            word,
            f"{kind.lower()} {name} {verb}, filled by the query {entry.id}{_windows_kept(query.resolved)}",
            text,
            details={"source": name, "query_id": entry.id, "topic": sink.topic},
        ),
        planned,
        (source, *registered),
        unregistered,
        undo=None if existing is not None else (f"DROP {kind} {quote(name)}", DropSource(name, entry.id)),
    )


def _windows_kept(resolved: ResolvedQuery) -> str:
    """A sentence about how long a windowed aggregation keeps its windows and accepts late rows; empty for other queries."""
    spec = None if resolved.grouping is None else resolved.grouping.window
    if spec is None:
        return ""
    kept, grace = duration_text(spec.retention_ms), duration_text(spec.grace_ms)
    return f"; windows are kept for {kept} of stream time (RETENTION), and accept late rows for {grace} (GRACE PERIOD)"


def _check_free(checking: Checking, statement: ast.CreateAsSelect, existing: DataSource | None) -> None:
    if existing is None:
        return
    kind, name, span = statement.kind, statement.name, statement.span
    if not statement.or_replace:
        raise StatementError(
            f"there is a {existing.kind.lower()} named {name} already",
            span=span,
            suggestion=f"Use CREATE OR REPLACE {kind}, or another name.",
        )
    if existing.read_only:
        raise StatementError(
            f"{name}: a read-only source cannot be replaced", span=span, suggestion="DROP it first, or choose another name."
        )
    check_may_replace(checking.options, existing, kind, span)
    if existing.query_id is None or existing.query_id not in checking.catalog.queries:
        raise StatementError(
            f"{name} is not filled by a query and cannot be replaced by one", span=span, suggestion="DROP it first."
        )


def _entry(
    checking: Checking, statement: ast.CreateAsSelect, text: str, resolved: ResolvedQuery, existing: DataSource | None
) -> QueryEntry:
    """The catalog's entry of a query with this canonical text.

    A query that replaces another one keeps its id, its position in the catalog, and its state if it is paused.
    """
    queries, number = checking.catalog.queries, checking.outside.number
    short: Literal["CSAS", "CTAS"] = "CSAS" if statement.kind == "STREAM" else "CTAS"
    entry = QueryEntry(
        next_query_id(checking, statement),
        short,
        text,
        sources_of(resolved),
        statement.name,
        number,
        dict(checking.overrides),
    )
    if existing is None:
        checking.outside.check_room(len(queries), checking.options.persistent_queries_max, statement.span)
        return entry
    old = queries[str(existing.query_id)]
    return replace(entry, id=old.id, order=old.order, paused=old.paused)


def _source(checking: Checking, sink: ResolvedSink, entry: QueryEntry) -> DataSource:
    return DataSource(
        sink.name,
        sink.kind,
        sink.schema,
        sink.topic,
        sink.key_format,
        sink.value_format,
        checking.outside.partitions(sink.topic) or sink.partitions,
        sink.window,
        sink.timestamp_column,
        sink.timestamp_format,
        query_id=entry.id,
        statement=entry.statement,
    )


def _topic(checking: Checking, sink: ResolvedSink, source: DataSource) -> NewTopic | None:
    """The sink's topic if it must be created; otherwise None."""
    if not checking.outside.is_missing(sink.topic):
        return None
    retention = sink.retention_ms if sink.retention_ms is not None and sink.retention_ms >= 0 else None
    return NewTopic(source.partitions, sink.replicas, sink.cleanup_policy or "delete", retention)


def _check_replacement(
    checking: Checking, existing: DataSource, source: DataSource, resolved: ResolvedQuery, span: Span
) -> None:
    check_same_place(existing, source, span)
    check_columns_extend(existing, source, span)
    old = checking.planned.get(str(existing.query_id))
    if old is not None and old.resolved is not None:
        check_upgrade(existing.name, old.resolved, resolved, span)
