"""Statement -> what it does: one case per form of the dialect."""

from __future__ import annotations

from pathlib import Path

from ...errors import StatementError
from ...grammar import ast
from ..results import Result
from . import assertions, define, insert, inspect, persist, printing, select, settings
from .context import Engine, unsupported_connectors


def execute(engine: Engine, statement: ast.Statement) -> Result:
    """Execute one statement; if it fails, nothing has changed.

    Raises:
        StatementError: the statement is wrong, or (UnsupportedError) Penstock has not got it.
        StorageError: it could not be made durable.
    """
    match statement:
        case ast.Query(emit=None):
            return select.pull(engine, statement)
        case ast.Query():
            return select.push(engine, statement)
        case ast.CreateSource():
            return define.create_source(engine, statement)
        case ast.CreateAsSelect():
            return persist.create_as(engine, statement)
        case ast.InsertSelect():
            return persist.insert_select(engine, statement)
        case ast.InsertValues():
            return insert.insert_values(engine, statement)
        case ast.AlterSource():
            return define.alter(engine, statement)
        case ast.DropSource():
            return define.drop(engine, statement)
        case ast.CreateType():
            return define.create_type(engine, statement)
        case ast.DropType():
            return define.drop_type(engine, statement)
        case ast.ControlQuery():
            return persist.control(engine, statement)
        case ast.Show():
            return inspect.show(engine, statement)
        case ast.Describe():
            return inspect.describe(engine, statement)
        case ast.Explain():
            return inspect.explain(engine, statement)
        case ast.Print():
            return printing.print_topic(engine, statement)
        case ast.SetProperty():
            return settings.set_property(engine, statement)
        case ast.UnsetProperty():
            return settings.unset_property(engine, statement)
        case ast.AlterSystem():
            return settings.alter_system(engine, statement)
        case ast.Define():
            return settings.define(engine, statement)
        case ast.Undefine():
            return settings.undefine(engine, statement)
        case ast.AssertTopic():
            return assertions.assert_topic(engine, statement)
        case ast.AssertSchema():
            return assertions.assert_schema(engine, statement)
        case ast.AssertValues() | ast.AssertSource():
            return assertions.refuse_test_assertion(statement)
        case ast.CreateConnector() | ast.DropConnector():
            raise unsupported_connectors(statement)
        case ast.RunScript():
            raise StatementError("RUN SCRIPT cannot stand inside of another statement", span=statement.span)


def read_script(statement: ast.RunScript) -> str:
    """The text of RUN SCRIPT's file.  Raises: StatementError."""
    try:
        return Path(statement.path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StatementError(f"the script {statement.path} cannot be read: {error}", span=statement.span) from error
