"""SHOW: lists things."""

from __future__ import annotations

from typing import Any

from ...errors import StorageError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime.query.sharing import Sharing
from ..query_options import PROPERTIES
from ..results import Description, Listing, Message
from .context import Context, unsupported_connectors
from .describe import consumers, describe_queries, describe_sources, format_text, last_record_at
from .topics import changed_config

Result = Message | Listing | Description


def show(context: Context, statement: ast.Show) -> Result:
    """List things.

    Raises:
        UnsupportedError: the things are connectors.
    """
    text = unparse(statement)
    match statement.what:
        case "STREAMS" | "TABLES" as what:
            return describe_sources(context, what, text) if statement.extended else _sources(context, what, text)
        case "TOPICS":
            return _topics(context, statement.all, statement.extended, text)
        case "QUERIES":
            return describe_queries(context, text) if statement.extended else _queries(context, text)
        case "FUNCTIONS":
            return _functions(context, text)
        case "TYPES":
            rows = tuple((name, str(type_)) for name, type_ in sorted(context.catalog.types.items()))
            return Listing("show types", ("Type", "Schema"), rows, text)
        case "PROPERTIES":
            return _properties(context, text)
        case "VARIABLES":
            return Listing("show variables", ("Variable", "Value"), tuple(sorted(context.session.variables.items())), text)
    raise unsupported_connectors(statement)


def _sources(context: Context, what: str, text: str) -> Listing:
    found = [s for s in context.catalog.sources.values() if s.kind == what[:-1]]
    rows = tuple(
        (s.name, s.topic, format_text(s.key_format), format_text(s.value_format), s.window.type if s.window else "no")
        for s in found
    )
    return Listing(f"show {what.lower()}", ("Name", "Topic", "Key Format", "Value Format", "Windowed"), rows, text)


def _topics(context: Context, everything: bool, extended: bool, text: str) -> Listing:
    chosen = {n: c for n, c in sorted(context.log.topics().items()) if everything or not c.internal}
    rows: list[tuple[Any, ...]] = []
    for name, config in chosen.items():
        row: tuple[Any, ...] = (name, context.engine.partitions(name), context.engine.replicas(name))
        if extended:
            places = [(name, p) for p in range(config.partitions)]
            _, ends = context.log.end_offsets(places)
            records = sum(ends.values()) - sum(context.log.start_offset(*place) for place in places)
            last = max((t for p in range(config.partitions) if (t := last_record_at(context, name, p))), default="")
            size = sum(size for _, size in context.log.partition_sizes(name))
            config_text = ", ".join(f"{key}={value}" for key, value in changed_config(config).items()) or "default"
            row = (*row, records, size, last, config_text, ", ".join(consumers(context, name)) or "none")
        rows.append(row)
    columns = ("Topic", "Partitions", "Replicas", "Records", "Bytes", "Last Record", "Config", "Consumers")
    return Listing("show topics", columns if extended else columns[:3], tuple(rows), text)


def _queries(context: Context, text: str) -> Listing:
    rows: list[tuple[object, ...]] = []
    names: tuple[str, ...] = ("Query", "State", "Reads", "Writes", "Unread", "Statement")
    for query in context.catalog.queries.values():
        run = context.host.run(query.id)
        progress = run.status.progress
        row = (query.id, progress.state, ", ".join(query.sources), query.sink, progress.lag, query.statement)
        rows.append(row if run.shares is None else (*row, _partitions(run.shares)))
    if context.log.capabilities.shared:
        names = (*names, "Partitions")
    return Listing("show queries", names, tuple(rows), text)


def _partitions(shares: Sharing) -> str:
    """The partitions of each process, as text."""
    try:
        tasks = shares.tasks()
    except StorageError as error:
        return f"not known: {error}"
    named: dict[str, list[str]] = {}
    for task, owner in tasks.items():
        named.setdefault(owner, []).append(task)
    return "; ".join(f"{', '.join(numbers)}: {owner}" for owner, numbers in named.items())


def _functions(context: Context, text: str) -> Listing:
    rows: list[tuple[str, str, str, str]] = []
    for name in context.functions.names():
        function = context.functions.find(name)
        if function is not None and not function.internal:
            rows.append((function.category, name, function.kind, function.meaning))
    return Listing("show functions", ("Category", "Function", "Kind", "Meaning"), tuple(sorted(rows)), text)


def _properties(context: Context, text: str) -> Listing:
    rows = []
    settings = context.session.settings
    for name, known in sorted(PROPERTIES.items()):
        level = settings.level(name)
        meaning = known.meaning if known.in_effect else f"{known.meaning} (every value is met)"
        rows.append((name, settings.shown(name), "" if level == "DEFAULT" else known.default, level.lower(), meaning))
    return Listing("show properties", ("Property", "Value", "Default", "From", "Meaning"), tuple(rows), text)
