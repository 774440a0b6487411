"""Checks the values that WHERE compares the key of a table with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...errors import StatementError
from ...grammar import ast
from ..analysis.scope import FromSource, SourceColumn
from ..types import is_numeric


def check_key_values(where: ast.Expression | None, sources: Sequence[FromSource], keys: Collection[SourceColumn]) -> None:
    """Check the lists of IN: a table's key is compared with values of its own type, and not with NULL alone.

    ksqlDB has this rule for its pull queries.  Here it holds for all queries that are answered once, with whatever clauses,
    and also for keys that a subquery passes on.  In other lists, a text may be read as a number.

    Args:
        where: the condition.
        sources: the sources of the names in it.
        keys: those columns of the sources that are keys of tables.

    Raises:
        StatementError: the list has a text for a key that is a number, or only NULL.
    """
    stack: list[ast.Expression] = [] if where is None else [where]
    while stack:
        node = stack.pop()
        match node:
            case ast.InList(operand=ast.NameRef() as name, items=items):
                key = _key(name, sources, keys)
                if key is None:
                    continue
                if all(isinstance(item, ast.NullLiteral) for item in items):
                    raise StatementError(
                        f"the key {key.name} is never NULL", span=items[0].span, suggestion="Leave the condition out."
                    )
                for item in items:
                    if isinstance(item, ast.StringLiteral) and is_numeric(key.type):
                        raise StatementError(
                            f"the key {key.name} is {key.type}, and '{item.value}' is text",
                            span=item.span,
                            suggestion="Write a number, without quotes.",
                        )
            case ast.Logical(left=left, right=right):
                stack += [left, right]
            case ast.Not(operand=operand):
                stack.append(operand)


def _key(name: ast.NameRef, sources: Sequence[FromSource], keys: Collection[SourceColumn]) -> SourceColumn | None:
    """The key column that a name stands for; None if it stands for another column."""
    found = [c for s in sources if name.qualifier in (None, s.alias) for c in s.columns if c.name == name.name]
    return found[0] if len(found) == 1 and found[0] in keys else None
