"""SHOW, DESCRIBE, EXPLAIN and PRINT: looking, never changing."""

from __future__ import annotations

from typing import Any

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime import processing_log
from ..analysis.sink import SinkRequest
from ..catalog import DataSource, FormatInfo, QueryEntry
from ..functions.registry import Function
from ..plan.explain import explain as plan_text
from ..results import Description, Listing, Message
from ..schema import Schema
from ..settings import PROPERTIES
from ..types import STRING, SqlType
from . import persist
from .context import Engine, unsupported_connectors
from .planning import plan_query

Result = Message | Listing | Description


# --- SHOW ----------------------------------------------------------------------------------


def show(engine: Engine, statement: ast.Show) -> Result:
    """A list.  Raises: UnsupportedError, for connectors."""
    text = unparse(statement)
    match statement.what:
        case "STREAMS" | "TABLES" as what:
            return _sources(engine, what, statement.extended, text)
        case "TOPICS":
            return _topics(engine, statement.all, statement.extended, text)
        case "QUERIES":
            return _queries(engine, statement.extended, text)
        case "FUNCTIONS":
            return _functions(engine, text)
        case "TYPES":
            rows = tuple((name, str(type_)) for name, type_ in sorted(engine.catalog.types.items()))
            return Listing("show types", ("Type", "Schema"), rows, text)
        case "PROPERTIES":
            shown = tuple(
                (
                    name,
                    engine.settings.shown(name),
                    engine.settings.level(name),
                    "yes" if p.in_effect else "always met",
                    p.meaning,
                )
                for name, p in sorted(PROPERTIES.items())
            )
            return Listing("show properties", ("Property", "Value", "Level", "In effect", "Meaning"), shown, text)
        case "VARIABLES":
            return Listing("show variables", ("Variable", "Value"), tuple(sorted(engine.variables.items())), text)
    raise unsupported_connectors(statement)


def _sources(engine: Engine, what: str, extended: bool, text: str) -> Result:
    kind = what[:-1]
    found = [s for s in engine.catalog.sources.values() if s.kind == kind]
    if extended:
        return Description(
            f"describe {what.lower()}",
            what,
            tuple((s.name, _source_listing(s)) for s in found),
            text,
            {"sources": [_source_details(engine, s) for s in found]},
        )
    rows = tuple(
        (s.name, s.topic, _format(s.key_format), _format(s.value_format), "yes" if s.window else "no") for s in found
    )
    return Listing(f"show {what.lower()}", ("Name", "Topic", "Key Format", "Value Format", "Windowed"), rows, text)


def _topics(engine: Engine, everything: bool, extended: bool, text: str) -> Listing:
    chosen = {n: c for n, c in sorted(engine.log.topics().items()) if everything or not c.internal}
    rows: list[tuple[Any, ...]] = []
    for name, config in chosen.items():
        row: tuple[Any, ...] = (name, engine.partitions(name), engine.replicas(name))
        if extended:
            readers = sum(s.topic == name for q in engine.catalog.queries.values() for s in _read(engine, q))
            ends = [engine.log.end_offset(name, p) for p in range(config.partitions)]
            starts = [engine.log.start_offset(name, p) for p in range(config.partitions)]
            row = (*row, sum(ends) - sum(starts), config.cleanup_policy, readers)
        rows.append(row)
    columns = ("Topic", "Partitions", "Replicas", "Records", "Cleanup", "Queries Reading")
    return Listing("show topics", columns if extended else columns[:3], tuple(rows), text)


def _read(engine: Engine, query: QueryEntry) -> list[DataSource]:
    return [engine.catalog.sources[n] for n in query.sources if n in engine.catalog.sources]


def _queries(engine: Engine, extended: bool, text: str) -> Result:
    entries = list(engine.catalog.queries.values())
    if extended:
        described = [_describe_query(engine, q, text) for q in entries]
        sections = tuple((d.title, "\n".join(f"{h}: {c}" for h, c in d.sections if isinstance(c, str))) for d in described)
        return Description("describe queries", "QUERIES", sections, text, {"queries": [d.details for d in described]})
    rows = tuple((q.id, "PERSISTENT", _state(engine, q.id), q.sink, _sink_topic(engine, q), q.statement) for q in entries)
    return Listing("show queries", ("Query ID", "Type", "State", "Sink", "Sink Topic", "Query"), rows, text)


