"""SET, UNSET, DEFINE, UNDEFINE: what a session remembers."""

from __future__ import annotations

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.substitute import is_variable_name
from ...grammar.unparse import unparse
from ..results import Message
from .context import Engine


def set_property(engine: Engine, statement: ast.SetProperty) -> Message:
    """Raises: StatementError, for a property that does not exist or a value it cannot have."""
    try:
        engine.settings.set(statement.name, statement.value)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("set", f"{statement.name} is '{statement.value}'", unparse(statement))


def unset_property(engine: Engine, statement: ast.UnsetProperty) -> Message:
    """Raises: StatementError, for a property that does not exist."""
    try:
        engine.settings.unset(statement.name)
    except StatementError as error:
        error.span = statement.span
        raise
    return Message("unset", f"{statement.name} has its default again", unparse(statement))


def define(engine: Engine, statement: ast.Define) -> Message:
    """Raises: StatementError, for a name that no variable can have."""
    if not is_variable_name(statement.name):
        raise StatementError(
            f"a variable cannot be called {statement.name}", span=statement.span, suggestion="Use letters, digits, _ and @."
        )
    engine.variables[statement.name.upper()] = statement.value
    return Message("define", f"{statement.name} is '{statement.value}'", unparse(statement))


def undefine(engine: Engine, statement: ast.Undefine) -> Message:
    """Forgetting a variable that was never defined is worth a warning, no more."""
    known = engine.variables.pop(statement.name.upper(), None) is not None
    text = f"{statement.name} is no longer defined" if known else f"{statement.name} was not defined"
    return Message("undefine", text, unparse(statement), warning=not known)


def alter_system(engine: Engine, statement: ast.AlterSystem) -> Message:
    """Raises: UnsupportedError: there is no server."""
    raise UnsupportedError(
        "ALTER SYSTEM is not supported: there is no server to set",
        span=statement.span,
        suggestion=f"SET '{statement.name}' = '{statement.value}'; or give it to connect().",
    )
