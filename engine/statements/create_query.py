"""Persistent queries: CREATE .. AS SELECT, INSERT INTO .. SELECT, and TERMINATE, PAUSE, RESUME."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import quote, unparse
from ...runtime.dataflow import Dataflow
from ...runtime.query.lifecycle import COPY_OF
from ...storage.formats import format_traits
from ...storage.log.ownership import refused_name, refused_write
from ...storage.log.protocol import TopicConfig
from ..analysis.durations import duration_text
from ..analysis.resolved import ResolvedQuery, ResolvedSink
from ..analysis.sink import SinkRequest
from ..analysis.with_clause import CREATE_AS, INSERT_INTO, WithClause
from ..catalog import DataSource, QueryEntry
from ..results import Message
from ..serdes import value_type
from ..state import Engine, Planned
from .context import Context
from .inference import delete_schemas, register_schemas
from .planning import PlannedQuery, copies, plan_query, plan_source_table, to_dataflow, with_copies
from .replacement import (
    check_columns_extend,
    check_may_replace,
    check_name,
    check_same_place,
    check_topic_settings,
    undone_by,
    widen_topic,
)
from .upgrade import check_upgrade


@dataclass(frozen=True, slots=True)
class NewQuery:
    """A query that is ready to be started."""

    entry: QueryEntry
    planned: PlannedQuery
    dataflow: Dataflow
    replaces: bool = False


# --- CREATE .. AS SELECT -------------------------------------------------------------------


def create_as(context: Context, statement: ast.CreateAsSelect) -> Message:
    """Make a stream or table that a query keeps up to date.

    Raises:
        StatementError: the query or the sink breaks a rule; nothing was changed.
    """
    kind, name = statement.kind, statement.name
    text = unparse(statement)
    word = f"create {kind.lower()} as select"
    check_name(name, statement.span)
    existing = context.catalog.sources.get(name)
    if existing is not None and statement.if_not_exists:
        return Message(word, f"{existing.kind.lower()} {name} exists already; nothing was changed", text, warning=True)
    _check_free(context, statement, existing)
    planned = plan_query(context, statement.query, SinkRequest(kind, name, statement.properties))
    assert planned.resolved is not None and planned.resolved.sink is not None
    sink = planned.resolved.sink
    _check_topic(context, sink, statement)
    number = context.engine.statement_number
    short: Literal["CSAS", "CTAS"] = "CSAS" if kind == "STREAM" else "CTAS"
    entry = QueryEntry(
        next_query_id(context, statement), short, text, _sources(planned.resolved), name, number, context.overrides
    )
    if existing is not None:
        old = context.catalog.queries[str(existing.query_id)]
        entry = replace(entry, id=old.id, order=old.order)
    else:
        _check_limit(context, statement.span)
    source = _source(context, sink, entry)
    if existing is not None:
        _check_replacement(context, existing, source, planned.resolved, statement.span)
    planned = with_copies(context, planned, entry.id)
    dataflow = to_dataflow(context, planned.plan)
    _check_copies(context, planned, entry.id)
    register_schemas(context, source)
    _register_copies(context, planned, entry.id)
    context.make_durable(text, source)
    with undone_by(context, None if existing is not None else f"DROP {kind} {quote(name)}"):
        if context.engine.changes_topics:
            _ensure_topic(context, sink, source, existing)
        start(context, NewQuery(entry, planned, dataflow, existing is not None))
    context.engine.catalog = context.catalog.with_source(source)
    verb = "replaced" if existing is not None else "created"
    return Message(
        word,
        f"{kind.lower()} {name} {verb}, filled by the query {entry.id}{_windows_kept(planned)}",
        text,
        details={"source": name, "query_id": entry.id, "topic": sink.topic},
    )


def _windows_kept(planned: PlannedQuery) -> str:
    """How long a windowed aggregation keeps its windows and takes late rows, for people; nothing for other queries."""
    grouping = None if planned.resolved is None else planned.resolved.grouping
    spec = None if grouping is None else grouping.window
    if spec is None:
        return ""
    kept, grace = duration_text(spec.retention_ms), duration_text(spec.grace_ms)
    return f"; windows are kept for {kept} of stream time (RETENTION), and take late rows for {grace} (GRACE PERIOD)"


def next_query_id(context: Context, statement: ast.CreateAsSelect | ast.InsertSelect) -> str:
    """The id that the query of a statement has, if it is the next one; one that is replaced keeps its own."""
    number = context.engine.statement_number
    if isinstance(statement, ast.CreateAsSelect):
        return f"{'CSAS' if statement.kind == 'STREAM' else 'CTAS'}_{statement.name}_{number}"
    wanted = WithClause(statement.properties, INSERT_INTO).text("QUERY_ID")
    return f"INSERTQUERY_{number}" if wanted is None else wanted.upper()


def _check_free(context: Context, statement: ast.CreateAsSelect, existing: DataSource | None) -> None:
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
        raise StatementError(f"{name}: a read-only source cannot be replaced", span=span)
    check_may_replace(context, existing, kind, span)
    if existing.query_id is None or existing.query_id not in context.catalog.queries:
        raise StatementError(
            f"{name} is not filled by a query and cannot be replaced by one", span=span, suggestion="DROP it first."
        )


def _check_limit(context: Context, span: Span) -> None:
    limit, count = context.options.persistent_queries_max, len(context.catalog.queries)
    if not context.engine.replaying and count >= limit:
        raise StatementError(
            f"there are {count} persistent queries, and ksql.query.persistent.active.limit is {limit}",
            span=span,
            suggestion="TERMINATE one first.",
        )


def _sources(resolved: ResolvedQuery) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.source.name for s in resolved.sources))


def _source(context: Context, sink: ResolvedSink, entry: QueryEntry) -> DataSource:
    found = context.engine.partitions_found(sink.topic)
    return DataSource(
        sink.name,
        sink.kind,
        sink.schema,
        sink.topic,
        sink.key_format,
        sink.value_format,
        sink.partitions if found is None else found,
        sink.window,
        sink.timestamp_column,
        sink.timestamp_format,
        query_id=entry.id,
        statement=entry.statement,
    )


def _check_topic(context: Context, sink: ResolvedSink, statement: ast.CreateAsSelect) -> None:
    """An existing topic must be able to take the result.  Raises: StatementError."""
    if context.engine.replaying:
        return
    there = context.topic(sink.topic)
    refused = refused_name(sink.topic) if there is None else refused_write(sink.topic, None)
    if refused is not None:
        raise StatementError(refused, span=statement.span, suggestion="Choose another KAFKA_TOPIC.")
    if there is None:
        return
    given = next((p for p in statement.properties if p.name.upper() == "PARTITIONS"), None)
    have = context.engine.partitions(sink.topic)
    if given is not None and have != sink.partitions:
        raise StatementError(
            f"the topic {sink.topic} exists already, with {have} partitions and not {sink.partitions}",
            span=given.span,
            suggestion="Leave PARTITIONS out, or choose another KAFKA_TOPIC.",
        )
    check_topic_settings(context, sink.topic, WithClause(statement.properties, CREATE_AS))
    grows = statement.name in context.catalog.sources
    context.engine.check_topic(sink.topic, sink.value_format, sink.schema, statement.span, grows=grows)


def _ensure_topic(context: Context, sink: ResolvedSink, source: DataSource, existing: DataSource | None) -> None:
    if context.topic(sink.topic) is None:
        policy = sink.cleanup_policy or "delete"
        retention = sink.retention_ms if sink.retention_ms is not None and sink.retention_ms >= 0 else None
        config = TopicConfig(source.partitions, value_type(sink.value_format, sink.schema), policy, retention)
        context.engine.create_topic(sink.topic, config, sink.replicas)
    elif existing is not None:
        widen_topic(context, source)


def _check_replacement(
    context: Context, existing: DataSource, source: DataSource, resolved: ResolvedQuery, span: Span
) -> None:
    check_same_place(existing, source, span)
    check_columns_extend(existing, source, span)
    old = context.planned[str(existing.query_id)].resolved
    if old is not None:
        check_upgrade(existing.name, old, resolved, span)


# --- INSERT INTO .. SELECT -----------------------------------------------------------------


def insert_select(context: Context, statement: ast.InsertSelect) -> Message:
    """Have a query write to an existing stream.  Raises: StatementError."""
    text = unparse(statement)
    clause = WithClause(statement.properties, INSERT_INTO)
    target = context.catalog.sources.get(statement.target)
    if target is None:
        context.catalog.source(statement.target)  # raises, with near misses
        raise AssertionError
    planned = plan_query(context, statement.query, SinkRequest(target.kind, target.name, statement.properties, insert=True))
    assert planned.resolved is not None
    number = context.engine.statement_number
    wanted = clause.text("QUERY_ID")
    query_id = next_query_id(context, statement)
    if query_id in context.catalog.queries:
        raise StatementError(f"there is a query with the id {query_id} already", span=clause.span("QUERY_ID"))
    if wanted is not None and not query_id.replace("_", "").isalnum():
        raise StatementError(
            f"{wanted!r} cannot be the id of a query", span=clause.span("QUERY_ID"), suggestion="Use letters, digits and _."
        )
    _check_limit(context, statement.span)
    entry = QueryEntry(query_id, "INSERT", text, _sources(planned.resolved), target.name, number, context.overrides)
    planned = with_copies(context, planned, query_id)
    dataflow = to_dataflow(context, planned.plan)
    _check_copies(context, planned, query_id)
    _register_copies(context, planned, query_id)
    context.make_durable(text)
    with undone_by(context, f"TERMINATE {quote(query_id)}"):
        start(context, NewQuery(entry, planned, dataflow))
    details = {"source": target.name, "query_id": query_id, "topic": target.topic}
    return Message("insert into select", f"the query {query_id} inserts into {target.name}", text, details=details)


# --- internal topics -----------------------------------------------------------------------


def _check_copies(context: Context, planned: PlannedQuery, query_id: str) -> None:
    """Raises: StatementError, if a topic that the query is to write is there already and is not its own."""
    if context.engine.replaying:
        return
    for topic in copies(planned.plan):
        config = context.topic(topic)
        if config is not None and config.properties.get(COPY_OF) != query_id:
            raise StatementError(
                f"there is a topic {topic} already, which the query is to make for what it re-keys",
                suggestion="SET 'penstock.internal.topics' = 'false', or another 'ksql.service.id'.",
            )


def _register_copies(context: Context, planned: PlannedQuery, query_id: str) -> None:
    """Register the schemas of the topics that hold what a query re-keys; where a query is replaced by one whose topics have
    other columns, those schemas begin anew.

    Raises:
        StatementError: a schema cannot be expressed.
    """
    before = copies(context.planned[query_id].plan) if query_id in context.planned else {}
    wanted = copies(planned.plan)
    _delete_schemas(context, (source for topic, source in before.items() if wanted.get(topic) != source))
    for topic, source in wanted.items():
        if before.get(topic) != source:
            register_schemas(context, source)


def _delete_schemas(context: Context, topics: Iterable[DataSource]) -> None:
    for source in topics:
        if any(format_traits(f.name).inference for f in (source.key_format, source.value_format)):
            delete_schemas(context, source.topic)


# --- starting and ending -------------------------------------------------------------------


def new_source_table_query(context: Context, source: DataSource, entry: QueryEntry) -> NewQuery:
    """The query that materialises a SOURCE TABLE."""
    planned = plan_source_table(source)
    return NewQuery(entry, planned, to_dataflow(context, planned.plan))


def start(context: Context, query: NewQuery) -> None:
    """Enter a query into the catalog and run it (when replaying, it is run at the end of the replay)."""
    entry = query.entry
    if not context.engine.replaying:
        if query.replaces:
            context.host.replace(entry.id, query.dataflow, entry.order)
        else:
            context.host.start(entry.id, query.dataflow, entry.order)
    context.planned[entry.id] = Planned(entry.id, query.planned.plan, query.dataflow, entry.order, query.planned.resolved)
    context.engine.catalog = context.catalog.with_query(entry)


def end(context: Context, query_id: str) -> None:
    """Stop a query and forget it, its state and its positions; the source it filled stays."""
    entry = context.catalog.queries.get(query_id)
    if entry is None:
        return
    planned = context.planned.pop(query_id, None)
    if planned is not None:
        _delete_schemas(context, copies(planned.plan).values())
    context.engine.paused.discard(query_id)
    catalog = context.catalog.without_query(query_id)
    source = catalog.sources.get(entry.sink)
    if source is not None and source.query_id == query_id:
        catalog = catalog.with_source(replace(source, query_id=None))
    context.engine.catalog = catalog
    if not context.engine.replaying:
        context.host.terminate(query_id)


def start_replayed(engine: Engine) -> None:
    """Run the queries that the journal left, in order of creation, and clear away what ended ones left behind."""
    for planned in sorted(engine.planned.values(), key=lambda p: p.order):
        paused = planned.query_id in engine.paused
        engine.host.start(planned.query_id, planned.dataflow, planned.order, paused=paused, opening=True)
    engine.host.forget_others()


# --- TERMINATE, PAUSE, RESUME --------------------------------------------------------------


def control(context: Context, statement: ast.ControlQuery) -> Message:
    """Raises: StatementError, for an unknown query, or one that this cannot be done to."""
    action, text = statement.action, unparse(statement)
    if statement.query_id is None:
        chosen = [q for q in context.catalog.queries.values() if q.kind != "CST" or action != "TERMINATE"]
    else:
        chosen = [find_query(context, statement.query_id, statement.span)]
        if action == "TERMINATE" and chosen[0].kind == "CST":
            raise StatementError(
                f"{chosen[0].id} keeps the rows of the table {chosen[0].sink} and ends with it",
                span=statement.span,
                suggestion=f"DROP TABLE {chosen[0].sink};",
            )
    if action == "RESUME" and not context.engine.replaying:
        for entry in chosen:
            context.host.run(entry.id).check_resumable()
    context.make_durable(text)
    for entry in chosen:
        if action == "TERMINATE":
            end(context, entry.id)
        elif action == "PAUSE":
            context.engine.paused.add(entry.id)
            if not context.engine.replaying:
                context.host.run(entry.id).pause()
        else:
            context.engine.paused.discard(entry.id)
            if not context.engine.replaying:
                context.host.resume(entry.id)
    done = {"TERMINATE": "terminated", "PAUSE": "paused", "RESUME": "resumed"}[action]
    listed = ", ".join(q.id for q in chosen) or "no query"
    return Message(action.lower(), f"{listed} {done}", text, details={"query_id": listed} if chosen else {})


def find_query(context: Context, query_id: str, span: Span) -> QueryEntry:
    """A persistent query by its id, in any case: statements put ids in upper case, but a sink's name is in its as it is.

    Raises:
        StatementError: there is none, naming near misses.
    """
    queries = context.catalog.queries
    found = queries.get(query_id) or next((q for q in queries.values() if q.id.upper() == query_id.upper()), None)
    if found is None:
        near = difflib.get_close_matches(query_id, queries, 1)
        raise StatementError(
            f"there is no persistent query {query_id}",
            span=span,
            suggestion=f"Did you mean {near[0]}?" if near else "SHOW QUERIES; lists them.",
        )
    return found