def _state(engine: Engine, query_id: str) -> str:
    return engine.host.run(query_id).state


def _sink_topic(engine: Engine, query: QueryEntry) -> str:
    source = engine.catalog.sources.get(query.sink)
    return source.topic if source is not None and query.kind != "CST" else ""


def _functions(engine: Engine, text: str) -> Listing:
    rows: list[tuple[str, str, str]] = []
    for name in engine.functions.names():
        function = engine.functions.find(name)
        if function is not None and not function.internal:
            rows.append((name, function.kind, function.category))
    return Listing("show functions", ("Function", "Type", "Category"), tuple(rows), text)


# --- DESCRIBE ------------------------------------------------------------------------------


def describe(engine: Engine, statement: ast.Describe) -> Result:
    """One thing, or all sources of a kind.  Raises: StatementError, for an unknown one."""
    text = unparse(statement)
    name = statement.name or ""
    match statement.what:
        case "STREAMS" | "TABLES" as what:
            return _sources(engine, what, True, text)
        case "SOURCE":
            return _describe_source(engine, name, statement.extended, statement.span, text)
        case "FUNCTION":
            return _describe_function(engine, name, statement.span, text)
        case "QUERY":
            return _describe_query(engine, _query(engine, name, statement.span), text)
        case "CONNECTOR":
            raise unsupported_connectors(statement)


def _source_of(engine: Engine, name: str, span: Span) -> DataSource:
    try:
        return engine.catalog.source(name)
    except StatementError as error:
        error.span = span
        raise


def _describe_source(engine: Engine, name: str, extended: bool, span: Span, text: str) -> Description:
    source = _source_of(engine, name, span)
    sections: list[tuple[str, str | Listing]] = [("Columns", _source_listing(source))]
    details = _source_details(engine, source)
    if extended:
        for heading, key in (
            ("Type", "type"),
            ("Topic", "topic"),
            ("Partitions", "partitions"),
            ("Key format", "key_format"),
            ("Value format", "value_format"),
            ("Window", "window"),
            ("Timestamp", "timestamp"),
            ("Statement", "statement"),
            ("Read by", "readers"),
            ("Written by", "writers"),
        ):
            value = details[key]
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            if shown:
                sections.append((heading, shown))
        sections.append(("Records", _partition_listing(engine, source)))
        progress = [engine.host.run(q).progress() for q in details["readers"] if q in engine.host.runs]
        if progress:
            sections.append(("Unread by its readers", str(sum(p.lag for p in progress))))
    return Description("describe source", source.name, tuple(sections), text, details)


def _partition_listing(engine: Engine, source: DataSource) -> Listing:
    config = engine.topic(source.topic)
    partitions = 0 if config is None else config.partitions
    rows = tuple(
        (p, engine.log.start_offset(source.topic, p), engine.log.end_offset(source.topic, p)) for p in range(partitions)
    )
    return Listing("partitions", ("Partition", "Start Offset", "End Offset"), rows)


def type_name(type_: SqlType) -> str:
    """As DESCRIBE shows it."""
    return "VARCHAR(STRING)" if type_ == STRING else str(type_)


def _source_listing(source: DataSource) -> Listing:
    rows = []
    for column in source.schema:
        role = {"KEY": "(primary key)" if source.kind == "TABLE" else "(key)", "VALUE": ""}.get(column.role)
        if role is None:
            role = "(headers)" if column.role == "HEADERS" else f"(header('{column.header}'))"
        rows.append((column.name, f"{type_name(column.type)} {role}".strip()))
    return Listing("columns", ("Field", "Type"), tuple(rows))


def _source_details(engine: Engine, source: DataSource) -> dict[str, Any]:
    own = [source.query_id] if source.query_id in engine.catalog.queries else []
    writers = list(dict.fromkeys([*(q for q in own if q), *engine.writers(source.name)]))
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
        "key_format": _format(source.key_format),
        "value_format": _format(source.value_format),
        "window": "" if window is None else f"{window.type}{'' if window.size_ms is None else f' {window.size_ms} ms'}",
        "timestamp": timestamp,
        "statement": source.statement,
        "readers": [q for q in engine.readers(source.name) if q not in own],
        "writers": [q for q in writers if engine.catalog.queries[q].kind != "CST"],
        "read_only": source.read_only,
    }


def _format(format_: FormatInfo) -> str:
    properties = ", ".join(f"{k}={v!r}" for k, v in format_.properties.items())
    return f"{format_.name} ({properties})" if properties else format_.name


