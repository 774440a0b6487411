"""CREATE STREAM and CREATE TABLE: declare a schema over a topic."""

from __future__ import annotations

from dataclasses import replace

from ...errors import StatementError
from ...grammar import ast
from ...grammar.unparse import quote, unparse
from ..catalog import DataSource, QueryEntry
from ..changes import DropSource, SetSource
from ..results import Message
from ..state import Planned
from .checking import Checked, Checking
from .planning import plan_source_table, ready
from .replacement import check_columns_extend, check_may_replace, check_name, check_same_place, nothing_changed
from .source_definition import resolve_source


def check(checking: Checking, statement: ast.CreateSource) -> Checked | Message:
    """Check a CREATE without a query.  The topic is created if PARTITIONS is given.

    Raises:
        StatementError: the statement breaks a rule of the dialect (sections 3, 4, 5 or 10).  Nothing has changed.
    """
    kind, name, word = statement.kind, statement.name, f"create {statement.kind.lower()}"
    text = unparse(statement)
    check_name(name, statement.span)
    existing = checking.catalog.sources.get(name)
    if existing is not None and statement.if_not_exists:
        return nothing_changed(existing, word, text)
    _check_replaceable(checking, statement, existing)
    made = resolve_source(checking, statement)
    if existing is not None:
        check_same_place(existing, made.source, statement.span)
        check_columns_extend(existing, made.source, statement.span)
    source = replace(made.source, statement=text, followed=None if existing is None else existing.followed)
    entry = _entry(checking, source) if statement.read_only and kind == "TABLE" else None
    if entry is not None:
        source = replace(source, query_id=entry.id)
    done = f"{kind.lower()} {name} {'replaced' if existing is not None else 'created'}"
    return Checked(
        SetSource(source, entry, made.topic),
        Message(word, done, text, details={"source": name, "topic": source.topic}),
        planned=None if entry is None else _planned(checking, source, entry),
        registered=(source,),
        undo=None if existing is not None else (f"DROP {kind} {quote(name)}", DropSource(name, source.query_id)),
    )


def _check_replaceable(checking: Checking, statement: ast.CreateSource, existing: DataSource | None) -> None:
    kind, name, span = statement.kind, statement.name, statement.span
    if statement.or_replace and (statement.read_only or (existing is not None and existing.read_only)):
        raise StatementError(f"{name}: a read-only source cannot be replaced", span=span, suggestion="DROP it first.")
    if existing is None:
        return
    if not statement.or_replace:
        raise StatementError(
            f"there is a {existing.kind.lower()} named {name} already",
            span=span,
            suggestion=f"Use CREATE OR REPLACE {kind}, CREATE {kind} IF NOT EXISTS, or another name.",
        )
    check_may_replace(checking.options, existing, kind, span)
    if existing.query_id is not None:
        raise StatementError(
            f"{name} is filled by the query {existing.query_id} and cannot be replaced by a source without one",
            span=span,
            suggestion=f"Use CREATE OR REPLACE {kind} {name} AS SELECT .., or DROP it first.",
        )


def _entry(checking: Checking, source: DataSource) -> QueryEntry:
    """The query that keeps a SOURCE TABLE's rows for pull queries."""
    number = checking.outside.number
    query_id = f"CST_{source.name}_{number}"
    overrides = dict(checking.overrides)
    return QueryEntry(query_id, "CST", source.statement, (source.name,), source.name, number, overrides)


def _planned(checking: Checking, source: DataSource, entry: QueryEntry) -> Planned:
    return ready(checking, plan_source_table(source), entry)
