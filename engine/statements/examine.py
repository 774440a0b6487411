"""Finds the errors of statements without running them, for editors that mark errors while a person types.

Each statement is checked by the code that would execute it, against the state that the statements before it would have made.
Nothing is read, written or started.  So errors that only show when the statement runs (a disk that fails, a value that
cannot be computed) are not found.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.parse import parse
from ...grammar.substitute import substitute
from ...grammar.words import made_by, names_in
from ..analysis.with_clause import WithClause
from ..catalog import Catalog, DataSource, FormatInfo
from ..changes import DropSource, SetSource, ended, started
from ..schema import Schema
from ..session_state import SessionState
from ..state import Engine, Planned
from . import definitions, describe, select, settings
from .checking import Checked, Checking
from .context import Context
from .insert import checked_values
from .outside import Live
from .planning import plan_query
from .scripts import Script

__all__ = ["Examiner", "SyntaxExaminer"]


@dataclass(frozen=True, slots=True)
class _Preview:
    """The database as it would be after some statements.

    Attributes:
        session: it does not change any more once a statement has been checked against it.
        topics: the topics that would have been created, with their numbers of partitions; None for a topic that would have
            been deleted.
        number: the number of statements that would be in the journal.
    """

    catalog: Catalog
    planned: Mapping[str, Planned]
    session: SessionState
    topics: Mapping[str, int | None] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """A checked statement, and the state after it.

    Attributes:
        missing: names that wrong statements would have made, or a file whose columns are unknown.  None after a script that
            was not read: then only syntax can be checked.
    """

    text: str
    fault: StatementError | None
    preview: _Preview
    missing: frozenset[str] | None


class Examiner:
    """Finds the errors of statements again and again while they are edited.  Statements that did not change are not checked
    again.

    Args:
        engine, session: the database, and the properties and variables, to check against.  Neither is changed.
    """

    def __init__(self, engine: Engine, session: SessionState) -> None:
        self._engine = engine
        self._session = session
        self._known: list[_Known] = []
        self._based_on: object = None

    def faults(self, statements: Sequence[str], stop: Callable[[], bool] = lambda: False) -> list[StatementError]:
        """Find the errors of statements, at most one for each, with their places.

        If a statement names something that a wrong statement would have made, it is skipped, since nothing is known about
        that.

        Args:
            statements: texts of one statement each.  Blanks before the text put it at its line and column.
            stop: whether the answer is not needed any more.  Then it is empty.
        """
        engine = self._engine
        based_on = (engine.catalog, dict(self._session.settings), dict(self._session.variables))
        if based_on != self._based_on:
            self._based_on, self._known = based_on, []
        preview = _Preview(engine.catalog, engine.planned, _copied(self._session), number=engine.journal.next_offset)
        known, found = self._known, []
        missing: frozenset[str] | None = frozenset()
        for place, text in enumerate(statements):
            if place < len(known) and known[place].text == text:
                entry = known[place]
            else:
                del known[place:]
                if stop():
                    return []
                entry = self._checked(text, preview, missing)
                known.append(entry)
            preview, missing = entry.preview, entry.missing
            if entry.fault is not None:
                found.append(entry.fault)
        return found

    def _checked(self, text: str, preview: _Preview, missing: frozenset[str] | None) -> _Known:
        """Check a statement.

        Args:
            preview: the state that the statements before it made.
            missing: the names that are missing in this state, see `_Known`.
        """
        session = _copied(preview.session)
        try:
            replaced = substitute(text, session.variables) if session.settings.options.variable_substitution else text
            parsed = parse(replaced)
        except StatementError as error:
            return _Known(text, error.located(text), preview, _with(missing, made_by(text)))
        if len(parsed) != 1:
            return _Known(text, None, preview, missing)
        statement = parsed[0].statement
        if missing is None or isinstance(statement, ast.RunScript):
            return _Known(text, None, preview, None)
        if missing & names_in(text) or isinstance(statement, ast.CreateFrom):
            return _Known(text, None, preview, _with(missing, made_by(text)))
        try:
            return _Known(text, None, self._after(statement, replace(preview, session=session)), missing)
        except StatementError as error:
            error.span = error.span or statement.span
            fault = Script(replaced, None).locate(error, statement)
            if replaced != text:  # the error's place is in the text without variables
                fault.text, fault.span = text, _whole(text)
            return _Known(text, fault, preview, _with(missing, made_by(text)))

    def _after(self, statement: ast.Statement, preview: _Preview) -> _Preview:
        """The state after a statement.

        Raises:
            StatementError: the statement is wrong.
        """
        context = _Supposed(self._engine, preview.session, preview=preview)
        if isinstance(statement, definitions.Definition):
            checked = definitions.check(context.checking(), statement)
            return _changed(preview, checked) if isinstance(checked, Checked) else preview
        match statement:
            case ast.Query(emit=None) | ast.TableQuery():
                select.check_pull(context, statement)
            case ast.Query():
                plan_query(context, statement)
            case ast.InsertValues():
                checked_values(context, statement)
            case ast.Describe(what="SOURCE", name=str(name)):
                context.catalog.source(name)
            case ast.Describe(what="FUNCTION"):
                describe.describe(context, statement)
            case ast.Explain(analyze=False, query_id=None):
                describe.explain(context, statement)
            case ast.SetProperty():
                settings.set_property(context, statement)
            case ast.UnsetProperty():
                settings.unset_property(context, statement)
            case ast.Define():
                settings.define(context, statement)
            case ast.Undefine():
                settings.undefine(context, statement)
        return preview


class SyntaxExaminer:
    """Finds the syntax errors of statements, without a database."""

    def faults(self, statements: Sequence[str], stop: Callable[[], bool] = lambda: False) -> list[StatementError]:
        """See `Examiner.faults`."""
        found = []
        for text in statements:
            if stop():
                return []
            try:
                parse(text)
            except StatementError as error:
                if "${" not in text:
                    found.append(error.located(text))
        return found


def _changed(preview: _Preview, checked: Checked) -> _Preview:
    change, topics = checked.change, dict(preview.topics)
    match change:
        case SetSource(source=source, topic=topic) if topic is not None:
            topics[source.topic] = topic.partitions
        case DropSource(deleted=(topic_name, _)):
            topics[topic_name] = None
    gone = ended(change)
    planned = {query_id: p for query_id, p in preview.planned.items() if query_id not in gone}
    if checked.planned is not None and started(change) is not None:
        planned[checked.planned.query_id] = checked.planned
    return replace(preview, catalog=change.on(preview.catalog), planned=planned, topics=topics, number=preview.number + 1)


@dataclass(frozen=True, slots=True)
class _Supposed(Context):
    """A context for the database as it would be."""

    preview: _Preview = field(kw_only=True)

    @property
    def catalog(self) -> Catalog:
        return self.preview.catalog

    @property
    def planned(self) -> Mapping[str, Planned]:
        return self.preview.planned

    def view_of(self, source: DataSource) -> str | None:
        planned = self.preview.planned.get(str(source.query_id))
        return None if planned is None or planned.dataflow.view is None else source.query_id

    def checking(self) -> Checking:
        preview, engine = self.preview, self.engine
        outside = _Outside(engine, preview)
        return Checking(
            preview.catalog, preview.planned, engine.functions, engine.schemas, self.options, self.overrides, outside
        )


@dataclass(frozen=True, slots=True)
class _Outside(Live):
    """The topics and queries that would exist.  Nothing is refused because of what cannot be known."""

    preview: _Preview

    @property
    def number(self) -> int:
        return self.preview.number

    def partitions(self, topic: str, asked: int | None = None) -> int | None:
        supposed = self.preview.topics
        return supposed[topic] if topic in supposed else Live.partitions(self, topic, asked)

    def is_missing(self, topic: str) -> bool:
        supposed = self.preview.topics
        return supposed[topic] is None if topic in supposed else Live.is_missing(self, topic)

    def check_topic(
        self, topic: str, clause: WithClause, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool, written: bool
    ) -> None:
        if topic not in self.preview.topics:
            Live.check_topic(self, topic, clause, format_, schema, span, grows=grows, written=written)

    def deleted(self, topic: str) -> tuple[str, int] | None:
        supposed = self.preview.topics
        if topic in supposed:
            return None if supposed[topic] is None else (topic, 0)
        return Live.deleted(self, topic)

    def check_resumable(self, query_id: str) -> None:
        if query_id in self.engine.planned:
            Live.check_resumable(self, query_id)


def _copied(session: SessionState) -> SessionState:
    return SessionState(copy.copy(session.settings), session.variables, session.user)


def _whole(text: str) -> Span:
    start = len(text) - len(text.lstrip())
    return Span(start, len(text), text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))


def _with(missing: frozenset[str] | None, name: str | None) -> frozenset[str] | None:
    return missing if missing is None or name is None else missing | {name}
