"""DESCRIBE and EXPLAIN: show everything about one thing.  They change nothing."""

from __future__ import annotations

from typing import Any

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..analysis.sink import SinkRequest
from ..catalog import DataSource, FormatInfo, QueryEntry
from ..flow_picture import flow_of_plan
from ..functions import near_misses
from ..functions.registry import Function
from ..plan.explain import explain as plan_text
from ..relation import instant
from ..results import Description, Listing, Message
from ..schema import Schema
from ..types import STRING, SqlType
from .answers import described
from .context import Context, unsupported_connectors
from .control_query import find_query
from .flows import explain_analyze
from .new_queries import next_query_id
from .planning import plan_query, with_copies
from .select import access_path, is_plain
from .topics import last_time

Sections = list[tuple[str, str | Listing]]


def describe(context: Context, statement: ast.Describe) -> Message | Listing | Description:
    """Describe one thing, or all sources of a kind.

    Raises:
        StatementError: there is no such thing.
    """
    text = unparse(statement)
    name = statement.name or ""
    match statement.what:
        case "STREAMS" | "TABLES" as what:
            return describe_sources(context, what, text, statement.extended)
        case "SOURCE":
            return _describe_source(context, name, statement.extended, statement.span, text)
        case "FUNCTION":
            return _describe_function(context, name, statement.span, text)
        case "QUERY":
            return _describe_query(context, find_query(context.catalog, name, statement.span), text)
        case "CONNECTOR":
            raise unsupported_connectors(statement)


# --- sources -------------------------------------------------------------------------------


def _describe_source(context: Context, name: str, extended: bool, span: Span, text: str) -> Description:
    try:
        source = context.catalog.source(name)
    except StatementError as error:
        error.span = span
        raise
    details = _source_details(context, source)
    sections: Sections = [("Columns", _columns(source))]
    if extended:
        sections += _source_sections(context, source, details)
    return Description("describe source", source.name, tuple(sections), text, details)


def describe_sources(context: Context, what: str, text: str, extended: bool = True) -> Description:
    """All streams, or all tables."""
    found = [s for s in context.catalog.sources.values() if s.kind == what[:-1]]
    sections: Sections = []
    described = [_source_details(context, s) for s in found]
    for source, details in zip(found, described, strict=True):
        sections.append((source.name, _columns(source)))
        if extended:
            sections += _source_sections(context, source, details)
    return Description(f"describe {what.lower()}", "", tuple(sections), text, {"sources": described})


def type_name(type_: SqlType) -> str:
    """The name of a type as DESCRIBE shows it."""
    return "VARCHAR(STRING)" if type_ == STRING else str(type_)


def _columns(source: DataSource) -> Listing:
    rows = []
    for column in source.schema:
        role = {"KEY": "(primary key)" if source.kind == "TABLE" else "(key)", "VALUE": ""}.get(column.role)
        if role is None:
            role = "(headers)" if column.role == "HEADERS" else f"(header('{column.header}'))"
        rows.append((column.name, f"{type_name(column.type)} {role}".strip()))
    return Listing("columns", ("Field", "Type"), tuple(rows))


def _source_details(context: Context, source: DataSource) -> dict[str, Any]:
    own = [source.query_id] if source.query_id in context.catalog.queries else []
    writers = list(dict.fromkeys([*(q for q in own if q), *context.writers(source.name)]))
    window = source.window
    timestamp = source.timestamp_column or ""
    if source.timestamp_format:
        timestamp += f" ({source.timestamp_format})"
    return {
        "name": source.name,
        "type": source.kind,
        "schema": source.schema,
        "topic": source.topic,
        "partitions": source.partitions,
        "key_format": format_text(source.key_format),
        "value_format": format_text(source.value_format),
        "window": "" if window is None else str(window),
        "timestamp": timestamp,
        "statement": source.statement,
        "readers": [q for q in context.readers(source.name) if q not in own],
        "writers": [q for q in writers if context.catalog.queries[q].kind != "CST"],
        "read_only": source.read_only,
    }


