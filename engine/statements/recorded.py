"""Reads journal entries of old versions, which recorded statements instead of changes.

Such an entry has the statement, and the answers that its check got when it was executed.  The statement is checked again,
against the catalog of that time, with a `checking.Outside` that gives the answers of the entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.parse import parse_statement
from ..analysis.with_clause import WithClause
from ..catalog import Catalog, FormatInfo
from ..changes import Change
from ..functions.registry import Registry
from ..journal import JournalEntry
from ..schema import Schema
from ..settings import Settings
from .checking import Checked, Checking
from .definitions import Definition, check

if TYPE_CHECKING:
    from ...storage.schemas.registry import SchemaRegistry


@dataclass(frozen=True, slots=True)
class Recorded:
    """See `checking.Outside`."""

    entry: JournalEntry

    @property
    def number(self) -> int:
        return self.entry.offset

    def partitions(self, topic: str, asked: int | None = None) -> int | None:
        recorded = self.entry.topic
        return recorded[1] if recorded is not None and recorded[0] == topic else None

    def is_missing(self, topic: str) -> bool:
        return True  # the entry does not say; an existing topic is not created again

    def with_columns(
        self, statement: ast.CreateSource, clause: WithClause, topic: str, formats: tuple[FormatInfo, FormatInfo]
    ) -> ast.CreateSource:
        return statement  # the statement of the entry has its columns

    def check_topic(
        self, topic: str, clause: WithClause, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool, written: bool
    ) -> None:
        pass

    def deleted(self, topic: str) -> tuple[str, int] | None:
        recorded = self.entry.deleted
        return recorded if recorded is not None and recorded[0] == topic else None

    def check_writes(self, catalog: Catalog, topic: str, sink: str, sources: Iterable[str], span: Span) -> None:
        pass

    def check_copies(self, topics: Iterable[str], query_id: str) -> None:
        pass

    def check_resumable(self, query_id: str) -> None:
        pass

    def check_room(self, queries: int, limit: int, span: Span) -> None:
        pass


def change_of(entry: JournalEntry, catalog: Catalog, functions: Registry, schemas: SchemaRegistry | None) -> Change:
    """The change that an entry made.

    Args:
        catalog: the catalog before the entry.

    Raises:
        StatementError: the statement fails today, for example because a function that it uses is not registered.
    """
    settings = Settings.recorded(entry.properties)
    checking = Checking(catalog, {}, functions, schemas, settings.options, settings.overrides, Recorded(entry))
    statement = parse_statement(entry.statement)
    checked = check(checking, statement) if isinstance(statement, Definition) else None
    if not isinstance(checked, Checked):
        raise StatementError("the statement changes nothing")
    return checked.change
