"""Parts of the language that a property can disable (section 12 of the reference)."""

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
    """Check that a query uses only what is enabled.

    Raises:
        StatementError: the query uses something that a property disables.
    """
    check_expression(query, options)
    if query.emit == "FINAL" and not options.emit_final:
        raise StatementError(f"EMIT FINAL is switched off by {FINAL}", span=query.span, suggestion="Use EMIT CHANGES.")


def check_expression(node: ast.Node, options: QueryOptions) -> None:
    """Check that an expression has no lambda if lambdas are disabled.

    Raises:
        StatementError: it has one.
    """
    if options.lambdas:
        return
    found = next((n for n in _walk(node) if isinstance(n, ast.Lambda)), None)
    if found is not None:
        raise StatementError(
            f"lambdas are switched off by {LAMBDAS}", span=found.span, suggestion=f"Set {LAMBDAS} to 'true'."
        )


def check_role(definition: ast.ColumnDefinition, options: QueryOptions) -> None:
    """Check that a column is not a header column if these are disabled.

    Raises:
        StatementError: it is one.
    """
    if definition.role in ("HEADERS", "HEADER") and not options.headers:
        raise StatementError(
            f"header columns are switched off by {HEADERS}", span=definition.span, suggestion=f"Set {HEADERS} to 'true'."
        )


def _walk(node: Any) -> Iterator[ast.Node]:
    """All nodes of a tree."""
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif isinstance(node, ast.Node):
        yield node
        for field in fields(node):
            yield from _walk(getattr(node, field.name))
