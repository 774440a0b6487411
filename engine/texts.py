"""Checks of texts, before statements are executed."""

from __future__ import annotations

from ..errors import StatementError, unwritable
from ..grammar import ast
from ..grammar.parse import parse_statement

__all__ = ["check_name", "check_text", "pull_query"]


def pull_query(text: str) -> ast.AnyQuery:
    """Parse a text as a pull query.

    Raises:
        StatementError: it cannot be parsed, or is a statement of another kind.
    """
    statement = parse_statement(text)
    if not isinstance(statement, ast.Query | ast.TableQuery):
        raise StatementError("sql() takes a SELECT", span=statement.span, text=text, suggestion="Use execute().")
    if isinstance(statement, ast.Query) and statement.emit is not None:
        raise StatementError(
            "this is a push query, which has no end", span=statement.span, text=text, suggestion="Use subscribe()."
        )
    return statement


def push_query(text: str) -> ast.Query:
    """Parse a text as a push query.

    Raises:
        StatementError: it cannot be parsed, or is a statement of another kind.
    """
    query = parse_statement(text)
    if not isinstance(query, ast.Query) or query.emit is None:
        raise StatementError(
            "subscribe() takes a push query", span=query.span, text=text, suggestion="Write SELECT .. EMIT CHANGES."
        )
    return query


def check_text(text: object) -> None:
    """Check that a value is a text.

    Raises:
        StatementError: it is not.
    """
    if not isinstance(text, str):
        raise StatementError(f"a statement must be text, not {type(text).__name__}")


def check_name(name: object, what: str) -> None:
    """Check that a name is a text, is not empty, and can be stored.

    Args:
        what: what the name belongs to, for the message.

    Raises:
        StatementError: it is not.
    """
    if not isinstance(name, str):
        raise StatementError(f"{what} must be text, not {type(name).__name__}")
    if not name:
        raise StatementError(f"{what} cannot be empty")
    if not name.isprintable() and (refused := unwritable(name)) is not None:
        raise StatementError(f"{what} holds {refused}")
