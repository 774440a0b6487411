"""SET, UNSET, DEFINE, UNDEFINE: what a session remembers."""

from __future__ import annotations

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..results import Message
from .context import Context


def set_property(context: Context, statement: ast.SetProperty) -> Message:
    """Raises: StatementError, for a property that does not exist or a value it cannot have."""
    try:
        context.session.settings.set(statement.name, statement.value)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("set", f"{statement.name} is '{statement.value}'", unparse(statement))


def unset_property(context: Context, statement: ast.UnsetProperty) -> Message:
    """Raises: StatementError, for a property that does not exist."""
    try:
        context.session.settings.unset(statement.name)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("unset", f"{statement.name} has its default again", unparse(statement))


def define(context: Context, statement: ast.Define) -> Message:
    """Raises: StatementError, for a name that no variable can have."""
    try:
        context.session.define(statement.name, statement.value)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("define", f"{statement.name} is '{statement.value}'", unparse(statement))


def undefine(context: Context, statement: ast.Undefine) -> Message:
    """Forgetting a variable that was never defined is worth a warning, no more."""
    known = context.session.undefine(statement.name)
    text = f"{statement.name} is no longer defined" if known else f"{statement.name} was not defined"
    return Message("undefine", text, unparse(statement), warning=not known)


def alter_system(context: Context, statement: ast.AlterSystem) -> Message:
    """Raises: UnsupportedError: there is no server."""
    raise UnsupportedError(
        "ALTER SYSTEM is not supported: there is no server to set",
        span=statement.span,
        suggestion=f"SET '{statement.name}' = '{statement.value}'; or give it to connect().",
    )
