"""Parts of the language that a property can switch off (section 12 of the reference)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from ...errors import StatementError
from ...grammar import ast
from ..query_options import QueryOptions

LAMBDAS = "ksql.lambdas.enabled"
HEADERS = "ksql.headers.columns.enabled"
FINAL = "ksql.suppress.enabled"


def check_query(query: ast.Query, options: QueryOptions) -> None:
    """Raises: StatementError, if the query uses what is switched off."""
    check_expression(query, options)
    if query.emit == "FINAL" and not options.emit_final:
        raise StatementError(f"EMIT FINAL is switched off by {FINAL}", span=query.span, suggestion="Use EMIT CHANGES.")


def check_expression(node: ast.Node, options: QueryOptions) -> None:
    """Raises: StatementError, if there is a lambda in it and these are switched off."""
    if options.lambdas:
        return
    found = next((n for n in _walk(node) if isinstance(n, ast.Lambda)), None)
    if found is not None:
        raise StatementError(f"lambdas are switched off by {LAMBDAS}", span=found.span)


def check_role(definition: ast.ColumnDefinition, options: QueryOptions) -> None:
    """Raises: StatementError, if it is a header column and these are switched off."""
    if definition.role in ("HEADERS", "HEADER") and not options.headers:
        raise StatementError(f"header columns are switched off by {HEADERS}", span=definition.span)


def _walk(node: Any) -> Iterator[ast.Node]:
    """All nodes of a tree."""
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif isinstance(node, ast.Node):
        yield node
        for field in fields(node):
            yield from _walk(getattr(node, field.name))