def _source_sections(context: Context, source: DataSource, details: dict[str, Any]) -> Sections:
    """The sections that EXTENDED adds."""
    sections: Sections = [
        ("Kind", source.kind.lower() + (", read-only" if source.read_only else "")),
        ("Rows can be asked for", _servable(context, source)),
        ("Topic", source.topic),
        ("Partitions", str(source.partitions)),
        ("Key format", details["key_format"]),
        ("Value format", details["value_format"]),
        ("Window", details["window"] or "none"),
        ("Timestamp", details["timestamp"] or "that of the record"),
        ("Statement", source.statement),
    ]
    if source.followed is not None:
        stopped = context.engine.followers[source.name].error if source.name in context.engine.followers else None
        sections.append(("Follows", stopped or source.followed.path))
    writers, readers = details["writers"], details["readers"]
    if not writers:
        sections.append(("Written by", "no query"))
    else:
        rows = []
        for query_id in writers:
            progress = context.host.run(query_id).status.progress
            rows.append((query_id, progress.state, progress.account.written, progress.account.bad))
        sections.append(("Written by", Listing("writers", ("Query", "State", "Written", "Bad"), tuple(rows))))
    sections.append(("Records", _partitions(context, source.topic)))
    if not readers:
        sections.append(("Read by", "no query"))
    else:
        sections.append(("Read by", _positions(context, readers, source.topic)))
    return sections


def _servable(context: Context, source: DataSource) -> str:
    if source.kind == "STREAM":
        return "yes: the whole stream is read"
    view = context.view_of(source)
    return "no: no query keeps this table" if view is None else f"yes: {view} keeps them"


def last_record_at(context: Context, topic: str, partition: int) -> str:
    """The timestamp of a partition's last record as text; empty if there is none."""
    last = last_time(context.log, topic, partition)
    return "" if last is None else instant(last)


def _partitions(context: Context, topic: str) -> Listing:
    config = context.topic(topic)
    rows = []
    for p in range(0 if config is None else config.partitions):
        start, end = context.log.start_offset(topic, p), context.log.end_offset(topic, p)
        rows.append((p, end - start, start, end, last_record_at(context, topic, p)))
    return Listing("partitions", ("Partition", "Records", "First Offset", "End Offset", "Last Record"), tuple(rows))


def _positions(context: Context, query_ids: list[str], topic: str | None = None) -> Listing:
    """How far queries have read a topic.  Without a topic: how far a query has read each of its topics."""
    rows: list[tuple[Any, ...]] = []
    for query_id in query_ids:
        run = context.host.run(query_id)
        for (name, partition), position in sorted(run.status.positions.items()):
            if topic in (None, name):
                unread = max(0, context.log.end_offset(name, partition) - position)
                place = (query_id, run.state) if topic is not None else (name,)
                rows.append((*place, partition, position, unread))
    columns = ("Query", "State") if topic is not None else ("Topic",)
    return Listing("positions", (*columns, "Partition", "Next Offset", "Unread"), tuple(rows))


def consumers(context: Context, topic: str) -> list[str]:
    """The ids of the persistent queries that read a topic.  Each has the number of records that it has not read yet."""
    found = []
    for query_id in context.catalog.queries:
        places = {p: at for p, at in context.host.run(query_id).status.positions.items() if p[0] == topic}
        if places:
            unread = sum(max(0, context.log.end_offset(*place) - at) for place, at in places.items())
            found.append(f"{query_id} ({unread} unread)")
    return found


def format_text(format_: FormatInfo) -> str:
    """A format with its properties."""
    properties = ", ".join(f"{k}={v!r}" for k, v in format_.properties.items())
    features = ", ".join(f.lower().replace("_", " ") for f in sorted(format_.features))
    inner = ", ".join(p for p in (properties, features) if p)
    return f"{format_.name} ({inner})" if inner else format_.name


# --- functions -----------------------------------------------------------------------------


def _describe_function(context: Context, name: str, span: Span, text: str) -> Description:
    function = context.functions.find(name)
    if function is None or function.internal:
        raise StatementError(
            f"there is no function named {name}",
            span=span,
            suggestion=near_misses.suggestion(name, context.functions.names()),
        )
    variants = Listing("signatures", ("Variant",), tuple((f"{function.name}{o.signature}",) for o in function.overloads))
    sections: Sections = [
        ("Kind", function.kind.lower()),
        ("Category", function.category),
        ("Meaning", function.meaning),
        ("Variants", variants),
    ]
    return Description("describe function", function.name, tuple(sections), text, _function_details(function))


def _function_details(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "type": function.kind,
        "meaning": function.meaning,
        "signatures": [str(o.signature) for o in function.overloads],
    }


# --- queries -------------------------------------------------------------------------------


def describe_queries(context: Context, text: str) -> Description:
    """All persistent queries."""
    described = [_describe_query(context, q, text) for q in context.catalog.queries.values()]
    sections: Sections = []
    for found in described:
        sections.append(("Query", found.title))
        sections += [s for s in found.sections if s[0] != "Plan"]
    return Description("describe queries", "", tuple(sections), text, {"queries": [d.details for d in described]})


