"""What holds for everything that CREATE makes and CREATE OR REPLACE changes, with a query or without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from ...errors import PenstockError, Span, StatementError
from ..analysis.with_clause import WithClause
from ..catalog import DataSource
from ..serdes import value_type
from .context import Context

_SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]+")


@contextmanager
def undone_by(context: Context, statement: str | None) -> Iterator[None]:
    """If what follows a journaled statement fails, journal the one that takes it back."""
    try:
        yield
    except PenstockError:
        if statement is not None:
            context.make_durable(statement)
            context.engine.journaled = None
        raise


def check_name(name: str, span: Span) -> None:
    """Section 1: what a source may be called.  Raises: StatementError."""
    if not _SOURCE_NAME.fullmatch(name):
        raise StatementError(
            f"a stream or table cannot be called {name}", span=span, suggestion="Use letters, digits, _ and - only."
        )


def check_may_replace(context: Context, existing: DataSource, kind: str, span: Span) -> None:
    """What holds for every CREATE OR REPLACE.  Raises: StatementError."""
    if not context.options.create_or_replace:
        raise StatementError("CREATE OR REPLACE is switched off by ksql.create.or.replace.enabled", span=span)
    if existing.kind != kind:
        raise StatementError(
            f"{existing.name} is a {existing.kind.lower()}, so it cannot be replaced by a {kind.lower()}", span=span
        )


def check_same_place(old: DataSource, new: DataSource, span: Span) -> None:
    """Section 3, CREATE OR REPLACE: topic, formats, windows and timestamps must stay.  Raises: StatementError."""
    same = (
        ("topic", old.topic, new.topic),
        ("key format", old.key_format, new.key_format),
        ("value format", old.value_format, new.value_format),
        ("window", old.window, new.window),
        ("timestamp column", (old.timestamp_column, old.timestamp_format), (new.timestamp_column, new.timestamp_format)),
    )
    for what, before, after in same:
        if before != after:
            raise StatementError(
                f"{old.name} cannot be replaced: its {what} would change",
                span=span,
                suggestion="DROP it and create it anew.",
            )


def check_columns_extend(old: DataSource, new: DataSource, span: Span) -> None:
    """Section 3, CREATE OR REPLACE: keys stay, value columns keep place and type, new ones come last."""
    if old.schema.keys != new.schema.keys:
        raise StatementError(f"{old.name} cannot be replaced: its key would change", span=span)
    before, after = old.schema.values, new.schema.values
    for index, column in enumerate(before):
        if index >= len(after) or after[index] != column:
            raise StatementError(
                f"{old.name} cannot be replaced: the column {column} would change or go away",
                span=span,
                suggestion="Keep all value columns, and add new ones at the end.",
            )


def check_topic_settings(context: Context, topic: str, clause: WithClause) -> None:
    """A topic that exists already keeps what it was made with, so a statement cannot ask for something else.

    Raises:
        StatementError: it does.
    """
    config = context.log.topics()[topic]
    have = {
        "REPLICAS": context.engine.replicas(topic),
        "RETENTION_MS": -1 if config.retention_ms is None else config.retention_ms,
        "CLEANUP_POLICY": config.cleanup_policy,
    }
    wanted = {"REPLICAS": clause.integer("REPLICAS", -1), "RETENTION_MS": clause.integer("RETENTION_MS", -1)}
    for name, value in {**wanted, "CLEANUP_POLICY": clause.cleanup_policy()}.items():
        if value not in (None, have[name]) and (name, value) != ("REPLICAS", -1):
            raise StatementError(
                f"the topic {topic} exists already, and its {name} is {have[name]}, not {value}",
                span=clause.span(name),
                suggestion=f"Leave {name} out: the topic keeps what it was made with.",
            )


def widen_topic(context: Context, source: DataSource) -> None:
    """Let a topic of typed values hold the source's new columns."""
    config = context.log.topics()[source.topic]
    wanted = value_type(source.value_format, source.schema)
    if wanted is None or config.value_type is None:
        return
    have = list(config.value_type)
    names = {f.name for f in have}
    added = [f for f in wanted if f.name not in names]
    if added:
        context.log.alter_topic(source.topic, replace(config, value_type=pa.struct([*have, *added])))
