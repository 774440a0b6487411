"""CREATE TYPE and DROP TYPE: names for types."""

from __future__ import annotations

from ...errors import StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..analysis.types import resolve_type
from ..changes import DropType, SetType
from ..results import Message
from .checking import Checked, Checking


def check_create(checking: Checking, statement: ast.CreateType) -> Checked | Message:
    """Check a CREATE TYPE.

    Raises:
        StatementError: the name is in use, or the type is wrong.
    """
    text = unparse(statement)
    types = checking.catalog.types
    if statement.name in types:
        if statement.if_not_exists:
            return Message("create type", f"type {statement.name} exists already; nothing was changed", text, warning=True)
        raise StatementError(
            f"there is a type named {statement.name} already", span=statement.span, suggestion="DROP TYPE it first."
        )
    type_ = resolve_type(statement.type, types)
    details = {"type": statement.name}
    return Checked(
        SetType(statement.name, type_), Message("create type", f"type {statement.name} is {type_}", text, details=details)
    )


def check_drop(checking: Checking, statement: ast.DropType) -> Checked | Message:
    """Check a DROP TYPE.  Sources that use the type keep it.

    Raises:
        StatementError: there is no such type.
    """
    text = unparse(statement)
    if statement.name not in checking.catalog.types:
        if statement.if_exists:
            return Message("drop type", f"there is no type {statement.name}; nothing was changed", text, warning=True)
        raise StatementError(
            f"there is no type named {statement.name}", span=statement.span, suggestion="SHOW TYPES; lists them."
        )
    details = {"type": statement.name}
    return Checked(DropType(statement.name), Message("drop type", f"type {statement.name} dropped", text, details=details))
