"""Executes statements: one case for each form of the dialect.  `definitions` has those that define something."""

from __future__ import annotations

from functools import partial

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ..results import Message, Result
from . import assertions, definitions, delete, describe, insert, inspect, printing, select, settings, why_no_rows
from .carry_out import carry_out
from .context import Context, unsupported_connectors
from .following import catch_up, up_to_date


def execute(context: Context, statement: ast.Statement) -> Result:
    """Execute one statement.  If it fails, nothing has changed.

    Raises:
        StatementError: the statement is wrong, or Penstock does not support it (UnsupportedError).  The error has a place:
            at least the whole statement.
        StorageError: the statement could not be made durable.  Or it is durable but not finished; then opening the database
            finishes it.
    """
    try:
        return _execute(context, statement)
    except StatementError as error:
        error.span = error.span or statement.span
        raise


def _execute(context: Context, statement: ast.Statement) -> Result:
    if isinstance(statement, definitions.Definition):
        _check_order(context, statement)
        if context.alongside is not None:  # `Submission` checks itself whether another process wrote first
            catch_up(context.engine)
            return _define(context, statement)
        return up_to_date(context.engine, partial(_define, context, statement))
    match statement:
        case ast.Query(emit=None) | ast.TableQuery():
            return select.pull(context, statement)
        case ast.Query():
            _check_order(context, statement)
            return select.push(context, statement)
        case ast.InsertValues():
            return insert.insert_values(context, statement)
        case ast.Delete():
            return delete.delete(context, statement)
        case ast.Show():
            return inspect.show(context, statement)
        case ast.Describe():
            return describe.describe(context, statement)
        case ast.Explain():
            return describe.explain(context, statement)
        case ast.WhyNoRows():
            return why_no_rows.why_no_rows(context, statement)
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
        case ast.CreateFrom():
            raise StatementError("CREATE .. FROM a file cannot be part of another statement", span=statement.span)
        case ast.RunScript():
            raise StatementError("RUN SCRIPT cannot be part of another statement", span=statement.span)


def _define(context: Context, statement: definitions.Definition) -> Result:
    checked = definitions.check(context.checking(), statement)
    return checked if isinstance(checked, Message) else carry_out(context, checked)


def _check_order(context: Context, statement: ast.Statement) -> None:
    """Check the properties that need a certain kind of log.

    Raises:
        UnsupportedError: the log does not have the order, or cannot have the copies in other processes, that they ask for.
    """
    if context.options.processing_order == "arrival" and not context.log.capabilities.total_order:
        raise UnsupportedError(
            "processing.order = 'arrival' needs a log that knows in which order records of several partitions arrived; Kafka"
            " does not",
            span=statement.span,
            suggestion="SET 'processing.order' = 'timestamp'; max.task.idle.ms says how long an empty input is waited for.",
        )
    if context.options.standby_replicas and not context.log.capabilities.shared:
        raise UnsupportedError(
            "num.standby.replicas needs a log in Kafka, which several processes share; this log belongs to one process",
            span=statement.span,
            suggestion="UNSET 'num.standby.replicas';",
        )
