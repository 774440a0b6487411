"""The values that the key of a table is compared with in WHERE."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...errors import StatementError
from ...grammar import ast
from ..analysis.scope import FromSource, SourceColumn
from ..types import is_numeric


def check_key_values(where: ast.Expression | None, sources: Sequence[FromSource], keys: Collection[SourceColumn]) -> None:
    """Check the lists of IN: a key of a table is looked up by values of its own type, and never by NULL alone.

    ksqlDB's rule for its pull queries, for all queries that are answered once, whatever clauses they have, and for keys that
    a subquery has passed on.  Elsewhere a text in such a list is read as a number.

    Args:
        where: the condition.
        sources: of the names in it.
        keys: those of their columns that are keys of tables.

    Raises:
        StatementError: a text for a key that is a number, or only NULL.
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
                    raise StatementError(f"the key {key.name} is never NULL", span=items[0].span)
                for item in items:
                    if isinstance(item, ast.StringLiteral) and is_numeric(key.type):
                        raise StatementError(f"the key {key.name} is {key.type}, and '{item.value}' is text", span=item.span)
            case ast.Logical(left=left, right=right):
                stack += [left, right]
            case ast.Not(operand=operand):
                stack.append(operand)


def _key(name: ast.NameRef, sources: Sequence[FromSource], keys: Collection[SourceColumn]) -> SourceColumn | None:
    """The column that a name stands for, if it is one of the keys."""
    found = [c for s in sources if name.qualifier in (None, s.alias) for c in s.columns if c.name == name.name]
    return found[0] if len(found) == 1 and found[0] in keys else None
