"""Statement -> what it does: one case per form of the dialect."""

from __future__ import annotations

from ...errors import StatementError, StorageError
from ...grammar import ast
from ..results import Result
from . import assertions, create_query, create_source, delete, describe, insert, inspect, printing, select, settings
from .context import Context, unsupported_connectors


def execute(context: Context, statement: ast.Statement) -> Result:
    """Execute one statement; if it fails, nothing has changed.

    Raises:
        StatementError: the statement is wrong, or (UnsupportedError) Penstock has not got it; it has a place, at least the
            whole statement.
        StorageError: it could not be made durable; or it could, but not finished, which opening the database will do.
    """
    context.engine.journaled = None
    try:
        return _execute(context, statement)
    except StatementError as error:
        error.span = error.span or statement.span
        raise
    except StorageError as error:
        if context.engine.journaled is None or context.engine.replaying:
            raise
        context.engine.unsettled = StorageError(
            f"the statement {context.engine.journaled} is in the journal, but cannot be finished: {error.message}",
            path=error.path,
            action="close and open the database when the disk works again: opening finishes the statement",
        )
        raise context.engine.unsettled from error


def _execute(context: Context, statement: ast.Statement) -> Result:
    match statement:
        case ast.Query(emit=None) | ast.TableQuery():
            return select.pull(context, statement)
        case ast.Query():
            return select.push(context, statement)
        case ast.CreateSource():
            return create_source.create_source(context, statement)
        case ast.CreateAsSelect():
            return create_query.create_as(context, statement)
        case ast.InsertSelect():
            return create_query.insert_select(context, statement)
        case ast.InsertValues():
            return insert.insert_values(context, statement)
        case ast.Delete():
            return delete.delete(context, statement)
        case ast.AlterSource():
            return create_source.alter(context, statement)
        case ast.DropSource():
            return create_source.drop(context, statement)
        case ast.CreateType():
            return create_source.create_type(context, statement)
        case ast.DropType():
            return create_source.drop_type(context, statement)
        case ast.ControlQuery():
            return create_query.control(context, statement)
        case ast.Show():
            return inspect.show(context, statement)
        case ast.Describe():
            return describe.describe(context, statement)
        case ast.Explain():
            return describe.explain(context, statement)
        case ast.Print():
            return printing.print_topic(context, statement)
        case ast.SetProperty():
            return settings.set_property(context, statement)
        case ast.UnsetProperty():
            return settings.unset_property(context, statement)
        case ast.AlterSystem():
            return settings.alter_system(context, statement)
        case ast.Define():
            return settings.define(context, statement)
        case ast.Undefine():
            return settings.undefine(context, statement)
        case ast.AssertTopic():
            return assertions.assert_topic(context, statement)
        case ast.AssertSchema():
            return assertions.assert_schema(context, statement)
        case ast.AssertValues():
            return assertions.assert_values(context, statement)
        case ast.AssertSource():
            return assertions.assert_source(context, statement)
        case ast.CreateConnector() | ast.DropConnector():
            raise unsupported_connectors(statement)
        case ast.RunScript():
            raise StatementError("RUN SCRIPT cannot stand inside of another statement", span=statement.span)
