"""SET, UNSET, DEFINE, UNDEFINE: the properties and variables of a session."""

from __future__ import annotations

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..query_options import PROPERTIES
from ..results import Message
from ..settings import canonical_name
from .context import Context


def set_property(context: Context, statement: ast.SetProperty) -> Message:
    """Set a property.

    Raises:
        StatementError: it does not exist, or cannot have this value.
    """
    try:
        context.session.settings.set(statement.name, statement.value)
    except StatementError as error:
        error.span = statement.span
        raise
    described = PROPERTIES[canonical_name(statement.name)]
    note = "" if described.in_effect else f", which changes nothing: {described.meaning}"
    return Message("set", f"{statement.name} is '{statement.value}'{note}", unparse(statement))


def unset_property(context: Context, statement: ast.UnsetProperty) -> Message:
    """Give a property its default.

    Raises:
        StatementError: it does not exist.
    """
    try:
        context.session.settings.unset(statement.name)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("unset", f"{statement.name} has its default again", unparse(statement))


def define(context: Context, statement: ast.Define) -> Message:
    """Define a variable.

    Raises:
        StatementError: a variable cannot have this name.
    """
    try:
        context.session.define(statement.name, statement.value)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("define", f"{statement.name} is '{statement.value}'", unparse(statement))


def undefine(context: Context, statement: ast.Undefine) -> Message:
    """Remove a variable.  If it is not defined, the message has a warning."""
    known = context.session.undefine(statement.name)
    text = f"{statement.name} is no longer defined" if known else f"{statement.name} was not defined"
    return Message("undefine", text, unparse(statement), warning=not known)


def alter_system(context: Context, statement: ast.AlterSystem) -> Message:
    """Refuse the statement: there are no system-wide properties.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        "ALTER SYSTEM is not supported: there are no system-wide properties",
        span=statement.span,
        suggestion=f"SET '{statement.name}' = '{statement.value}'; or give it to connect().",
    )