def _describe_query(context: Context, query: QueryEntry, text: str) -> Description:
    progress = context.host.run(query.id).status.progress
    account = progress.account
    sections: Sections = [
        ("State", progress.state),
        ("Statement", query.statement),
        ("Reads", ", ".join(query.sources)),
        ("Writes", query.sink if query.kind != "CST" else f"the rows of {query.sink}, for pull queries"),
        ("State held", f"{progress.state_rows} rows, {progress.state_bytes} bytes"),
    ]
    if query.properties:
        sections.append(("Properties", ", ".join(f"{k} = '{v}'" for k, v in query.properties.items())))
    if progress.error is not None:
        sections.append(("Error", f"{progress.error}\nRESUME {query.id}; goes on from the last commit."))
    counts = (account.read, account.used, account.filtered, account.late, account.bad, account.written)
    columns = ("Read =", "Used +", "Filtered +", "Late +", "Bad", "Written")
    sections.append(("Records", Listing("account", columns, (counts,))))
    if account.expired:
        sections.append(("Windows removed", f"{account.expired}, after their retention"))
    if account.bad:
        sections.append(("Why records are bad", "SELECT * FROM KSQL_PROCESSING_LOG; shows reasons and places."))
    sections.append(("Positions", _positions(context, [query.id])))
    sections.append(("Plan", plan_text(context.planned[query.id].plan)))
    details = {
        "id": query.id,
        "state": progress.state,
        "statement": query.statement,
        "sources": list(query.sources),
        "sink": query.sink,
        "lag": progress.lag,
        "account": account,
        "error": progress.error,
        "flow": flow_of_plan(context.planned[query.id].plan),
    }
    return Description("describe query", query.id, tuple(sections), text, details)


# --- EXPLAIN -------------------------------------------------------------------------------


def explain(context: Context, statement: ast.Explain) -> Description:
    """Show the plan of a query, of the query in a statement, or of a running query.  Nothing runs.

    Raises:
        StatementError: the query is wrong, or the statement has none.
    """
    text = unparse(statement)
    if statement.analyze:
        return explain_analyze(context, statement)
    if statement.query_id is not None:
        found = _describe_query(context, find_query(context.catalog, statement.query_id, statement.span), text)
        return Description("explain", found.title, found.sections, text, found.details)
    inner = statement.statement
    if isinstance(inner, ast.TableQuery) or (
        isinstance(inner, ast.Query) and inner.emit is None and not is_plain(context, inner)
    ):
        steps, columns = described(context, inner)
        kind = "answered once, column by column over snapshots"
        return Description("explain", "", (("Kind", kind), ("Steps", steps)), text, {"schema": columns, "plan": steps})
    match inner:
        case ast.Query():
            planned = plan_query(context, inner)
        case ast.CreateAsSelect():
            planned = plan_query(context, inner.query, SinkRequest(inner.kind, inner.name, inner.properties))
            planned = with_copies(context, planned, next_query_id(context.checking(), inner))
        case ast.InsertSelect():
            try:
                target = context.catalog.source(inner.target)
            except StatementError as error:
                error.span = inner.span
                raise
            request = SinkRequest(target.kind, target.name, inner.properties, insert=True)
            planned = plan_query(context, inner.query, request)
            planned = with_copies(context, planned, next_query_id(context.checking(), inner))
        case _:
            raise StatementError(
                "EXPLAIN takes a query, or a statement with one",
                span=statement.span,
                suggestion="EXPLAIN SELECT ..; EXPLAIN CREATE .. AS SELECT ..; or EXPLAIN followed by the id of a query.",
            )
    assert planned.resolved is not None
    schema: Schema = planned.resolved.schema
    sections: Sections = []
    if isinstance(inner, ast.Query):
        pulls = inner.emit is None
        sections.append(
            ("Kind", "pull query: answered once, from what is there" if pulls else "push query: rows as they come")
        )
        if pulls:
            sections.append(("Access", access_path(context, inner, planned.resolved)))
    else:
        sections.append(("Kind", f"persistent query, result is a {planned.resolved.kind.lower()}"))
    sections.append(("Result", f"{planned.resolved.kind} [{schema}]"))
    if context.overrides:
        sections.append(("Properties", ", ".join(f"{k} = '{v}'" for k, v in context.overrides.items())))
    plan = plan_text(planned.plan)
    sections.append(("Plan", plan))
    details = {"schema": schema, "plan": plan, "flow": flow_of_plan(planned.plan)}
    return Description("explain", "", tuple(sections), text, details)