def _describe_function(engine: Engine, name: str, span: Span, text: str) -> Description:
    function = engine.functions.find(name)
    if function is None:
        import difflib

        near = difflib.get_close_matches(name.upper(), engine.functions.names(), 3)
        raise StatementError(
            f"there is no function named {name}",
            span=span,
            suggestion=f"Did you mean {' or '.join(near)}?" if near else "SHOW FUNCTIONS; lists them.",
        )
    signatures = Listing(
        "signatures", ("Signature",), tuple((f"{function.name}{_signature(o)}",) for o in function.overloads)
    )
    sections: tuple[tuple[str, str | Listing], ...] = (
        ("Type", function.kind),
        ("Meaning", function.meaning),
        ("Signatures", signatures),
    )
    return Description("describe function", function.name, sections, text, _function_details(function))


def _signature(overload: Any) -> str:
    return str(overload.signature)


def _function_details(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "type": function.kind,
        "meaning": function.meaning,
        "signatures": [_signature(o) for o in function.overloads],
    }


def _query(engine: Engine, query_id: str, span: Span) -> QueryEntry:
    return persist.find_query(engine, query_id, span)


def _describe_query(engine: Engine, query: QueryEntry, text: str) -> Description:
    run = engine.host.run(query.id)
    progress = run.progress()
    account = progress.account
    sections: list[tuple[str, str | Listing]] = [
        ("State", progress.state),
        ("Statement", query.statement),
        ("Reads", ", ".join(query.sources)),
        ("Writes", query.sink if query.kind != "CST" else f"the rows of {query.sink}, for pull queries"),
        ("Plan", plan_text(engine.planned[query.id].plan)),
        (
            "Records",
            f"{account.read} read: {account.used} used, {account.filtered} filtered, {account.late} late, "
            f"{account.bad} bad; {account.written} written; {progress.lag} not read yet",
        ),
        ("State held", f"{progress.state_rows} rows, {progress.state_bytes} bytes"),
    ]
    if query.properties:
        listed = ", ".join(f"{k} = {v!r}" for k, v in query.properties.items())
        sections.append(("Properties", listed))
    if progress.error is not None:
        sections.append(("Error", progress.error))
    details = {
        "id": query.id,
        "state": progress.state,
        "statement": query.statement,
        "sources": list(query.sources),
        "sink": query.sink,
        "lag": progress.lag,
        "account": account,
        "error": progress.error,
    }
    return Description("describe query", query.id, tuple(sections), text, details)


# --- EXPLAIN -------------------------------------------------------------------------------


def explain(engine: Engine, statement: ast.Explain) -> Description:
    """The plan of a query, of the query in a statement, or of a running one.  Nothing is run.

    Raises:
        StatementError: the query is wrong, or the statement has none.
    """
    text = unparse(statement)
    if statement.query_id is not None:
        found = _describe_query(engine, _query(engine, statement.query_id, statement.span), text)
        return Description("explain", found.title, found.sections, text, found.details)
    inner = statement.statement
    match inner:
        case ast.Query():
            planned = plan_query(engine, inner)
        case ast.CreateAsSelect():
            planned = plan_query(engine, inner.query, SinkRequest(inner.kind, inner.name, inner.properties))
        case ast.InsertSelect():
            target = engine.catalog.source(inner.target)
            request = SinkRequest(target.kind, target.name, inner.properties, insert=True)
            planned = plan_query(engine, inner.query, request)
        case _:
            raise StatementError(
                "EXPLAIN takes a query, or a statement with one", span=statement.span, suggestion="EXPLAIN SELECT ..;"
            )
    assert planned.resolved is not None
    schema: Schema = planned.resolved.schema
    plan = plan_text(planned.plan)
    overrides = "".join(f"\n{k} = {v!r}" for k, v in engine.overrides.items()).strip()
    sections: list[tuple[str, str | Listing]] = [("Plan", plan), ("Result", f"{planned.resolved.kind} [{schema}]")]
    if overrides:
        sections.append(("Properties", overrides))
    return Description("explain", "", tuple(sections), text, {"schema": schema, "plan": plan})


# --- PRINT ---------------------------------------------------------------------------------


def internal_source(name: str) -> bool:
    """Whether a source is the engine's own."""
    return name == processing_log.TOPIC.upper()
