"""What is asked of a text before its statements are executed."""

from __future__ import annotations

from ..errors import StatementError
from ..grammar import ast
from ..grammar.parse import parse_statement

__all__ = ["check_text", "pull_query"]


def pull_query(text: str) -> ast.Query | None:
    """The text as one of the dialect's pull queries, or None if it is something else.

    Raises:
        StatementError: it is another statement of the dialect.
    """
    try:
        statement = parse_statement(text)
    except StatementError:
        return None
    if not isinstance(statement, ast.Query):
        raise StatementError("sql() takes a SELECT", span=statement.span, text=text, suggestion="Use execute().")
    if statement.emit is not None:
        raise StatementError(
            "this is a push query, which has no end", span=statement.span, text=text, suggestion="Use subscribe()."
        )
    beyond = statement.joins or statement.window or statement.group_by or statement.having or statement.partition_by
    return None if beyond else statement


def check_text(text: object) -> None:
    """Raises: StatementError, unless it is a text."""
    if not isinstance(text, str):
        raise StatementError(f"a statement is text, not {type(text).__name__}")
