"""Rules for the names of sources, and for what CREATE OR REPLACE may change."""

from __future__ import annotations

import re

from ...errors import Span, StatementError
from ..catalog import Catalog, DataSource
from ..query_options import QueryOptions
from ..results import Message

_SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check_name(name: str, span: Span) -> None:
    """Check the name of a source (section 1).

    Raises:
        StatementError: a source cannot have it.
    """
    if not _SOURCE_NAME.fullmatch(name):
        raise StatementError(
            f"a stream or table cannot be called {name}", span=span, suggestion="Use letters, digits, _ and - only."
        )


def nothing_changed(existing: DataSource, command: str, text: str) -> Message:
    """The answer to CREATE .. IF NOT EXISTS if the source exists.  ``text`` is the statement's canonical text."""
    return Message(
        command, f"{existing.kind.lower()} {existing.name} exists already; nothing was changed", text, warning=True
    )


def check_may_replace(options: QueryOptions, existing: DataSource, kind: str, span: Span) -> None:
    """Check the rules for every CREATE OR REPLACE.

    Raises:
        StatementError: it breaks one.
    """
    if not options.create_or_replace:
        raise StatementError("CREATE OR REPLACE is switched off by ksql.create.or.replace.enabled", span=span)
    if existing.kind != kind:
        raise StatementError(
            f"{existing.name} is a {existing.kind.lower()}, so it cannot be replaced by a {kind.lower()}",
            span=span,
            suggestion="DROP it first, or choose another name.",
        )


def check_same_place(old: DataSource, new: DataSource, span: Span) -> None:
    """Check that CREATE OR REPLACE does not change topic, formats, windows and timestamps (section 3).

    Raises:
        StatementError: it does.
    """
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
                suggestion="DROP it and create it again.",
            )


def check_columns_extend(old: DataSource, new: DataSource, span: Span) -> None:
    """Check that keys stay, that value columns keep their place and type, and that new columns come last (section 3).

    Raises:
        StatementError: a column breaks the rule.
    """
    if old.schema.keys != new.schema.keys:
        raise StatementError(
            f"{old.name} cannot be replaced: its key would change",
            span=span,
            suggestion="DROP it first, or give the new one another name.",
        )
    before, after = old.schema.values, new.schema.values
    for index, column in enumerate(before):
        if index >= len(after) or after[index] != column:
            raise StatementError(
                f"{old.name} cannot be replaced: the column {column} would change or go away",
                span=span,
                suggestion="Keep all value columns, and add new ones at the end.",
            )


def source_of_kind(catalog: Catalog, kind: str, name: str, span: Span) -> DataSource:
    """Find a source by name.

    Raises:
        StatementError: there is none, or it is of the other kind.
    """
    try:
        source = catalog.source(name)
    except StatementError as error:
        error.span = span
        raise
    if source.kind != kind:
        raise StatementError(
            f"{name} is a {source.kind.lower()}, not a {kind.lower()}", span=span, suggestion=f"Write {source.kind}."
        )
    return source
