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
from ...storage.log.protocol import TopicConfig
from ..analysis.resolved import ResolvedQuery, ResolvedSink
from ..analysis.sink import SinkRequest
from ..analysis.with_clause import CREATE_AS, INSERT_INTO, WithClause
from ..catalog import DataSource, QueryEntry
from ..results import Message
from ..serdes import value_type
from .context import Engine, Planned
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


def create_as(engine: Engine, statement: ast.CreateAsSelect) -> Message:
    """Make a stream or table that a query keeps up to date.

    Raises:
        StatementError: the query or the sink breaks a rule; nothing was changed.
    """
    kind, name = statement.kind, statement.name
    text = unparse(statement)
    word = f"create {kind.lower()} as select"
    check_name(name, statement.span)
    existing = engine.catalog.sources.get(name)
    if existing is not None and statement.if_not_exists:
        return Message(word, f"{existing.kind.lower()} {name} exists already; nothing was changed", text, warning=True)
    _check_free(engine, statement, existing)
    planned = plan_query(engine, statement.query, SinkRequest(kind, name, statement.properties))
    assert planned.resolved is not None and planned.resolved.sink is not None
    sink = planned.resolved.sink
    _check_topic(engine, sink, statement)
    number = engine.statement_number
    short: Literal["CSAS", "CTAS"] = "CSAS" if kind == "STREAM" else "CTAS"
    entry = QueryEntry(
        next_query_id(engine, statement), short, text, _sources(planned.resolved), name, number, engine.overrides
    )
    if existing is not None:
        old = engine.catalog.queries[str(existing.query_id)]
        entry = replace(entry, id=old.id, order=old.order)
    else:
        _check_limit(engine, statement.span)
    source = _source(engine, sink, entry)
    if existing is not None:
        _check_replacement(engine, existing, source, planned.resolved, statement.span)
    planned = with_copies(engine, planned, entry.id)
    dataflow = to_dataflow(engine, planned.plan)
    _check_copies(engine, planned, entry.id)
    register_schemas(engine, source)
    _register_copies(engine, planned, entry.id)
    engine.make_durable(text, source)
    with undone_by(engine, None if existing is not None else f"DROP {kind} {quote(name)}"):
        if engine.changes_topics:
            _ensure_topic(engine, sink, source, existing)
        start(engine, NewQuery(entry, planned, dataflow, existing is not None))
    engine.catalog = engine.catalog.with_source(source)
    verb = "replaced" if existing is not None else "created"
    return Message(
        word,
        f"{kind.lower()} {name} {verb}, filled by the query {entry.id}",
        text,
        details={"source": name, "query_id": entry.id, "topic": sink.topic},
    )


def next_query_id(engine: Engine, statement: ast.CreateAsSelect | ast.InsertSelect) -> str:
    """The id that the query of a statement has, if it is the next one; one that is replaced keeps its own."""
    number = engine.statement_number
    if isinstance(statement, ast.CreateAsSelect):
        return f"{'CSAS' if statement.kind == 'STREAM' else 'CTAS'}_{statement.name}_{number}"
    wanted = WithClause(statement.properties, INSERT_INTO).text("QUERY_ID")
    return f"INSERTQUERY_{number}" if wanted is None else wanted.upper()


def _check_free(engine: Engine, statement: ast.CreateAsSelect, existing: DataSource | None) -> None:
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
    check_may_replace(engine, existing, kind, span)
    if existing.query_id is None or existing.query_id not in engine.catalog.queries:
        raise StatementError(
            f"{name} is not filled by a query and cannot be replaced by one", span=span, suggestion="DROP it first."
        )


def _check_limit(engine: Engine, span: Span) -> None:
    limit = int(engine.properties["ksql.query.persistent.active.limit"])
    if not engine.replaying and len(engine.catalog.queries) >= limit:
        raise StatementError(
            f"there are {len(engine.catalog.queries)} persistent queries, and ksql.query.persistent.active.limit is {limit}",
            span=span,
            suggestion="TERMINATE one first.",
        )


def _sources(resolved: ResolvedQuery) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.source.name for s in resolved.sources))


def _source(engine: Engine, sink: ResolvedSink, entry: QueryEntry) -> DataSource:
    found = engine.partitions_found(sink.topic)
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


