"""The check of a statement: the state that it reads (`Checking`), what it looks up elsewhere (`Outside`), and its result
(`Checked`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ...errors import Span
from ...grammar import ast
from ..analysis.with_clause import WithClause
from ..catalog import Catalog, DataSource, FormatInfo
from ..changes import Change
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..results import Message
from ..schema import Schema
from ..state import Planned

if TYPE_CHECKING:
    from ...storage.schemas.registry import SchemaRegistry


class Outside(Protocol):
    """What a check looks up outside of the catalog: topics, schemas, running queries.

    `outside.Live` looks at the running database.  `recorded.Recorded` gives the answers of the time when an old journal
    entry was written.  It refuses nothing, since the statement was checked then.
    """

    @property
    def number(self) -> int:
        """The number that the statement will have in the journal."""
        ...

    def partitions(self, topic: str, asked: int | None = None) -> int | None:
        """The number of partitions of a source over the topic; None if the topic does not exist.

        Args:
            asked: the number in the statement (PARTITIONS).
        """
        ...

    def is_missing(self, topic: str) -> bool:
        """Whether the statement must create the topic."""
        ...

    def with_columns(
        self, statement: ast.CreateSource, clause: WithClause, topic: str, formats: tuple[FormatInfo, FormatInfo]
    ) -> ast.CreateSource:
        """The statement.  If it names no columns, it gets those of the schema registry.

        Raises:
            StatementError: the registry has no columns for it.
        """
        ...

    def check_topic(
        self, topic: str, clause: WithClause, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool, written: bool
    ) -> None:
        """Check that a topic can hold a source's values and matches the statement.

        Args:
            span: the place of an error if no property of the WITH clause is at fault.
            grows: columns that the topic lacks may be added to it.
            written: a query of the statement writes the topic.  Then it must not be a topic of the engine's own, and must
                have the partitions that the statement says, even in a database with ``one_partition``.

        Raises:
            StatementError: it cannot hold them or does not match; or it does not exist, and a topic cannot have this name.
        """
        ...

    def deleted(self, topic: str) -> tuple[str, int] | None:
        """The topic that DELETE TOPIC deletes, and its number in the log; None if it does not exist.

        Raises:
            StatementError: the topic is one of the engine's own.
        """
        ...

    def check_writes(self, catalog: Catalog, topic: str, sink: str, sources: Iterable[str], span: Span) -> None:
        """Check that a new query can write to a topic.

        Raises:
            StatementError: the query would read what it writes, and never end; or the topic holds the table of another query
                than the one that writes ``sink``.
        """
        ...

    def check_copies(self, topics: Iterable[str], query_id: str) -> None:
        """Check the names of a new query's internal topics.

        Raises:
            StatementError: a topic of such a name exists and belongs to something else.
        """
        ...

    def check_resumable(self, query_id: str) -> None:
        """Check that a query can be resumed.

        Raises:
            StatementError: it cannot.
        """
        ...

    def check_room(self, queries: int, limit: int, span: Span) -> None:
        """Check the limit of persistent queries.

        Raises:
            StatementError: it is reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class Checking:
    """The state that a statement is checked against.  It does not change during the check.

    Attributes:
        overrides: the properties that differ from their defaults.  They are stored with a query.
        planned: the running queries, by id.
    """

    catalog: Catalog
    planned: Mapping[str, Planned]
    functions: Registry
    schemas: SchemaRegistry | None
    options: QueryOptions
    overrides: Mapping[str, str]
    outside: Outside


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that passed its check and can be carried out.

    Attributes:
        change: the change of the catalog.
        answer: the message after the statement has been carried out.
        planned: the query that it starts, ready to run.
        registered: sources whose schemas are registered first.  A registry may refuse them.
        unregistered: internal topics whose schemas are removed first, since their columns change.
        undo: a statement, and its change, that undo this one if carrying it out fails.  None: it cannot be undone, and
            opening the database finishes it.
    """

    change: Change
    answer: Message
    planned: Planned | None = None
    registered: tuple[DataSource, ...] = ()
    unregistered: tuple[DataSource, ...] = ()
    undo: tuple[str, Change] | None = None
