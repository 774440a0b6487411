"""ALTER STREAM and ALTER TABLE: add value columns at the end."""

from __future__ import annotations

from dataclasses import replace

from ...errors import StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..analysis.sink import check_format
from ..analysis.types import resolve_type
from ..analysis.with_clause import CREATE_SOURCE, WithClause
from ..changes import SetSource
from ..results import Message
from ..schema import Column, Schema
from .checking import Checked, Checking
from .replacement import source_of_kind
from .source_definition import check_column


def check(checking: Checking, statement: ast.AlterSource) -> Checked:
    """Check an ALTER that adds value columns.

    Raises:
        StatementError: there is no such source, it cannot be changed, or a column is wrong.
    """
    source = source_of_kind(checking.catalog, statement.kind, statement.name, statement.span)
    text = unparse(statement)
    if source.read_only:
        raise StatementError(
            f"{source.name} is read-only: it was made by CREATE SOURCE",
            span=statement.span,
            suggestion="Declare a stream over the same topic without SOURCE.",
        )
    if source.query_id is not None:
        raise StatementError(
            f"{source.name} is filled by the query {source.query_id}, which decides its columns",
            span=statement.span,
            suggestion=f"Use CREATE OR REPLACE {source.kind} {source.name} AS SELECT ..",
        )
    columns = list(source.schema.columns)
    for definition in statement.add:
        columns.append(Column(definition.name, resolve_type(definition.type, checking.catalog.types)))
        check_column(columns, definition)
    altered = replace(source, schema=Schema(tuple(columns)), statement=text)
    stored = [c for c in columns if c.role == "VALUE"]
    check_format(source.value_format.name, stored, is_key=False, span=statement.span)
    if source.value_format.features and len(stored) > 1:
        altered = replace(altered, value_format=replace(source.value_format, features=frozenset()))
    checking.outside.check_topic(
        source.topic,
        WithClause((), CREATE_SOURCE),
        altered.value_format,
        altered.schema,
        statement.span,
        grows=True,
        written=False,
    )
    kind, listed = source.kind.lower(), ", ".join(c.name for c in statement.add)
    return Checked(SetSource(altered), Message(f"alter {kind}", f"{kind} {source.name} altered: added {listed}", text))