def _check_topic(engine: Engine, sink: ResolvedSink, statement: ast.CreateAsSelect) -> None:
    """An existing topic must be able to take the result.  Raises: StatementError."""
    if engine.replaying or engine.topic(sink.topic) is None:
        return
    given = next((p for p in statement.properties if p.name.upper() == "PARTITIONS"), None)
    have = engine.partitions(sink.topic)
    if given is not None and have != sink.partitions:
        raise StatementError(
            f"the topic {sink.topic} exists already, with {have} partitions and not {sink.partitions}",
            span=given.span,
            suggestion="Leave PARTITIONS out, or choose another KAFKA_TOPIC.",
        )
    check_topic_settings(engine, sink.topic, WithClause(statement.properties, CREATE_AS))
    grows = statement.name in engine.catalog.sources
    engine.check_topic(sink.topic, sink.value_format, sink.schema, statement.span, grows=grows)


def _ensure_topic(engine: Engine, sink: ResolvedSink, source: DataSource, existing: DataSource | None) -> None:
    if engine.topic(sink.topic) is None:
        policy = sink.cleanup_policy or "delete"
        retention = sink.retention_ms if sink.retention_ms is not None and sink.retention_ms >= 0 else None
        config = TopicConfig(source.partitions, value_type(sink.value_format, sink.schema), policy, retention)
        engine.create_topic(sink.topic, config, sink.replicas)
    elif existing is not None:
        widen_topic(engine, source)


def _check_replacement(
    engine: Engine, existing: DataSource, source: DataSource, resolved: ResolvedQuery, span: Span
) -> None:
    check_same_place(existing, source, span)
    check_columns_extend(existing, source, span)
    old = engine.planned[str(existing.query_id)].resolved
    if old is not None:
        check_upgrade(existing.name, old, resolved, span)


# --- INSERT INTO .. SELECT -----------------------------------------------------------------


def insert_select(engine: Engine, statement: ast.InsertSelect) -> Message:
    """Have a query write to an existing stream.  Raises: StatementError."""
    text = unparse(statement)
    clause = WithClause(statement.properties, INSERT_INTO)
    target = engine.catalog.sources.get(statement.target)
    if target is None:
        engine.catalog.source(statement.target)  # raises, with near misses
        raise AssertionError
    planned = plan_query(engine, statement.query, SinkRequest(target.kind, target.name, statement.properties, insert=True))
    assert planned.resolved is not None
    number = engine.statement_number
    wanted = clause.text("QUERY_ID")
    query_id = next_query_id(engine, statement)
    if query_id in engine.catalog.queries:
        raise StatementError(f"there is a query with the id {query_id} already", span=clause.span("QUERY_ID"))
    if wanted is not None and not query_id.replace("_", "").isalnum():
        raise StatementError(
            f"{wanted!r} cannot be the id of a query", span=clause.span("QUERY_ID"), suggestion="Use letters, digits and _."
        )
    _check_limit(engine, statement.span)
    entry = QueryEntry(query_id, "INSERT", text, _sources(planned.resolved), target.name, number, engine.overrides)
    planned = with_copies(engine, planned, query_id)
    dataflow = to_dataflow(engine, planned.plan)
    _check_copies(engine, planned, query_id)
    _register_copies(engine, planned, query_id)
    engine.make_durable(text)
    with undone_by(engine, f"TERMINATE {quote(query_id)}"):
        start(engine, NewQuery(entry, planned, dataflow))
    details = {"source": target.name, "query_id": query_id, "topic": target.topic}
    return Message("insert into select", f"the query {query_id} inserts into {target.name}", text, details=details)


# --- internal topics -----------------------------------------------------------------------


def _check_copies(engine: Engine, planned: PlannedQuery, query_id: str) -> None:
    """Raises: StatementError, if a topic that the query is to write is there already and is not its own."""
    if engine.replaying:
        return
    for topic in copies(planned.plan):
        config = engine.topic(topic)
        if config is not None and config.properties.get(COPY_OF) != query_id:
            raise StatementError(
                f"there is a topic {topic} already, which the query is to make for what it re-keys",
                suggestion="SET 'penstock.internal.topics' = 'false', or another 'ksql.service.id'.",
            )


def _register_copies(engine: Engine, planned: PlannedQuery, query_id: str) -> None:
    """Register the schemas of the topics that hold what a query re-keys; where a query is replaced by one whose topics have
    other columns, those schemas begin anew.

    Raises:
        StatementError: a schema cannot be expressed.
    """
    before = copies(engine.planned[query_id].plan) if query_id in engine.planned else {}
    wanted = copies(planned.plan)
    _delete_schemas(engine, (source for topic, source in before.items() if wanted.get(topic) != source))
    for topic, source in wanted.items():
        if before.get(topic) != source:
            register_schemas(engine, source)


