"""Statement -> what it does: one case per form of the dialect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import Span, StatementError, StorageError
from ...grammar import ast
from ...grammar.lexer import Lines, tokens
from ...grammar.words import keywords
from ...limits import SCRIPT_DEPTH_MAX
from ..results import Result
from . import assertions, create_query, create_source, describe, insert, inspect, printing, select, settings
from .context import Engine, unsupported_connectors


def execute(engine: Engine, statement: ast.Statement) -> Result:
    """Execute one statement; if it fails, nothing has changed.

    Raises:
        StatementError: the statement is wrong, or (UnsupportedError) Penstock has not got it; it has a place, at least the
            whole statement.
        StorageError: it could not be made durable; or it could, but not finished, which opening the database will do.
    """
    engine.journaled = None
    try:
        return _execute(engine, statement)
    except StatementError as error:
        error.span = error.span or statement.span
        raise
    except StorageError as error:
        if engine.journaled is None or engine.replaying:
            raise
        engine.unsettled = StorageError(
            f"the statement {engine.journaled} is in the journal, but cannot be finished: {error.message}",
            path=error.path,
            action="close and open the database when the disk works again: opening finishes the statement",
        )
        raise engine.unsettled from error


def _execute(engine: Engine, statement: ast.Statement) -> Result:
    match statement:
        case ast.Query(emit=None):
            return select.pull(engine, statement)
        case ast.Query():
            return select.push(engine, statement)
        case ast.CreateSource():
            return create_source.create_source(engine, statement)
        case ast.CreateAsSelect():
            return create_query.create_as(engine, statement)
        case ast.InsertSelect():
            return create_query.insert_select(engine, statement)
        case ast.InsertValues():
            return insert.insert_values(engine, statement)
        case ast.AlterSource():
            return create_source.alter(engine, statement)
        case ast.DropSource():
            return create_source.drop(engine, statement)
        case ast.CreateType():
            return create_source.create_type(engine, statement)
        case ast.DropType():
            return create_source.drop_type(engine, statement)
        case ast.ControlQuery():
            return create_query.control(engine, statement)
        case ast.Show():
            return inspect.show(engine, statement)
        case ast.Describe():
            return describe.describe(engine, statement)
        case ast.Explain():
            return describe.explain(engine, statement)
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
        case ast.AssertValues():
            return assertions.assert_values(engine, statement)
        case ast.AssertSource():
            return assertions.assert_source(engine, statement)
        case ast.CreateConnector() | ast.DropConnector():
            raise unsupported_connectors(statement)
        case ast.RunScript():
            raise StatementError("RUN SCRIPT cannot stand inside of another statement", span=statement.span)


@dataclass(frozen=True, slots=True)
class Script:
    """The text that a statement's spans point into, and the file it is from, if it is from one."""

    text: str
    path: Path | None

    def locate(self, error: StatementError, statement: ast.Statement) -> StatementError:
        """The error with its place: where it only says which statement, the name in it that the message is about."""
        if error.text is None and error.span in (None, statement.span):
            error.span = _name_in(error.message, self.text, statement.span)
        return error.located(self.text, None if self.path is None else str(self.path))


def _name_in(message: str, text: str, whole: Span) -> Span:
    """The first name or quoted text of a statement that a message names, else the whole statement."""
    named = set(re.findall(r"[\w.@-]+", message))
    for group, start, end in tokens(text, whole.start):
        if group == "end" or start >= whole.end:
            break
        token = text[start:end]
        name = token[1:-1] if token[0] in "`\"'" else token.upper()
        if name in named and (token[0] in "`\"'" or (group == "IDENTIFIER" and name not in keywords())):
            return Lines(text).span(start, end)
    return whole


def read_script(statement: ast.RunScript, path: Path | None, around: tuple[Path, ...]) -> tuple[Path, str]:
    """The file of RUN SCRIPT and its text.

    Args:
        path: of the script that the statement stands in: the file is looked for beside it.
        around: the resolved paths of the scripts that run this one, outermost first.

    Raises:
        StatementError: it cannot be read, or it would run itself.
    """
    found = Path(statement.path).expanduser()
    if path is not None and not found.is_absolute():
        found = path.parent / found
    if found.resolve() in around or (path is not None and found.resolve() == path.resolve()):
        raise StatementError(f"the script {found} would run itself", span=statement.span)
    if len(around) >= SCRIPT_DEPTH_MAX:
        raise StatementError(f"scripts run each other more than {SCRIPT_DEPTH_MAX} levels deep", span=statement.span)
    try:
        return found, found.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StatementError(f"the script {found} cannot be read: {reason}", span=statement.span) from error
