"""Converts a query over streams to a SELECT that is answered once, and walks and rewrites trees."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

from ..errors import StatementError
from . import ast


def as_select(query: ast.Query) -> ast.Select:
    """The SELECT of a query, without its LIMIT.

    Raises:
        StatementError: it has a clause that only running queries can have (WINDOW, PARTITION BY, EMIT, WITHIN).
    """
    for what, found in (("WINDOW", query.window), ("PARTITION BY", query.partition_by)):
        if found:
            place = found.span if isinstance(found, ast.Node) else found[0].span
            raise StatementError(
                f"a query that is answered once has no {what}",
                span=place,
                suggestion="Add EMIT CHANGES for a push query, or make a table of it by CREATE TABLE .. AS SELECT.",
            )
    if query.emit is not None:
        raise StatementError(
            f"EMIT {query.emit} stands at the end of a whole query, not inside of one",
            span=query.span,
            suggestion="Leave it out.",
        )
    joins: list[ast.TableJoin] = []
    for join in query.joins:
        if not isinstance(join, ast.Join):
            joins.append(join)
            continue
        if join.within is not None:
            raise StatementError(
                "a query that is answered once joins rows as they are, without WITHIN",
                span=join.within.span,
                suggestion="Compare the times in ON: ON .. AND a.ROWTIME BETWEEN b.ROWTIME - 1000 AND b.ROWTIME + 1000.",
            )
        joins.append(ast.TableJoin(join.type, join.source, join.on, span=join.span))
    return ast.Select(query.select, query.source, tuple(joins), query.where, query.group_by, query.having, span=query.span)


def as_table_query(query: ast.AnyQuery) -> ast.TableQuery:
    """The query as a `TableQuery`, which can have every clause.

    Raises:
        StatementError: see `as_select`.
    """
    if isinstance(query, ast.TableQuery):
        return query
    return ast.TableQuery(as_select(query), limit=query.limit, span=query.span)


def nodes_of(tree: Any) -> list[ast.Node]:
    """All nodes of a tree, the outermost first."""
    found: list[ast.Node] = []
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(reversed(node))
        elif isinstance(node, ast.Node):
            found.append(node)
            kind: Any = type(node)
            stack.extend([getattr(node, name) for name in _parts_of(kind)])
    return found


@cache
def _parts_of(kind: Any) -> tuple[str, ...]:
    """The fields of a class of nodes that can hold nodes, by name, the last one first."""
    return tuple(f.name for f in reversed(fields(kind)) if f.name != "span")


def rebuilt(tree: Any, change: Any) -> Any:
    """Copy a tree and replace nodes.

    Args:
        change: gives the replacement of a node, or None to keep the node.  A replacement is not searched.
    """
    if isinstance(tree, tuple):
        items = tuple(rebuilt(item, change) for item in tree)
        return items if any(a is not b for a, b in zip(items, tree, strict=True)) else tree
    if not isinstance(tree, ast.Node):
        return tree
    new = change(tree)
    if new is not None:
        return new
    updates = {}
    for field in fields(tree):
        value = getattr(tree, field.name)
        if isinstance(value, (ast.Node, tuple)):
            renewed = rebuilt(value, change)
            if renewed is not value:
                updates[field.name] = renewed
    return replace(tree, **updates) if updates else tree
