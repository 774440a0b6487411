"""Statements that define something: chooses the module that checks them."""

from __future__ import annotations

from ...grammar import ast
from ..results import Message
from . import alter_source, control_query, create_query, create_source, drop_source, insert_query, named_types
from .checking import Checked, Checking

Definition = (
    ast.CreateSource
    | ast.CreateAsSelect
    | ast.InsertSelect
    | ast.AlterSource
    | ast.DropSource
    | ast.CreateType
    | ast.DropType
    | ast.ControlQuery
)
"""The statements that define something.  They, and no others, are journaled."""


def check(checking: Checking, statement: Definition) -> Checked | Message:
    """Check a statement.

    Returns:
        its change, or, for IF NOT EXISTS and IF EXISTS, a message that says why nothing changes.

    Raises:
        StatementError: it breaks a rule.  Nothing has changed.
    """
    match statement:
        case ast.CreateSource():
            return create_source.check(checking, statement)
        case ast.CreateAsSelect():
            return create_query.check(checking, statement)
        case ast.InsertSelect():
            return insert_query.check(checking, statement)
        case ast.AlterSource():
            return alter_source.check(checking, statement)
        case ast.DropSource():
            return drop_source.check(checking, statement)
        case ast.CreateType():
            return named_types.check_create(checking, statement)
        case ast.DropType():
            return named_types.check_drop(checking, statement)
        case ast.ControlQuery():
            return control_query.check(checking, statement)