def _delete_schemas(engine: Engine, topics: Iterable[DataSource]) -> None:
    for source in topics:
        if any(format_traits(f.name).inference for f in (source.key_format, source.value_format)):
            delete_schemas(engine, source.topic)


# --- starting and ending -------------------------------------------------------------------


def new_source_table_query(engine: Engine, source: DataSource, entry: QueryEntry) -> NewQuery:
    """The query that materialises a SOURCE TABLE."""
    planned = plan_source_table(source)
    return NewQuery(entry, planned, to_dataflow(engine, planned.plan))


def start(engine: Engine, query: NewQuery) -> None:
    """Enter a query into the catalog and run it (when replaying, it is run at the end of the replay)."""
    entry = query.entry
    if not engine.replaying:
        if query.replaces:
            engine.host.replace(entry.id, query.dataflow, entry.order)
        else:
            engine.host.start(entry.id, query.dataflow, entry.order)
    engine.planned[entry.id] = Planned(entry.id, query.planned.plan, query.dataflow, entry.order, query.planned.resolved)
    engine.catalog = engine.catalog.with_query(entry)


def end(engine: Engine, query_id: str) -> None:
    """Stop a query and forget it, its state and its positions; the source it filled stays."""
    entry = engine.catalog.queries.get(query_id)
    if entry is None:
        return
    planned = engine.planned.pop(query_id, None)
    if planned is not None:
        _delete_schemas(engine, copies(planned.plan).values())
    engine.paused.discard(query_id)
    catalog = engine.catalog.without_query(query_id)
    source = catalog.sources.get(entry.sink)
    if source is not None and source.query_id == query_id:
        catalog = catalog.with_source(replace(source, query_id=None))
    engine.catalog = catalog
    if not engine.replaying:
        engine.host.terminate(query_id)


def start_replayed(engine: Engine) -> None:
    """Run the queries that the journal left, in order of creation, and clear away what ended ones left behind."""
    for planned in sorted(engine.planned.values(), key=lambda p: p.order):
        paused = planned.query_id in engine.paused
        engine.host.start(planned.query_id, planned.dataflow, planned.order, paused=paused, opening=True)
    engine.host.forget_others()


# --- TERMINATE, PAUSE, RESUME --------------------------------------------------------------


def control(engine: Engine, statement: ast.ControlQuery) -> Message:
    """Raises: StatementError, for an unknown query, or one that this cannot be done to."""
    action, text = statement.action, unparse(statement)
    if statement.query_id is None:
        chosen = [q for q in engine.catalog.queries.values() if q.kind != "CST" or action != "TERMINATE"]
    else:
        chosen = [find_query(engine, statement.query_id, statement.span)]
        if action == "TERMINATE" and chosen[0].kind == "CST":
            raise StatementError(
                f"{chosen[0].id} keeps the rows of the table {chosen[0].sink} and ends with it",
                span=statement.span,
                suggestion=f"DROP TABLE {chosen[0].sink};",
            )
    if action == "RESUME" and not engine.replaying:
        for entry in chosen:
            engine.host.run(entry.id).check_resumable()
    engine.make_durable(text)
    for entry in chosen:
        if action == "TERMINATE":
            end(engine, entry.id)
        elif action == "PAUSE":
            engine.paused.add(entry.id)
            if not engine.replaying:
                engine.host.run(entry.id).pause()
        else:
            engine.paused.discard(entry.id)
            if not engine.replaying:
                engine.host.resume(entry.id)
    done = {"TERMINATE": "terminated", "PAUSE": "paused", "RESUME": "resumed"}[action]
    listed = ", ".join(q.id for q in chosen) or "no query"
    return Message(action.lower(), f"{listed} {done}", text, details={"query_id": listed} if chosen else {})


def find_query(engine: Engine, query_id: str, span: Span) -> QueryEntry:
    """A persistent query by its id, in any case: statements put ids in upper case, but a sink's name is in its as it is.

    Raises:
        StatementError: there is none, naming near misses.
    """
    queries = engine.catalog.queries
    found = queries.get(query_id) or next((q for q in queries.values() if q.id.upper() == query_id.upper()), None)
    if found is None:
        near = difflib.get_close_matches(query_id, queries, 1)
        raise StatementError(
            f"there is no persistent query {query_id}",
            span=span,
            suggestion=f"Did you mean {near[0]}?" if near else "SHOW QUERIES; lists them.",
        )
    return found
